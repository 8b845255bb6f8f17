"""Splits a text into formulas and sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MAX_FORMULA = 2_000  # characters between two dollar signs

_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_OPENING = re.compile(r"\\[\[(]|\$\$?|\\begin\{(\w{1,20}\*?)\}|\\.", re.DOTALL)
_DOLLARS = re.compile(r"\\.|\$\$?", re.DOTALL)
_WORDS_BETWEEN = re.compile(r"[A-Za-z]{2,}[,;:]?\s+[A-Za-z]{2,}")
_COMMAND_TEXT = re.compile(r"\\(?:text\w*|mathrm|mbox|operatorname)\s*\{[^{}]*\}")
_END = re.compile(r"[.!?…]+[*_\"'”’)\]}$]*(?=\s|$)|[。！？؟।｡]+[*_\"'”’）)\]]*|\n+")
_ABBREVIATED = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|approx|no|nos|fig|eq|mr|mrs|ms|dr|st|sq|ft|ca|resp|etc|rs|max|min|z\.B|d\.h|bzw|p\.ej|"
    r"[ap]\.m|u\.s)|^[\s*#]*\(?\d{1,2}|^[\s*#]*(?:step|schritt|étape|paso)\s+\d{1,2})$",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"\b[0-3]?\d$")  # 3. Oktober, 3. октября
_MONTH = re.compile(
    r"\s(?:jan|feb|mär|maer|mar|apr|mai|maj|jun|jul|aug|sep|okt|oct|nov|dez|dec|led|úno|bře|dub|kvě|čer|srp|zář|říj|"
    r"lis|pro|янв|фев|мар|апр|ма[йя]|июн|июл|авг|сен|окт|ноя|дек)[^\W\d_]*",
    re.IGNORECASE,
)
_CONTINUES = re.compile(
    r"(?:[:：,，=]|\b(?:is|are|therefore|thus|hence|so|get|gives|have|that))[\s*_]*$", re.IGNORECASE
)
_CLOSES = re.compile(r"[.!]\s*(?:\\end\{\w+\*?\}\s*\.?\s*)?$")
_BEGINS = re.compile(r"\s*\n|\s*[A-Z(]|\s*$")
_LOWER = re.compile(r" [a-z]{2}")
_LOOK = 80  # characters before a punctuation mark that decide what it is
_DISPLAY = (r"\[", "$$", r"\begin")


class Formula(NamedTuple):
    """Where a formula begins and ends, and its content."""

    start: int
    end: int
    inside: str


def matching_braces(text: str, start: int = 0) -> dict[int, int]:
    """Position of every opening brace after `start` that is closed → position of the brace that closes it."""
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for match in _BRACE.finditer(text, start):
        if match.group() == "{":
            opened.append(match.start())
        elif match.group() == "}" and opened:
            pairs[opened.pop()] = match.start()
    return pairs


def formulas(text: str) -> list[Formula]:
    r"""Every `$…$`, `$$…$$`, `\(…\)`, `\[…\]` and `\begin{…}…\end{…}`; not text between two prices."""
    if "$" not in text and "\\" not in text:
        return []
    found: list[Formula] = []
    never: set[str] = set()  # closing marks that do not occur in the rest of the text
    position = 0
    while match := _OPENING.search(text, position):
        position = match.end()
        mark = match.group()
        closing = {r"\(": r"\)", r"\[": r"\]"}.get(mark)
        if mark in ("$", "$$"):
            formula = _between_dollars(text, match.start(), mark)
        elif closing is None and match.group(1) is None:
            continue
        else:
            closing = closing or rf"\end{{{match.group(1)}}}"
            end = -1 if closing in never else text.find(closing, match.end())
            if end < 0:
                never.add(closing)
            inside = (
                text[match.end() : end]
                if mark in (r"\(", r"\[")
                else text[match.start() : end + len(closing)]
            )
            formula = Formula(match.start(), end + len(closing), inside) if end >= 0 else None
        if formula is not None:
            found.append(formula)
            position = formula.end
    return found


def _between_dollars(text: str, start: int, mark: str) -> Formula | None:
    begin = start + len(mark)
    limit = min(len(text), begin + MAX_FORMULA)
    for match in _DOLLARS.finditer(text, begin, limit):
        if match.group() == mark or (mark == "$" and match.group() == "$$"):
            inside = text[begin : match.start()]
            if mark == "$" and _is_price(inside, text[match.end() : match.end() + 1]):
                return None
            return Formula(start, match.start() + len(mark), inside) if inside.strip() else None
    return None


def _is_price(inside: str, after: str) -> bool:
    """Whether the dollar signs around `inside` stand for money: "$5 and $6"."""
    if "\n\n" in inside or not inside.strip():
        return True
    if not inside.lstrip(".")[:1].isdigit():
        return False
    return after.isdigit() or _WORDS_BETWEEN.search(_COMMAND_TEXT.sub("", inside)) is not None


def within(position: int, spans: Sequence[Formula]) -> bool:
    return any(span.start < position < span.end - 1 for span in spans)


def sentences(text: str) -> list[str]:
    """`text` split after full stops and at line ends, if these end a sentence.

    A full stop inside a formula, after an abbreviation or after the number of a list item does not end a
    sentence; nor does a line end after a colon, or before a displayed formula.
    """
    spans = formulas(text)
    ends = [span.end for span in spans if _CLOSES.search(span.inside) and _BEGINS.match(text, span.end)]
    index = line = 0
    for match in _END.finditer(text):
        while index < len(spans) and spans[index].end <= match.start():
            index += 1
        if index < len(spans) and spans[index].start < match.start() < spans[index].end - 1:
            continue
        before = text[max(line, match.start() - _LOOK) : match.start()]
        if match.group().startswith("\n"):
            line = match.end()
            if _runs_on(before, text[match.end() : match.end() + 40]):
                continue
        elif match.group() == "." and (_ABBREVIATED.search(before) or _goes_on(before, text, match.end())):
            continue
        ends.append(match.end())
    pieces = zip([0, *sorted(ends)], [*sorted(ends), len(text)], strict=True)
    return [sentence for start, end in pieces if (sentence := text[start:end].strip())]


def _goes_on(before: str, text: str, end: int) -> bool:
    """Whether a sentence continues after a full stop: with a small letter, or a month after its day."""
    month = _ORDINAL.search(before) and _MONTH.match(text, end)
    return month is not None or _LOWER.match(text, end) is not None


def _runs_on(before: str, after: str) -> bool:
    """Whether a sentence continues on the next line."""
    line, after = before.rstrip(), after.lstrip()
    if not line or not after:
        return False
    if _CONTINUES.search(line[-40:]):
        return True
    if after.startswith(_DISPLAY) and not line.endswith((".", "!", "$$", r"\]")):
        return line[-1:].isalpha()
    lower = after[:2].isalpha() and after[:2].islower()
    return lower and (
        line.endswith(("$$", r"\]", "}"))
        or (line[-1:].isalpha() and line[-2:-1].islower() and len(line) > 30)
    )
