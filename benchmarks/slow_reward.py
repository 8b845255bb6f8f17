"""A reward that takes its time, as a judge behind a network does; for benchmarks/loop.py."""

from __future__ import annotations

import asyncio


async def slow_reward(completion: str, seconds: float) -> float:
    """1 if the answer has a digit, after so many seconds."""
    await asyncio.sleep(seconds)
    return float(any(character.isdigit() for character in completion))
