"""Finds the value that a sentence claims.

Every value in a sentence has a rank by the words around it, from high to low: the last side of an equation,
a value after "is", a value that is merely mentioned, a value in a phrase of place, time or measure
("in 5 days"), an operand ("half of 42"). The value of the highest rank is claimed, if it is the only value,
or the only list of values, with that rank.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from rlvr.verify import cues
from rlvr.verify.sentences import Formula, formulas, within
from rlvr.verify.tokens import FUNCTIONS
from rlvr.verify.units import UNIT_WORDS

_EQUATION, _BOLD, _IS, _NAMED, _BESIDE, _WORKED_ON = 5, 4, 3, 2, 1, 0

_DIGITS = (
    r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|(?<!\d\s)\d{1,3}(?: \d{3})+(?!\d)|"
    r"\d{1,3}(?:\.\d{3})+,\d+(?!\d)|\d{1,3}(?:['’\u202f\u00a0]\d{3})+(?!\d)|"
    r"\d+,\d{1,2}(?![\d,])|\d+(?:\.\d+)?|\.\d+)"
)
_SMALL = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
    "seventeen|eighteen|nineteen"
)
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_CURRENCY = r"(?:\\?\$|[€£¥₹₩₽]|R\$|US\$|(?:EUR|USD|GBP|JPY|CHF|INR|CNY|RMB|CAD|AUD|Rs\.?)\b)"
_UNIT = (
    rf"(?:(?:square|cubic|sq\.?)\s)?(?:units?|degrees?|percent|{'|'.join(map(re.escape, UNIT_WORDS))})"
    r"(?![^\W\d_])(?:[²³]|\^[23])?"
)
_PER = rf"(?:(?:\s?/\s?|\sper\s){_UNIT})?"
_POWER_OF_TEN = r"(?:\s?(?:[×x·]|\\times|\\cdot)\s?10(?:\^\{?[-−]?\d+\}?|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)|[eE][-+−]?\d+)"
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_LATEX = (
    r"\\[dt]?frac\s*(?:\{(?:[^{}]|\{[^{}]*\})*\}\s*\{(?:[^{}]|\{[^{}]*\})*\}|\d\d)|"
    r"\\sqrt\s*(?:\[\d+\])?\{[^{}]*\}"
)
_AMOUNT = (
    rf"(?:(?<![\d)\]}}A-Za-z])(?<![\d)\]}}A-Za-z%]\s)[-−+]\s?)?(?:{_CURRENCY}\s?)?[-−]?"
    rf"(?:{_LATEX}|{_DIGITS}{_POWER_OF_TEN}?(?:\s\d+\s?/\s?\d+|\s?/\s?{_DIGITS})?(?:\s?[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])?(?:√\d+|\s?{_LATEX})?|√\d+|[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])"
    rf"(?:\s?(?:π|\\pi\b|pi\b))?"
    rf"(?:\s?\\?%|\s?°[CF]?|\s?[€£¥₹₩₽]|\s?(?:EUR|USD|GBP|JPY|CHF|INR|CNY|RMB|CAD|AUD)\b|\s(?:hundred|thousand|million|billion|trillion|dozen)\b)?"
)
_MEASURED = rf"{_AMOUNT}(?:\s?{_UNIT}{_PER}(?:(?:,|,?\sand)?\s{_AMOUNT}\s?{_UNIT}){{0,3}})?"
_TUPLE = rf"(?<![A-Za-z])[(\[{{]\s*{_AMOUNT}(?:\s*[,;]\s*{_AMOUNT}){{1,20}}\s*[)\]}}]"
_OTHERS = (
    rf"\d{{1,2}}:\d\d(?::\d\d)?(?:\s?[ap]\.?m\b\.?)?|\d{{1,2}}\s?[ap]\.?m\b\.?|{_MONTH}\s\d{{1,2}}(?:,?\s\d{{4}})?|"
    rf"\d{{1,2}}\s{_MONTH}(?:\s\d{{4}})?|\d{{4}}-\d\d-\d\d|\d{{1,2}}/\d{{1,2}}/\d{{4}}|\d+(?:\s?:\s?\d+)+|\d+[–-]\d+(?![\d\s]*=)"
)
VALUE = re.compile(rf"(?<![A-Za-z0-9_.\\])(?:(?i:{_OTHERS})|{_TUPLE}|{_MEASURED})(?![A-Za-z0-9_^{{])")
_WORD_NUMBER = re.compile(
    rf"\b(?:(?:{_TENS})(?:[-\s](?:{_SMALL}))?|(?!one\b)(?:{_SMALL})|(?:(?:{_SMALL}) )?hundred)\b"
    r"(?![-\s](?:of|times)\b)",
    re.IGNORECASE,
)
_BOLD_TEXT = re.compile(r"\*\*([^*\n]{1,200})\*\*|__([^_\n]{1,200})__")
_ASIDE = re.compile(
    r"\s*[(\[（](?:(?=[^()\[\]（）]{0,300}(?<!\\)\b[^\W\d_]{2})(?![^()\[\]]{0,12}\\)[^()\[\]（）$]{0,300}|(?:or|"
    r"since|because|which|as|not|where)\b[^()]{0,300})[)\]）](?!\()"
)
_OR_ASIDE = re.compile(rf"\s*\(\s*or\s+({VALUE.pattern})\s*\)", re.IGNORECASE)  # 8 (or 9)
_MARKUP = re.compile(
    r"^(?:\s*(?:[-*•>+]\s+|\(?\d{1,2}[.)]\s+|#{1,6}\s+|(?:step|schritt) \d+\s*[:.]\s*))+", re.IGNORECASE
)
_PROSE = re.compile(
    r"(?<![\\A-Za-zÀ-ÿ])(?:(?!(?:and|or)\b)[A-Za-zÀ-ÿ]{3,}\b(?!\s*\()|(?:is|it|he|we|of|to|in|on|at|by|as|"
    r"if|be|so|an|no|es|la|le|"
    r"il|un|en|de|er|du|et|si|je)\b)",
    re.IGNORECASE,
)
_SCRIPTS = re.compile(
    r"[\u0370-\u1fff\u3040-\u9fff\uac00-\ud7af\u0e00-\u0e7f]{2}|[\u3040-\u9fff\uac00-\ud7af]"
)
_WORDY_COMMAND = re.compile(r"\\(?:text\w*|math\w+|operatorname|begin|end|mbox)\s*\{[^{}]*\}|\\[A-Za-z]+")
_SPLIT = re.compile(
    r";|—|,?\s+(?:and|but|while|whereas|yet|however|aber|mais|pero|ma|mas|но)\b|,\s+(?=(?:it|that)['’]s\b)|，"
)
_NAME_BEFORE = re.compile(r"\s*(?:and|or|,|;)?\s*\\?[A-Za-z](?:_\{?\w\}?)?\s*=\s*", re.IGNORECASE)
_RELATION = re.compile(r"(?<![<>\\])=(?!=)|\\(?:approx|equiv)(?![a-z])|≈|≡")
_IMPLIES = re.compile(
    r"\\(?:implies|[Rr]ightarrow|Longrightarrow|longrightarrow|iff|Leftrightarrow|therefore|"
    r"qquad)(?![A-Za-z])|⇒|⟹|→"
)
_MODULUS = re.compile(r"\s*\\(?:pmod|bmod|mod)\s*\{?\w+\}?$|\s*\(\\?mod\s*\w+\)$")
_NAME = re.compile(r"\s*(?:[A-Za-z]|\\[A-Za-z]+|[A-Z]{2,3})(?:_\{?\w+\}?)?['′]?\s*")
_NAME_EQUALS = re.compile(r"(?<![A-Za-z+*/^\d-])\s*\\?[A-Za-z](?:_\{?\w\}?)?\s*=[\s*_$]*$")
# x^2 = 2, 3x = 2, |x| = 2: an equation of one unknown that is still to be solved.
_UNKNOWN = r"(?:[a-z](?:\^\{?\d\}?|[²³])?)"
_UNSOLVED = re.compile(
    rf"(?:-?\d+\s?[*·]?\s?{_UNKNOWN}(?:\s?[-+−]\s?\d+)?|{_UNKNOWN}\s?[-+−]\s?\d+|[a-z](?:\^\{{?\d\}}?|[²³])"
    rf"|\|\s?{_UNKNOWN}(?:\s?[-+−]\s?\d+)?\s?\||[a-z](?=\s?(?:→|\\to))"
    r"|(?:\\(?:log|ln|sin|cos|tan|sqrt)|(?:log|ln|sin|cos|tan|sqrt)(?=[\s(]))\s?[{(]?\s?[a-z]\s?[})]?)"
    r"\s*(?:=|→|≈|\\to)[\s*_$(]*$"
)
_WORD_BEFORE = re.compile(r"(?:^|[^\W\d][,:]?\s+|[$(])$")
_CHAIN = re.compile(r"[\d\s+*/×÷^().,$€£%=-]*$")
_CALLED = re.compile(
    r"\b(?:right|correct|possible|true|valid|equal|the answer|what|enough|allowed)\b", re.IGNORECASE
)
_JUDGED = re.compile(r"[\s*_$)]*(?:is|are|was|were|which is|has to be|must be)\b", re.IGNORECASE)
# Now consider n = 8: a case, no result. At x = 2, when x = 2: where another value, if any, is reached.
_NAME_IS = r"[*_$(]*(?:\\?[A-Za-z](?:_\{?\w\}?)?\s*[=≈→]\s*)?[*_$(]*$"
_SETTING = re.compile(
    rf"\b(?:case|consider|let|assume|suppose|(?<!can )take|try|setting?|putting|substituting|"
    rf"base case is)\s+{_NAME_IS}",
    re.IGNORECASE,
)
_PLACE = re.compile(
    rf"\b(?:for|(?<!arrive )(?<!arrives )(?<!arrived )at|when|where|if)\s+(?:the case\s+)?{_NAME_IS}",
    re.IGNORECASE,
)
_COORDINATED = re.compile(r"(?:\s[^\W\d_]+){1,3}(?:,|,?\s(?:and|or|&|et|und|y|e))\s(?:[$*_]|a\s)?")
_THEN = re.compile(r",?\s+then\s+", re.IGNORECASE)
_COMMA = re.compile(r",\s+|，")
_ARTICLE = re.compile(r"\ban?\s+$", re.IGNORECASE)
_EQUALS_BEFORE = re.compile(r"[=≈→⇒][\s*_$(]*$")
_UNIT_AFTER = re.compile(rf"\s?{_UNIT}{_PER}", re.IGNORECASE)
_RELATIVE = re.compile(
    r"\b(?:which|that|who)\s+(?:\w+\s+){0,3}?\w+(?:n['’]t\b|\s+(?:not|neither|"
    r"never)\b)(?:\s+\w+){0,8}?(?=\s+(?:is|are|was|were|equals)\b|\W*$)",
    re.IGNORECASE,
)
_CONTENT = re.compile(r"\d|\\|[π√∞∅=]|^[A-Za-z]$|[A-Za-z)]\s*[-+*/^]")
_LABEL = re.compile(r"[A-Za-z]{1,20}\s*:\s+(?=\S*\d)")
_VARIABLE = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_NAMED_SIDE = re.compile(r"\s*(?:\\?[A-Za-z]+(?:_\{?\w+\}?)?['′]?\s*(?:\([^=]{1,30}\))?|[A-Z]{2,3})\s*")
MAX_REASONS = 8  # clauses with "because" or "when" that are examined
MAX_VALUES = 30  # of a sentence
_FORMULA_ENDS = ".,;: \t\n"
_FORMULA_BEGINS = _FORMULA_ENDS.replace(".", "")  # .5 is a number


class _Value(NamedTuple):
    start: int
    end: int
    text: str
    rank: int
    named: bool = False  # the last side of an equation that gives a name a value


def in_words(text: str) -> bool:
    """Whether a text is more than an expression: it has a word that is not a function."""
    bare = _WORDY_COMMAND.sub(" ", text)
    words = (match.group() for match in _PROSE.finditer(bare))
    return (
        any(word.lower() not in FUNCTIONS and word not in UNIT_WORDS for word in words)
        or _SCRIPTS.search(bare) is not None
    )


def stated(sentence: str) -> str | None:
    """The one value, or list, that a sentence claims; None if it denies, doubts, asks, or names more."""
    sentence = _plain(sentence)
    if not sentence or asks(sentence) or cues.TASK_LATER.search(sentence):
        return None
    clause = _main_clause(sentence)
    if not clause or cues.TASK.match(clause):
        return None
    if not in_words(clause) and (clause == sentence or not (VALUE.search(clause) or formulas(clause))):
        return None if cues.CONCLUSION.fullmatch(clause) else _bare(clause)
    claim = _claim(clause)
    if claim is None:
        return None if in_words(clause) else _bare(clause)
    text, rank = claim
    if rank < _EQUATION and (
        cues.PLAN.search(clause) or cues.COUNTERFACTUAL.search(sentence) or cues.SUPPOSED.search(sentence)
    ):
        return None
    return None if rank < _IS and cues.SEQUENCE.match(sentence) else text


def complement(content: str) -> str | None:
    """The value in `content`, the text after "the answer is"."""
    claim = _claim(f"is {without_asides(content).strip()}")
    return claim[0] if claim else None


def without_asides(sentence: str) -> str:
    return _ASIDE.sub("", sentence)


def with_alternative(sentence: str) -> str:
    """8 (or 9) as 8 or 9, unless both are the same value."""
    return _OR_ASIDE.sub(r" or \1", sentence)


def hedges(sentence: str) -> bool:
    """Whether an aside names another value, which may be the right one."""
    return any(cues.ALTERNATIVE.search(aside) and VALUE.search(aside) for aside in _ASIDE.findall(sentence))


def asks(sentence: str) -> bool:
    return any(mark in sentence for mark in "?？؟") or sentence.rstrip(" 。").endswith(("吗", "か", "까"))


def _plain(sentence: str) -> str:
    """A sentence without the marks of a list or of a table's row, and without asides."""
    sentence = sentence.strip()
    if sentence.startswith("|") and sentence.endswith("|") and sentence.count("|") >= 3:
        sentence = ": ".join(cell.strip() for cell in sentence.strip("|").split("|"))
    sentence = with_alternative(_MARKUP.sub("", sentence))
    if hedges(sentence):
        return ""
    return without_asides(sentence).strip()


