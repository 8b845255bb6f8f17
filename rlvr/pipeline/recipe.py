"""Run a recipe: every stage that is not done yet, an evaluation after each that makes a model, the table."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyarrow import compute, parquet

from rlvr.base.files import atomic_write
from rlvr.base.identity import digest, that_matter
from rlvr.pipeline.graph import BASE, MODELS, PROBLEMS, Node, build, changes, section
from rlvr.pipeline.recipe_checks import check_problems, check_recipe
from rlvr.pipeline.recipe_config import RecipeConfig
from rlvr.problems.generated import ALPHABET
from rlvr.problems.load import load_problems
from rlvr.problems.order import fingerprint
from rlvr.problems.prompts import fill_template
from rlvr.problems.templates import from_templates
from rlvr.record.layout import KEPT, MANIFEST, RESULT, STAGES, TRACES
from rlvr.record.run_folder import RunFolder, versions
from rlvr.stages.config import RlConfig
from rlvr.types import DataError, Problem, RlvrError, RunInterrupted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rlvr.results.stage_table import StageResult
    from rlvr.stages.stage import StageInput

TITLES = {
    "base": "base",
    "synthesize": "synthesis",
    "select": "selection",
    "distill": "distillation",
    "rollouts": "rollouts",
    "midtrain": "+ mid-training",
    "sft": "+ SFT",
    "dpo": "+ Rollout DPO",
    "opd": "+ on-policy distillation",
    "rl": "+ RL",
}
HELDOUT = "heldout"  # name of problems.heldout among the evaluation sets


@dataclass
class Prepared:
    """A checked recipe: its graph and its problems."""

    config: RecipeConfig
    nodes: list[Node]
    problems: list[Problem]
    sets: dict[str, list[Problem]]  # evaluation set → problems
    unseen: dict[str, list[Problem]]  # the same, and further sets that nothing may be trained on
    alphabet: str | None  # of a new model
    artefacts: Path

    def folder(self, node: Node) -> Path:
        return self.artefacts / f"{node.name}-{node.key}"

    def done(self, node: Node) -> dict[str, Any] | None:
        """The manifest of a stage that is done; None before."""
        path = self.folder(node) / MANIFEST
        manifest = json.loads(path.read_text()) if path.exists() else {}
        return manifest if "made" in manifest else None


def prepare(config: RecipeConfig, overrides: Sequence[str], absent: list[str] | None = None) -> Prepared:
    """Check a recipe and lay it out; nothing is started.

    A plan gives `absent`, which then takes what is said of problems that cannot be had; they are none there.

    Raises:
        ConfigError, DataError: everything that can be known to be wrong before anything runs.
    """

    def load(key: str, source: dict[str, Any]) -> list[Problem]:
        try:
            return load_problems(key, source)
        except DataError as error:
            if absent is None or "from_hub" not in str(source):
                raise
            absent.append(str(error))
            return []

    check_recipe(config, overrides)
    problems = load("problems.train", config.problems.train)
    sources = {HELDOUT: config.problems.heldout} if config.problems.heldout else {}
    sources |= config.benchmarks
    sets = {
        name: load("problems.heldout" if name == HELDOUT else f"benchmarks.{name}", source)
        for name, source in sources.items()
    }
    further = {name: load(f"unseen.{name}", source) for name, source in config.unseen.items()}
    for problem in (*problems, *(p for one in sets.values() for p in one)):
        fill_template(problem, config.problems.prompt)
    evaluated = [problem for one in sets.values() for problem in one]
    alphabet = _alphabet(config, [*problems, *evaluated]) if config.model.scratch else None
    unseen = sets | further
    nodes = build(config, problems, [problem for one in unseen.values() for problem in one], alphabet)
    if not absent:
        check_problems(config, nodes, problems, unseen)
    return Prepared(config, nodes, problems, sets, unseen, alphabet, Path(config.artefacts).absolute())


def _alphabet(config: RecipeConfig, problems: Sequence[Problem]) -> str:
    """The characters that a new model has tokens for: all that there are, and those of generated problems."""
    texts = [ALPHABET, *(fill_template(problem, config.problems.prompt) for problem in problems)]
    texts += [problem.solution or "" for problem in problems]
    if "synthesize" in config.stages and config.synthesize.templates is not None:
        made = from_templates(config.synthesize.templates, config.synthesize.n, "all", config.seed)
        texts += [problem.text + (problem.solution or "") for problem in made]
    return "".join(sorted({*"".join(texts)}))


def run_recipe(
    config: RecipeConfig, run_path: str | os.PathLike[str], saved_config: str, overrides: Sequence[str]
) -> None:
    """Run what is not done, and write the table into the folder `run_path`.

    Raises:
        ConfigError, DataError: before anything is started; Hydra has made the folder by then.
        RunInterrupted: the user asked to stop; the same command goes on.
    """
    prepared = prepare(config, overrides)
    with RunFolder(run_path) as run:
        run.write_config(saved_config)
        run.write_versions()
        # heavy from here on: the configuration is known to be right
        from rlvr.stages.buffer import Interrupted

        try:
            with ExitStack() as cluster:
                Recipe(prepared, run.path, cluster).run()
        except Interrupted:
            raise RunInterrupted("stopped; the same command goes on from here") from None


class Recipe:
    """A prepared recipe under way."""

    def __init__(self, prepared: Prepared, run_path: Path, cluster: ExitStack) -> None:
        from rlvr.stages.stage import StopRequest

        self.cluster, self.connected = cluster, False
        self.prepared, self.config, self.run_path = prepared, prepared.config, run_path
        self.stop = StopRequest()
        self.made: dict[str, str] = {}  # node → its model, or file of traces or problems
        self.rows: list[StageResult] = []

    def run(self) -> None:
        from rlvr.results.stage_plot import write_table
        from rlvr.stages.buffer import Interrupted

        text = ""
        stages = {
            node.name: os.path.relpath(self.prepared.folder(node), self.run_path)
            for node in self.prepared.nodes
        }
        _write_json(self.run_path / STAGES, stages)
        nodes = self.prepared.nodes
        for node, following in zip(nodes, [*nodes[1:], None], strict=True):
            if self.stop:
                raise Interrupted
            manifest = self.prepared.done(node)
            new = manifest is None
            if manifest is None:
                manifest = self._make(node)
            else:
                print(f"{node.name}: done before, in {self.prepared.folder(node)}")
            made = manifest["made"]
            self.made[node.name] = made["outside"] or str(self.prepared.folder(node) / made["path"])
            self.rows.append(self._row(node, manifest, new))
            if new or following is None or self.prepared.done(following) is None:
                text = write_table(self.run_path, self.rows)
        print(f"\nmodel:   {self.made[self._last()]}\ntable:   {self.run_path}/table.md, .csv, .png")
        print(f"stages:  {self.prepared.artefacts}\n\n{text}")

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Of all models; slow to import, and a recipe that is done needs none."""
        from rlvr.stages.sampling import load_tokenizer

        return load_tokenizer(self.made[BASE])

    def _connect(self) -> None:
        """Join or start the cluster, which ends with the recipe, unless it is there."""
        from rlvr.cluster.ray_cluster import ray_cluster

        if not self.connected:
            self.cluster.enter_context(ray_cluster(self.config.cluster))
            self.connected = True

    def _last(self) -> str:
        """The end of the chain of models."""
        return [node.name for node in self.prepared.nodes if node.kind in MODELS and not node.side][-1]

    def _make(self, node: Node) -> dict[str, Any]:
        """Do a stage's work, or the rest of it; its manifest."""
        from rlvr.stages.restarts import run_surviving

        folder = self.prepared.folder(node)
        with RunFolder(folder):
            if (done := self.prepared.done(node)) is not None:  # by another process, meanwhile
                return done
            self._say_why(node)
            path = folder / MANIFEST
            before = json.loads(path.read_text())["seconds"] if path.exists() else 0.0
            manifest: dict[str, Any] = {
                "stage": node.name,
                "kind": node.kind,
                "key": node.key,
                "made_from": node.made_from,
                "settings": node.settings,
                "versions": versions(),
                "seconds": before,  # of all attempts that were not killed
            }
            _write_json(path, manifest)
            began = time.monotonic()
            try:
                manifest["made"] = run_surviving(partial(self._work, node), self._stage(node, folder))
            finally:
                manifest["seconds"] = round(before + time.monotonic() - began, 1)
                _write_json(path, manifest)
        return manifest

    def _say_why(self, node: Node) -> None:
        """Whether the stage goes on, or is made anew because something has changed, and what."""
        if (self.prepared.folder(node) / MANIFEST).exists():
            print(f"{node.name}: goes on in {self.prepared.folder(node)}")
            return
        paths = self.prepared.artefacts.glob(f"{node.name}-*/{MANIFEST}")
        latest = max(paths, key=lambda path: path.stat().st_mtime, default=None)
        if latest is None:
            print(f"{node.name}: begins")
            return
        before = json.loads(latest.read_text())
        found = changes(before["settings"], node.settings) + changes(before["made_from"], node.made_from)
        print(f"{node.name}: made anew, beside {latest.parent.name}; changed: {', '.join(found)}")

    def _stage(self, node: Node, folder: Path) -> StageInput:
        """What the stage's runner is given."""
        from rlvr.problems.files import from_file
        from rlvr.stages.stage import StageInput

        problems = self.prepared.problems
        if node.problems is not None:
            problems = from_file(self.made[node.problems])
        answers_by = node.teacher if node.kind in ("distill", "synthesize") else node.model
        outside = node.outside if node.kind in ("distill", "synthesize") else None
        settings: Any = None if node.kind == "base" else section(self.config, node.name)
        sources = {name: self.made[name] for name in node.data}
        if node.kind == "opd" and node.teacher:
            sources[settings.teacher] = self.made[node.teacher]
        return StageInput(
            config=self.config.for_stages(),
            run_config=asdict(self.config),
            least_problems=self.config.rl.problems_per_step if "rl" in self.config.stages else 0,
            folder=folder,
            run=self.run_path,
            model_path=outside or (self.made[answers_by] if answers_by else ""),
            problems=problems,
            # the recipe evaluates before and after; in between only if that is asked for
            heldout=self.prepared.sets.get(HELDOUT, []) if _evaluates_itself(settings) else [],
            unseen=self.prepared.unseen,
            tokenizer=None if node.kind == "base" else self.tokenizer,
            stop=self.stop,
            sizes={},  # the folder's name says it all
            settings=settings,
            sources=sources,
        )

    def _work(self, node: Node, stage: StageInput) -> dict[str, str | None]:
        """Where what the stage has made is: `path` in its folder, or `outside`."""
        from rlvr.stages.distill import run_distill
        from rlvr.stages.opd import run_opd
        from rlvr.stages.rl import run_rl
        from rlvr.stages.select import run_select, selected
        from rlvr.stages.synthesize import run_synthesize
        from rlvr.stages.warm_start import run_warm_start

        runners: dict[str, Callable[[StageInput], None]]
        runners = {"warm_start": run_warm_start, "opd": run_opd, "rl": run_rl}
        if node.kind == "base":
            return self._base(stage.folder)
        if node.kind not in runners or stage.result() is None:
            self._connect()
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
        if stage.result() is None:
            runners[node.kind](stage)
        if (found := stage.result()) is None:
            raise RlvrError(f"the stage {node.name} ended without a model in {stage.folder}")
        model = Path(found)
        _keep_model_only(stage.folder / "checkpoints", model)
        return {"path": str(model.relative_to(stage.folder)), "outside": None}

    def _base(self, folder: Path) -> dict[str, str | None]:
        if self.config.model.path is not None:
            return {"path": None, "outside": self.config.model.path}
        from rlvr.stages.scratch import make_scratch

        assert self.prepared.alphabet is not None
        make_scratch(self.config.model, self.config.seed, folder / "model", self.prepared.alphabet)
        return {"path": "model", "outside": None}

    def _row(self, node: Node, manifest: Mapping[str, Any], new: bool) -> StageResult:
        """The stage in the table: its costs, and its model's evaluation."""
        from rlvr.evaluation.metrics import TRUE_STEPS
        from rlvr.record.sinks import read_metrics
        from rlvr.results.stage_table import SetResult, StageResult

        sets: dict[str, SetResult] = {}
        if node.kind in MODELS and self.prepared.sets:
            found = json.loads(self._evaluate(node).read_text())
            for name, result in found.items():
                shares = result["metrics"].get(TRUE_STEPS, {}).get("values")
                if shares is None and "with_steps" in result:  # and they are none
                    shares = [None if value is None else 0.0 for value in result["values"]]
                sets[name] = SetResult(
                    result["problems"],
                    _numbers(result["values"]),
                    result["samples"],
                    result["unreached"],
                    None if shares is None else _numbers(shares),
                    result.get("with_steps", 0),  # which older results do not say
                )
        path = self.prepared.folder(node) / "metrics.jsonl"
        steps = read_metrics(path) if path.exists() else {}
        totals = {
            name: sum(metrics.get(name) or 0 for metrics in steps.values())
            for name in ("tokens/trained", "learner/tokens", "tokens/sampled")
        }
        return StageResult(
            stage=node.name,
            title=TITLES.get(node.name, node.name) if not node.side else f"({node.name})",
            sets=sets,
            steps=max(steps, default=0),
            trained=int(totals["tokens/trained"] or totals["learner/tokens"]),
            sampled=int(totals["tokens/sampled"]) or _drawn(self.prepared.folder(node)),
            seconds=manifest["seconds"],
            data=_data(self.prepared.folder(node)),
            new=new,
            start=node.model,
        )

    def _evaluate(self, node: Node) -> Path:
        """The results of the stage's model, made now if they are not there."""
        from rlvr.record.layout import RESULTS
        from rlvr.stages.evaluate import run_evaluation

        config = self.config
        asked = {
            "settings": {name: value for name, value in asdict(config.evaluation).items() if name != "ks"},
            "max_tokens": config.sampling.max_tokens,
            "reward": that_matter(asdict(config.reward)),
            "dtype": config.rollout.dtype,
            "prompt": asdict(config.problems.prompt),
            "sets": {name: fingerprint(problems) for name, problems in self.prepared.sets.items()},
        }
        folder = self.prepared.folder(node) / f"evaluation-{digest(asked)}"
        if not (folder / RESULTS).exists():
            with RunFolder(folder):
                _write_json(folder / MANIFEST, asked)
                stage = replace(self._stage(node, folder), model_path=self.made[node.name])
                stage.tokenizer = self.tokenizer
                self._connect()
                run_evaluation(stage, self.prepared.sets)
        return folder / RESULTS


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _drawn(folder: Path) -> int:
    """Tokens of a stage's traces, as far as they are known."""
    if not (folder / TRACES).exists():
        return 0
    tokens = parquet.read_table(folder / TRACES, columns=["tokens"]).column("tokens")
    return int(compute.sum(compute.list_value_length(tokens)).as_py() or 0)


def _evaluates_itself(settings: Any) -> bool:
    """Whether a stage's loop is to be evaluated on its way."""
    loop = getattr(settings, "loop", settings)
    return isinstance(loop, RlConfig) and loop.evaluate_every < loop.steps


def _data(folder: Path) -> str:
    """What a stage learned from, or has made, in words."""
    if (folder / RESULT).exists():
        return str(json.loads((folder / RESULT).read_text())["data"])
    if (folder / TRACES).exists():
        return f"{parquet.read_metadata(folder / TRACES).num_rows:,} traces"
    if (folder / KEPT).exists():
        return f"{sum(1 for line in (folder / KEPT).open() if line.strip()):,} problems"
    return ""


def _keep_model_only(checkpoints: Path, model: Path) -> None:
    """Of a stage that is done nothing but its model is needed: the rest of its checkpoints goes."""
    assert model.parent.parent == checkpoints, f"{model} is not in {checkpoints}"
    for path in (*checkpoints.iterdir(), *model.parent.iterdir()):
        if path not in (model, model.parent) and path.is_dir():
            shutil.rmtree(path)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=str) + "\n")
