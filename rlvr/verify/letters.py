"""The letter of an option."""

from __future__ import annotations

import re

_OPTION = (
    r"(?![^A-Za-z0-9\\$]*\\?\(?[A-HJ]\)?(?![A-Za-z0-9]))[A-Za-z0-9\\$\-](?:(?!\([A-HJ]\)).)*"  # its text
)
_KEYS = r"(?:Minor|Major|Sharp|Flat|Moll|Dur|Code|Language)"  # C minor and C code are no option
_DENIED = (
    r"not|never|no|wrong|incorrect|false|reject\w*|eliminat\w*|exclud\w*|except|neither|against|unlike|worst"
    r"|cannot|discard\w*|rule[sd]? out|instead of|rather than"
)
_CHOICE = re.compile(
    rf"\(?([A-HJa-e])\)?[.:)]?|\(([A-HJ])\)\s*{_OPTION}|([A-HJ])[.:)]\s+{_OPTION}|([B-HJ])\s+(?!{_KEYS}\b)[A-Z][a-z].*"
    rf"|(?!.*\b(?:{_DENIED})\b)(?:[A-Za-z ]{{0,40}}\s)?(?:[Oo]ption|[Cc]hoice|[Ll]etter|[Aa]nswer)"
    r"\s+(?:is\s+)?\(?([A-HJ])\)?\.?",
    re.DOTALL,
)
_CIRCLED = {chr(0x24B6 + place): chr(ord("A") + place) for place in range(10)}
_ROMAN_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}")


def choice_letter(text: str) -> str | None:
    """The letter of an option: "B", "(B)", "B) forty-two"; None if the text does not look like one."""
    text = "".join(_CIRCLED.get(character, character) for character in text.strip().strip("$"))
    match = _CHOICE.fullmatch(_ROMAN_TEXT.sub(r"\1", text).strip())
    return next(letter for letter in match.groups() if letter) if match else None