def _main_clause(sentence: str) -> str:
    """The main clause: after the last "therefore" with a value, without a preceding case or reason."""
    sentence = _after_opening(sentence)
    for match in reversed(list(cues.CONCLUSION.finditer(sentence))[-MAX_REASONS:]):
        rest = sentence[match.end() :]
        if VALUE.search(rest) or "$" in rest or "\\" in rest or _WORD_NUMBER.search(rest):
            return _after_opening(rest.strip())
    return sentence.strip()


def _after_opening(sentence: str) -> str:
    for pattern in (cues.BECAUSE, cues.WHEN):
        if pattern.match(sentence) and (comma := _comma(sentence)) is not None:
            return sentence[comma:].strip()
    return sentence


def _comma(text: str) -> int | None:
    """Where the clause after the first comma begins, if the comma is not in a number or a formula."""
    spans = formulas(text)
    for pattern in (_THEN, _COMMA):
        for match in pattern.finditer(text):
            if not within(match.start(), spans):
                return match.end()
    return None


def _without_reason(clause: str) -> str:
    """A clause without a reason, a case or a purpose at its end."""
    spans = formulas(clause)
    for pattern in (cues.BECAUSE, cues.WHEN, cues.PURPOSE):
        for match in itertools.islice(pattern.finditer(clause, 1), MAX_REASONS):
            if within(match.start(), spans):
                continue
            before, after = clause[: match.start()].rstrip(" ,;"), clause[match.end() :]
            named, later = _best(_values(before)), _best(_values(after))
            if pattern is cues.BECAUSE:
                comma = _comma(after)
                if comma is not None and _best(_values(after[comma:])) == _EQUATION:
                    return after[comma:]  # "…, and since there are 7, he needs 6 * 7 = 42"
                cut = named >= _NAMED or later < _EQUATION
            else:
                cut = named >= _IS or (named == _NAMED and later <= _NAMED)
                cut = cut and not cues.WRONG.search(after)
            if cut:
                clause = before
                break
    return clause


