"""A run: checks first, then the stages one after the other, each from the last one's model."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.base.disk import DiskError
from rlvr.base.files import atomic_write
from rlvr.pipeline.config import TrainConfig
from rlvr.pipeline.train_checks import check_config, check_lengths, check_problems
from rlvr.problems.load import load_problems
from rlvr.problems.prompts import fill_template
from rlvr.record.layout import REPORT, UNEVALUATED
from rlvr.record.layout import STAGES as STAGES_FILE
from rlvr.record.run_folder import RunFolder
from rlvr.types import ConfigError, Problem, RunInterrupted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rlvr.stages.stage import StageInput, StopRequest

Runner = Callable[["StageInput"], None]


def run_stages(
    config: TrainConfig,
    run_path: str | os.PathLike[str],
    saved_config: str,
    overrides: Sequence[str],
    resumed: bool,
) -> None:
    """Run `config.stages` in the folder `run_path`, going on from what is there if `resumed`.

    An arm of a sweep always goes on, from warm starts that it shares with other arms. Prints the table of
    results and where everything lies.

    Raises:
        ConfigError, DataError: before anything is started; Hydra has made the folder by then.
        RunInterrupted: the user asked to stop.
    """
    check_config(config, overrides)
    problems = load_problems("problems.train", config.problems.train)
    heldout = load_problems("problems.heldout", config.problems.heldout) if config.problems.heldout else []
    for problem in (*problems, *heldout):
        fill_template(problem, config.problems.prompt)
    check_problems(config, problems, heldout)
    from rlvr.pipeline.arms import check_same, forget_outcome, is_arm, read_outcome, settings_of
    from rlvr.pipeline.shared import claimed

    path = Path(run_path)
    if not is_arm(path):
        if not resumed and (path / "config.yaml").exists():
            raise ConfigError(
                f"{run_path} holds a run: resume={run_path} goes on with it; or name another hydra.run.dir"
            )
        with RunFolder(path) as run:
            _run(config, run, problems, heldout, saved_config)
        return
    check_same(path, settings_of(config))
    with claimed(path, stop_request()) as run:
        if (outcome := read_outcome(path)) is not None and outcome.done:  # by another process, meanwhile
            print(f"done before: {path}")
        else:
            forget_outcome(path)
            _run(config, run, problems, heldout, saved_config)


def stop_request() -> StopRequest:
    """The one that listens already, as it does all through a sweep, or else a new one."""
    from rlvr.stages.stage import StopRequest

    listening = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return listening if isinstance(listening, StopRequest) else StopRequest()


def _run(
    config: TrainConfig, run: RunFolder, problems: list[Problem], heldout: list[Problem], saved_config: str
) -> None:
    # heavy from here on: the configuration is known to be right
    from rlvr.cluster.ray_cluster import ray_cluster
    from rlvr.stages.buffer import Interrupted
    from rlvr.stages.restarts import run_surviving
    from rlvr.stages.select import selected

    tokenizer = _tokenizer(config, run.path / "scratch_model")
    check_lengths(config, problems, heldout, tokenizer)
    folders = _folders(config, run, problems, heldout)
    stages, model_path = _to_do(config, folders, run.path, problems, heldout, tokenizer)
    try:
        run.write_config(saved_config)
        run.write_versions()
        now: list[Problem] | None = None  # what a selection of this run has kept
        with ray_cluster(config.cluster) if stages else nullcontext():
            for runner, stage in stages:
                stage.problems = now or stage.problems
                if stage.folder.parent == run.path:
                    run_surviving(runner, stage)
                else:
                    _run_shared(runner, stage)
                now = selected(stage) if stage.name == "select" else now
    except Interrupted:
        raise RunInterrupted(f"stopped; go on with: rlvr train resume={run.path}") from None
    except DiskError as error:
        raise DiskError(f"{error}; then go on with: rlvr train resume={run.path}") from error
    print(f"\nmodel:   {model_path}\nrun:     {run.path}")


def _folders(
    config: TrainConfig, run: RunFolder, problems: list[Problem], heldout: list[Problem]
) -> dict[str, Path]:
    """Stage → its folder: in the run's, or beside it if arms of a sweep share it, which stages.json says."""
    from rlvr.pipeline.arms import SHARED, is_arm
    from rlvr.pipeline.shared import shared_stages

    if not is_arm(run.path):
        return {name: run.stage(name) for name in config.stages}
    shared = shared_stages(config, problems, heldout, run.path.parent / SHARED)
    folders = {name: shared[name] if name in shared else run.stage(name) for name in config.stages}
    with atomic_write(run.path / STAGES_FILE) as path:
        there = {name: os.path.relpath(folder, run.path) for name, folder in folders.items()}
        path.write_text(json.dumps(there, indent=2) + "\n")
    return folders


