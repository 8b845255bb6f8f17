"""Where a completion says its answer is.

A completion may name several candidates; the rules here decide for one without knowing the
reference, so that listing candidates never pays: the last explicit mark counts, boxes that are
joined by a comma, "and" or "or" count as one list, and a box outweighs any sentence. Without a
mark only the last sentence can hold the answer, if it draws a conclusion and names one value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rlvr.verify.cues import (
    ANSWER,
    CONCLUSION,
    DOUBT,
    IS_AT_THE_END,
    NEGATION,
    OPERATION,
    REJECTION,
    SENTENCE_END,
    TASK,
)
from rlvr.verify.thoughts import after_thoughts
from rlvr.verify.tokens import FUNCTIONS
from rlvr.verify.units import UNIT_WORDS

Where = Literal[
    "box", "answer tag", "hash line", "answer phrase", "whole text", "conclusion", "choice", "last number"
]

MAX_COMPLETION = 200_000  # characters; of a longer completion only the end is searched
MAX_WHOLE = 300  # characters of a completion that is taken as nothing but an answer
MAX_SENTENCE = 2_000  # characters of the last sentence

_BOX = re.compile(r"\\\w{0,8}(?:boxed|fbox)\s*\{")
_OTHER_DIGITS = re.compile(r"(?![0-9])\d")
_SPECIAL_TOKEN = re.compile(r"<\|\w{1,40}\|>")
_ASSISTANT = re.compile(
    r"<\|im_start\|>assistant|<\|start_header_id\|>assistant<\|end_header_id\|>|<\|assistant\|>"
)
_USER = re.compile(r"<\|im_start\|>(?:user|system)|<\|start_header_id\|>(?:user|system)|<\|user\|>")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_JOINT = re.compile(r"(?:[\s$.;,]|\\[\[\]();,]|\\q?quad|\\text\{ *(?:and|or) *\}|and|or)*")
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_NUMBER_LIKE = re.compile(r"[-+−]?[\\$€£]*\(?[-+−]?\.?\d[^A-Za-z]*$")
_STOP = re.compile(r"\n|[.!?](?=\s|$)|[。！？؟।]|,\s+(?=[a-z]{2})|\s(?:because|since|as)\s|\\\]")
_INLINE_MATH = re.compile(r"\$\$?((?:\\.|[^$\\])+)\$\$?(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_NUMBER = re.compile(r"[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?")
_VALUE = re.compile(
    r"\\d?frac\{[^{}]*\}\{[^{}]*\}|\\sqrt\{[^{}]*\}|(?<![A-Za-z\d.])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?:\s*/\s*\d+)?%?"
)
_VALUES_AT_THE_END = re.compile(
    rf"(\[?(?:{_VALUE.pattern})(?:(?:\s*,\s*(?:and\s+)?|\s+(?:and|or)\s+)(?:{_VALUE.pattern}))*\]?"
    r"|\((?:[-−]?[\d./]+)(?:\s*,\s*[-−]?[\d./]+)+\))$"
)
_COMMAND_WORDS = re.compile(r"\\(?:text|textbf|mathrm|mbox)\s*\{([^{}]*)\}")
_NUMBER_AND_UNIT = re.compile(
    rf"(?:{_VALUE.pattern})\s+[A-Za-z]+(?:\s[A-Za-z]+){{0,2}}(?:(?:\s*/\s*|\sper\s)[A-Za-z]+(?:\s[a-z]+)?)?\.?"
)
_UNIT_AT_THE_END = re.compile(
    rf"(?<=[\d$)}}])\s*(?:square |cubic |sq\.? )?(?:units?|degrees?|{'|'.join(map(re.escape, UNIT_WORDS))})$"
)
_EXCEPT = re.compile(r"\s*\(not\s[^()]*\)\.?$", re.IGNORECASE)
_ALTERNATIVE = re.compile(r"\b(?:or|oder|ou|o|oppure|или)\b|或")
_NOT_WORDS = re.compile(r"[\d$\\=<>?!:;]|\.\s|(?:\S+\s+){3}")
_NOT_BUT = re.compile(r"^not\b.{1,80}?\bbut\s+(.*)", re.IGNORECASE | re.DOTALL)
_SUFFIX = re.compile(r"(?<=\d)['’][^\W\d_]{1,5}$")  # 42'dir
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_LETTER = re.compile(
    r"(?<![A-Za-z'’])\(?([B-HJ]|A(?!\s+(?!is\b|because\b|or\b|and\b|as\b)[a-z]))\)?(?![A-Za-z'’])"
)  # "A" before a word is an article
_FIRST_LETTER = re.compile(
    r"[\s*(]*([A-HJ])(?:\)|[.:。：)]|\s*$|(?=[^\x00-\x7f])|\s+(?:is(?:\s+\w+){0,2}|because|as)\b)"
)
_IS_DENIED = re.compile(rf"\bis\b.*(?:{NEGATION.pattern}|{REJECTION.pattern})", re.IGNORECASE | re.DOTALL)
_SCRIPTS = re.compile(r"[\u0400-\u1dff\u3040-\u9fff\uac00-\ud7af]{2}|[\u3040-\u9fff\uac00-\ud7af]")
_LETTERS_TOGETHER = re.compile(r"[^\W\d_]{2,}")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_SHORT_WORD = re.compile(r"(?<![\\A-Za-z])(?!(?:and|or)\b)[A-Za-zÀ-ÿ]{2,}(?!\s*\()")
_PROSE = re.compile(r"(?<![\\A-Za-z])(?!(?:and|or)\b)[A-Za-z]{3,}")
_COMMAND_TEXT = re.compile(r"\\(?:text|textbf|mathrm|operatorname|begin|end|mbox)\s*\{[^{}]*\}")
_QUALIFIER = re.compile(r"(?<!\{)\s(?:for|where)\s+(?:all|any|some|every|each|integers?)\s.*$", re.DOTALL)
_FUNCTIONS = frozenset([*FUNCTIONS, "and"])


@dataclass(frozen=True)
class Extracted:
    """The text of an answer and the kind of mark it was found by."""

    text: str
    where: Where


def extract_answer(
    completion: str, fallback: Literal["none", "last_number"] = "none", choice: bool = False
) -> Extracted | None:
    """The answer a completion commits to, or None when it commits to none.

    Of a chat only the last turn of the assistant counts; what follows its last thought
    (`after_thoughts`); a thought that never ended has no answer. Then, in order: the later of the last
    `\\boxed{…}` and the last `<answer>…</answer>`; the last line marked with '#' ("#### 42", "#42");
    the last "answer is …", in many languages; the last sentence when it concludes with one value; the
    whole text when it is nothing but an expression or a few words. `choice` says that the answer is
    the letter of an option: then letters in the text are looked for. `fallback="last_number"` adds the
    last number of the text, which rewards a model for mentioning numbers: for evaluation of untrained
    models only.
    """
    said = after_thoughts(completion[-MAX_COMPLETION:])
    if said is None:
        return None
    text = _plain_digits(said)
    if "<|" in text:
        text = _USER.split(_ASSISTANT.split(text)[-1])[0]
        text = _SPECIAL_TOKEN.sub("", text)
    marked = _tag(text), _box(text)
    if any(marked):
        return max((found for found in marked if found), key=lambda found: found[0])[1]
    found = _hash_line(text) or _phrase(text, choice)
    if found is not None and not found.text:
        return None
    if found is None and choice and (_WORD.search(text) or _FIRST_LETTER.match(text)):
        found = _letter(text)
    if found is None and (CONCLUSION.match(text.strip()) or _PROSE.search(_COMMAND_TEXT.sub("", text))):
        found = _conclusion(text)
    return found or _whole(text) or _conclusion(text) or _fall_back(text, fallback)


def _plain_digits(text: str) -> str:
    """Digits of other scripts, ٤٢ or ४२, as those of ours."""
    if text.isascii() or not _OTHER_DIGITS.search(text):
        return text
    return _OTHER_DIGITS.sub(lambda match: str(unicodedata.digit(match.group(), "")), text).replace("٫", ".")


def matching_braces(text: str) -> dict[int, int]:
    """Position of every opening brace that is closed → position of the brace that closes it."""
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for match in _BRACE.finditer(text):
        if match.group() == "{":
            opened.append(match.start())
        elif match.group() == "}" and opened:
            pairs[opened.pop()] = match.start()
    return pairs


def _boxes(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and content of every outermost balanced box."""
    if "boxed" not in text and "fbox" not in text:
        return
    closed = matching_braces(text)
    position = 0
    while match := _BOX.search(text, position):
        position = match.end()
        end = closed.get(match.end() - 1)
        if end is not None:
            yield match.start(), end + 1, text[match.end() : end]
            position = end + 1