def _best(values: Sequence[_Value]) -> int:
    return max((value.rank for value in values), default=_WORKED_ON)


def _claim(clause: str) -> tuple[str, int] | None:
    """The value of highest rank, with others in its list, and its rank; None if it is denied."""
    if cues.BY_CASES.search(clause):
        return None
    clause = _without_reason(clause)
    if (instead := cues.NOT_BUT.search(clause)) is not None:
        clause = clause[: instead.start()] + clause[instead.end() :]
    for excluded in itertools.islice(cues.EXCLUDED.finditer(clause), MAX_REASONS):
        if _best(_values(clause[: excluded.start()])) >= _NAMED:
            clause = clause[: excluded.start()].rstrip(" ,;(") + clause[excluded.end() :]
            break
    named = _values(clause)
    parts = list(_SPLIT.finditer(clause))
    denied = [_is_denied(clause, value, parts) for value in named]
    values = [value for value, is_denied in zip(named, denied, strict=True) if not is_denied]
    best = _best(values)
    if best == _WORKED_ON or cues.DOUBT.search(clause):
        return None
    if best >= _IS:  # what is said last
        chosen = [value for value in values if value.rank >= _IS]
        last = chosen[-1]
    else:
        chosen = [value for value in values if value.rank == best]
        last = chosen[-1]
    if last.rank == _IS and any(
        value.text != last.text and _COORDINATED.fullmatch(clause, last.end, value.start) for value in named
    ):
        return None  # no single value: "there are 6 boxes, 7 rows and 42 screws"
    listed = _listed(clause, named, last)
    if listed is None:
        return None
    texts = {value.text for value in listed}
    if best < _IS and any(value.text not in texts for value in chosen):
        return None
    if any(value.text in texts for value, is_denied in zip(named, denied, strict=True) if is_denied):
        return None
    return ", ".join(dict.fromkeys(value.text for value in listed)), last.rank


