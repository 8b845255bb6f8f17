"""What trackers are given, and what one that blocks, raises or has a full disk does to a run: nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from groups import group
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from test_record_run import python

from rlvr.configuration import compose
from rlvr.configuration.keys import config_folder
from rlvr.record import sinks
from rlvr.record.config import RecordConfig
from rlvr.record.sinks import MetricLog, read_metrics
from rlvr.record.trackers import Sample, TrackedStage, wandb
from rlvr.record.trackers.named import named_trackers
from rlvr.record.trackers.samples import LONGEST, pick_samples
from rlvr.record.trackers.thread import LIMIT
from rlvr.types import ConfigError


class Listed:
    """Keeps what it is given, with the thread that gave it."""

    def __init__(self, stage: TrackedStage, seen: list[Any]) -> None:
        self.stage, self.seen = stage, seen

    def _keep(self, *what: Any) -> None:
        self.seen.append((threading.current_thread(), *what))

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self._keep("log", step, metrics)

    def samples(self, step: int, kind: str, rows: Sequence[Sample]) -> None:
        self._keep("samples", step, kind, rows)

    def close(self) -> None:
        self._keep("close")


class Blocks(Listed):
    """Waits for ever in `log`, or until its test has ended."""

    def __init__(self, stage: TrackedStage, until: threading.Event | None = None) -> None:
        self.until = until or threading.Event()

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self.until.wait()

    def close(self) -> None: ...


class Raises(Listed):
    """Raises `error` in the method `where`."""

    def __init__(self, stage: TrackedStage, where: str, error: BaseException) -> None:
        super().__init__(stage, [])
        self.where, self.error = where, error
        self._keep("__init__")

    def _keep(self, *what: Any) -> None:
        if what[0] == self.where:
            raise self.error


class FullDisk(Listed):
    def __init__(self, stage: TrackedStage) -> None:
        self.file = open("/dev/full", "w")  # noqa: SIM115

    def log(self, step: int, metrics: dict[str, float]) -> None:
        print(metrics, file=self.file, flush=True)


class NoTracker:
    def __init__(self, stage: TrackedStage) -> None: ...

    def log(self, step: int, metrics: dict[str, float]) -> None: ...


def listed(seen: list[Any]) -> dict[str, Any]:
    return {"_target_": "test_trackers.Listed", "seen": seen}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("rlvr")]


# what the setting takes


BLOCKS = {"_target_": "test_trackers.Blocks"}
WRONG = {
    "nearest name": (["tensorbord"], r"'tensorbord'.*: tensorboard, wandb, mlflow; did you mean 'tensorb"),
    "no module": (["nowhere.Tracker"], r"record\.trackers: 'nowhere\.Tracker'.*no module 'nowhere'"),
    "no class": (["test_trackers.Blokcs"], r"has no 'Blokcs'.*did you mean 'Blocks'"),
    "no argument": ([BLOCKS | {"util": 1}], r"record\.trackers\.util.*did you mean 'until'"),
    "argument that is given": ([BLOCKS | {"stage": 1}], r"given 'stage' at every call"),
    "missing argument": (["test_trackers.Listed"], r"Listed: missing a required argument: 'seen'"),
    "no tracker": (["test_trackers.NoTracker"], r"NoTracker has no method close: see docs/trackers\.md"),
    "nothing to call": (["test_trackers.WRONG"], r"WRONG is a dict, not callable"),
    "neither name nor path": ([{"url": "x"}], r"\{'url': 'x'\} is neither a name nor"),
    "number": ([3], r"3 is neither a name nor"),
    "twice": (["wandb", {"_target_": "wandb"}], r"has wandb twice"),
    "argument of a name": ([{"_target_": "wandb", "projekt": "x"}], r"did you mean 'project'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_tracker_that_cannot_be_made_is_said_with_what_is_meant(case: str) -> None:
    trackers, message = WRONG[case]
    with pytest.raises(ConfigError, match=message):
        RecordConfig(trackers=trackers)


def test_a_tracker_that_is_not_installed_is_an_error_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="mlflow is not installed: pip install"):
        RecordConfig(trackers=["mlflow"])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("record.trackers=[]", []),
        ("record.trackers=[tensorboard]", [("tensorboard", {})]),
        ("record.wandb_project=mine", [("tensorboard", {}), ("wandb", {"project": "mine"})]),
        ("record.trackers=[{_target_: wandb, project: other}]", [("wandb", {"project": "other"})]),
        (
            'record.trackers=[tensorboard,{_target_: test_trackers.Listed, seen: ["http://x:1"]}]',
            [("tensorboard", {}), ("test_trackers.Listed", {"seen": ["http://x:1"]})],
        ),
    ],
)
def test_trackers_of_the_command_line(given: str, named: list[Any]) -> None:
    compose.register_schema()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose.to_config(hydra_compose("train", [given]))
    assert [
        (name, arguments)
        for name, _, arguments in named_trackers(config.record.trackers, config.record.wandb_project)
    ] == named


# what a tracker may do to a run


def test_a_tracker_gets_everything_in_order_in_a_thread_of_its_own(tmp_path: Path) -> None:
    seen: list[Any] = []
    metrics = {"a": 0.0}
    groups = [group([1.0, None])]
    with MetricLog(tmp_path, RecordConfig([listed(seen)]), {}) as log:
        for step in range(LIMIT // 2):
            metrics["a"] = step
            log.log(step, metrics)
            if step % 10 == 0:
                log.samples(step, "train", groups)
    expected: list[Any] = []
    for step in range(LIMIT // 2):
        expected.append(("log", step, {"a": step}))
        if step % 10 == 0:
            expected.append(("samples", step, "train", pick_samples(groups, 8)))
    assert [row[1:] for row in seen] == [*expected, ("close",)]
    threads = {row[0] for row in seen}
    assert len(threads) == 1
    assert threads.isdisjoint({threading.current_thread()})
    assert all(thread.daemon for thread in threads)


def test_a_tracker_that_blocks_for_ever_keeps_nobody_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "CLOSE_SECONDS", 0.05)
    until, seen, steps = threading.Event(), list[Any](), LIMIT + 50
    blocks = BLOCKS | {"until": until}
    log = MetricLog(tmp_path, RecordConfig([blocks, listed(seen)]), {})
    try:
        for step in range(steps):
            log.log(step, {"a": 1.0})  # would never return
        log.close()
    finally:
        until.set()
    assert warnings(caplog)[0] == (
        f"test_trackers.Blocks is too slow: it lacks {steps} of {steps} steps and tables, and did not close "
        "in time; metrics.jsonl has all metrics"
    )
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == steps
    given = [row[2] for row in seen if row[1] == "log"]
    assert given == sorted(given)  # the other has what it was fast enough for, in order


def test_a_slow_tracker_lacks_what_did_not_fit_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    until = threading.Event()
    log = MetricLog(tmp_path, RecordConfig([BLOCKS | {"until": until}]), {})
    for step in range(LIMIT + 50):
        log.log(step, {})
    until.set()
    log.close()
    (said,) = warnings(caplog)
    # the one that it is at counts as waiting or not, as its thread has been
    assert re.fullmatch(
        rf"test_trackers\.Blocks is too slow: it lacks (49|50) of {LIMIT + 50} steps and tables; .*", said
    )


@pytest.mark.parametrize("error", [OSError("gone"), KeyError("x"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["__init__", "log", "samples", "close"])
def test_a_tracker_that_raises_is_named_once_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str, error: BaseException
) -> None:
    raises = {"_target_": "test_trackers.Raises", "where": where, "error": error}
    seen: list[Any] = []
    with MetricLog(tmp_path, RecordConfig([raises, listed(seen)]), {}) as log:
        for step in range(5):
            log.log(step, {"a": 1.0})
            log.samples(step, "train", [group([1.0])])
    (said,) = warnings(caplog)
    assert said.startswith("test_trackers.Raises failed and gets no more metrics; the run continues")
    assert type(error).__name__ in said
    assert len(seen) == 11
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 5


def test_a_tracker_that_cannot_open_or_whose_disk_is_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tensorboard").write_text("a file where a folder should be")
    config = RecordConfig(["tensorboard", "test_trackers.FullDisk"])
    with MetricLog(tmp_path, config, {}) as log:
        for step in range(3):
            log.log(step, {"train/reward": 0.5})
    first, second = sorted(warnings(caplog))
    assert first.startswith("tensorboard failed")
    assert second.startswith("test_trackers.FullDisk failed")
    assert "No space left on device" in second
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 3


def test_a_tracker_that_never_returns_does_not_keep_the_process(tmp_path: Path) -> None:
    code = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from rlvr.record import sinks
from rlvr.record.config import RecordConfig
sinks.CLOSE_SECONDS = 0.1
with sinks.MetricLog(Path(sys.argv[1]), RecordConfig(["test_trackers.Blocks"]), {}) as log:
    log.log(0, {})
"""
    ended = python(code, tmp_path, *Path(__file__).parents[:2])
    assert ended.returncode == 0
    assert ended.stderr.count("did not close in time") == 1


