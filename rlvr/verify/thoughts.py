"""Which part of a completion is thought, and holds no answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

Marks = Sequence[Sequence[str]]

# What opens a thought and what ends it, as models write them.
MARKS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3, Phi-4-reasoning and most others
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),  # EXAONE Deep
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A Reasoning
    ("<|channel|>analysis", "<|channel|>final<|message|>"),  # gpt-oss
)
UNENDED = "its thoughts did not end, so that it holds no answer"


def after_thoughts(text: str, begins_inside: bool = False, marks: Marks = MARKS) -> str | None:
    """What follows the last thought of `text`: all of it where there is none, None where one never ended.

    `begins_inside`: the prompt has opened a thought. An end without a beginning ends what is before it, since
    the prompt may have opened that; a beginning within a thought begins no other one. Any mark's end ends
    any thought, without regard to case. A mark in quotes or backticks is only spoken of.
    """
    if not marks:
        return None if begins_inside else text
    end, inside = 0, begins_inside
    openings, closings = zip(*marks, strict=True)
    for match in _pattern(openings, closings).finditer(text):
        if _is_quoted(text, match):
            continue
        inside = match["open"] is not None
        if not inside:
            end = match.end()
    return None if inside else text[end:]


def opened_by(prompt: str, marks: Marks = MARKS) -> str:
    """The mark of a thought that a prompt ends in, as chat templates have it; "" where it ends in none."""
    end = prompt.rstrip().casefold()
    return next((opening for opening, _ in marks if end.endswith(opening.casefold())), "")


@lru_cache(maxsize=16)
def _pattern(openings: tuple[str, ...], closings: tuple[str, ...]) -> re.Pattern[str]:
    opening, closing = ("|".join(map(re.escape, side)) for side in (openings, closings))
    return re.compile(f"(?P<open>{opening})|(?:{closing})", re.IGNORECASE)


def _is_quoted(text: str, match: re.Match[str]) -> bool:
    before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    if text[match.end() : match.end() + 3] == "```":  # the fence of a code block
        return False
    return before + after in ("``", '""', "''", "“”", "‘’")