def _is_denied(clause: str, value: _Value, cuts: Sequence[re.Match[str]]) -> bool:
    """Whether the part of a clause around a value denies it or calls it wrong."""
    begin = max((match.end() for match in cuts if match.end() <= value.start), default=0)
    stop = min((match.start() for match in cuts if match.start() >= value.end), default=len(clause))
    before, after = _RELATIVE.sub("", clause[begin : value.start]), clause[value.end : stop]
    if value.rank == _EQUATION:  # "the rest that do not fit are 6 * 7 = 42"
        before = _CHAIN.sub("", before)[-12:]
        after = after if _CALLED.search(after) or _JUDGED.match(after) else ""
    part = f"{before} … {after}"
    return cues.DENIAL.search(part) is not None or cues.WRONG.search(part) is not None


def _values(clause: str) -> list[_Value]:
    spans = formulas(clause)
    bold = [match.span() for match in _BOLD_TEXT.finditer(clause)]
    found = [_formula(clause, span) for span in spans[-MAX_VALUES:]]
    for match in list(VALUE.finditer(clause))[-MAX_VALUES:]:
        if any(span.start <= match.start() < span.end for span in spans):
            continue
        named = _NAME_EQUALS.search(clause[max(0, match.start() - 20) : match.start()]) is not None
        found.append(_Value(*match.span(), match.group().strip(), _rank(clause, *match.span()), named))
    if not found:
        for match in _WORD_NUMBER.finditer(clause):
            found.append(_Value(*match.span(), match.group(), _rank(clause, *match.span())))
    found.sort()
    for index in range(len(found) - 1):
        left, right = found[index : index + 2]
        if (
            right.rank == _NAMED
            and left.rank <= _BESIDE
            and cues.JOINT.fullmatch(clause, left.end, right.start)
        ):
            found[index + 1] = right._replace(rank=left.rank)  # "the sum of 3 and 4"
    return [
        value._replace(rank=_BOLD)
        if _NAMED <= value.rank < _BOLD and any(a <= value.start and value.end <= b for a, b in bold)
        else value
        for value in found
    ]