def _run_shared(runner: Runner, stage: StageInput) -> None:
    """Make what several arms begin with, unless another process makes it meanwhile."""
    from rlvr.pipeline.shared import claimed
    from rlvr.stages.restarts import run_surviving

    with claimed(stage.folder, stage.stop):
        if stage.result() is None:
            run_surviving(runner, stage)


def _to_do(
    config: TrainConfig,
    folders: dict[str, Path],
    run_path: Path,
    problems: list[Problem],
    heldout: list[Problem],
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[list[tuple[Runner, StageInput]], str]:
    """The stages that have not done their steps, each with what runs it, and the last one's model.

    Raises:
        ConfigError: there are none and the run has its report (one that was killed at its very end lacks it,
            and an arm its outcome), or a stage has begun from what one before it would change now.
    """
    from rlvr.pipeline.arms import is_arm
    from rlvr.stages.rl import run_rl
    from rlvr.stages.select import run_select, selected
    from rlvr.stages.stage import StageInput
    from rlvr.stages.warm_start import run_warm_start

    runners: dict[str, Runner] = {"sft": run_warm_start, "select": run_select, "rl": run_rl}
    sizes = _sizes(config)
    steps = {"sft": config.sft.steps or 0, "rl": config.rl.steps}
    settings = {"sft": config.sft, "select": config.select, "rl": config.rl}
    model_path = config.model.path or str(run_path / "scratch_model")
    stop = stop_request()
    stages: list[tuple[Runner, StageInput]] = []
    damaged: set[str] = set()  # stages whose last checkpoint is
    for name in config.stages:
        folder = folders[name]
        stage = StageInput(
            config.for_stages(),
            folder,
            model_path,
            problems,
            heldout,
            tokenizer,
            stop,
            sizes[name],
            settings[name],
        )
        stage.run_config = asdict(config)
        stage.least_problems = config.rl.problems_per_step if "rl" in config.stages else 0
        stage.unseen = {"heldout": heldout} if heldout else {}
        if name == "select":
            # what it keeps is known once it is done; until then no later stage can have begun
            kept = selected(stage)
            if kept is None:
                stages.append((run_select, stage))
            problems = kept or problems
            continue
        checkpoints = stage.checkpoints()
        found = newest = checkpoints.newest()  # a stage that goes on verifies it
        if newest and newest[0] >= steps[name] and not (folder / UNEVALUATED).exists():
            found = checkpoints.latest_model()
            damaged |= {name} if found != newest else set()
        if found is None or found[0] < steps[name] or (folder / UNEVALUATED).exists():
            stages.append((runners[name], stage))
            model_path = str(_model(folder, steps[name]))
        else:
            model_path = str(found[1] / "model")
            if stage.result() is None:  # it was killed at its very end
                stage.finish(found[0], found[1])
        if found and len(stages) > 1:
            raise _begun_from(folder, stages[0][1].folder.name, damaged)
    if not stages and (run_path / REPORT).exists() and not is_arm(run_path):
        longer = [f"{name}.steps={2 * steps[name]}" for name in config.stages if name in steps]
        more = f"; ask for more, as in {longer[-1]}" if longer else ""
        raise ConfigError(f"{run_path}: all stages have done their steps{more}")
    return stages, model_path


def _begun_from(folder: Path, first: str, damaged: Collection[str]) -> ConfigError:
    """What to say where the stage in `folder` has begun from what the stage `first` would change."""
    mend = "leave it out" if first == "select" else f"give {first}.steps its old value"
    mend = "put back a whole copy of its last checkpoint" if first in damaged else mend
    return ConfigError(
        f"{folder} has begun from what the stage {first} would change: {mend}, or start a new run"
    )


def _sizes(config: TrainConfig) -> dict[str, dict[str, Any]]:
    """Stage → what its numbers depend on beside what all stages have: another value is another run."""
    model = {"model": asdict(config.model)}
    return {
        "select": model | {"samples": config.select.samples, "chunk": config.select.chunk},
        "sft": model
        | {
            "batch_size": config.sft.batch_size,
            "data": config.sft.data,
            "choose": asdict(config.sft.choose),
            "trainer": config.sft.trainer,
        },
        "rl": model
        | {
            "problems_per_step": config.rl.problems_per_step,
            "group_size": config.rl.group_size,
            "updates_per_step": config.rl.updates_per_step,
            "order": config.problems.order,
        },
    }


def _model(stage: Path, step: int) -> Path:
    """Where a stage's checkpoint of its last step keeps the model."""
    return stage / "checkpoints" / f"step_{step:06d}" / "model"


def _tokenizer(config: TrainConfig, scratch: Path) -> PreTrainedTokenizerBase:
    """The model's tokenizer; the model is made first where the configuration asks for a new one."""
    from rlvr.problems.generated import ALPHABET
    from rlvr.stages.sampling import load_tokenizer
    from rlvr.stages.scratch import make_scratch

    if config.model.scratch and not (scratch / "tokenizer_config.json").exists():
        make_scratch(config.model, config.seed, scratch, ALPHABET)
    return load_tokenizer(config.model.path or scratch)
