"""`rlvr evaluate`: sample answers, judge them, compute metrics, compare, write.

Sampled answers are kept in `answers`, one folder per problem set. Its name ends in a hash of everything that
the samples depend on. So the same command continues where it was stopped, and with another set or another
baseline only the missing answers are sampled.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
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
from rlvr.problems.encoder import PromptEncoder, fitting
from rlvr.problems.order import fingerprint
from rlvr.problems.prompts import check_prompts
from rlvr.record.config import RecordConfig
from rlvr.record.layout import CONTENTS, MANIFEST, RESULTS, STAGES
from rlvr.record.run_folder import RunFolder, versions
from rlvr.record.runs import read_manifest
from rlvr.results.evaluation import OTHER, finish, in_common, keep_baseline, read_results
from rlvr.results.samples import SAMPLES, write_samples
from rlvr.rewards.config import judged_by
from rlvr.rewards.data_checks import data_messages
from rlvr.rewards.functions import say_unused_columns, validate_reward
from rlvr.rollout.config import DecodingConfig, SamplingConfig, token_messages
from rlvr.stages.config import StageConfig
from rlvr.types import ConfigError, Problem, RunInterrupted

if TYPE_CHECKING:
    from rlvr.cluster.workers import StandingWorkers
    from rlvr.stages.evaluate import AnsweredSet

# Where models are in the folder of a checkpoint, of checkpoints, of a stage or of a run. The search goes no
# deeper: a slip such as model=/ would search the whole disk.
MODELS = ("*", "*/model", "checkpoints/*/model", "*/checkpoints/*/model")


@dataclass
class Prepared:
    """A checked evaluation."""

    config: EvaluateConfig
    sets: list[ProblemSet]
    ks: list[int]
    compared: Path | None = None  # baseline: the folder of an earlier evaluation
    baseline: str | None = None  # baseline: a checkpoint that is evaluated, too

    def prompt(self, problem_set: ProblemSet) -> PromptConfig:
        asked = self.config.problems
        return PromptConfig(
            asked.template or problem_set.template,
            asked.system,
            asked.chat,
            asked.chat_template_kwargs,
            asked.too_long,
        )

    def stop(self, problem_set: ProblemSet) -> list[str] | None:
        """The strings that end an answer."""
        return problem_set.stop if self.config.stop is None else self.config.stop

    def settings(self) -> dict[str, Any]:
        """The settings that samples depend on, beside the model and the set."""
        config = self.config
        decoding = {item.name: getattr(config, item.name) for item in fields(DecodingConfig)}
        return that_matter(decoding) | {
            "seed": config.seed,
            "samples": config.samples,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "max_tokens": config.max_tokens,
            "max_length": config.model.max_length,
            "dtype": config.rollout.dtype,
            "reward": judged_by(config.reward),
            **contents(asdict(config.reward)),
        }


def prepare(config: EvaluateConfig, folders: Sequence[Path]) -> Prepared:
    """Check an evaluation; nothing is started. `folders` are configuration folders, with the benchmarks.

    Raises:
        ConfigError, DataError: everything that can be found wrong before a model is loaded.
    """
    refuse([*_messages(config), *_model_messages("model", config.model.path)])
    messages: list[str] = []
    sets = load_sets(config.problems.sets, config.seed, folders)
    sets = [replace(each, problems=each.problems[: config.problems.limit]) for each in sets]
    prepared = Prepared(config, sets, config.ks or default_ks(config.samples))
    columns = {each.name: {column for p in each.problems for column in p.columns} for each in sets}
    everywhere = sorted(set().union(*columns.values()))
    for each in sets:
        wrong = validate_reward(config.reward, everywhere, shared=sorted(columns[each.name]))
        messages += [f"{each.name}: {said}" for said in wrong]
        messages += [f"{each.name}: {said}" for said in data_messages(config.reward, each.problems)]
        check_prompts(each.problems, prepared.prompt(each))
    missing = {*config.problems.by} - {*everywhere}
    messages += [f"problems.by names {column!r}, which no set has as a column" for column in sorted(missing)]
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
    yield from evaluation_messages(config.for_stages(), config.max_tokens, section="")
    if config.cluster.address and config.cluster.cpus:
        yield "cluster.cpus has no effect with cluster.address: that cluster assigns its own cores"


def _model_messages(key: str, path: str) -> Iterator[str]:
    """What is wrong with a checkpoint's path; nothing for a possible hub name."""
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
    """The newest model where runs and stages keep theirs; None if there is none, or it cannot be read."""
    modified: dict[Path, float] = {}
    for inside in MODELS:
        try:
            modified |= {file.parent: file.stat().st_mtime for file in folder.glob(f"{inside}/config.json")}
        except OSError:  # any folder may be given, and this is only for a hint
            continue
    return max(modified, key=lambda model: modified[model], default=None)