def _formula(clause: str, span: Formula) -> _Value:
    inside = span.inside.rstrip(_FORMULA_ENDS).lstrip(_FORMULA_BEGINS)
    if inside.startswith(r"\begin{"):
        inside = _last_row(inside)
    inside = _IMPLIES.split(inside)[-1].rstrip(_FORMULA_ENDS).lstrip(_FORMULA_BEGINS)
    rank = _rank(clause, span.start, span.end)
    cuts = _top_relations(inside)
    named = bool(cuts) and _NAMED_SIDE.fullmatch(inside[: cuts[0].start()]) is not None
    keep = rank == _IS and cues.EQUATION_NOUN.search(clause[: span.start]) is not None
    text = _last_side(inside, cuts, keep)
    if named and _SETTING.search(clause[: span.start]):
        rank = _WORKED_ON
    elif named and _PLACE.search(clause[: span.start]):
        rank = _BESIDE
    elif len(cuts) == 1 and rank != _IS and _UNSOLVED.fullmatch(inside[: cuts[0].end()]):
        rank = _WORKED_ON
    elif cuts and rank != _WORKED_ON and not (named and rank == _BESIDE):
        rank = _EQUATION
    elif rank != _IS and _NAMED_SIDE.fullmatch(inside):
        rank = _WORKED_ON  # but a name
    unit = _UNIT_AFTER.match(clause, span.end)
    text += rf"\text{{{unit.group()}}}" if unit else ""
    return _Value(span.start, span.end, text, rank, named and len(cuts) == 1)


