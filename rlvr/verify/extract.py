"""Where a completion says its answer is.

A completion may name several candidates; the rules here decide for one without knowing the
reference, so that listing candidates never pays: the last explicit mark counts, boxes that are
joined by a comma, "and" or "or" count as one list, and a box outweighs any sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Where = Literal["box", "answer tag", "hash line", "answer phrase", "whole text", "last number"]

MAX_COMPLETION = 200_000  # characters; of a longer completion only the end is searched
MAX_WHOLE = 300  # characters of a completion that is taken as nothing but an answer

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_SPECIAL_TOKEN = re.compile(r"<\|\w{1,40}\|>")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_JOINT = re.compile(r"(?:[\s$.;,]|\\[\[\]();,]|\\q?quad|\\text\{ *(?:and|or) *\}|and|or)*")
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_NUMBER_LIKE = re.compile(r"[-+−]?[\\$€£]*\(?[-+−]?\.?\d[^A-Za-z]*$")
_PHRASE = re.compile(r"\banswer(?:\s+is)?(?:\s*:|(?<=is)\b)[\s:*]*", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\n|[.!?](?=\s|$)|,\s+(?=[a-z]{2})|\s(?:because|since|as)\s")
_INLINE_MATH = re.compile(r"^(?:\$\$?((?:\\.|[^$\\])+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\])", re.DOTALL)
_NUMBER = re.compile(r"[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_COMMAND_TEXT = re.compile(r"\\(?:text|textbf|mathrm|operatorname|begin|end)\s*\{[^{}]*\}")
_FUNCTIONS = frozenset(
    [
        "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "arcsin",
        "arccos", "arctan", "asin", "acos", "atan", "log", "exp", "sqrt", "abs",
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Extracted:
    """The text of an answer and the kind of mark it was found by."""

    text: str
    where: Where


def extract_answer(completion: str, fallback: Literal["none", "last_number"] = "none") -> Extracted | None:
    """The answer a completion commits to, or None when it commits to none.

    Reasoning up to the last `</think>` is cut away; reasoning that never ended has no answer.
    Then, in order: the later of the last `\\boxed{…}` and the last `<answer>…</answer>`; the last
    line marked with '#' ("#### 42", "#42"); the last "answer is …"; the whole text when it is
    nothing but an expression. `fallback="last_number"` adds the last number of the text, which
    rewards a model for mentioning numbers: for evaluation of untrained models only.
    """
    text = _SPECIAL_TOKEN.sub("", completion[-MAX_COMPLETION:])
    text = text.rpartition("</think>")[2]
    if "<think>" in text:
        return None
    marked = _tag(text), _box(text)
    if any(marked):
        return max((found for found in marked if found), key=lambda found: found[0])[1]
    return _hash_line(text) or _phrase(text) or _whole(text) or _fall_back(text, fallback)


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
    return end, Extracted(", ".join(dict.fromkeys(contents)).strip(), "box")


def _tag(text: str) -> tuple[int, Extracted] | None:
    start = text.lower().rfind("<answer>")
    match = _TAG.match(text, start) if start >= 0 else None
    if match is None:
        return None
    inside = _box(match.group(1))
    content = inside[1].text if inside else match.group(1).strip()
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


def _phrase(text: str) -> Extracted | None:
    start = None
    for match in _PHRASE.finditer(text):
        start = match.end()
    if start is None:
        return None
    rest = text[start : start + 1000]
    math = _INLINE_MATH.match(rest)
    if math:
        content = next(group for group in math.groups() if group is not None)
    else:
        end = _SENTENCE_END.search(rest)
        content = rest[: end.start()] if end else rest
    content = content.strip(" *\t\n")
    return Extracted(content, "answer phrase") if content else None


def _whole(text: str) -> Extracted | None:
    content = text.strip()
    if not content or len(content) > MAX_WHOLE or "\n" in content:
        return None
    words = _WORD.findall(_COMMAND_TEXT.sub("", content))
    if len(words) > 1 and not {word.lower() for word in words} <= _FUNCTIONS:
        return None
    return Extracted(content, "whole text")


def _fall_back(text: str, fallback: str) -> Extracted | None:
    numbers = _NUMBER.findall(text[-2000:]) if fallback == "last_number" else []
    return Extracted(numbers[-1], "last number") if numbers else None
