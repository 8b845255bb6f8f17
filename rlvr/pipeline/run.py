"""Run a graph: every stage that is not done yet, in order."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.base.disk import DiskError
from rlvr.base.files import atomic_write
from rlvr.base.identity import changes
from rlvr.base.stopping import StopRequest
from rlvr.pipeline.arms import Identity, check_same, is_arm
from rlvr.pipeline.checks import DRAWS, fitting_problems
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.folders import Folders, claimed
from rlvr.pipeline.graph import BASE, EVALUATION, PROBLEMS, Node
from rlvr.pipeline.prepare import HELDOUT, Prepared, prepare
from rlvr.pipeline.status import forget_outcome, read_outcome
from rlvr.pipeline.table import Done, stage_rows
from rlvr.problems.encoder import PromptEncoder, fitting
from rlvr.record.layout import CONTENTS, KEPT, MANIFEST, STAGES, TRACES, UNEVALUATED
from rlvr.record.run_folder import RunFolder, versions
from rlvr.record.runs import read_mapping
from rlvr.results.stage_plot import write_table
from rlvr.stages.config import OpdConfig, RlConfig
from rlvr.types import ConfigError, Problem, RlvrError, RunInterrupted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rlvr.cluster.workers import StandingWorkers
    from rlvr.stages.stage import StageInput

# Settings, beside those of all stages, that a stage's numbers depend on: a resumed run cannot change them.
OF_IDENTITY = (
    *("batch_size", "data", "choose", "pairs", "trainer"),
    *("samples", "chunk"),
    *("problems_per_step", "group_size", "updates_per_step"),
)


def run_pipeline(
    config: RunConfig,
    run_path: str | os.PathLike[str],
    saved_config: str,
    overrides: Sequence[str],
    command: str = "train",
    resumed: bool = False,
    stop: StopRequest | None = None,
) -> Pipeline:
    """Run the stages of a graph that are not done, in the folder `run_path`.

    A run with private stages is continued only if `resumed`. An arm of a sweep, and a run whose stages are
    shared, are always continued. A sweep passes its `stop`, which already handles signals. `command` is the
    command that resumes the run.

    Raises:
        ConfigError, DataError: before anything is started.
        RunInterrupted: the user asked to stop.
    """
    path = Path(run_path)
    prepared = prepare(config, overrides)
    own = config.artefacts is None and not is_arm(path)
    if own and not resumed and (path / "config.yaml").exists():
        raise ConfigError(
            f"{run_path} already holds a run: continue it with resume={run_path}, or choose another folder "
            "with hydra.run.dir=…"
        )
    if is_arm(path):
        check_same(path, Identity.of(config))
    # Heavy imports come after the configuration is checked.
    from rlvr.stages.buffer import Interrupted

    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest()) if stop is None else stop
        run = stack.enter_context(claimed(path, stop) if is_arm(path) else RunFolder(path))
        pipeline = Pipeline(prepared, run.path, stop, stack)
        if is_arm(path) and (outcome := read_outcome(path)) is not None and outcome.done:
            print(f"already done: {path}")  # another process has run it in the meantime
            return pipeline
        # The saved configuration is complete, so the command needs no --config-dir.
        resume = shlex.join(["rlvr", command, f"resume={run.path}"])
        how_to_resume = f"continue with: {resume}" if own else "run the same command again to continue"
        try:
            pipeline.check()
            pipeline.begin()
            forget_outcome(path)
            run.write_config(saved_config)
            run.write_versions()
            _write_json(path / CONTENTS, Identity.of(config).contents)
            pipeline.run()
        except Interrupted:
            raise RunInterrupted(f"stopped; {how_to_resume}") from None
        except DiskError as error:
            raise DiskError(f"{error}; then {how_to_resume}") from error
    return pipeline


class Pipeline:
    """A prepared run that is being executed."""

    def __init__(
        self,
        prepared: Prepared,
        run_path: Path,
        stop: StopRequest,
        stack: ExitStack,
    ) -> None:
        self.prepared, self.config, self.run_path = prepared, prepared.config, run_path
        self.stop, self.stack = stop, stack
        self.folders = Folders.of_run(self.config, run_path)
        self.done: dict[str, Done] = {}  # by name
        self.damaged: set[str] = set()  # nodes whose last checkpoint is damaged

    @property
    def model(self) -> str:
        """The model of the last stage in the chain."""
        chain = [node for node in self.prepared.nodes if node.makes_model and not node.side]
        return self.done[chain[-1].name].made

    def check(self) -> None:
        """Check that a run with private stages can be continued; its files are not changed.

        Raises:
            ConfigError: it was made with other data, model or batch sizes; a later stage has already used
                the output of a stage that would run again; or there is nothing left to do.
        """
        if self.folders.shared is not None:
            return
        for place, node in enumerate(self.prepared.nodes):
            if not self._take_done(node):
                for later in self.prepared.nodes[place + 1 :]:
                    if any((self.folders[later] / "checkpoints").glob("step_*")):
                        raise self._begun_from(later, node)
                return
        if (outcome := read_outcome(self.run_path)) is not None and outcome.done:
            raise self._nothing_to_do()

    def _begun_from(self, later: Node, first: Node) -> ConfigError:
        """The error for a stage `later` that has already used what `first` would now change."""
        if first.kind == "base":
            return ConfigError(
                f"{self.run_path} was made by an earlier version of rlvr and cannot be resumed by this one: "
                f"start a new run, if you like from its model: model.path={self.folders[later]}/checkpoints/…"
            )
        fix = "leave it out" if first.kind in PROBLEMS else f"give {first.name}.steps its old value"
        fix = "restore an intact copy of its last checkpoint" if first.name in self.damaged else fix
        return ConfigError(
            f"{self.folders[later]} has already used the output of the stage {first.name}, which would "
            f"change: {fix}, or start a new run"
        )

    def _nothing_to_do(self) -> ConfigError:
        steps = {name: getattr(self.config.section(name), "steps", None) for name in self.config.stages}
        longer = [f"{name}.steps={2 * count}" for name, count in steps.items() if count]
        more = f"; ask for more, as in {longer[-1]}" if longer else ""
        return ConfigError(f"{self.run_path}: all stages are complete{more}")

    def begin(self) -> None:
        """Make the base model, and check the prompts of all problems with its tokenizer.

        Raises:
            ConfigError: its chat template does not do what problems.prompt asks for.
            DataError: a problem does not fit into `model.max_length`, and none may be left out.
        """
        base, *stages = self.prepared.nodes
        if base.name not in self.done and not self._take_done(base):
            self._make(base)
        left = [node for node in stages if node.name not in self.done]
        if any(not (self.folders.shares(node) and self._take_done(node)) for node in left):
            _ = self.fitting

    def run(self) -> None:
        """Run the stages that are not done.

        Raises:
            Interrupted: the user asked to stop.
        """
        from rlvr.stages.buffer import Interrupted

        where = {
            node.name: os.path.relpath(self.folders[node], self.run_path) for node in self.prepared.nodes
        }
        _write_json(self.run_path / STAGES, where)
        text = ""
        for node in self.prepared.nodes:
            if self.stop:
                raise Interrupted
            if node.name not in self.done and not self._take_done(node):
                self._make(node)
            new = self.done[node.name].new
            if not new:
                print(f"{node.name}: already done, in {self.folders[node]}")
            if self.config.evaluation.every_stage and (new or node is self.prepared.nodes[-1]):
                text = write_table(self.run_path, stage_rows(self.prepared.nodes, self.done))
        print(f"\nmodel:   {self.model}\nrun:     {self.run_path}")
        if self.config.artefacts:
            print(f"stages:  {self.config.artefacts}")
        if text:
            print(f"table:   {self.run_path}/table.md, .csv, .png\n\n{text}")

    def _take_done(self, node: Node) -> bool:
        """Use the output of `node` if it is done; whether it is."""
        path = self.folders[node] / MANIFEST
        manifest = read_mapping(path) if path.exists() else {}
        if not self.folders.shares(node):
            known = "made" in manifest
            if node.makes_model or node.kind == "select":
                # it may be resumed with other settings, as far as its checkpoints allow
                if node.kind != "base":
                    manifest.pop("made", None)
            elif manifest and manifest["key"] != node.key:
                changed = changes(manifest["settings"], node.settings)
                changed += changes(manifest["made_from"], node.made_from)
                raise ConfigError(
                    f"{self.folders[node]} was begun with other settings ({', '.join(changed)}): give the "
                    "old values, or start a new run"
                )
            if node.kind not in ("base", EVALUATION) and (made := self._own_work(node)):
                manifest |= self._manifest(node, manifest) | {"made": made}
                if not known:  # it was killed after its work, before it wrote the manifest
                    _write_json(path, manifest)
        if "made" not in manifest:
            return False
        self._take(node, manifest)
        return True

    def _take(self, node: Node, manifest: Mapping[str, Any], new: bool = False) -> None:
        made, folder = manifest["made"], self.folders[node]
        where = made["outside"] or str(folder / made["path"])
        self.done[node.name] = Done(folder, where, manifest["seconds"], new)

    def _own_work(self, node: Node) -> dict[str, str | None] | None:
        """The output of a private stage, as its files show; None if the stage is not complete.

        Raises ConfigError if it was made with other data, model or batch sizes.
        """
        folder = self.folders[node]
        if not folder.exists():
            return None
        stage = self._stage(node, folder)
        if node.kind == "select":
            from rlvr.stages.select import selected

            return {"path": KEPT, "outside": None} if selected(stage) is not None else None
        if not node.makes_model:
            name = TRACES if node.kind == "distill" else KEPT
            return {"path": name, "outside": None} if (folder / name).exists() else None
        checkpoints, steps = stage.checkpoints(), _steps(stage.settings)
        newest = checkpoints.newest()
        if newest and steps and newest[0] >= steps and not (folder / UNEVALUATED).exists():
            intact = checkpoints.latest_model()
            if intact != newest:
                self.damaged.add(node.name)
            if intact is None or intact[0] < steps:
                return None
            if stage.result() is None:  # it was killed after its last checkpoint
                stage.finish(*intact)
            return {"path": os.path.relpath(intact[1] / "model", folder), "outside": None}
        ended = read_mapping(folder / MANIFEST) if (folder / MANIFEST).exists() else {}
        if ended.get("key") == node.key and (model := stage.result()) is not None:
            return {"path": os.path.relpath(model, folder), "outside": None}
        return None

    def _manifest(self, node: Node, before: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "stage": node.name,
            "kind": node.kind,
            "side": node.side,
            "key": node.key,
            "made_from": node.made_from,
            "settings": node.settings,
            "versions": versions(),
            "seconds": before.get("seconds", 0.0),  # sum over all attempts that were not killed
        }

    def _make(self, node: Node) -> None:
        """Run a stage, or what remains of it."""
        from rlvr.stages.restarts import run_surviving

        folder = self.folders[node]
        with ExitStack() as lock:
            if self.folders.shares(node):
                lock.enter_context(claimed(folder, self.stop))
                if self._take_done(node):  # another process has made it in the meantime
                    return
                self._say_why(node)
            path = folder / MANIFEST
            before = read_mapping(path) if path.exists() else {}
            manifest = self._manifest(node, before)
            _write_json(path, manifest)
            began = time.monotonic()
            try:
                made = run_surviving(partial(self._work, node), self._stage(node, folder))
                manifest["made"] = made
            finally:
                manifest["seconds"] = round(manifest["seconds"] + time.monotonic() - began, 1)
                _write_json(path, manifest)
        self._take(node, manifest, new=True)

    def _say_why(self, node: Node) -> None:
        """Print whether the stage continues, starts, or runs again because something changed, and what."""
        folder = self.folders[node]
        if (folder / MANIFEST).exists():
            print(f"{node.name}: continues in {folder}")
            return
        paths = folder.parent.glob(f"{node.name}-*/{MANIFEST}")
        latest = max(paths, key=lambda path: path.stat().st_mtime, default=None)
        if latest is None:
            print(f"{node.name}: starts")
            return
        before = json.loads(latest.read_text())
        changed = changes(before["settings"], node.settings) + changes(before["made_from"], node.made_from)
        print(f"{node.name}: runs again, {latest.parent.name} is kept; changed: {', '.join(changed)}")

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of all models. Loaded late: the import is slow, and a completed run needs none.

        Raises ConfigError if there is none, or if the base model is one that the run's stages cannot use.
        """
        from rlvr.stages.families import check_checkpoint
        from rlvr.stages.sampling import load_tokenizer

        path = self.done[BASE].made
        tokenizer = load_tokenizer(path)
        kinds = {node.kind for node in self.prepared.nodes}
        check_checkpoint(
            path,
            self.config.model.max_length,
            samples=bool(kinds & {"rl", "opd", "select", "evaluation"}),
            learns=bool(kinds & {"rl", "opd", "warm_start"}),
            updates=bool(kinds & {"rl", "opd"}),
            on_cpu=self.config.rollout.gpus_per_worker == 0,
        )
        return tokenizer

    @cached_property
    def fitting(self) -> tuple[list[Problem], dict[str, list[Problem]]]:
        """The training problems and the evaluation sets without problems that are too long."""
        made = self.prepared
        return fitting_problems(self.config, made.nodes, made.problems, made.sets, self.tokenizer)

    def _fitting(self, node: Node) -> tuple[list[Problem], dict[str, list[Problem]]]:
        """Of `problems.train` and the evaluation sets, what a stage draws answers to."""
        if self.config.problems.prompt.too_long == "error" or node.kind == "base":
            return self.prepared.problems, self.prepared.sets  # all of them fit
        problems, sets = self.fitting
        return problems if node.kind in DRAWS else self.prepared.problems, sets

    @cached_property
    def standing(self) -> StandingWorkers:
        """The run's workers, in a cluster joined or started for them; both are released when the run ends."""
        from rlvr.cluster.ray_cluster import ray_cluster
        from rlvr.cluster.workers import StandingWorkers

        self.stack.enter_context(ray_cluster(self.config.cluster))
        return self.stack.enter_context(StandingWorkers())

    def _stage(self, node: Node, folder: Path) -> StageInput:
        """The input of the stage's runner."""
        from rlvr.stages.stage import StageInput

        problems, sets = self._fitting(node)
        if node.problems is not None:
            problems = self._kept(node.problems, problems) or self._made_problems(node)
        answers_by = node.teacher if node.kind in ("distill", "synthesize") else node.model
        outside = node.outside if node.kind in ("distill", "synthesize") else None
        settings: Any = None if node.kind in ("base", EVALUATION) else self.config.section(node.name)
        sources = {name: self.done[name].made for name in node.data}
        if isinstance(settings, OpdConfig) and node.teacher:
            sources[settings.teacher] = self.done[node.teacher].made
        evaluates = settings is not None and self.config.evaluates_itself(node.name)
        return StageInput(
            config=self.config.for_stages(),
            folder=folder,
            run=self.run_path,
            run_config=asdict(self.config),
            least_problems=self.config.rl.problems_per_step if "rl" in self.config.stages else 0,
            model_path=outside or (self.done[answers_by].made if answers_by else ""),
            problems=problems,
            heldout=sets.get(HELDOUT, []) if evaluates else [],
            unseen=self.prepared.unseen,
            tokenizer=None if node.kind == "base" else self.tokenizer,
            stop=self.stop,
            # the key in a shared stage's folder name already covers these
            sizes={} if self.folders.shares(node) or settings is None else self._sizes(settings),
            settings=settings,
            sources=sources,
        )

    def _made_problems(self, node: Node) -> list[Problem]:
        """The problems that another stage has made; for a stage that draws answers, those that fit."""
        from rlvr.problems.files import from_file

        assert node.problems is not None
        problems = from_file(self.done[node.problems].made)
        if node.kind not in DRAWS:
            return problems
        prompt, limit = self.config.problems.prompt, self.config.model.max_length
        return fitting(
            problems,
            PromptEncoder(prompt, self.tokenizer).lengths(problems),
            self.config.sampling.max_tokens,
            (limit, "model.max_length"),
            prompt.too_long,
            f"{node.name}, with the problems of {node.problems}",
        )

    def _kept(self, select: str, problems: Sequence[Problem]) -> list[Problem]:
        """The problems of problems.train that a selection has kept; empty if it selected from others."""
        node = self.prepared.node(select)
        if node.kind != "select" or node.problems is not None:
            return []
        ids = {
            json.loads(line)["id"] for line in Path(self.done[select].made).read_text().splitlines() if line
        }
        return [problem for problem in problems if problem.id in ids]

    def _sizes(self, settings: Any) -> dict[str, Any]:
        sizes: dict[str, Any] = {"model": asdict(self.config.model)}
        for name in OF_IDENTITY:
            if hasattr(settings, name):
                value = getattr(settings, name)
                sizes[name] = asdict(value) if hasattr(value, "__dataclass_fields__") else value
        if isinstance(settings, RlConfig):
            sizes["order"] = self.config.problems.order
        return sizes

    def _work(self, node: Node, stage: StageInput) -> dict[str, str | None]:
        """Run the stage. Returns where its output is: `path` in its folder, or `outside`."""
        from rlvr.stages.distill import run_distill
        from rlvr.stages.evaluate import run_evaluation
        from rlvr.stages.opd import run_opd
        from rlvr.stages.rl import run_rl
        from rlvr.stages.select import run_select, selected
        from rlvr.stages.synthesize import run_synthesize
        from rlvr.stages.warm_start import run_warm_start

        runners: dict[str, Callable[[StageInput], None]]
        runners = {"warm_start": run_warm_start, "opd": run_opd, "rl": run_rl}
        if node.kind == "base":
            return self._base(stage.folder)
        if node.kind not in runners or stage.result() is None or not self.folders.shares(node):
            stage = replace(stage, standing=self.standing)
        if node.kind == EVALUATION:
            return {"path": run_evaluation(stage, self._fitting(node)[1]).name, "outside": None}
        if node.kind == "distill":
            run_distill(stage)
            return {"path": TRACES, "outside": None}
        if node.kind in PROBLEMS:
            if node.kind == "select":
                run_select(stage)
                selected(stage)
            else:
                run_synthesize(stage)
            return {"path": KEPT, "outside": None}
        if not self.folders.shares(node) or stage.result() is None:
            runners[node.kind](stage)
        if (found := stage.result()) is None:
            raise RlvrError(f"the stage {node.name} ended without a model in {stage.folder}")
        model = Path(found)
        if self.folders.shares(node):
            _keep_model_only(stage.folder / "checkpoints", model)
        return {"path": str(model.relative_to(stage.folder)), "outside": None}

    def _base(self, folder: Path) -> dict[str, str | None]:
        if self.config.model.path is not None:
            return {"path": None, "outside": self.config.model.path}
        from rlvr.stages.scratch import make_scratch

        assert self.prepared.alphabet is not None
        make_scratch(self.config.model, self.config.seed, folder / "model", self.prepared.alphabet)
        return {"path": "model", "outside": None}


def _steps(settings: Any) -> int | None:
    """The number of steps of a stage; None where it depends on the data."""
    loop = settings.loop if isinstance(settings, OpdConfig) else settings
    steps: int | None = loop.steps
    return steps


def _keep_model_only(checkpoints: Path, model: Path) -> None:
    """Delete everything but the model from the checkpoints of a completed stage."""
    assert model.parent.parent == checkpoints, f"{model} is not in {checkpoints}"
    for path in (*checkpoints.iterdir(), *model.parent.iterdir()):
        if path not in (model, model.parent) and path.is_dir():
            shutil.rmtree(path)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=str) + "\n")
