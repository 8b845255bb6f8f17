"""An arm of a sweep: a run of `rlvr train` in a folder named by what it is, and what has become of it.

`arm.json` in its folder says which settings it has; a folder with other settings is refused. `outcome.json`
says how it ended; an arm without one has not begun, runs, or was stopped or killed, and goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlvr.base.files import atomic_write
from rlvr.base.identity import digest, that_matter
from rlvr.pipeline.config import TrainConfig
from rlvr.pipeline.graph import changes
from rlvr.record.run_folder import RunFolderError
from rlvr.record.sinks import read_metrics
from rlvr.rewards.config import RewardConfig
from rlvr.types import ConfigError, DataError, RlvrError

ARM = "arm.json"  # in an arm's folder: the values that make it, and its settings
OUTCOME = "outcome.json"  # beside it, once it has ended
SHARED = "shared"  # beside the arms: the stages that several of them begin with
VALUE = "heldout/pass@1"  # what an arm is worth, at its last evaluation
LONGEST = 100  # characters of a folder's name; file systems take 255 bytes
DONE, FAILED = "done", "failed"


class OtherArm(ConfigError):
    """The folder holds something else than the arm that was to run in it."""


@dataclass(frozen=True)
class Outcome:
    """How an arm ended."""

    status: str  # done or failed
    code: int = 0  # that `rlvr train` ends with
    reason: str = ""  # why it failed
    value: float | None = None  # of the last held-out evaluation

    @property
    def done(self) -> bool:
        return self.status == DONE


@dataclass(frozen=True)
class Arm:
    name: str
    folder: Path
    arguments: list[str]  # what follows `rlvr train` to run it, or to go on with it

    def outcome(self) -> Outcome | None:
        return read_outcome(self.folder)


def arm_name(swept: Sequence[str]) -> str:
    """A folder's name that says which values make the arm, and is another one for other values.

    `swept` are overrides, `key=value`. Where the name must be shortened, or characters be left out, a hash of
    the whole stands behind it.
    """
    plain = ",".join(override.lstrip("+") for override in swept) or "arm"
    safe = re.sub(r"[^\w.=,+-]", "_", plain, flags=re.ASCII)
    return plain if plain == safe and len(plain) <= LONGEST else f"{safe[:LONGEST]}-{digest(plain)}"


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """What an arm's numbers depend on, as JSON gives it back."""
    tree = {key: value for key, value in asdict(config).items() if key not in ("name", "record", "cluster")}
    settings: dict[str, Any] = json.loads(json.dumps(that_matter(tree), default=str))
    settings["reward"] |= reward_deadline(config)
    return settings


def reward_deadline(config: TrainConfig) -> dict[str, float]:
    """The one deadline that numbers depend on: a check that takes longer is a wrong answer.

    Empty for the default, so that arms and stages from before it was written down are still theirs.
    """
    deadline = config.reward.deadline
    return {} if deadline == RewardConfig.deadline else {"deadline": deadline}


def is_arm(folder: Path) -> bool:
    return (folder / ARM).exists()


def check_same(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raises OtherArm if `folder` holds something else than an arm with these settings."""
    if is_arm(folder):
        if found := changes(json.loads((folder / ARM).read_text())["settings"], dict(settings)):
            raise OtherArm(
                f"{folder} holds an arm with other settings ({', '.join(found)}): give the old ones, or the "
                "sweep another folder with hydra.sweep.dir=…"
            )
    elif (folder / "config.yaml").exists():
        raise OtherArm(f"{folder} holds a run that is no arm of a sweep: give another hydra.sweep.dir=…")


def write_arm(folder: Path, swept: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Say in `folder` which arm it holds.

    Raises OtherArm if it holds something else.
    """
    check_same(folder, settings)
    if not is_arm(folder):
        with atomic_write(folder / ARM) as path:
            path.write_text(json.dumps({"overrides": list(swept), "settings": settings}, indent=2) + "\n")


def read_outcome(folder: Path) -> Outcome | None:
    path = folder / OUTCOME
    return Outcome(**json.loads(path.read_text())) if path.exists() else None


def write_outcome(folder: Path, outcome: Outcome) -> None:
    with atomic_write(folder / OUTCOME) as path:
        path.write_text(json.dumps(asdict(outcome)) + "\n")


def forget_outcome(folder: Path) -> None:
    """The arm begins again: how it ended before says nothing of what comes of it now."""
    (folder / OUTCOME).unlink(missing_ok=True)


@contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """Keep how the run of the block ends, if `folder` is an arm's."""
    if not is_arm(folder):
        yield
        return
    try:
        yield
    except (RunFolderError, OtherArm):
        raise  # the folder is another process's, or another arm's, and so is what becomes of it
    except (ConfigError, DataError) as error:
        write_outcome(folder, Outcome(FAILED, 2, str(error)))
        raise
    except Exception as error:
        unexpected = not isinstance(error, RlvrError)
        reason = f"{type(error).__name__}: {error}" if unexpected else str(error)
        write_outcome(folder, Outcome(FAILED, 1 if unexpected else 3, reason))
        raise
    write_outcome(folder, Outcome(DONE, value=last_value(folder)))


def last_value(folder: Path) -> float | None:
    """The last held-out value of a run; None if it has none."""
    path = folder / "rl" / "metrics.jsonl"
    steps = read_metrics(path) if path.exists() else {}
    values = [row[VALUE] for row in steps.values() if row.get(VALUE) is not None]
    return values[-1] if values else None