def _box(text: str) -> tuple[int, Extracted] | None:
    boxes = list(_boxes(text))
    if not boxes:
        return None
    start, end, content = boxes.pop()
    contents = [content]
    while boxes and start - boxes[-1][1] < 40 and _JOINT.fullmatch(text, boxes[-1][1], start):
        joint = text[boxes[-1][1] : start].strip(" $\n")
        if not re.search(r",|;|and|or", joint):
            break
        start, _, content = boxes.pop()
        contents.insert(0, content)
    return end, Extracted(_said(", ".join(dict.fromkeys(contents)).strip()), "box")


def _said(content: str) -> str:
    """What a mark holds, without "the answer is" in front."""
    words = _COMMAND_WORDS.sub(r"\1", content) if "answer" in content.lower() else content
    phrase = _phrase(words, choice=False) if ANSWER.search(words) else None
    return phrase.text if phrase and phrase.text else content


def _tag(text: str) -> tuple[int, Extracted] | None:
    start = text.lower().rfind("<answer>")
    match = _TAG.match(text, start) if start >= 0 else None
    if match is None:
        return None
    inside = _box(match.group(1))
    content = inside[1].text if inside else _said(match.group(1).strip())
    return match.end(), Extracted(content, "answer tag")


def _hash_line(text: str) -> Extracted | None:
    # A heading is also marked with '#': a mark above the last line needs a number after it.
    last = True
    for line in reversed(text.rstrip().split("\n")):
        before, mark, content = line.rpartition("#")
        run = len(before) + 1 - len(before.rstrip("#")) if mark else 0
        marked = run >= 4 or (run > 0 and content[:1].strip())
        if marked and content.strip() and (last or _NUMBER_LIKE.match(content.strip())):
            return Extracted(content.strip(), "hash line")
        last = False
    return None


