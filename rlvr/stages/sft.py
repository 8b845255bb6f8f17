"""Supervised fine-tuning: next-token loss on worked answers and their end token, not on the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rlvr.algorithms.objective import supervised
from rlvr.base.keys import key
from rlvr.problems.order import problems_for_step
from rlvr.stages.batches import supervised_batch
from rlvr.stages.config import SftConfig
from rlvr.traces.choose import choose
from rlvr.traces.traces import Trace
from rlvr.types import ConfigError, DataError, TrainingBatch

Example = tuple[list[int], list[int]]  # token ids of a prompt and of the answer to it
Encode = Callable[[Trace], Example]


class Sft:
    """A trainer: the batch and the objective of every optimizer step.

    A trainer of your own has the same attributes and methods. `sft.trainer._target_` is its import path;
    other keys of `sft.trainer` are passed to it as keyword arguments.
    """

    uses_reference = False  # whether `batch` needs log-probabilities of the initial model
    objective = staticmethod(supervised)

    def __init__(
        self, traces: Sequence[Trace], encode: Encode, settings: SftConfig, seed: int, max_length: int
    ) -> None:
        """`encode` gives a trace's token ids; prompt and answer must fit into `max_length`.

        Raises:
            DataError: nothing is left to train on.
        """
        self.settings, self.seed = settings, seed
        chosen, self.left_out = choose(traces, settings.choose, seed)
        fitting = [
            (trace.problem.id, example)
            for trace in chosen
            if (example := encoded(trace, encode, max_length, self.left_out)) is not None
        ]
        held = {name for name, _ in fitting if _held_back(name, settings.validation.share)}
        self.examples = [example for name, example in fitting if name not in held]
        self.held_back = [example for name, example in fitting if name in held]
        if not self.examples:
            raise DataError(f"no answer is left to train on; left out: {self.left_out}")
        if settings.validation.share and not self.held_back:
            raise DataError(
                f"validation.share={settings.validation.share} holds back none of the "
                f"{len({name for name, _ in fitting})} problems: raise it, or set it to 0"
            )

    @property
    def size(self) -> str:
        """The amount of training data, in words."""
        return f"{len(self.examples):,} answers"

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.examples) // self.settings.batch_size)

    def batch(self, step: int) -> TrainingBatch:
        """The batch of step `step` (from 0): a function of the step, the seed and the data alone."""
        if self.settings.batch_size > len(self.examples):
            raise ConfigError(
                f"batch_size={self.settings.batch_size}, but there are only {self.size}: lower it"
            )
        chosen = problems_for_step(len(self.examples), self.settings.batch_size, step, self.seed)
        return supervised_batch([self.examples[index] for index in chosen])

    def validation(self) -> TrainingBatch | None:
        """A batch of all examples that are held back."""
        return supervised_batch(self.held_back) if self.held_back else None


def encoded(trace: Trace, encode: Encode, max_length: int, left_out: dict[str, int]) -> Example | None:
    """A trace's token ids; if it cannot be trained on, None, and its reason is counted in `left_out`."""
    try:
        prompt, answer = encode(trace)
    except DataError:
        reason = "with characters that the tokenizer does not know"
    else:
        if answer and len(prompt) + len(answer) <= max_length:
            return prompt, answer
        reason = "longer than model.max_length" if answer else "empty"
    left_out[reason] = left_out.get(reason, 0) + 1
    return None


def _held_back(problem_id: str, share: float) -> bool:
    return key("validation", problem_id) < share * 2**31
