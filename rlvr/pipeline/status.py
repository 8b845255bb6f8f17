"""The state of a stage and of a run. It is decided here and nowhere else.

`outcome.json` in a run's folder says how it ended. A run without one has not begun, is running (its lock is
held, here or on another host), or was killed.
"""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rlvr.base.files import write_json
from rlvr.record.layout import ARM, KEPT, RESULT, RESULTS, RESULTS_TABLE, STAGES, UNEVALUATED
from rlvr.record.run_folder import LOCK, RunFolderError
from rlvr.record.runs import RunRecord, named_stages, read_manifest, read_mapping
from rlvr.record.sinks import stage_metrics
from rlvr.types import ConfigError, DataError, RlvrError, RunInterrupted

OUTCOME = "outcome.json"
VALUE = "heldout/pass@1"  # the metric that rates a run, at its last evaluation
BEGUN = (".hydra", "config.yaml")  # a run that has begun has these in its folder


class State(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"  # by the user
    KILLED = "killed"  # not running, and without an outcome
    FAILED = "failed"
    WAITING = "not begun"
    DONE = "finished"


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: str  # done, stopped or failed
    code: int = 0  # exit code of the command
    reason: str = ""  # why it failed
    value: float | None = None  # VALUE at the last held-out evaluation

    @property
    def done(self) -> bool:
        return self.status == "done"


def read_outcome(folder: Path) -> Outcome | None:
    path = folder / OUTCOME
    return Outcome(**read_mapping(path)) if path.exists() else None


def write_outcome(folder: Path, outcome: Outcome) -> None:
    write_json(folder / OUTCOME, asdict(outcome))


def forget_outcome(folder: Path) -> None:
    """Remove the outcome of an earlier attempt, because the run starts again."""
    (folder / OUTCOME).unlink(missing_ok=True)


class NotOurs(ConfigError):
    """The folder holds a different run from the one that should use it."""


@contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """Write the outcome of the run inside the `with` block to its folder.

    A run that is refused before it begins leaves no folder, unless the folder existed before.
    """
    before = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    try:
        yield
    except (RunFolderError, NotOurs):
        raise  # the folder belongs to another process or another run, and so does its outcome
    except RunInterrupted:
        write_outcome(folder, Outcome("stopped", 130))
        raise
    except (ConfigError, DataError) as error:
        ended = read_outcome(folder)  # a completed run, which this command could not extend, stays done
        if not _leaves_nothing(folder, before) and not (ended is not None and ended.done):
            write_outcome(folder, Outcome("failed", 2, str(error)))
        raise
    except Exception as error:
        unexpected = not isinstance(error, RlvrError)
        reason = f"{type(error).__name__}: {error}" if unexpected else str(error)
        write_outcome(folder, Outcome("failed", 1 if unexpected else 3, reason))
        raise
    write_outcome(folder, Outcome("done", value=last_value(folder)))


def _leaves_nothing(folder: Path, before: set[str]) -> bool:
    """Remove the folder if it holds nothing but Hydra's files; whether it did."""
    if not before <= {".hydra"} or {path.name for path in folder.iterdir()} - {".hydra"}:
        return False
    for path in (folder / ".hydra").glob("*"):
        path.unlink()
    for path in (folder / ".hydra", folder):
        with suppress(OSError):  # not empty: another process's files stay
            path.rmdir()
    return True


def last_value(folder: Path) -> float | None:
    """The last held-out value of a run; None if it has none."""
    for stage in reversed([*named_stages(folder).values()] or [folder / "rl"]):
        metrics = stage_metrics(stage).values()
        if values := [row[VALUE] for row in metrics if row.get(VALUE) is not None]:
            return values[-1]
        if (stage / RESULTS).exists():  # the run evaluates after each stage
            accuracy = read_mapping(stage / RESULTS).get("heldout", {}).get("metrics", {}).get("pass@1", {})
            if accuracy.get("value") is not None:
                return float(accuracy["value"])
    return None


def run_state(run: RunRecord) -> State:
    """The state of a run, of the run that a stage belongs to, or of a stage that was opened alone."""
    if holder(run.folder) is not None:
        return State.RUNNING
    outcome = read_outcome(run.folder)
    if outcome is not None and outcome.status in ("stopped", "failed"):
        return State.STOPPED if outcome.status == "stopped" else State.FAILED
    if (outcome is not None and outcome.done) or is_complete(run):
        return State.DONE
    begun = run.stages or any((run.folder / name).exists() for name in BEGUN)
    return State.KILLED if begun else State.WAITING


def is_complete(run: RunRecord) -> bool:
    """Whether every stage of a run is complete."""
    if run.is_evaluation:
        return (run.folder / RESULTS_TABLE).exists()
    folders = {name: run.folder / name for name in run.config.get("stages", [])}
    folders |= named_stages(run.folder)
    if not any((run.folder / name).exists() for name in (STAGES, "config.yaml")):
        folders = {run.folder.name.partition("-")[0]: run.folder}  # one stage alone
    evaluations = [stage.folder for stage in run.stages if stage.name.endswith("-evaluation")]
    return (
        bool(folders)
        and all(is_done(folder, needed_steps(run.config, name)) for name, folder in folders.items())
        and all((folder / RESULTS).exists() for folder in evaluations)
    )


def is_done(folder: Path, steps: int | None) -> bool:
    """Whether the stage in `folder` is complete. `steps` is how many it needs (None: not known beforehand).

    Raises:
        DataError: its manifest or its result is damaged.
    """
    # the manifest is written when the stage begins; `made` is added when it ends
    if "made" in read_manifest(folder):
        return True
    if (folder / RESULTS).exists() or steps is None:
        return any((folder / name).exists() for name in (RESULTS, RESULT, KEPT))
    if (folder / "checkpoints" / f"step_{steps:06d}").exists() and not (folder / UNEVALUATED).exists():
        return True
    ended = read_mapping(folder / RESULT).get("step") if (folder / RESULT).exists() else None
    return isinstance(ended, int) and ended >= steps


def needed_steps(config: dict[str, Any], stage: str) -> int | None:
    """How many steps `stage` must make to be done; None for one that stops early by its validation loss."""
    section = _section(config, stage) or _section(_section(config, "trainers"), stage)
    return None if _section(section, "validation").get("share") else planned_steps(config, stage)


def planned_steps(config: dict[str, Any], stage: str) -> int | None:
    """How many steps the configuration gives `stage`; None where that depends on its data."""
    section = _section(config, stage) or _section(_section(config, "trainers"), stage)
    steps = (_section(section, "loop") or section).get("steps")
    return steps if isinstance(steps, int) else None


def _section(tree: dict[str, Any], name: str) -> dict[str, Any]:
    """The section `name`, or {} if there is none: an evaluation set may have the name of a setting."""
    found = tree.get(name)
    return found if isinstance(found, dict) else {}


def holder(folder: Path) -> str | None:
    """The process that writes to the run, or stage of a run, in `folder`: `PID on HOST`, or None."""
    # the folder above a run is a sweep's, whose lock is not the run's
    is_run = any((folder / name).exists() for name in (*BEGUN, ARM))
    for home in (folder,) if is_run else (folder, folder.parent):
        if (home / LOCK).exists():
            return _holder(home / LOCK)
    return None


def _holder(lock: Path) -> str | None:
    """The process named in `lock`, if it still holds it; None otherwise.

    On this host the process's open files are checked. Trying the lock would take it for a moment, in which a
    starting run would be refused, so that is done only for other hosts and users.
    """
    named = lock.read_text(errors="replace").strip()
    pid, _, host = named.partition(" on ")
    if host == platform.node() and pid.isdigit():
        try:
            held = any(_leads_to(file, lock) for file in Path(f"/proc/{pid}/fd").iterdir())
            return named if held else None
        except FileNotFoundError:
            return None  # the process has ended
        except PermissionError:
            pass  # the process belongs to another user
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return named
    return None


def _leads_to(link: Path, file: Path) -> bool:
    try:
        return os.path.samefile(link, file)
    except OSError:  # closed by now
        return False