def _phrase(text: str, choice: bool) -> Extracted | None:
    """What follows the last "answer is"; empty when that is denied, asked, or only said in words."""
    start = None
    for match in ANSWER.finditer(text):
        start = match.end()
    if start is None:
        return None
    rest = text[start : start + 1000]
    math = _INLINE_MATH.match(rest)
    content = _inside(math) if math else _until_stop(rest)
    if rest[len(content) :][:1] in ("?", "？") and not math:
        return Extracted("", "answer phrase")  # it only asks
    content = content.strip(" *\t\n")
    if choice and (letters := _chosen(content)):
        return Extracted(letters, "answer phrase")
    if not content:
        return None
    content = _EXCEPT.sub("", content)
    if not math and (_in_words(content) or NEGATION.match(content)):
        if (denied := _NOT_BUT.search(content)) is not None:
            content = denied.group(1)
        value = None if _unsaid(content) or OPERATION.search(content) else _one_value(content)
        if value is None and re.search(r"\d", content):
            return Extracted("", "answer phrase")
        return Extracted(value or content, "answer phrase")
    return Extracted(_SUFFIX.sub("", content), "answer phrase")


def _chosen(content: str) -> str | None:
    """The letters of the options that a phrase names before it excludes others."""
    excluding = NEGATION.search(content)
    named = _LETTER.findall(content[: excluding.start()] if excluding else content)
    return ", ".join(dict.fromkeys(named)) or None


def _unsaid(sentence: str) -> bool:
    """Whether a sentence denies or rejects the value that is in it, or doubts it."""
    return any(cue.search(sentence) for cue in (NEGATION, REJECTION, DOUBT))


def _until_stop(rest: str) -> str:
    """Up to the end of the sentence, which is not inside braces."""
    closed = matching_braces(rest)
    position = 0
    while match := _STOP.search(rest, position):
        around = [end for begin, end in closed.items() if begin < match.start() < end]
        if not around:
            return rest[: match.start()]
        position = max(around)
    return rest


def _inside(math: re.Match[str]) -> str:
    return next(group for group in math.groups() if group is not None)


def _in_words(content: str) -> bool:
    """Whether the content is a sentence rather than an answer."""
    bare = _COMMAND_TEXT.sub("", content)
    return len(_WORD.findall(bare)) > 2 or _SCRIPTS.search(bare) is not None


def _one_value(sentence: str) -> str | None:
    """The value that a sentence comes to: in formula or bold type, after its last "=", or the only one."""
    if joined := _last_formulas(sentence):
        return joined[1]
    for bold in reversed(_BOLD.findall(sentence)):
        if len(values := _VALUE.findall(bold)) == 1:
            return str(values[0])
    if "=" in sentence:
        if _ALTERNATIVE.search(sentence):
            return None
        match = _VALUE.match(sentence.rpartition("=")[2].strip(" ([*$"))
        return match.group() if match else None
    values = _VALUE.findall(sentence)
    return str(values[0]) if len(set(values)) == 1 else None


