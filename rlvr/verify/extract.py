"""Extracts the answer from a completion.

A completion may name several candidates. The rules here select one without knowing the reference, so that
listing candidates never pays. Retracted answers ("wait, no") do not count. Marks have priority over
sentences, and the last mark of a kind counts: see `extract_answer` for the order.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from rlvr.verify import choices, cues, marks, statements
from rlvr.verify.kinds import Kind
from rlvr.verify.sentences import formulas, matching_braces, sentences
from rlvr.verify.settings import Extraction
from rlvr.verify.thoughts import after_thoughts
from rlvr.verify.wanted import bulleted, fits, sought

Where = Literal[
    "box",
    "answer tag",
    "JSON",
    "hash line",
    "answer phrase",
    "whole text",
    "conclusion",
    "choice",
    "last number",
]

MAX_COMPLETION = 200_000  # characters; of a longer completion only the end is searched
MAX_WHOLE = 300  # characters of a completion that may be an answer as a whole
MAX_ENDING = 4_000  # characters at the end that are searched for the last sentence
MAX_COMPLEMENT = 1_000  # characters after "the answer is"
MAX_PHRASES = 20  # occurrences of "the answer is" that are examined, from the last
MAX_SENTENCE = 1_200  # characters of a sentence
MAX_CLOSINGS = 4  # sentences without content that may follow the conclusion

# Places in which a number may have been found although a name, a truth value or a code is wanted.
_UNSURE = dict.fromkeys((Kind.TEXT, Kind.YES_NO, Kind.IDENTIFIER, Kind.LIST), ("conclusion", "hash line"))
_OTHER_DIGITS = re.compile(r"(?![0-9])\d")
_SPECIAL_TOKEN = re.compile(r"<\|\w{1,40}\|>")
_ASSISTANT = re.compile(
    r"<\|im_start\|>assistant|<\|start_header_id\|>assistant<\|end_header_id\|>|<\|assistant\|>"
)
_USER = re.compile(r"<\|im_start\|>(?:user|system)|<\|start_header_id\|>(?:user|system)|<\|user\|>")
_NUMBER = re.compile(r"[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?")
_CLAUSE_END = re.compile(r"[.!?\n;:,。，：；]")
_LATIN = re.compile(r"(?<!\\)\b[A-Za-z]{2}")
_LONG_WORDS = re.compile(r"(?<![\\A-Za-z])[^\W\d_]{3,}")
_COMMAND_TEXT = re.compile(r"\\(?:text|textbf|mathrm|operatorname|begin|end|mbox)\s*\{[^{}]*\}")
_COMMAND_WORDS = re.compile(r"\\(?:text|textbf|mathrm|mbox)\s*\{([^{}]*)\}")
_NOT_WORDS = re.compile(r"[\d$\\=<>?!:;]|\.\s|(?:\S+\s+){3}")
_QUALIFIER = re.compile(r"(?<!\{)\s(?:for|where)\s+(?:all|any|some|every|each|integers?)\s.*$", re.DOTALL)
_STOP = re.compile(r",\s+(?=(?!and\b|or\b)[a-z]{2})|\s(?:because|since|as)\s")
_FEW_WORDS = re.compile(r"(?:[A-Z]{2,3}\s?)?[-−(]?\W{0,3}\d[^\sA-Za-z]*(?:\s+[^\d\s=]+){0,4}(?:\s\d+\)?)?\.?")
_LABELLED = re.compile(r"[A-Za-z]+\s*:\s")
_CLAIMS = re.compile(r"\b(?:it|that|this|he|she|there)(?:['’]s|\s(?:is|are|was|has))\b", re.IGNORECASE)
_SAYING_MORE = (cues.DOUBT, cues.WRONG, cues.BECAUSE, cues.CONCLUSION)  # than an answer
_UNSAYING = (*_SAYING_MORE, cues.DENIAL)
_WORDS = re.compile(r"(?<![\\A-Za-z])[^\W\d_]{2,}")
_EITHER = re.compile(r"\Aeither\s+", re.IGNORECASE)
_OPTION = re.compile(r"[\s*_(\[]*([A-J])\s?[).\]:][*_]*\s+(?=\S)(?![A-J]\b)")  # C) 42 J
_SUFFIX = re.compile(
    r"(?<=\d)(?:\s?है|\s?हैं|\s?হয়|['’][^\W\d_]{1,5}|입니다|이다|です|である|となる|だ|となります)$"
)  # 42'dir
_LEADING = re.compile(
    r"\A(?:[\W_]*\b(?:no|nope|hmm+|ah|oh|well|but)\b)*[\s,.!:;…—*]*(?:-\s+)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Extracted:
    """The text of an answer, and how it was found."""

    text: str
    where: Where


def extract_answer(
    completion: str, extraction: Extraction = "normal", wanted: Kind | None = None
) -> Extracted | None:
    """The final answer of a completion, or None if it has none.

    In a chat, only the last turn of the assistant counts, and in it only the text after the last thought
    (`after_thoughts`); with an unfinished thought there is no answer. Retracted text ("wait, no", "I made a
    mistake") does not count, unless it is repeated or confirmed later. The first of these that exists is
    the answer: the latest of the last `\\boxed{…}`, `<answer>…</answer>` and JSON object with an answer;
    the last line marked with '#' ("#### 42", "#42"); the last "answer is …", in many languages. "strict"
    stops here. "normal" continues: if the letter of an option is wanted, the letter chosen at the end or at
    the beginning; the whole text if it is only an expression or a few words; the last sentence or line if it
    claims one value. "lenient" continues with the last number of the text, which rewards a model for
    mentioning numbers: use it only to evaluate untrained models.

    `wanted` is the kind of the reference. If the answer found is not of that kind, and not in a box or tag,
    an answer of that kind after "answer is" or in the last sentence is used instead
    (`rlvr.verify.wanted`).
    """
    said = after_thoughts(completion[-MAX_COMPLETION:])
    if said is None:
        return None
    text = _plain_digits(said)
    if "<|" in text:
        text = _USER.split(_ASSISTANT.split(text)[-1])[0]
        text = _SPECIAL_TOKEN.sub("", text)
    kept, retracted = _kept(text)
    found = _committed(kept, extraction, wanted is Kind.CHOICE, retracted)
    return found if wanted is None else _of_kind(wanted, found, kept, extraction)


def _of_kind(wanted: Kind, found: Extracted | None, text: str, extraction: Extraction) -> Extracted | None:
    """`found`, unless it is not of the wanted kind and the text states an answer that is."""
    if found is not None:
        sure = found.where in ("box", "answer tag", "JSON") or (found.where == "hash line" and "####" in text)
        unsure = found.where in _UNSURE.get(wanted, ()) or _is_a_side(found, wanted)
        if sure or (fits(wanted, found.text) and not unsure):
            return None if found.where == "conclusion" and _bounded(found.text, text, wanted) else found
    if marks.open_box(text) is not None:
        return found
    for start, end, reverse in cues.answers(text)[:1]:
        clause = _CLAUSE_END.split(text[max(0, start - 120) : start])[-1]
        content = next(iter(sentences(text[end : end + MAX_COMPLEMENT])), "")
        value = None if reverse or cues.REPORTED.search(clause) else sought(wanted, f"is {content}")
        if value is not None:
            return Extracted(value, "answer phrase")
    if wanted in (Kind.LIST, Kind.SET) and extraction != "strict" and (items := bulleted(text)) is not None:
        return Extracted(items, "conclusion")
    ending = _last_sentences(text) if extraction != "strict" else []
    if found is not None and _is_a_side(found, wanted) and ending:
        equations = [span.inside for span in formulas(ending[0]) if "=" in span.inside]
        return Extracted(equations[-1].strip(" .,;"), "conclusion") if equations else found
    if not ending or any(cues.GIVES_UP.search(sentence) for sentence in ending):
        return found
    value = sought(wanted, ending[0])
    return found if value is None else Extracted(value, "conclusion")


def _is_a_side(found: Extracted, wanted: Kind) -> bool:
    """Whether only the last side of an equation was found."""
    equation = wanted in (Kind.EQUATION, Kind.FUNCTION)
    return equation and found.where == "conclusion" and "=" not in found.text


def _bounded(value: str, text: str, wanted: Kind) -> bool:
    """Whether `value` is only a bound in the last sentence: before July 4."""
    if wanted not in (Kind.DATE, Kind.TIME):
        return False  # for numbers, `statements` handles bounds
    sentence = _last_sentences(text)[0]
    place = sentence.rfind(value)
    return place >= 0 and cues.bounded(sentence[:place], sentence[place + len(value) :], moment=True)


def _plain_digits(text: str) -> str:
    """Replaces digits of other scripts, ٤٢ or ४२, by ASCII digits."""
    if text.isascii() or not _OTHER_DIGITS.search(text):
        return text
    return _OTHER_DIGITS.sub(lambda match: str(unicodedata.digit(match.group(), "")), text).replace("٫", ".")


def _kept(text: str) -> tuple[str, bool]:
    """The part of a text that was not retracted, and whether another part was."""
    waits = cues.waits(text)
    if not waits:
        return text, False
    after = text[waits[-1][1] :]
    after = _LEADING.sub("", after, count=1)
    if cues.CONFIRMED.search(after) and not _explicit(after, choice=False):
        before = text[waits[-2][1] if len(waits) > 1 else 0 : waits[-1][0]]
        if _explicit(before, choice=False):
            return before, False
    return after, True


def _committed(text: str, extraction: Extraction, choice: bool, retracted: bool) -> Extracted | None:
    if (opened := marks.open_box(text)) is not None:
        # cut off inside a box: the earlier answer counts if the box was about to repeat it
        found = _explicit(text[: opened.start], choice)
        return found if found is not None and found.text.startswith(opened.text.strip()) else None
    found = _explicit(text, choice)
    if found is not None or extraction == "strict" or _breaks_off(text):
        return found
    if choice and len(text) <= MAX_WHOLE and choices.only_letters(text):
        return None
    found = _letter(text) if choice and statements.in_words(text[:MAX_ENDING]) else None
    if found is None:
        whole = None if retracted else _whole(text)
        found = _conclusion(text) or whole if whole is None or _CLAIMS.search(whole.text) else whole
    if found is None and choice:
        found = _letter(text)
    if found is None and extraction == "lenient" and (numbers := _NUMBER.findall(text[-2000:])):
        return Extracted(numbers[-1], "last number")
    return found


def _explicit(text: str, choice: bool) -> Extracted | None:
    """The answer in an explicit mark."""
    candidates: list[tuple[marks.Marked, Where]] = []
    if (box := marks.last_box(text)) is not None and _unsaid(text[: box.start], text[box.end :]):
        text, box = f"{text[: box.start]}…{text[box.end :]}", None
    if box is not None:
        candidates.append((box._replace(text=_said(box.text)), "box"))
    if (tag := marks.last_tag(text)) is not None:
        inside = marks.last_box(tag.text)
        candidates.append((tag._replace(text=inside.text if inside else _said(tag.text)), "answer tag"))
    if (found := marks.last_json(text)) is not None:
        inside = marks.last_box(found.text)
        candidates.append((found._replace(text=inside.text if inside else found.text), "JSON"))
    if candidates:
        marked, where = max(candidates, key=lambda candidate: candidate[0].end)
        return Extracted(marked.text, where)
    if (line := marks.last_hash_line(text)) is not None:
        return Extracted(_said(line.text), "hash line")
    return _phrase(text, choice)


def _unsaid(before: str, after: str) -> bool:
    """Whether the words right before or after a box deny it, doubt it or ask for it."""
    return (
        cues.DENIES_NEXT.search(before[-80:]) is not None or cues.DENIES_LAST.match(after[:120]) is not None
    )


def _said(content: str) -> str:
    """The content of a mark, without "the answer is" in front."""
    phrase = _phrase(_COMMAND_WORDS.sub(r"\1", content), choice=False)
    return phrase.text if phrase else content


def _breaks_off(text: str) -> bool:
    """Whether a text ends before it says what the answer is."""
    tail = text.rstrip()[-200:]
    return any(named.end == len(tail) and not named.after for named in cues.answers(tail))


def _phrase(text: str, choice: bool) -> Extracted | None:
    """The text after the last "answer is", or before "is the answer", that is not denied or a question."""
    denied: set[str] = set()
    for start, end, reverse in cues.answers(text)[:MAX_PHRASES]:
        clause = _CLAUSE_END.split(text[max(0, start - 120) : start])[-1]
        if cues.REPORTED.search(clause):
            continue
        if reverse:
            found = statements.stated(f"{clause} .") if clause.strip() else None
            asked = text[end : end + 2].lstrip(" *").startswith(("?", "？"))
        else:
            rest = text[end : end + MAX_COMPLEMENT]
            content = next(iter(sentences(rest)), "")
            asked = statements.asks(content) or cues.VERDICT.fullmatch(content) is not None
            found = None if asked else _complement(content, choice)
            if found is None and not asked:
                denied.update(match.group() for match in statements.VALUE.finditer(content))
        if found:
            return None if found in denied else Extracted(found, "answer phrase")
    return None


def _complement(content: str, choice: bool) -> str | None:
    """The answer after "the answer is"; None if it is denied or not final."""
    content = statements.with_alternative(_EITHER.sub("", content.strip(" \n")))
    if statements.hedges(content):
        return None
    if choice and (option := _OPTION.match(content)):
        return option.group(1)
    if choice and (named := choices.chosen_after(content)):
        return named
    if choice and cues.DENIAL.match(content):
        return None
    spans = formulas(content)
    if spans and spans[0].start <= 2 and not content[: spans[0].start].strip("*("):
        alone = not content[spans[0].end :].strip(" .*)_。")
        return spans[0].inside.strip().rstrip(".,;: ") if alone else statements.complement(content)
    content = _SUFFIX.sub("", _until_stop(content).strip(" *_").rstrip("。.!।").strip(" *_"))
    value = statements.complement(content)
    if value is None and re.search(r"\d", content) and statements.in_words(content):
        return None
    words = len(_LONG_WORDS.findall(_COMMAND_TEXT.sub("", content)))
    if words > 2 or cues.DENIAL.search(content) or (value and words and not _LATIN.search(content)):
        return value or (None if cues.DENIAL.match(content) and len(content) > 20 else content)
    return content


def _until_stop(content: str) -> str:
    """`content` up to a reason or an aside outside of braces."""
    closed = matching_braces(content)
    content = statements.without_asides(content)
    position = 0
    while match := _STOP.search(content, position):
        around = [end for begin, end in closed.items() if begin < match.start() < end]
        if not around:
            return content[: match.start()]
        position = max(around)
    return content


def _letter(text: str) -> Extracted | None:
    """The option that a text without marks chooses, in its last sentences or at its beginning."""
    ending = _last_sentences(text)
    first = choices.chosen_first(text)
    named = "" if not ending or (first and choices.is_reason(ending[0])) else choices.chosen(ending[0])
    named = named or first or next(filter(None, map(choices.picked, ending)), "")
    return Extracted(named, "choice") if named else None


def _last_sentences(text: str) -> list[str]:
    """The last sentences with content, from the end."""
    found = []
    for sentence in sentences(text[-MAX_ENDING:])[: -MAX_CLOSINGS - 1 : -1]:
        aside = sentence.startswith("(") and sentence.endswith(")") and statements.in_words(sentence)
        says_nothing = cues.CLOSING.match(sentence) and not any(character.isdigit() for character in sentence)
        if not aside and not says_nothing:
            found.append(sentence[-MAX_SENTENCE:])
    return found


def _conclusion(text: str) -> Extracted | None:
    ending = _last_sentences(text)
    if not ending or any(cues.GIVES_UP.search(sentence) for sentence in ending):
        return None
    value = statements.stated(ending[0])
    return Extracted(_SUFFIX.sub("", value), "conclusion") if value else None


def _whole(text: str) -> Extracted | None:
    """The whole text, if it is an expression, a value with a few words, or a few words without a value."""
    content = text.strip()
    if not content or len(content) > MAX_WHOLE or "\n" in content or "?" in content:
        return None
    if not statements.in_words(bare := _QUALIFIER.sub("", content)):
        return None if _LABELLED.match(bare) else Extracted(bare, "whole text")
    says_more = _UNSAYING if any(character.isdigit() for character in content) else _SAYING_MORE
    if len(content) > 40 or cues.TASK.match(content) or any(cue.search(content) for cue in says_more):
        return None
    if len(_WORDS.findall(_COMMAND_TEXT.sub("", content))) <= 1 and ("$" in content or "\\" in content):
        return Extracted(content, "whole text")  # odd $n$
    if cues.WHEN.search(content) or (_NOT_WORDS.search(content) and not _FEW_WORDS.fullmatch(content)):
        return None
    return Extracted(content, "whole text")