# which rollouts are shown


def test_samples_are_spread_over_the_groups() -> None:
    groups = [group([1.0, -1.0, None], name=f"p{number}") for number in range(10)]
    for number, each in enumerate(groups):
        for rollout in each.rollouts:
            rollout.text = f"{number}.{rollout.sample}"
    assert [row.answer for row in pick_samples(groups, 5)] == ["0.0", "2.0", "4.0", "6.0", "8.0"]
    assert [row.answer for row in pick_samples(groups[:2], 5)] == ["0.0", "1.0", "0.1", "1.1", "0.2"]
    assert len(pick_samples(groups, 100)) == 30
    assert pick_samples([], 5) == pick_samples(groups, 0) == []
    first, second, third = pick_samples(groups[:1], 3)
    assert [(row.verdict, row.reward) for row in (first, second, third)] == [
        ("correct", 1.0),
        ("wrong", -1.0),
        ("timeout", None),
    ]


def test_a_cell_is_short_and_can_be_encoded() -> None:
    given = group([1.0])
    given.rollouts[0].text = "\ud800" + "a" * 10**6 + "end"
    (row,) = pick_samples([given], 1)
    assert LONGEST - 1 <= len(row.answer) <= LONGEST
    assert row.answer.startswith("?a")
    assert row.answer.endswith("end")
    row.answer.encode()