def _last_formulas(sentence: str) -> tuple[int, str] | None:
    """Where the last formula begins, with those joined to it by commas, "and" or "or"; and what they say."""
    formulas = list(_INLINE_MATH.finditer(sentence))
    if not formulas:
        return None
    last = formulas.pop()
    contents, start = [_inside(last)], last.start()
    while formulas and _JOINT.fullmatch(sentence, formulas[-1].end(), start):
        last = formulas.pop()
        contents.insert(0, _inside(last))
        start = last.start()
    return start, ", ".join(dict.fromkeys(contents))


def _last_sentence(text: str) -> str:
    """The last sentence with anything in it; a mark of its end inside a formula or number is none."""
    text = text.rstrip()[-MAX_SENTENCE:]
    start = 0
    formulas = [match.span() for match in _INLINE_MATH.finditer(text)]
    for match in SENTENCE_END.finditer(text):
        inside = any(begin < match.start() < end - 1 for begin, end in formulas)
        if not inside and text[match.end() :].strip(" *)]}\"'"):
            start = match.end()
    return text[start:].strip()


def _conclusion(text: str) -> Extracted | None:
    sentence = _last_sentence(text)
    if not sentence or sentence.endswith(("?", "？", "؟")) or TASK.match(sentence):
        return None
    concluding = _concluded(sentence)
    if _unsaid(concluding):
        return None
    if concluding != sentence:
        bare = concluding.strip(" .。*$")
        if bare and not _SHORT_WORD.search(bare) and not _SCRIPTS.search(bare):
            return Extracted(bare, "conclusion")  # "So x = 3."
    operated = OPERATION.search(concluding)  # "half of 42"
    value = _one_value(concluding) if concluding != sentence and not operated else None
    if value is None:
        value = _at_the_end(sentence)
    return Extracted(value, "conclusion") if value else None


def _concluded(sentence: str) -> str:
    """What follows the last "therefore" of a sentence; without one, all of it."""
    end = 0
    for match in CONCLUSION.finditer(sentence):
        end = match.end()
    return sentence[end:]


def _at_the_end(sentence: str) -> str | None:
    """The value, or the list of values, that a sentence ends with, after "is" or a colon."""
    sentence = _UNIT_AT_THE_END.sub("", sentence.rstrip(" .。*"))
    joined = _last_formulas(sentence)
    if joined and sentence.endswith(("$", "\\)", "\\]")):
        return joined[1] if IS_AT_THE_END.search(sentence[: joined[0]]) else None
    match = _VALUES_AT_THE_END.search(sentence)
    if match is None:
        return None
    before = sentence[: match.start()]
    if before.rstrip().endswith("=") and not (_PROSE.search(before) or _SCRIPTS.search(before)):
        return None  # a line of working is no conclusion
    return match.group(1).strip("[]") if IS_AT_THE_END.search(before) else None


def _letter(text: str) -> Extracted | None:
    """The option that a text without any mark names: in its conclusion, or at its very beginning."""
    sentence = _concluded(_last_sentence(text))
    letters = set(_LETTER.findall(sentence))
    if not _LETTERS_TOGETHER.search(text) and len(set(_LETTER.findall(text))) > 1:
        return None  # several letters and nothing else
    if len(letters) == 1 and not _unsaid(sentence):
        return Extracted(letters.pop(), "choice")
    first = _FIRST_LETTER.match(text)
    return Extracted(first.group(1), "choice") if first and not _IS_DENIED.search(first.group()) else None


def _whole(text: str) -> Extracted | None:
    content = _QUALIFIER.sub("", text.strip())
    if not content or len(content) > MAX_WHOLE or "\n" in content:
        return None
    words = _WORD.findall(_COMMAND_TEXT.sub("", content))
    if _in_words(content) and len(words) <= 2:  # a sentence of a script without spaces
        return None
    if _NUMBER_AND_UNIT.fullmatch(content):
        return Extracted(content, "whole text")
    if len(words) > 1 and not {word.lower() for word in words} <= _FUNCTIONS:
        # a few words without a number are an answer in words
        return (
            Extracted(content, "whole text")
            if len(content) <= 40 and not _NOT_WORDS.search(content)
            else None
        )
    return Extracted(content, "whole text")


def _fall_back(text: str, fallback: str) -> Extracted | None:
    numbers = _NUMBER.findall(text[-2000:]) if fallback == "last_number" else []
    return Extracted(numbers[-1], "last number") if numbers else None
