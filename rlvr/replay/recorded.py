"""What a run has left of its RL stage: its settings at every step, models to begin with, what was learned."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rlvr.configuration import compose
from rlvr.configuration.arguments import RUNS_OF, SAVED_CONFIG, saved_by
from rlvr.pipeline.config import RunConfig
from rlvr.record.journal import LEARNED, journal_path, read_rows
from rlvr.record.layout import CHANGES
from rlvr.record.runs import named_stages, open_run, read_manifest
from rlvr.stages.checkpoints import Damaged, verify
from rlvr.types import ConfigError, DataError, UpdateRecord

STAGE = "rl"
ARRAYS = ("advantages", "learner_logprobs", "entropies", "corrections")


@dataclass(frozen=True)
class Origin:
    """Models to begin with: the stage's own start, or a checkpoint of it."""

    step: int  # of the checkpoint; 0 is the start
    checkpoint: Path | None


@dataclass(frozen=True)
class Recorded:
    """The RL stage of a run."""

    folder: Path  # of the stage
    config: RunConfig  # as its last steps had it
    start: str  # the model that the stage began with: a folder, or a name on the hub

    def config_at(self, step: int) -> RunConfig:
        """The settings that `step` was made with: a resume may have changed some since.

        Raises:
            DataError: what is written of that is damaged, or is not known to this version.
        """
        tree = OmegaConf.structured(self.config)
        later = [change for change in self._changes() if change[0] >= step]
        try:
            for _, key, value in reversed(later):
                OmegaConf.update(tree, key, value, merge=False)
        except (OmegaConfBaseException, AttributeError) as error:
            raise DataError(f"{self.folder / CHANGES}: {error}") from error
        config = OmegaConf.to_object(tree)
        assert isinstance(config, RunConfig)
        return config

    def changed_after(self) -> list[int]:
        """The steps after which a resume has changed settings."""
        return sorted({step for step, _, _ in self._changes()})

    def _changes(self) -> list[tuple[int, str, object]]:
        """Step after which a setting has changed, its key, and the value that it had before."""
        path = self.folder / CHANGES
        try:
            lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            return [(line["step"], line["key"], line["old"]) for line in lines]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged: {error}") from error

    def steps(self) -> list[int]:
        """The steps whose rollouts are in the journal."""
        paths = journal_path(self.folder, "train", 0).parent.glob("step_*.parquet")
        return sorted(int(path.stem.removeprefix("step_")) for path in paths)

    def origin(self, step: int) -> Origin:
        """The nearest models before `step` from which the journal leads to it without a gap.

        Raises:
            DataError: there are none, or the step is not in the journal; the message names the steps that
                can be replayed.
        """
        journal = set(self.steps())
        for origin in reversed(self._origins()):
            leads = journal.issuperset(range(origin.step + 1, step + 1))
            if origin.step < step and leads and self._is_whole(origin):
                return origin
        origins = [origin for origin in self._origins() if self._is_whole(origin)]
        reachable = {step for origin in origins for step in _without_gap(origin.step + 1, journal)}
        there = f"these can be replayed: {_ranges(reachable)}" if reachable else "no other step can, either"
        if step not in journal:
            raise DataError(f"{self.folder} has no train journal of step {step}; {there}")
        raise DataError(
            f"step {step} of {self.folder} cannot be replayed: the journal leads there neither from a "
            f"checkpoint nor from the stage's start, {self.start}; {there}"
        )

    def _origins(self) -> list[Origin]:
        """The start, unless it is gone, and the checkpoints that have an optimizer's state for one rank."""
        found = [] if self.start_is_gone else [Origin(0, None)]
        learner = self.config.learner
        if learner.zero_stage and learner.workers > 1:  # each rank's file is a part of it
            return found
        for path in sorted((self.folder / "checkpoints").glob("step_*")):
            # of a recipe's stage that is done only the model is left
            if all((path / name).is_file() for name in ("optimizer/layout.json", "loop.json")):
                found.append(Origin(int(path.name.removeprefix("step_")), path))
        return found

    def _is_whole(self, origin: Origin) -> bool:
        if origin.checkpoint is None:
            return True
        try:
            verify(origin.checkpoint)
        except Damaged as damage:
            print(f"rlvr: {origin.checkpoint} is damaged ({damage}); not used", file=sys.stderr, flush=True)
            return False
        return True

    @property
    def start_is_gone(self) -> bool:
        return Path(self.start).is_absolute() and not Path(self.start).is_dir()

    def learned(self, step: int) -> dict[tuple[str, int], UpdateRecord]:
        """(problem, sample) → what the step's journal says that it made of it; empty if it does not.

        Raises:
            DataError: the journal cannot be read.
        """
        rows = read_rows(journal_path(self.folder, "train", step), ("problem_id", "sample", *LEARNED))
        if all(row[name] is None for row in rows for name in LEARNED):
            return {}
        return {
            (row["problem_id"], row["sample"]): UpdateRecord(
                row["left_out"],
                *(None if row[name] is None else np.array(row[name], dtype=np.float32) for name in ARRAYS),
            )
            for row in rows
        }


