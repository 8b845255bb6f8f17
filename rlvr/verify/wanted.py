"""Finds the span of a sentence that is an answer of the wanted kind, such as a date.

Only the kind of the reference is known here, never its value. If there are two such spans, neither is used;
sentences that ask, doubt or deny are not used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from rlvr.verify import cues
from rlvr.verify.calendar import read_clock, read_date
from rlvr.verify.codes import may_be_a_code, seems_a_code, seems_a_formula
from rlvr.verify.exact import Quantity, read_quantity
from rlvr.verify.kinds import Kind
from rlvr.verify.plain import plain
from rlvr.verify.reference import read_as
from rlvr.verify.statements import asks
from rlvr.verify.words import bound_in_signs, special, yes_or_no

MAX_WORDS = 60  # of a sentence, from its end
MAX_SPAN = 9  # words of an answer

_WORD = re.compile(r"\S+")
_EDGES = ' \t*_`"“”„«».,;:!?'
_MIXED = re.compile(r"(?=\S*[A-Za-z])(?=\S*\d)[A-Za-z\d]+(?:[-./:×_][A-Za-z\d]+)*")
_POINT = re.compile(r"[(\[⟨<]\s*[^()\[\]<>⟨⟩]{1,60}?[,;|][^()\[\]<>⟨⟩]{1,60}[)\]⟩>]")
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*|__([^_\n]{1,80})__")
_NAMED = re.compile(
    r"\b(?:is|are|was|were|be|called|named|in|on|ist|sind|war|heißt|est|sont|es|son|è|sono|é|são|jest|to|это|là)\s+"
    r"(?:called |named |the |an? |der |die |das |le |la |les |el |los |las |il |lo |o )?(?=\S)"
)
_BULLET = re.compile(r"[-*•]\s+([^\n:=]{1,80})")
_SPACED_TIMES = re.compile(r"(?<=\d)\s*[×xX]\s*(?=\d)")
_IS = re.compile(r"^(?:is|are|was|were)\s+", re.IGNORECASE)
_COPULA = re.compile(r"(?:\b(?:is|are|was|were|be|ist|est|es|è|é|jest|это)|=|:)\W*$", re.IGNORECASE)
_SET_OFF = re.compile(  # so yes, 97 is prime
    r"(?:^|,|\b[a-z]+)\s[*_]{0,2}(yes|no)[*_]{0,2},|\*\*(yes|no)[.,]?\*\*", re.IGNORECASE
)
_FIRST_WORD = re.compile(r"\W*(\w+)\b(?=[,.!:;]|[*_]*\s+[-–—]\s|\s*$)")


def sought(kind: Kind, sentence: str) -> str | None:
    """The one span of `sentence` that is an answer of `kind`; None if there is none, or more than one.

    Of several amounts, the one after "is" counts.
    """
    if asks(sentence) or cues.DOUBT.search(sentence):
        return None
    if kind is Kind.YES_NO:
        return _truth(sentence)
    if cues.SUPPOSED.search(sentence):
        return None
    if kind in (Kind.TEXT, Kind.LIST):
        return _in_words(sentence)
    if kind is Kind.TUPLE:
        points = list(dict.fromkeys(_POINT.findall(sentence)))
        return points[0] if len(points) == 1 and not _denies(sentence) else None
    if kind not in _READS:
        return None
    spans = list(_spans(kind, sentence))
    if kind in _AMOUNTS and len({plain(text) for _, _, text in spans}) > 1:  # the one that something is
        spans = [span for span in spans if _COPULA.search(sentence[: span[0]])]
    if len({special(plain(text)) or plain(text) for _, _, text in spans}) != 1:
        return None
    start, end, text = spans[-1]
    if kind is Kind.SPECIAL and cues.EXCEPTED.search(f"{sentence[:start]} … {sentence[end:]}"):
        return None
    moment = kind in (Kind.DATE, Kind.TIME, Kind.IDENTIFIER)
    if kind not in (Kind.RANGE, Kind.INTERVAL) and cues.bounded(sentence[:start], sentence[end:], moment):
        return None
    outside = f"{sentence[:start]} … {sentence[end:]}"
    return None if kind is not Kind.SPECIAL and _denies(outside) else text


def fits(kind: Kind, text: str) -> bool:
    """Whether `text` is an answer of `kind`, for the kinds that `sought` supports."""
    formula = kind in _AMOUNTS and "\\" in text  # 480√3 feet
    return formula or kind is Kind.INTERVAL or kind not in _READS or _READS[kind](plain(text))


def _denies(text: str) -> bool:
    return cues.DENIAL.search(text) is not None or cues.WRONG.search(text) is not None


def _spans(kind: Kind, sentence: str) -> Iterator[tuple[int, int, str]]:
    """The longest spans of whole words that read as `kind`, from the left."""
    words = [(match.start(), match.end()) for match in _WORD.finditer(sentence)][-MAX_WORDS:]
    reads = _READS[kind]
    place = 0
    while place < len(words):
        for last in range(min(len(words), place + MAX_SPAN) - 1, place - 1, -1):
            text = sentence[words[place][0] : words[last][1]].strip(_EDGES)
            if _IS.match(text):
                continue
            if text and (_balanced(text) and reads(plain(text))):
                yield words[place][0], words[last][1], text
                place = last
                break
        place += 1


def _balanced(text: str) -> bool:
    return all(text.count(opening) == text.count(closing) for opening, closing in ("()", "[]", "{}"))


def _amount(text: str) -> Quantity | None:
    return read_quantity(text) if any(map(str.isdigit, text[:12])) else None


def _is_money(text: str) -> bool:
    amount = _amount(text)
    return amount is not None and len(amount.unit) == 3 and amount.unit.isupper()


def _is_measured(text: str) -> bool:
    amount = _amount(text)
    return amount is not None and amount.unit != ""


def _is_percent(text: str) -> bool:
    amount = _amount(text)
    return amount is not None and amount.percent


def _is_duration(text: str) -> bool:
    found = read_as(Kind.DURATION, text)
    return isinstance(found, Quantity) and found.unit == "second"


def _is_code(text: str) -> bool:
    text = _SPACED_TIMES.sub("×", text)  # M8 × 40
    if " " in text and "#" not in text:
        return False
    return seems_a_code(text) or may_be_a_code(text) or _MIXED.fullmatch(text) is not None


def _reads_as(kind: Kind) -> Callable[[str], bool]:
    return lambda text: any(map(str.isdigit, text)) and read_as(kind, text) is not None


_AMOUNTS = frozenset([Kind.MONEY, Kind.QUANTITY, Kind.PERCENT, Kind.DURATION])
_READS: dict[Kind, Callable[[str], bool]] = {
    Kind.DATE: lambda text: read_date(text) is not None,
    Kind.TIME: lambda text: read_clock(text) is not None,
    Kind.DURATION: _is_duration,
    Kind.RANGE: _reads_as(Kind.RANGE),
    Kind.RATIO: _reads_as(Kind.RATIO),
    Kind.DIMENSIONS: _reads_as(Kind.DIMENSIONS),
    Kind.CONGRUENCE: _reads_as(Kind.CONGRUENCE),
    Kind.IDENTIFIER: _is_code,
    Kind.FORMULA: lambda text: seems_a_formula(text),
    Kind.MONEY: _is_money,
    Kind.QUANTITY: _is_measured,
    Kind.PERCENT: _is_percent,
    Kind.SPECIAL: lambda text: special(text) is not None,
    Kind.INTERVAL: lambda text: bound_in_signs(text) is not None,
}


def _truth(sentence: str) -> str | None:
    """Yes or no as the first word of a sentence, or as its predicate: the claim is false."""
    if (first := _FIRST_WORD.match(sentence)) and yes_or_no(first.group(1), wanted=True) is not None:
        return first.group(1)
    set_off = {(first or second).lower() for first, second in _SET_OFF.findall(sentence)}
    if len(set_off) == 1:
        return set_off.pop()
    found = []
    for match in _WORD.finditer(sentence):
        word = match.group().strip(_EDGES)
        if word and yes_or_no(word, wanted=True) is not None and _COPULA.search(sentence[: match.start()]):
            found.append(word)
    denied = cues.DENIAL.search(
        " ".join(word for word in sentence.split() if word.strip(_EDGES) not in found)
    )
    return found[0] if len(found) == 1 and not denied else None


def bulleted(text: str) -> str | None:
    """The items of a bulleted list at the very end of a text."""
    lines = [line.strip() for line in text.rstrip().split("\n")]
    items: list[str] = []
    while lines and (item := _BULLET.fullmatch(lines[-1])):
        items.insert(0, item.group(1).strip(_EDGES))
        lines.pop()
    return ", ".join(items) if 2 <= len(items) <= MAX_WORDS and all(map(str.strip, items)) else None


def _in_words(sentence: str) -> str | None:
    """A name or a few words: in bold, or after the last "is"."""
    bold = [first or second for first, second in _BOLD.findall(sentence)]
    if len(bold) == 1 and not _denies(sentence):
        return bold[0]
    named = list(_NAMED.finditer(sentence))
    if not named or _denies(sentence):
        return None
    text = sentence[named[-1].end() :].strip(_EDGES)
    return text if text and len(text.split()) <= MAX_SPAN and not re.search(r"\d|[=<>\\]", text) else None