def test_no_samples_where_none_are_asked_for(tmp_path: Path) -> None:
    seen: list[Any] = []
    with MetricLog(tmp_path, RecordConfig([listed(seen)], samples=0), {}) as log:
        log.samples(1, "train", [group([1.0])])
    assert [row[1:] for row in seen] == [("close",)]


# how a stage is named


def test_a_sweep_is_a_group_of_arms_and_a_recipe_one_of_stages(tmp_path: Path) -> None:
    date = tmp_path / "runs" / "sums" / "today"
    alone = TrackedStage(date / "rl", date, {"name": "sums"})
    assert (alone.experiment, alone.group, alone.arm, alone.name) == ("sums", "sums/today", "today", "rl")
    sweep = tmp_path / "runs" / "sums" / "sweep-0a1b"
    (sweep / "seed=0").mkdir(parents=True)
    (sweep / "seed=0" / "arm.json").touch()
    for name in ("seed=0", "shared"):
        of_sweep = TrackedStage(sweep / name / "sft-2c3d", sweep / name, {})
        assert (of_sweep.group, of_sweep.arm, of_sweep.name) == ("sums/sweep-0a1b", name, "sft")
    recipe = TrackedStage(tmp_path / "runs" / "sums" / "stages" / "dpo-0a1b", tmp_path / "runs/sums/now", {})
    assert (recipe.experiment, recipe.group, recipe.arm, recipe.name) == ("run", "sums/now", "now", "dpo")


@pytest.mark.parametrize(
    ("environment", "login", "expected"),
    [
        ({}, "", "offline"),
        ({"WANDB_API_KEY": "key"}, "", "online"),
        ({}, "machine api.wandb.ai login user password key\n", "online"),
        ({}, "machine wandb.other.org login user password key\n", "offline"),
        ({"WANDB_BASE_URL": "https://wandb.own.org"}, "machine api.wandb.ai login u password k\n", "offline"),
        ({"WANDB_BASE_URL": "https://wandb.own.org"}, "machine wandb.own.org login u password k\n", "online"),
        ({"WANDB_MODE": "online"}, "", "online"),
        ({"WANDB_MODE": "disabled", "WANDB_API_KEY": "key"}, "", "disabled"),
        ({"WANDB_MODE": "offline"}, "machine api.wandb.ai login user password key\n", "offline"),
        ({"WANDB_MODE": "dryrun", "WANDB_API_KEY": "key"}, "", "offline"),
        ({}, "no such syntax {", "offline"),
    ],
)
def test_where_wandb_writes(environment: dict[str, str], login: str, expected: str, tmp_path: Path) -> None:
    if login:
        (tmp_path / ".netrc").write_text(login)
        (tmp_path / ".netrc").chmod(0o600)
    assert wandb.mode(environment | {"HOME": str(tmp_path)}) == expected