def open_recorded(path: str | Path) -> Recorded:
    """The RL stage of the run at `path`, or that stage's own folder inside of one.

    Raises:
        DataError, ConfigError: it is no such run, or its files are damaged.
    """
    run = open_run(path)
    home = run.home
    if run.is_evaluation or not (home / "config.yaml").exists():
        raise DataError(f"{path} is no training run with its config.yaml; give a folder like runs/NAME/DATE")
    stage = run.stage(STAGE)
    if stage is None:
        there = ", ".join(stage.name for stage in run.stages) or "none"
        raise DataError(
            f"{path} has no stage {STAGE} that has begun (stages with records: {there}); only reinforcement "
            "learning can be replayed"
        )
    if "train" not in stage.journals():
        raise DataError(
            f"{stage.folder} has no train journal, so nothing is left to replay; a run keeps one unless "
            "record.journal is false"
        )
    config = saved_config(home)
    return Recorded(stage.folder.resolve(), config, _start(home, stage.folder))


def saved_config(home: Path) -> RunConfig:
    """The configuration of the run in `home`; a recipe's is one, too."""
    by = saved_by(home)
    schema = RunConfig if by is None else compose.SCHEMAS[by]
    if schema is not RunConfig:
        assert by is not None
        raise DataError(f"{home} is the folder of {RUNS_OF[by]}, not of a training run")
    compose.register_schema()
    try:
        with initialize_config_dir(config_dir=str(home), version_base="1.3"):
            config = compose.to_config(hydra_compose(SAVED_CONFIG), schema)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(
            f"{home}/config.yaml: {compose.composing_message(error, (), by or 'train')}"
        ) from error
    assert isinstance(config, RunConfig)
    return config


def _start(home: Path, stage: Path) -> str:
    """The model that the RL stage began with: of the stage that its manifest names by its key."""
    key = read_manifest(stage).get("made_from", {}).get("model")
    folders = named_stages(home).values()
    for folder in folders:
        manifest = read_manifest(folder)
        if key is not None and manifest.get("key") == key and "made" in manifest:
            made = manifest["made"]
            return str(made.get("outside") or folder / str(made.get("path")))
    raise DataError(
        f"{home} does not say where the model is that {stage} began with; give the folder of the run that "
        "made the stage"
    )


def _without_gap(first: int, journal: set[int]) -> Iterator[int]:
    while first in journal:
        yield first
        first += 1


def _ranges(steps: Collection[int]) -> str:
    """Steps in as few words as possible.

    >>> _ranges({5, 1, 2, 3})
    '1–3, 5'
    """
    ranges: list[list[int]] = []
    for step in sorted(steps):
        if ranges and ranges[-1][1] == step - 1:
            ranges[-1][1] = step
        else:
            ranges.append([step, step])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in ranges)
