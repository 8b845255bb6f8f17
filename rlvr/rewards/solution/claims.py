"""The claims of a worked solution, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rlvr.rewards.solution.chains import Chain, Claim, claims_of
from rlvr.rewards.solution.formulas import ROWS, formula_chains
from rlvr.rewards.solution.prose import FORMULA, prose_chains

MAX_TEXT = 50_000  # characters; of a longer solution only the beginning is read

_DRAWING = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)|```.*?(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_ANNOTATION = re.compile(r"<<([^<>\n]{1,200})>>")
_MARKUP = re.compile(r"</?\w{1,20}>|<\|\w{1,40}\|>")
_MATH = re.compile(
    rf"\\begin\{{((?:{ROWS})\*?)\}}(?P<rows>(?:(?!\\begin\{{(?:{ROWS})).){{0,5000}}?)\\end\{{\1\}}"
    r"|\$\$(?P<display>[^$]{1,5000})\$\$"
    r"|\\\[(?P<square>(?:\\\\|(?!\\[\[\]]).){1,5000})\\\]"
    r"|\\\((?P<round>(?:(?!\\[()]).){1,2000})\\\)"
    r"|(?<!\\)\$(?P<inline>(?:[^$\\]|\\.){1,2000})\$(?!\d)",
    re.DOTALL,
)
_PROSE = re.compile(r"(?<![\\A-Za-z{])(?:[A-Za-z]{2,},?\s+[A-Za-z]{2,}|[a-z]{4,}(?=[\s,.]))|\n\s*\n")
_WRAPPED = re.compile(r"\\[A-Za-z]+\s*\{[^{}]*\}")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n(?!\s*[=≈])")
_WORD = re.compile(r"(?<![\\A-Za-z])(?!(?:sqrt|sin|cos|tan|log|ln|pi)\b)[A-Za-z]{2,}")
_LIST_MARK = re.compile(r"\s*(?:(?:[-*•]|\(?(?:\d{1,2}|[a-zA-Z])[.)]|#+|Step\s+\d{1,2}\s?[:.)])\s+)*")
_LETTER_X = re.compile(r"(?<=[\d)%])\s*[xX×]\s*(?=[\d($.])")


def find_claims(text: str) -> Iterator[Claim]:
    """The distinct claims in `text`. Takes linear time in the length of the text, which is bounded."""
    seen = set()
    for chain in _chains(_DRAWING.sub("\n", text[:MAX_TEXT])):
        for claim in claims_of(chain):
            key = "".join(str(claim).split())
            if key not in seen:
                seen.add(key)
                yield claim


def _chains(text: str) -> Iterator[Chain]:
    position = searched = 0
    after = ""  # FORMULA if a formula precedes
    while match := _MATH.search(text, searched):
        if match["inline"] is not None and _is_prose(match["inline"]):  # two prices, not a formula
            searched = match.start() + 1
            continue
        plain = text[position : match.start()]
        yield from _plain_chains(f"{after}{plain}{FORMULA}")
        groups = match.group("rows", "display", "square", "round", "inline")
        content = next(filter(None, groups), "")  # rows may be empty
        yield from formula_chains(content, plain)
        position = searched = match.end()
        after = FORMULA
    yield from _plain_chains(after + text[position:])


def _is_prose(content: str) -> bool:
    return _PROSE.search(_WRAPPED.sub(" ", content)) is not None


def _plain_chains(text: str) -> Iterator[Chain]:
    for match in _ANNOTATION.finditer(text):  # GSM8K's <<17+25=42>>
        yield from formula_chains(match.group(1))
    text = _MARKUP.sub("\n", _ANNOTATION.sub(" ", text))
    for sentence in _SENTENCE.split(text):
        sentence = sentence[_LIST_MARK.match(sentence).end() :].replace("\n", " ")  # type: ignore[union-attr]
        if _WORD.search(sentence) or FORMULA in sentence:
            yield from prose_chains(sentence)
        else:
            yield from formula_chains(_LETTER_X.sub(r" \\times ", sentence))
