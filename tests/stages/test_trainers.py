"""What the trainers of warm starts learn from, step by step, without an engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.algorithms.objective import supervised
from rlvr.pipeline.config import RunConfig
from rlvr.stages.buffer import Interrupted
from rlvr.stages.config import DpoConfig, SftConfig, ValidationConfig
from rlvr.stages.dpo import RolloutDpo
from rlvr.stages.midtrain import MidTraining
from rlvr.stages.reference import reference_logprobs
from rlvr.stages.sft import Sft
from rlvr.stages.stage import StageInput
from rlvr.stages.warm_start import Best, load_data
from rlvr.traces.config import PairConfig
from rlvr.traces.files import write_traces
from rlvr.traces.traces import Trace, trace_of_solution
from rlvr.types import ConfigError, DataError, Problem, Status, TrainingBatch

EOS = 0


def trace(problem: int, sample: int, answer: str, status: Status = Status.CORRECT) -> Trace:
    made = trace_of_solution(Problem(f"p{problem}", f"{problem}?", "1", solution=answer))
    return replace(made, sample=sample, status=status, reason="", source="test")


def encode(one: Trace) -> tuple[list[int], list[int]]:
    """A number for each character; answers end in EOS."""
    return [ord(c) for c in one.problem.text], [*(ord(c) for c in one.text), EOS]


def sft(traces: list[Trace], max_length: int = 100, **changes: object) -> Sft:
    return Sft(traces, encode, replace(SftConfig(batch_size=2), **changes), 0, max_length)


TRACES = [trace(number, 0, "x" * (number + 1)) for number in range(8)]


def test_sft_learns_the_answer_and_its_end_and_not_the_prompt() -> None:
    trainer = sft(TRACES[:2])
    batch = trainer.batch(0)
    for tokens, mask in zip(batch.tokens, batch.mask, strict=True):
        assert (tokens[mask] == [*[ord("x")] * (mask.sum() - 1), EOS]).all()
        assert bytes(tokens[~mask].tolist()).decode().endswith("?")
    # every token of the batch counts the same
    assert sum(s * m.sum() for s, m in zip(batch.scales, batch.mask, strict=True)) == pytest.approx(1)
    assert trainer.objective is supervised


def test_an_epoch_has_every_answer_once() -> None:
    trainer = sft(TRACES)
    assert trainer.steps_per_epoch == 4
    seen = Counter(len(t) for step in range(4) for t in trainer.batch(step).tokens)
    assert seen == Counter(len(t.problem.text) + len(t.text) + 1 for t in TRACES)


def test_what_does_not_fit_is_counted_and_left_out() -> None:
    trainer = sft(TRACES, max_length=6)
    assert trainer.left_out["longer than model.max_length"] == 5
    assert trainer.size == "3 answers"
    with pytest.raises(DataError, match="no answer is left"):
        sft(TRACES, max_length=2)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size=9, but there are only 8 answers"):
        sft(TRACES, batch_size=9).batch(0)


def test_validation_holds_back_whole_problems() -> None:
    traces = [trace(problem, sample, f"{problem}.{sample}") for problem in range(40) for sample in range(3)]
    trainer = sft(traces, validation=ValidationConfig(share=0.25))
    held = trainer.validation()
    assert held is not None
    problems = [
        {bytes(prompt).decode() for prompt, _ in examples}
        for examples in (trainer.examples, trainer.held_back)
    ]
    assert problems[0].isdisjoint(problems[1])
    assert len(trainer.examples) + len(trainer.held_back) == 120
    assert len(trainer.held_back) == len(held.tokens) == 3 * len(problems[1])
    # what is held back does not depend on what else there is
    fewer = sft(traces[:60], validation=ValidationConfig(share=0.25))
    assert {bytes(p).decode() for p, _ in fewer.held_back} <= problems[1]


def test_validation_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="holds back none"):
        sft(TRACES[:2], validation=ValidationConfig(share=0.001))


def midtrain(traces: list[Trace], row_tokens: int, batch_size: int = 2) -> MidTraining:
    return MidTraining(traces, encode, SftConfig(batch_size=batch_size), 0, 100, row_tokens)


def test_midtraining_learns_the_whole_trace() -> None:
    batch = midtrain(TRACES[:3], 100).batch(0)
    assert len(batch.tokens) == 3
    assert all(mask.tolist() == [False] + [True] * (len(mask) - 1) for mask in batch.mask)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 17), min_size=1, max_size=30), st.integers(20, 60), st.integers(1, 4))
def test_rows_are_filled_and_every_epoch_has_every_trace_once(
    lengths: list[int], row_tokens: int, batch_size: int
) -> None:
    traces = [trace(number, 0, "y" * length) for number, length in enumerate(lengths)]
    trainer = midtrain(traces, row_tokens, batch_size)
    expected = sorted(len(t.problem.text) + len(t.text) + 1 for t in traces)
    start = 0
    for _ in range(3):
        found: list[int] = []
        while len(found) < len(traces):
            tokens = trainer.batch(start).tokens
            assert sum(map(len, tokens)) <= batch_size * row_tokens
            found += map(len, tokens)
            start += 1
        assert sorted(found) == expected


def test_each_epoch_has_an_order_of_its_own_and_it_is_always_the_same() -> None:
    def order(trainer: MidTraining, epoch: int) -> list[int]:
        return [int(t[-2]) for t in trainer.batch(epoch).tokens]

    traces = [trace(number, 0, chr(ord("a") + number)) for number in range(20)]
    one, other = midtrain(traces, 100, 5), midtrain(list(reversed(traces)), 100, 5)
    assert one.steps_per_epoch == 1
    assert order(one, 1) == order(other, 1)
    assert order(one, 0) != order(one, 1)


PAIRS = [
    trace(number, sample, f"{'r' if right else 'w'}{number}", Status.CORRECT if right else Status.WRONG)
    for number in range(5)
    for sample, right in enumerate((True, False))
]


def dpo(**arguments: object) -> RolloutDpo:
    config = DpoConfig(batch_size=2, pairs=PairConfig())
    build: Callable[..., RolloutDpo] = RolloutDpo
    return build(PAIRS, encode, config, 0, 100, **arguments)


def test_a_pair_is_the_right_answer_and_then_the_wrong_one_with_their_own_references() -> None:
    trainer = dpo()
    assert trainer.size == "5 pairs"
    (everything,) = trainer.pieces()
    trainer.reference = [np.full(len(t), float(t[-2]), np.float32) for t in everything.tokens]
    for step in range(5):
        batch = trainer.batch(step)
        assert batch.unit == 2
        first = [chr(t[2]) for t in batch.tokens]
        assert first == ["r", "w"] * 2
        assert [len({int(t[-2]) for t in batch.tokens[i : i + 2]}) for i in (0, 2)] == [1, 1]
        for tokens, column in zip(batch.tokens, batch.columns["reference_logprobs"], strict=True):
            assert (column == float(tokens[-2])).all()


class Reference:
    """A model whose log-probability of a token is its number; it is stopped before piece number `stop`."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.sizes = stop, list[int]()

    def __call__(self, piece: TrainingBatch) -> list[np.ndarray]:
        if len(self.sizes) == self.stop:
            raise Interrupted
        self.sizes.append(len(piece.tokens))
        return [np.where(m, t, 0).astype(np.float32) for t, m in zip(piece.tokens, piece.mask, strict=True)]


