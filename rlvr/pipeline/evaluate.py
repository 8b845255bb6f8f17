"""`rlvr evaluate`: answer, judge, count, compare, write.

What is sampled is kept in `answers`, one folder per set of problems whose name ends in a hash of all that its
samples depend on. So the same command goes on where it was stopped, and another set, or another baseline,
samples only what is new.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.algorithms.config import AlgorithmConfig
from rlvr.base.files import write_json
from rlvr.base.identity import contents, digest, model_fingerprint, that_matter
from rlvr.base.settings import refuse
from rlvr.base.stopping import StopRequest
from rlvr.evaluation.config import evaluation_messages
from rlvr.evaluation.summary import default_ks
from rlvr.learner.config import LearnerConfig
from rlvr.pipeline.arms import Identity
from rlvr.pipeline.evaluate_config import EvaluateConfig
from rlvr.pipeline.status import forget_outcome
from rlvr.problems.benchmarks import ProblemSet, load_sets
from rlvr.problems.config import PromptConfig
from rlvr.problems.order import fingerprint
from rlvr.problems.prompts import encode_prompt, fill_template
from rlvr.record.config import RecordConfig
from rlvr.record.layout import CONTENTS, MANIFEST, RESULTS, STAGES
from rlvr.record.run_folder import RunFolder, versions
from rlvr.record.runs import read_manifest
from rlvr.results.evaluation import OTHER, finish, in_common, keep_baseline, read_results
from rlvr.results.samples import SAMPLES, write_samples
from rlvr.rewards.data_checks import data_messages
from rlvr.rewards.functions import say_unused_columns, validate_reward
from rlvr.rollout.config import SamplingConfig
from rlvr.stages.config import StageConfig
from rlvr.types import DataError, RunInterrupted

if TYPE_CHECKING:
    from rlvr.cluster.workers import StandingWorkers
    from rlvr.stages.evaluate import AnsweredSet

# Where models lie in the folder of a checkpoint, of checkpoints, of a stage or of a run: no deeper, as a
# slip such as model=/ would have the whole disk searched.
MODELS = ("*", "*/model", "checkpoints/*/model", "*/checkpoints/*/model")


@dataclass
class Prepared:
    """A checked evaluation."""

    config: EvaluateConfig
    sets: list[ProblemSet]
    ks: list[int]
    compared: Path | None = None  # folder of an earlier evaluation
    baseline: str | None = None  # checkpoint that is evaluated too

    def prompt(self, of: ProblemSet) -> PromptConfig:
        asked = self.config.problems
        return PromptConfig(asked.template or of.template, asked.system, asked.chat)

    def settings(self) -> dict[str, Any]:
        """What samples depend on beside the model and the set."""
        config = self.config
        return {
            "seed": config.seed,
            "samples": config.samples,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "max_tokens": config.max_tokens,
            "max_length": config.model.max_length,
            "dtype": config.rollout.dtype,
            "reward": that_matter(asdict(config.reward)),
            **contents(asdict(config.reward)),
        }


def prepare(config: EvaluateConfig, folders: Sequence[Path]) -> Prepared:
    """Check an evaluation; nothing is started. `folders` are configuration folders, with the benchmarks.

    Raises:
        ConfigError, DataError: everything that can be known to be wrong before a model is loaded.
    """
    refuse([*_messages(config), *_model_messages("model", config.model.path)])
    messages: list[str] = []
    sets = load_sets(config.problems.sets, config.seed, folders)
    sets = [replace(each, problems=each.problems[: config.problems.limit]) for each in sets]
    prepared = Prepared(config, sets, config.ks or default_ks(config.samples))
    columns = {each.name: {column for p in each.problems for column in p.columns} for each in sets}
    everywhere = sorted(set().union(*columns.values()))
    for each in sets:
        found = validate_reward(config.reward, everywhere, shared=sorted(columns[each.name]))
        messages += [f"{each.name}: {said}" for said in found]
        messages += [f"{each.name}: {said}" for said in data_messages(config.reward, each.problems)]
        for problem in each.problems:
            fill_template(problem, prepared.prompt(each))
    missing = {*config.problems.by} - {*everywhere}
    messages += [f"problems.by names {column!r}, which is a column of no set" for column in sorted(missing)]
    if config.baseline is not None:
        if (Path(config.baseline) / RESULTS).exists():
            prepared.compared = Path(config.baseline)
            in_common(read_results(prepared.compared), {s.name: fingerprint(s.problems) for s in sets})
        else:
            messages += _model_messages("baseline", config.baseline)
            prepared.baseline = config.baseline
    refuse(messages)
    say_unused_columns(config.reward, everywhere)
    return prepared


def _messages(config: EvaluateConfig) -> Iterator[str]:
    if not config.problems.sets:
        yield "problems is empty: name sets, as in problems=[math500,mine.jsonl]"
    yield from evaluation_messages(config.for_stages(), section="")
    if config.cluster.address and config.cluster.cpus:
        yield "cluster.cpus has no effect with cluster.address: the cluster hands out its own cores"


def _model_messages(key: str, path: str) -> Iterator[str]:
    """What is wrong with a checkpoint, as far as its name says."""
    folder = Path(path)
    if (folder / "config.json").exists():
        return
    if not folder.is_dir():
        if path.startswith((".", "/", "~")) or path.count("/") > 1:
            yield f"{key}={path}: there is no such folder"
        return
    inside = _newest_model(folder)
    hint = f"; did you mean {inside}?" if inside else ""
    yield f"{key}={path}: the folder holds no model (no config.json){hint}"


def _newest_model(folder: Path) -> Path | None:
    """The model that was written last where runs and stages keep theirs; none if that cannot be read."""
    found: dict[Path, float] = {}
    for inside in MODELS:
        try:
            found |= {file.parent: file.stat().st_mtime for file in folder.glob(f"{inside}/config.json")}
        except OSError:  # it may be any folder, and this is only for a hint
            continue
    return max(found, key=lambda model: found[model], default=None)


def run_evaluate(
    prepared: Prepared, run_path: str | os.PathLike[str], saved_config: str, stop: StopRequest | None = None
) -> None:
    """Answer what is not answered yet, and write results.json, results.md and samples.parquet.

    Raises:
        ConfigError, DataError: the tokenizer does not fit the problems; nothing is sampled.
        RunInterrupted: the user asked to stop; the same command goes on.
    """
    from rlvr.cluster.workers import StandingWorkers
    from rlvr.stages.buffer import Interrupted

    with ExitStack() as stack:
        run = stack.enter_context(RunFolder(run_path))
        stop = stack.enter_context(StopRequest()) if stop is None else stop
        forget_outcome(run.path)
        run.write_config(saved_config)
        run.write_versions()
        write_json(run.path / CONTENTS, Identity.of(prepared.config).contents)
        config = prepared.config
        asked = [(OTHER, prepared.baseline)] if prepared.baseline else []
        models = [_Model(prepared, path, name) for name, path in [*asked, ("", config.model.path)]]
        try:
            with ExitStack() as cluster, StandingWorkers() as standing:
                if any(model.missing() for model in models):
                    from rlvr.cluster.ray_cluster import ray_cluster

                    cluster.enter_context(ray_cluster(config.cluster))
                for model in models:
                    model.evaluate(run.path / model.name, stop, standing)
        except Interrupted:
            raise RunInterrupted("stopped; the same command goes on from here") from None
        write_json(run.path / STAGES, models[-1].stages(run.path))
        if prepared.compared:
            keep_baseline(prepared.compared, run.path)
        finish(run.path)


def sampled_by(folders: Mapping[str, Path]) -> dict[str, Any]:
    """Set → the versions that its answers were begun with, from their manifest."""
    read = {name: read_manifest(folder) for name, folder in folders.items()}
    return {name: manifest["versions"] for name, manifest in read.items() if "versions" in manifest}


class _Model:
    """One of the models of an evaluation."""

    def __init__(self, prepared: Prepared, path: str, name: str) -> None:
        from rlvr.stages.evaluate import AnsweredSet
        from rlvr.stages.sampling import load_tokenizer

        self.prepared, self.config, self.path, self.name = prepared, prepared.config, path, name
        self.tokenizer = load_tokenizer(path)
        self.length = self._longest()
        settings = prepared.settings()
        self.asked = {
            each.name: settings
            | {
                "model": model_fingerprint(path),
                "problems": fingerprint(each.problems),
                "prompt": asdict(prepared.prompt(each)),
            }
            for each in prepared.sets
        }
        answers = Path(self.config.answers).absolute()
        self.folders = {name: answers / f"{name}-{digest(asked)}" for name, asked in self.asked.items()}
        self.sets = [
            AnsweredSet(
                each.name,
                each.problems,
                prepared.prompt(each),
                self.folders[each.name],
                chunk=self._chunk(self.folders[each.name]),
            )
            for each in prepared.sets
        ]

    def _chunk(self, folder: Path) -> int:
        """Problems of a chunk: as the folder has begun."""
        return int(read_manifest(folder).get("chunk", self.config.chunk))

    def _longest(self) -> int:
        """The sequences' room. Raises DataError where a problem and its answer do not fit."""
        from transformers import AutoConfig

        read = AutoConfig.from_pretrained(self.path).get_text_config()
        limit = self.config.model.max_length or getattr(read, "max_position_embeddings", None)
        key = "model.max_length" if self.config.model.max_length else "the model's own longest sequence"
        longest = 0
        for each in self.prepared.sets:
            for problem in each.problems:
                prompt = len(encode_prompt(problem, self.prepared.prompt(each), self.tokenizer))
                longest = max(longest, prompt + self.config.max_tokens)
                if limit is not None and longest > limit:
                    raise DataError(
                        f"{each.name}, problem {problem.id!r}: {prompt} tokens of prompt and "
                        f"max_tokens={self.config.max_tokens} of answer are more than {key}, {limit}"
                    )
        return self.config.model.max_length or longest

    def missing(self) -> bool:
        return any(not chunk.path.exists() for each in self.sets for chunk in each.chunks())

    def stages(self, run_path: Path) -> dict[str, str]:
        """Set → its folder, for those who read a run's rollouts."""
        return {name: os.path.relpath(folder, run_path) for name, folder in self.folders.items()}

    def evaluate(self, folder: Path, stop: StopRequest, standing: StandingWorkers) -> None:
        """Write samples.parquet and results.json into `folder`, without a comparison.

        Raises:
            Interrupted: the user asked to stop; complete chunks are kept.
        """
        from rlvr.stages.evaluate import answer_sets, count
        from rlvr.stages.stage import StageInput

        with ExitStack() as stack:
            for each in self.sets:
                stack.enter_context(RunFolder(each.folder))
                self._write_manifest(each)
            stage = StageInput(
                config=self._stage_config(),
                folder=Path(self.config.answers),
                model_path=self.path,
                problems=[],
                heldout=[],
                tokenizer=self.tokenizer,
                stop=stop,
                sizes={},
                standing=standing,
            )
            groups = answer_sets(stage, self.sets)
        counted, votes = {}, {}
        for of in self.prepared.sets:
            by = list(dict.fromkeys([*of.by, *self.config.problems.by]))
            counted[of.name], votes[of.name] = count(
                groups[of.name], self.prepared.ks, by, self.config.reward.workers
            )
            about = {"source": of.source, "template": self.prepared.prompt(of).template, "split_by": by}
            counted[of.name] |= about | {"fingerprint": fingerprint(of.problems)}
        write_samples(folder / SAMPLES, groups, votes)
        write_json(
            folder / RESULTS,
            {
                "model": self.path,
                "model_fingerprint": model_fingerprint(self.path),
                "settings": self.prepared.settings(),
                "ks": self.prepared.ks,
                "sets": counted,
                "versions": versions(),
                "sampled_by": sampled_by(self.folders),
            },
        )

    def _write_manifest(self, each: AnsweredSet) -> None:
        path = each.folder / MANIFEST
        if not path.exists():
            asked = self.asked[each.name]
            about = {"stage": "evaluate", "set": each.name, "model": self.path, "chunk": each.chunk}
            write_json(path, about | {"settings": asked, "versions": versions()})

    def _stage_config(self) -> StageConfig:
        """The evaluation as the stages take it."""
        config = self.config
        return StageConfig(
            seed=config.seed,
            max_length=self.length,
            prompt=PromptConfig(),  # each set has its own
            order={},
            sampling=SamplingConfig(),
            algorithm=AlgorithmConfig(),
            learner=LearnerConfig(),
            record=RecordConfig(),
            reward=config.reward,
            rollout=config.rollout,
            evaluation=config.for_stages(),
            cluster=config.cluster,
        )
