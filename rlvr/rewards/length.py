"""Rewards that depend on the number of sampled tokens."""

from __future__ import annotations

import math

from rlvr.rewards.functions import wrong_when_late
from rlvr.types import Status
from rlvr.verify.check import check_answer
from rlvr.verify.settings import VerifySettings
from rlvr.verify.thoughts import MARKS, Marks, after_thoughts

_EVALUATED = VerifySettings(evaluated=True)  # as in the math reward


def overlong_reward(completion: str, num_sampled: int, max_tokens: int, buffer: int | None = None) -> float:
    """The soft punishment of long answers of DAPO (arXiv 2503.14476, equation 13), in [−1, 0].

    0 up to max_tokens − buffer tokens, from there linearly down to −1 at `max_tokens`, and −1
    beyond. `num_sampled` is the number of sampled tokens. Without a `buffer` it is a fifth of `max_tokens`,
    as in the paper (4,096 of 20,480). Raises ValueError unless 0 < buffer ≤ max_tokens.
    """
    if buffer is None:
        buffer = max(max_tokens // 5, 1)
    if not 0 < buffer <= max_tokens:
        raise ValueError(f"buffer is {buffer}, but must be in 1 … max_tokens ({max_tokens})")
    return max(-1.0, min(0.0, (max_tokens - buffer - num_sampled) / buffer))


@wrong_when_late("wrong_short")
def cosine_reward(
    completion: str,
    answer: str,
    num_sampled: int,
    max_tokens: int,
    correct_short: float = 2.0,
    correct_long: float = 1.0,
    wrong_short: float = -10.0,
    wrong_long: float = 0.0,
    exceeded: float = -10.0,
    thoughts: Marks = MARKS,
) -> float:
    """The cosine reward of "Demystifying Long Chain-of-Thought" (arXiv 2502.03373, its defaults).

    From `…_short` at 0 tokens to `…_long` at `max_tokens`, along half a cosine; which pair
    depends on whether the completion's answer equals `answer` (`rlvr.verify.check_answer`; no
    readable answer is wrong). A completion of `max_tokens` tokens or more, which is cut off,
    gets `exceeded`. `num_sampled` is the number of sampled tokens. This already rewards the
    answer, so an additional math reward counts it twice. Raises ValueError unless
    max_tokens > 0.
    """
    if max_tokens <= 0:
        raise ValueError(f"max_tokens is {max_tokens}, but must be > 0")
    if num_sampled >= max_tokens:
        return exceeded
    text = after_thoughts(completion, marks=thoughts)
    right = text is not None and check_answer(text, answer, settings=_EVALUATED).status is Status.CORRECT
    short, long = (correct_short, correct_long) if right else (wrong_short, wrong_long)
    return long + (short - long) * (1 + math.cos(math.pi * num_sampled / max_tokens)) / 2
