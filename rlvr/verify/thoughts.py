"""Finds the part of a completion that is thought (reasoning), and contains no answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

Marks = Sequence[Sequence[str]]

# Marks that begin and end a thought, by model.
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
    """The text after the last thought of `text`: all of it without thoughts, None if a thought did not end.

    `begins_inside`: the prompt has opened a thought. An end mark without a begin mark ends a thought that
    starts with the text, since the prompt may have opened it; a begin mark within a thought is ignored. Any
    end mark ends any thought; case does not matter. Marks in quotes or backticks are ignored.
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
    """The begin mark at the end of a prompt, as some chat templates add it; "" without one."""
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
