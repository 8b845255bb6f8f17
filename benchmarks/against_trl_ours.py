"""Our side of `against_trl*.py`: `rlvr train` that waits for its turn before it submits requests.

    python benchmarks/against_trl_ours.py DESCRIPTOR OVERRIDE …

Before that, and after it has published the last step's weights, nothing is under way: the engine and the
learner have nothing to do. What the loop still has to write of a step counts as the next one's. Requests are
a training step's, or an evaluation's, which has another number for each problem.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from unittest import mock

from against_trl_cases import HELDOUT_SAMPLES, Turns

from rlvr.commands import cli
from rlvr.rollout.engine import Request
from rlvr.stages.buffer import Interrupted, RolloutBuffer
from rlvr.types import Problem


def main() -> int:
    turns = Turns(int(sys.argv[1]))
    submit = RolloutBuffer.submit

    def in_turn(
        buffer: RolloutBuffer, step: int, problems: Sequence[Problem], groups: Sequence[list[Request]]
    ) -> None:
        evaluates = len(groups[0]) == HELDOUT_SAMPLES
        if not turns.wait("evaluate" if evaluates else "train", {"step": step if evaluates else step - 1}):
            raise Interrupted
        submit(buffer, step, problems, groups)

    with mock.patch.object(RolloutBuffer, "submit", in_turn):
        code = cli.main(["train", *sys.argv[2:]])
    turns.end()
    return code


if __name__ == "__main__":
    sys.exit(main())
