"""`import rlvr`: runs from Python, and their metrics and rollouts as data frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rlvr.base.imports import find_own_functions
from rlvr.commands.records import print_records
from rlvr.configuration.compose import composed, saved
from rlvr.pipeline.graph import MODELS
from rlvr.pipeline.run import run_pipeline
from rlvr.pipeline.status import State, recorded, run_state
from rlvr.record.runs import RunRecord, named_stages, open_run, read_manifest
from rlvr.record.sinks import stage_metrics
from rlvr.types import DataError

if TYPE_CHECKING:
    import pandas as pd


def train(overrides: Sequence[str]) -> Run:
    """Run `rlvr train OVERRIDES` in this process until it ends.

    `resume=FOLDER` continues a run. The first Ctrl-C stops it with a checkpoint.

    Raises:
        ConfigError, DataError: the settings or the data are wrong; nothing was started.
        RunInterrupted: the user asked to stop.
        RlvrError: the run failed.
    """
    return _run("train", overrides)


def recipe(overrides: Sequence[str]) -> Run:
    """Run `rlvr recipe OVERRIDES` in this process until it ends; otherwise like `train`."""
    return _run("recipe", overrides)


def _run(command: str, overrides: Sequence[str]) -> Run:
    find_own_functions()  # in other processes, too
    config, tree, folder = composed(command, overrides)
    resumed = any(override.startswith("resume=") for override in overrides)
    given = [override for override in overrides if not override.startswith(("resume=", "hydra."))]
    saved_overrides = folder / ".hydra" / "overrides.yaml"  # where Hydra writes them for the command
    saved_overrides.parent.mkdir(parents=True, exist_ok=True)
    saved_overrides.write_text(yaml.safe_dump(given))
    with recorded(folder):
        run_pipeline(config, folder, saved(command, tree), given, command, resumed)
        print_records(folder, curves="rl" in config.stages and not config.evaluation.every_stage)
    return Run(folder)


class Run:
    """A run's folder, finished or not, or the folder of a single stage. It is only read.

    Raises:
        DataError: the folder holds no run, or one of its files is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        open_run(self.folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}): {self.status}"

    @property
    def _record(self) -> RunRecord:
        return open_run(self.folder)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return self._record.config

    @property
    def stages(self) -> dict[str, Path]:
        """Stage → its folder, for the stages that have written metrics or rollouts."""
        return {stage.name: stage.folder for stage in self._record.stages}

    @property
    def status(self) -> State:
        """The run's state: not begun, running, stopped (by the user), killed, failed or finished."""
        return run_state(self._record)

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per step of each stage: `stage`, `step`, and a column per metric."""
        import pandas as pd

        rows = [
            {"stage": name, "step": step, **metrics}
            for name, folder in self.stages.items()
            for step, metrics in stage_metrics(folder).items()
        ]
        return pd.DataFrame(rows)

    def rollouts(
        self, stage: str | None = None, kind: str = "train", step: int | None = None
    ) -> pd.DataFrame:
        """One row per rollout, with its verdict.

        `stage` defaults to the last stage that has rollouts. `kind` is train or heldout. `step` selects one
        step; unset, all. Columns: step, problem_id, problem, answer, sample, text, status, reward, reason,
        extracted, tokens (number sampled), finish_reason, and the value of each reward function as
        `reward/NAME`.

        Raises:
            DataError: the run has no such rollouts.
        """
        import pandas as pd

        from rlvr.record.journal import read_journal

        record = self._record
        recorded = [each for each in record.stages if kind in each.journals() and stage in (None, each.name)]
        if not recorded:
            which = f" of the stage {stage}" if stage else ""
            known = ", ".join(
                f"{each.name} ({', '.join(kinds)})" for each in record.stages if (kinds := each.journals())
            )
            raise DataError(f"{self.folder} has no {kind} rollouts{which}; there are: {known or 'none'}")
        return pd.DataFrame(
            {
                "step": rollout.step,
                "problem_id": group.problem.id,
                "problem": group.problem.text,
                "answer": group.problem.answer,
                "sample": rollout.sample,
                "text": rollout.text,
                "status": str(verdict.status),
                "reward": verdict.reward,
                "reason": verdict.reason,
                "extracted": verdict.extracted,
                "tokens": rollout.num_sampled,
                "finish_reason": str(rollout.finish_reason),
                **{f"reward/{name}": value for name, value in verdict.parts.items()},
            }
            for group in read_journal(recorded[-1].folder, kind, step)
            for rollout, verdict in zip(group.rollouts, group.verdicts, strict=True)
        )

    @property
    def model_path(self) -> str | None:
        """The model of the last completed stage in the chain; None if no stage has made one yet."""
        for folder in reversed(named_stages(self.folder).values()):
            manifest = read_manifest(folder)
            if manifest.get("kind") in MODELS and not manifest.get("side") and "made" in manifest:
                made = manifest["made"]
                return str(made["outside"] or folder / made["path"])
        return None
