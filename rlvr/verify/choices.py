"""Finds the option of a multiple-choice question that a text chooses, by its letter."""

from __future__ import annotations

import re

from rlvr.verify import cues
from rlvr.verify.statements import asks

# "A" before a word is an article
_LETTER = re.compile(
    r"(?<![A-Za-z'’$\\])\(?\*{0,2}\(?([B-HJ]|A(?!\s+(?!is\b|because\b|or\b|and\b|as\b|but\b|looks\b|"
    r"seems\b|fails\b|works\b|over\b)[a-z]))\)?"
    r"(?![A-Za-z'’])"
)
_LETTERS = rf"{_LETTER.pattern}(?:\s*(?:,|/|&|,?\s*\b(?:and|or)\b)\s*{_LETTER.pattern}){{0,9}}"
_OPTION = r"(?:(?:the|option|choice|answer|letter|alternative|statement)s?\s+){0,2}"
# Words that choose the letters after them, or before them.
_CHOOSES = re.compile(
    r"\b(?:(?:choice|option|answer|alternative|statement)s?\s+"
    r"(?:(?:is|are|must be|should be|here is)\s+(?:(?!not\b|never\b)\w+\s+)?|[:=]\s*)|"
    r"(?:go|going|went) (?:with|for)\s+|(?:choos|select|pick|finaliz)(?:e|es|ed|ing|s)?\s+|"
    r"leav(?:es|ing)(?: only)?\s+|it(?:['’]s| is| must be| has to be)\s+|both\s+)"
    rf"[*:]*\s*{_OPTION}({_LETTERS})(?!\s+(?:is|are)\s+(?:not|wrong)\b)",
    re.IGNORECASE,
)
_CHOSEN = re.compile(
    rf"({_LETTERS})\s*,?\s*(?:(?:is|are)\s+(?:(?:the|clearly|indeed|therefore|thus|definitely)\s+)*"
    r"(?:correct|right|best|true|answer|only)|it is\b|works\b|matches\b|holds\b)",
    re.IGNORECASE,
)
_FIRST_LETTER = re.compile(
    r"[\s*(]*([A-HJ])(?:\)|[.:。：),]|\s*\**\s*$|(?=[^\x00-\x7f])|\s+(?:is(?:\s+\w+){0,2}|because|as)\b)"
)
_PARTS = re.compile(
    r"[;.]\s|,\s+(?!\(?[A-J]\)?(?:\s*(?:,|and\b|or\b|are\b|\.|$)))|(?=\b(?:but|so|because|since|while|"
    r"although|though|therefore|as)\b)"
)
_REASON = re.compile(r"\W*(?:because|since|while|although|though|as)\b", re.IGNORECASE)
_UNCHOSEN = re.compile(
    r"\b(?:looks|seems|close|tempting|plausible|attractive|eliminat\w+|cross\w*|rather than|instead of)\b",
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"\b(?:than|over|instead of|rather than|unlike|versus|vs\.?)\b.*", re.IGNORECASE | re.DOTALL
)
_NONE_OF = re.compile(r"\W*(?:none|neither|no option|not one) (?:of\b|fits|matches)", re.IGNORECASE)
_IS_DENIED = re.compile(rf"\bis\b.*(?:{cues.DENIAL.pattern}|{cues.WRONG.pattern})", re.IGNORECASE | re.DOTALL)
_LETTERS_TOGETHER = re.compile(r"[^\W\d_]{2,}")


def letters(text: str) -> str:
    """The letters of the options named in `text`, each once, in order."""
    return ", ".join(dict.fromkeys(match.group(1) for match in _LETTER.finditer(text)))


def chosen_after(content: str) -> str:
    """The letters that follow "the answer is", before any words that exclude other options."""
    denial = cues.DENIAL.search(content)
    return letters(_COMPARED.sub("", content[: denial.start()] if denial else content))


def chosen(sentence: str) -> str:
    """The letters that a sentence chooses; "" if it asks about them, denies or only discusses them."""
    if asks(sentence) or _NONE_OF.match(sentence):
        return ""
    if named := picked(sentence):
        return named
    parts = [part for part in _PARTS.split(sentence) if part]
    claims = [part for part in parts if not _REASON.match(part)]
    for group in (claims, parts):
        found = [letters(_COMPARED.sub("", part)) for part in group if not _unsaid(part)]
        named = letters(", ".join(filter(None, found)))
        if named:
            return named
    return ""


def picked(sentence: str) -> str:
    """The letters that a sentence chooses explicitly: "the right choice is B", "B is correct"."""
    for pattern in () if asks(sentence) else (_CHOOSES, _CHOSEN):
        for match in reversed(list(pattern.finditer(sentence))):
            before = _PARTS.split(sentence[: match.start()])[-1]
            if (named := letters(match.group(1))) and not (
                cues.DENIAL.search(before) or cues.DOUBT.search(before)
            ):
                return named
    return ""


def chosen_first(text: str) -> str:
    """The letter at the beginning of a text, unless the text denies it."""
    match = _FIRST_LETTER.match(text)
    return "" if match is None or _IS_DENIED.search(match.group()) else match.group(1)


def only_letters(text: str) -> bool:
    """Whether a text is nothing but the letters of several options: B, C."""
    return not _LETTERS_TOGETHER.search(text) and "," in letters(text)


def is_reason(sentence: str) -> bool:
    return _REASON.match(sentence) is not None


def _unsaid(part: str) -> bool:
    return any(cue.search(part) for cue in (cues.DENIAL, cues.WRONG, cues.DOUBT, _UNCHOSEN))