def run_evaluate(
    prepared: Prepared, run_path: str | os.PathLike[str], saved_config: str, stop: StopRequest | None = None
) -> None:
    """Sample the missing answers, and write results.json, results.md and samples.parquet.

    Raises:
        ConfigError, DataError: the tokenizer does not fit the problems; nothing is sampled.
        RunInterrupted: the user asked to stop; the same command continues.
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
            raise RunInterrupted("stopped; run the same command again to continue") from None
        write_json(run.path / STAGES, models[-1].stages(run.path))
        if prepared.compared:
            keep_baseline(prepared.compared, run.path)
        finish(run.path)


def sampled_by(folders: Mapping[str, Path]) -> dict[str, Any]:
    """Set → the versions of the packages when sampling of its answers began, from the manifest."""
    read = {name: read_manifest(folder) for name, folder in folders.items()}
    return {name: manifest["versions"] for name, manifest in read.items() if "versions" in manifest}


class _Model:
    """One of the models of an evaluation."""

    def __init__(self, prepared: Prepared, path: str, name: str) -> None:
        from rlvr.stages.evaluate import AnsweredSet
        from rlvr.stages.families import check_checkpoint
        from rlvr.stages.sampling import load_tokenizer

        self.prepared, self.config, self.path, self.name = prepared, prepared.config, path, name
        self.tokenizer = load_tokenizer(path)
        refuse(token_messages(self.config, "", max(self.tokenizer.get_vocab().values())))
        on_cpu = self.config.rollout.gpus_per_worker == 0
        check_checkpoint(path, self.config.model.max_length, samples=True, on_cpu=on_cpu)
        self.fitting, self.length = self._fitting()
        settings = prepared.settings()
        self.asked = {
            each.name: settings
            | that_matter({"stop": prepared.stop(each)})
            | {
                "model": model_fingerprint(path),
                "problems": fingerprint(each.problems),
                "prompt": prepared.prompt(each).identity(),
            }
            for each in prepared.sets
        }
        answers = Path(self.config.answers).absolute()
        self.folders = {name: answers / f"{name}-{digest(asked)}" for name, asked in self.asked.items()}
        self.sets = [
            AnsweredSet(
                each.name,
                self.fitting[each.name],
                prepared.prompt(each),
                self.folders[each.name],
                chunk=self._chunk(self.folders[each.name]),
                stop=prepared.stop(each),
            )
            for each in prepared.sets
        ]

    def _chunk(self, folder: Path) -> int:
        """Problems per chunk: as in the folder's manifest, if it has begun."""
        return int(read_manifest(folder).get("chunk", self.config.chunk))

    def _fitting(self) -> tuple[dict[str, list[Problem]], int]:
        """Set → its problems that fit into the longest sequence, and that sequence's length, in tokens.

        Raises:
            ConfigError: the model depends on that length, and it is not given.
            DataError: a problem and its answer exceed it, and none may be left out.
        """
        from transformers import AutoConfig

        from rlvr.stages.families import longrope_original

        read = AutoConfig.from_pretrained(self.path).get_text_config()
        original = longrope_original(read)
        if original is not None and self.config.model.max_length is None:
            raise ConfigError(
                f"{self.path} has LongRoPE: up to model.max_length={original} it is one model, above it "
                "another. Give model.max_length, that of its training"
            )
        limit = self.config.model.max_length or getattr(read, "max_position_embeddings", None)
        key = "model.max_length" if self.config.model.max_length else "the model's own longest sequence"
        kept: dict[str, list[Problem]] = {}
        longest = 0
        for each in self.prepared.sets:
            lengths = PromptEncoder(self.prepared.prompt(each), self.tokenizer).lengths(each.problems)
            kept[each.name] = fitting(
                each.problems,
                lengths,
                self.config.max_tokens,
                (limit or sys.maxsize, key),
                self.config.problems.too_long,
                each.name,
            )
            whole = (length + self.config.max_tokens for length in lengths)
            longest = max(longest, *(size for size in whole if limit is None or size <= limit))
        return kept, self.config.model.max_length or longest

    def missing(self) -> bool:
        return any(not chunk.path.exists() for each in self.sets for chunk in each.chunks())

    def stages(self, run_path: Path) -> dict[str, str]:
        """Set → its folder, for readers of the run's rollouts."""
        return {name: os.path.relpath(folder, run_path) for name, folder in self.folders.items()}

    def evaluate(self, folder: Path, stop: StopRequest, standing: StandingWorkers) -> None:
        """Write samples.parquet and results.json into `folder`, without a comparison.

        Raises:
            Interrupted: the user asked to stop; complete chunks are kept.
        """
        from rlvr.stages.evaluate import answer_sets, count
        from rlvr.stages.stage import StageInput

        with ExitStack() as stack:
            for answered in self.sets:
                stack.enter_context(RunFolder(answered.folder))
                self._write_manifest(answered)
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
        for each in self.prepared.sets:
            by = list(dict.fromkeys([*each.by, *self.config.problems.by]))
            counted[each.name], votes[each.name] = count(
                groups[each.name], self.prepared.ks, by, self.config.reward.workers
            )
            about = {"source": each.source, "template": self.prepared.prompt(each).template, "split_by": by}
            about |= that_matter({"stop": self.prepared.stop(each)})
            counted[each.name] |= about | {"fingerprint": fingerprint(each.problems)}
            counted[each.name]["too_long"] = len(each.problems) - len(self.fitting[each.name])  # left out
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
        """The evaluation's settings in the form that stages take."""
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
