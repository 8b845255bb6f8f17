"""A real sweep, stopped, killed and continued with its own command: nothing is done twice or lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from run_command import Run, complete

from rlvr.pipeline.status import read_outcome
from rlvr.record.journal import read_journal
from rlvr.record.runs import open_run

STEPS, SFT_STEPS = 2, 12
COMMAND = [
    "-m",
    "hydra.sweep.dir=sweep",
    "seed=0",
    "sampling.temperature=0.8,1.0,3",  # the last one is more than vLLM takes
    "stages=[sft,rl]",
    "model.max_length=48",
    "problems.train.level=1",
    "problems.train.n=64",
    "problems.heldout.level=1",
    "problems.heldout.n=12",
    "sampling.max_tokens=16",
    f"sft.steps={SFT_STEPS}",
    "sft.batch_size=32",
    "sft.checkpoint_every=4",
    f"rl.steps={STEPS}",
    "rl.problems_per_step=8",
    "rl.group_size=4",
    "rl.evaluate_every=2",
    "rl.checkpoint_every=1",
    "record.trackers=[]",
]
ARMS = [f"sampling.temperature={value}" for value in ("0.8", "1.0")]


def steps_of(stage: Path) -> list[int]:
    path = stage / "metrics.jsonl"
    return [json.loads(line)["step"] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Run]]:
    """Starts the command; whatever is left of it at the end is killed."""
    started: list[Run] = []

    def start() -> Run:
        started.append(Run.start(tmp_path, "train", *COMMAND))
        return started[-1]

    yield start
    for run in started:
        run.kill()


@pytest.mark.slow
def test_a_sweep_that_is_stopped_and_killed_goes_on_with_its_own_command(
    start: Callable[[], Run], tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    first, second = (sweep / name for name in ARMS)

    def warm_start() -> Path:
        return next(iter(sweep.glob("shared/sft-*")), sweep)

    # a signal: the warm start that is under way gets a checkpoint
    stopped = start()
    stopped.until(lambda: 2 in steps_of(warm_start()), "step 2 of SFT")
    stopped.process.send_signal(signal.SIGTERM)
    assert stopped.wait() == 130, stopped.output.read_text()
    assert "0 of 3 arms are done" in (said := stopped.output.read_text())
    assert "run the same command again to continue" in said
    last = steps_of(warm_start())[-1]
    assert (warm_start() / "checkpoints" / f"step_{last:06d}").is_dir()
    assert not (first / "rl" / "metrics.jsonl").exists()

    # no time for anything
    killed = start()
    killed.until(lambda: 1 in steps_of(first / "rl"), "step 1 of the first arm")
    killed.process.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert read_outcome(first) is None

    code, said = complete(tmp_path, "train", *COMMAND)
    assert code == 2, said  # the arm with a wrong value; the others are done
    assert "1 of 3 arms failed" in said
    assert "sampling.temperature=3: sampling.temperature is 3.0, but must be ≤ 2" in said
    assert "2 of 3 arms are done" in said
    for arm in (first, second):
        outcome = read_outcome(arm)
        assert outcome is not None
        assert outcome.done
        assert outcome.value is not None
        assert steps_of(arm / "rl") == list(range(STEPS + 1))  # none twice
    # one warm start for both, of which no step was done twice either
    (shared,) = sweep.glob("shared/sft-*")
    assert steps_of(shared) == list(range(1, SFT_STEPS + 1))
    for arm in (first, second):
        assert [(s.name, s.folder.resolve()) for s in open_run(arm).stages] == [
            ("sft", shared.resolve()),
            ("rl", (arm / "rl").resolve()),
        ]

    # arms of one seed see the same problems in the same order, whatever else differs
    drawn = [[(g.rollouts[0].step, g.problem.id) for g in read_journal(a / "rl")] for a in (first, second)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 8 * STEPS
