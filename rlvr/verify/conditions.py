"""Conditions of an answer: x² for x > 0, 2πk where k is an integer."""

from __future__ import annotations

import re
from typing import Literal

from rlvr.verify.brackets import top_level

Domain = Literal["whole", "natural", "any"]

_IN_WORDS = re.compile(
    r"\s*,?\s*\\text\s*\{\s*,?\s*(?:for|where|with|if|when)\s(?P<words>[^{}]*)\}(?P<rest>.*)", re.DOTALL
)
_PLAIN = re.compile(
    r"(?<!\{)\s,?\s*(?:for|where|if|when)\s+(?P<words>(?:all|any|some|every|each|integers?|positive|real)\s.*"
    r"|(?<=where )[a-z]\s+is\s.*|[a-zA-Z]\s*(?:[<>=]|\\(?:le|ge|ne|in)(?![A-Za-z])).*)",
    re.DOTALL,
)
_MEMBER = re.compile(r",?\s*\(?\s*(?P<words>[a-z]\s*\\in\s*\\mathbb\s*\{?\s*[NZ]\s*\}?(?:\^?\s*[+*])?)\s*\)?")
_FOLLOWED = re.compile(r"[,;]|\\text\s*\{\s*,?\s*and\b")  # by another answer
_UNSURE = re.compile(r"\b(?:or|also|could|and)\b")
_TEXT = re.compile(r"\\(?:text|mathrm|textrm|mbox)\s*\{([^{}]*)\}")
_SET = re.compile(
    r"[a-z]\s*\\in\s*\\mathbb\s*\{?\s*(?P<set>[NZRC])\s*\}?(?P<positive>\^?\s*\{?[+*>\d\\ge ]*\}?)"
)
_FILLERS = re.compile(
    r"\b(?:all|any|some|every|each|an?|the|is|are|be|arbitrary|real|complex|numbers?|values?|of|constants?"
    r"|parameters?|[a-zA-Z](?:_\{?\d\}?)?)\b|[\s,.{}_]"
)
_DOMAINS: dict[str, Domain] = {
    "": "any", "integer": "whole", "integers": "whole", "positiveinteger": "natural",
    "positiveintegers": "natural", "natural": "natural", "naturals": "natural",
    "nonnegativeinteger": "natural", "nonnegativeintegers": "natural",
    "non-negativeinteger": "natural", "non-negativeintegers": "natural",
}  # fmt: skip


def cut_condition(text: str) -> tuple[str, str]:
    """Split normalized `text` into the answer and its condition, "" without one."""
    if r"\in" in text and (match := _ending(_MEMBER, text)):
        return text[: match.start()], match.group("words")
    for match in _IN_WORDS.finditer(text):
        condition = match.group("words") + match.group("rest")
        if not text[: match.start()].strip() or _UNSURE.search(condition) or r"\begin" in text:
            break
        if not top_level(match.group("rest"), _FOLLOWED):
            return text[: match.start()], condition
        break
    if (match := _PLAIN.search(text)) and not _UNSURE.search(match.group()) and text[: match.start()].strip():
        return text[: match.start()], match.group("words")
    return text, ""


def _ending(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The match of `pattern` at the end of `text`, unless it is the whole text."""
    found = [match for match in pattern.finditer(text) if match.end() == len(text) and match.start()]
    return found[0] if found else None


def domain(condition: str) -> Domain | None:
    """The domain that a condition states: "k ∈ ℤ", "for any integer n"; None for any other condition."""
    spoken = _TEXT.sub(r" \1 ", condition).strip()
    if match := _SET.fullmatch(spoken):
        positive = bool(match.group("positive").strip())
        if match.group("set") in "RC":
            return None if positive else "any"
        return "natural" if positive or match.group("set") == "N" else "whole"
    return _DOMAINS.get(_FILLERS.sub("", spoken).lower())


def in_plain_words(condition: str) -> str:
    """A condition without LaTeX commands around its words."""
    return " ".join(_TEXT.sub(r" \1 ", condition).split())
