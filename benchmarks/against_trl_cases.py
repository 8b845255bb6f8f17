"""What both sides of `against_trl.py` share: models, prompts, rewards, and the turns that they take.

Light to import, and without this project: TRL's Python reads it too.
"""

from __future__ import annotations

import json
import re
import string
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

GROUP_SIZE = 8
HELDOUT_SAMPLES = 4  # of each held-out problem: another number than of the others, which tells them apart
MAX_LENGTH = 512
# with the four special tokens a random model draws each token about once in 74
ALPHABET = string.digits + string.ascii_letters + "+-=? \n#"


@dataclass(frozen=True)
class Case:
    """A model with random weights. It ends an answer with about one token in 74, whatever was before: lengths
    are geometric, cut off at `max_tokens`. Without `sizes` it is a chat model of the user's, which answers
    word problems."""

    max_tokens: int
    sizes: dict[str, int] | None  # LlamaConfig's names
    problems: int = 32  # per step

    @property
    def rollouts(self) -> int:
        return self.problems * GROUP_SIZE

    @property
    def chat(self) -> bool:
        return self.sizes is None


CASES = {
    "0.5M": Case(
        20,
        {
            "hidden_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 384,
        },
    ),
    "3M": Case(
        96,
        {
            "hidden_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 768,
        },
    ),
    "10M": Case(
        256,
        {
            "hidden_size": 384,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "intermediate_size": 1024,
        },
    ),
    "135M": Case(128, None, problems=16),
}


def timed_problems(case: Case) -> list[dict[str, str]]:
    """The problems of every step of the timed part. Prompts have 9 to 11 tokens, in chat about 60."""
    text = "A shop has {} red and {} green apples. How many apples is that?" if case.chat else "{}+{}=?"
    return [
        {"problem": text.format(7 * i, 11 * i + 5), "answer": str(18 * i + 5)} for i in range(case.problems)
    ]


def parity(completion: str) -> float:
    """1 for a text with an odd sum of characters: half of what a random model writes, in every group."""
    return float(sum(map(ord, completion)) % 2)


def last_number(completion: str, answer: str) -> float:
    """1 if what follows the last # is the answer."""
    found = re.search(r"#(-?[0-9]+)$", completion)
    return float(found is not None and found[1] == answer)


class Turns:
    """A trainer's end of the pipe: it says what it would do next, how the last step went, and waits."""

    def __init__(self, descriptor: int) -> None:
        self.connection = Connection(descriptor)

    def wait(self, following: str, figures: dict[str, Any]) -> bool:
        """Whether it may go on to `train` or `evaluate`; not if the other end is closed."""
        self._say({**figures, "next": following})
        try:
            return self.connection.recv_bytes() == b"go"
        except EOFError:
            return False

    def end(self, **figures: Any) -> None:
        """Say that there is nothing left to do."""
        with suppress(BrokenPipeError):
            self._say({**figures, "next": None})

    def _say(self, figures: dict[str, Any]) -> None:
        self.connection.send_bytes(json.dumps(figures).encode())