def _rank(clause: str, start: int, end: int) -> int:
    before, after = clause[max(0, start - 60) : start].rstrip("*_"), clause[end : end + 40].lstrip("*_")
    if cues.OPERATOR_AFTER.match(after) or cues.OPERATOR_BEFORE.search(before):
        return _WORKED_ON
    if _EQUALS_BEFORE.search(before):
        if _PLACE.search(before):
            return _BESIDE
        return _WORKED_ON if _SETTING.search(before) or _is_unsolved(before) else _EQUATION
    if cues.OPERATED.match(after):
        return _WORKED_ON
    if cues.INCREASED_BY.search(before):
        return _NAMED
    if cues.OPERAND.search(before):
        return _WORKED_ON
    if cues.COPULA.search(before):
        return _IS
    if (quantity := cues.QUANTITY_OF.search(before)) is not None:
        return _IS if _ARTICLE.search(before, 0, quantity.start()) else _NAMED
    return _BESIDE if cues.PREPOSITION.search(before) else _NAMED


def _is_unsolved(before: str) -> bool:
    """Whether the text up to a sign of equality ends in an expression of one unknown: an equation."""
    unsolved = _UNSOLVED.search(before)
    ahead = before[: unsolved.start()] if unsolved else ""
    return unsolved is not None and _WORD_BEFORE.search(ahead) is not None and not cues.COPULA.search(ahead)


def _listed(clause: str, values: Sequence[_Value], value: _Value) -> list[_Value] | None:
    """`value` and those joined to it by a comma, "and" or "or"; None if they are of different things."""
    index = values.index(value)
    first = last = index
    while first > 0 and (joined := _joined(clause, values[first - 1], values[first])) is not None:
        if not joined:
            return None
        first -= 1
    while last + 1 < len(values) and (joined := _joined(clause, values[last], values[last + 1])) is not None:
        if not joined:
            return None
        last += 1
    return list(values[first : last + 1])