def test_reference_log_probabilities_are_resumed_at_the_piece_where_they_were_stopped(tmp_path: Path) -> None:
    trainer = dpo()
    stopped, resumed, again, other = Reference(stop=2), Reference(), Reference(), Reference()
    with pytest.raises(Interrupted):
        reference_logprobs(tmp_path, "model", trainer.pieces(2), stopped)
    assert stopped.sizes == [4, 4]
    rows = reference_logprobs(tmp_path, "model", trainer.pieces(2), resumed)
    assert resumed.sizes == [2]  # the fifth pair alone
    (everything,) = trainer.pieces()
    for row, expected in zip(rows, Reference()(everything), strict=True):
        assert row.dtype == np.float32
        np.testing.assert_array_equal(row, expected)
    reference_logprobs(tmp_path, "model", trainer.pieces(2), again)
    assert again.sizes == []
    # of another model, or of other pairs, nothing is taken over
    reference_logprobs(tmp_path, "another", trainer.pieces(2), other)
    trainer.pairs[0] = trainer.pairs[0][::-1]
    reference_logprobs(tmp_path, "model", trainer.pieces(2), other)
    assert other.sizes == [4, 4, 2, 4]


@pytest.mark.parametrize(
    ("arguments", "said"), [({"loss": "hinge"}, "sigmoid, ipo"), ({"beta": 0.0}, "must be > 0")]
)
def test_a_loss_that_is_none_is_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        dpo(**arguments)


def test_patience_counts_validations_without_a_gain() -> None:
    best, rules = Best(), ValidationConfig(share=0.1, min_gain=0.1)
    losses = [2.0, 1.0, 0.95, 0.99, 0.5, 0.6]
    better = [best.observe(loss, step, rules) for step, loss in enumerate(losses, 1)]
    assert better == [True, True, True, False, True, False]  # a small gain is the best, and yet no gain
    assert (best.loss, best.step, best.without_gain) == (0.5, 5, 1)


def stage_of(folder: Path, files: list[str], unseen: dict[str, list[Problem]]) -> StageInput:
    return StageInput(
        config=RunConfig().for_stages(),
        folder=folder,
        model_path="",
        problems=[],
        heldout=[],
        tokenizer=cast(Any, None),
        stop=cast(Any, None),
        sizes={},
        settings=SftConfig(data=files),
        unseen=unseen,
    )


def test_a_file_of_answers_to_what_is_evaluated_on_is_not_trained_on(tmp_path: Path) -> None:
    write_traces(tmp_path / "mine.parquet", TRACES)
    unseen = {"exam": [Problem("e", TRACES[3].problem.text.upper(), "1")]}
    traces = load_data(stage_of(tmp_path, [str(tmp_path / "mine.parquet")], unseen))
    assert [t.problem.id for t in traces if t.dropped is not None] == [TRACES[3].problem.id]
    assert len(traces) == len(TRACES)


def test_two_problems_of_one_id_are_refused(tmp_path: Path) -> None:
    write_traces(tmp_path / "one.parquet", TRACES[:2])
    other = [replace(t, problem=replace(t.problem, text="another")) for t in TRACES[:2]]
    write_traces(tmp_path / "two.parquet", other)
    files = [str(tmp_path / name) for name in ("one.parquet", "two.parquet")]
    with pytest.raises(DataError, match="two problems have the id 'p0'"):
        load_data(stage_of(tmp_path, files, {}))


def test_what_cannot_be_encoded_is_counted_and_left_out() -> None:
    def strange(one: Trace) -> tuple[list[int], list[int]]:
        if one.problem.id == "p1":
            raise DataError("no token for ☃")
        return encode(one)

    trainer = Sft(TRACES, strange, SftConfig(batch_size=2), 0, 100)
    assert trainer.size == "7 answers"
    assert trainer.left_out["with characters that the tokenizer does not know"] == 1
