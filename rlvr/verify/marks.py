"""Explicit marks of an answer: boxes, answer tags, JSON objects, lines after '#'."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rlvr.verify.sentences import matching_braces

_BOX = re.compile(r"\\\w{0,8}(?:boxed|fbox)(?![A-Za-z])\s*")
_BARE = re.compile(r"\\[dt]?frac\s*(?=\{)|\\sqrt\s*(?=\{)|[-−]?\d+(?:\.\d+)?|\\?[A-Za-z]+")
_JOINT = re.compile(r"(?:[\s$.;,]|\\[\[\]();,]|\\q?quad|\\text\{ *(?:and|or) *\}|and|or)*")
_SEPARATES = re.compile(r",|;|and|or")
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_KEY = re.compile(
    r"(?<=[{,\s])[\"'](?:(?:final|correct|the)[ _-]?)?(?:answer|ans|result|solution)[\"']\s*:\s*",
    re.IGNORECASE,
)
_SCALAR = re.compile(r"[^,}\]\n]*")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"'/\\])|n(?![A-Za-z]))")
_LIST_ITEM = re.compile(r"\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)'|([^,\[\]{}\"'\s][^,\[\]{}\"']*)")
_NUMBER_LIKE = re.compile(r"[-+−]?[\\$€£]*\(?[-+−]?\.?\d[^A-Za-z]*$")
MAX_BOXES = 60  # boxes that are examined, from the last
MAX_JSON = 10_000  # characters of a list in a JSON object


class Marked(NamedTuple):
    """An answer and where its mark begins and ends."""

    start: int
    end: int
    text: str


def boxes(text: str) -> Iterator[Marked]:
    r"""Every outermost balanced box; `\boxed 2` and `\boxed\frac{1}{2}` as TeX reads them."""
    if "boxed" not in text and "fbox" not in text:
        return
    position = _recent(text)
    closed = matching_braces(text, position)
    while match := _BOX.search(text, position):
        position = match.end()
        if text.startswith("{", position):
            end = closed.get(position)
            if end is not None:
                yield Marked(match.start(), end + 1, text[position + 1 : end])
                position = end + 1
        elif (bare := _BARE.match(text, position)) is not None:
            end = bare.end()
            while text.startswith("{", end) and end in closed and bare.group().startswith("\\"):
                end = closed[end] + 1
            yield Marked(match.start(), end, text[position:end])
            position = end


def _recent(text: str) -> int:
    """The position from which the last `MAX_BOXES` boxes begin."""
    start = len(text)
    for _ in range(MAX_BOXES):
        earlier = text.rfind("box", 0, start)
        if earlier < 0:
            return 0
        start = earlier
    return max(0, start - 1 - len("fbox"))


def open_box(text: str) -> Marked | None:
    """The last box in a text that is not closed."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    match = _BOX.match(text, start) if start >= 0 else None
    if match is None or (match.end() < len(text) and text[match.end()] != "{"):
        return None
    rest = text[match.end() :]
    return None if 0 in matching_braces(rest) else Marked(start, len(text), rest[1:])


def last_box(text: str) -> Marked | None:
    """The last box, joined with those before it that are separated only by a comma, "and" or "or"."""
    found = list(boxes(text))
    if not found:
        return None
    last = found.pop()
    start, contents = last.start, [last.text]
    while found and start - found[-1].end < 40 and _JOINT.fullmatch(text, found[-1].end, start):
        if not _SEPARATES.search(text, found[-1].end, start):
            break
        earlier = found.pop()
        start = earlier.start
        contents.insert(0, earlier.text)
    return Marked(start, last.end, ", ".join(dict.fromkeys(contents)).strip())


def last_tag(text: str) -> Marked | None:
    start = text.lower().rfind("<answer>")
    match = _TAG.match(text, start) if start >= 0 else None
    return Marked(match.start(), match.end(), match.group(1).strip()) if match else None


def last_json(text: str) -> Marked | None:
    """The value of the last "answer" in a JSON object; it need not be valid JSON otherwise."""
    opened, closed = text.find("{"), text.rfind("}")
    last = None
    for match in _KEY.finditer(text, max(opened, 0), closed) if opened < closed else ():
        last = match
    if last is None:
        return None
    value = _json_value(text, last.end())
    return Marked(last.start(), value[0], value[1]) if value else None


def _json_value(text: str, start: int) -> tuple[int, str] | None:
    first = text[start : start + 1]
    if first in ("[", "{"):
        if first == "{":
            return None
        end = text.find("]", start, start + MAX_JSON)
        if end < 0:
            return None
        items = [
            next(part for part in groups if part)
            for groups in _LIST_ITEM.findall(text[start + 1 : end])
            if any(groups)
        ]
        return end + 1, ", ".join(_unescaped(item.strip()) for item in items)
    if first in ("'", '"') and first:
        match = re.compile(rf"{first}((?:\\.|[^{first}\\])*){first}", re.DOTALL).match(text, start)
        return (match.end(), _unescaped(match.group(1)).strip()) if match else None
    match = _SCALAR.match(text, start)
    content = match.group().strip() if match else ""
    if not content or content.startswith("<") or content in ("null", "None", "..."):
        return None
    return start + len(content), content


def _unescaped(string: str) -> str:
    r"""A JSON string as text; `\frac`, which models often do not escape, is kept."""

    def plain(match: re.Match[str]) -> str:
        if match.group(1):
            return chr(int(match.group(1), 16))
        return match.group(2) or "\n"

    return _ESCAPE.sub(plain, string)


def last_hash_line(text: str) -> Marked | None:
    """The last line `#42` or `#### 42`. Before the last line of the text only numbers count, since headings
    begin with '#', too."""
    last, end = True, len(text.rstrip())
    for line in reversed(text.rstrip().split("\n")):
        before, mark, content = line.rpartition("#")
        run = len(before) + 1 - len(before.rstrip("#")) if mark else 0
        marked = run >= 4 or (run > 0 and content[:1].strip())
        if marked and content.strip() and (last or _NUMBER_LIKE.match(content.strip())):
            return Marked(end - len(line), end, content.strip())
        last, end = False, end - len(line) - 1
    return None