def _joined(clause: str, left: _Value, right: _Value) -> bool | None:
    """True if two neighbours are items of one list, False if they are other alternatives, None if neither."""
    between = clause[left.end : right.start]
    if len(between) > 60 or _WORKED_ON in (left.rank, right.rank):
        return None
    bare = between.strip("*_")
    if _EQUATION in (left.rank, right.rank) and not (left.named and (right.named or right.rank < _EQUATION)):
        return None  # steps of a calculation
    if cues.JOINT.fullmatch(bare) or _NAME_BEFORE.fullmatch(bare):
        return True
    if (named := _NAME_BEFORE.search(bare)) is not None and cues.JOINT.fullmatch(
        bare[: named.start()] or ","
    ):
        return True
    return False if cues.OR.search(bare) else None


def _bare(clause: str) -> str | None:
    """A line that is nothing but an expression."""
    text = _LABEL.sub("", clause.strip(" *_`").rstrip(".,;。!").strip(" *_`"))
    spans = formulas(text)
    if len(spans) == 1 and spans[0].end - spans[0].start == len(text):
        text = spans[0].inside.rstrip(_FORMULA_ENDS).lstrip(_FORMULA_BEGINS)
        if text.startswith(r"\begin{") and "=" in text:
            text = _last_row(text)
        text = _IMPLIES.split(text)[-1].rstrip(_FORMULA_ENDS).lstrip(_FORMULA_BEGINS)
        if len(cuts := _top_relations(text)) > 1:
            text = _last_side(text, cuts, keep=False)
    text = text.removeprefix("=").lstrip(" &=").strip(" *_")
    if not _CONTENT.search(text) or text.endswith(("=", "\\", "+", "-")):
        return None
    return text


def _last_row(text: str) -> str:
    """The last line of aligned equations; a matrix or a system is an answer of its own."""
    name = re.match(r"\\begin\{(\w+)", text)
    if name is None or name.group(1) not in (
        "align",
        "aligned",
        "gather",
        "gathered",
        "equation",
        "eqnarray",
        "split",
        "multline",
    ):
        return text
    rows = re.split(r"\\\\(?:\[[^\]]*\])?", re.sub(r"\\(?:begin|end)\{\w+\*?\}", "", text))
    last = next((row for row in reversed(rows) if row.strip(" &\n.")), "")
    return last.replace("&", " ").rstrip(_FORMULA_ENDS).lstrip(_FORMULA_BEGINS)


def _last_side(inside: str, cuts: Sequence[re.Match[str]], keep: bool) -> str:
    """The last side of an equation; all of it, if it names its value or may be the answer (`keep`)."""
    if not cuts:
        return inside
    sides = [
        inside[a:b].rstrip(" &" + _FORMULA_ENDS).lstrip(" &" + _FORMULA_BEGINS)
        for a, b in _pieces(inside, cuts)
    ]
    if len(sides) == 2 and sides[0] and (_NAME.fullmatch(sides[0]) or (keep and _VARIABLE.search(sides[0]))):
        return inside
    return _MODULUS.sub("", sides[-1])


def _pieces(text: str, cuts: Sequence[re.Match[str]]) -> list[tuple[int, int]]:
    starts = [0, *(cut.end() for cut in cuts)]
    ends = [*(cut.start() for cut in cuts), len(text)]
    return list(zip(starts, ends, strict=True))


def _top_relations(inside: str) -> list[re.Match[str]]:
    """The signs of equality outside of braces."""
    depth, found = 0, []
    marks = {match.start(): match for match in _RELATION.finditer(inside)}
    for position, character in enumerate(inside):
        depth += (character in "{([") - (character in "})]")
        if position in marks and depth <= 0:
            found.append(marks[position])
    return found
