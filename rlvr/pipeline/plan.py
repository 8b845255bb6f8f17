"""`--plan`: the stages of a run and what they need, without loading a model or starting anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rlvr.base.text import aligned
from rlvr.learner.config import LearnerConfig
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.folders import Folders
from rlvr.pipeline.graph import EVALUATION, MODELS, PROBLEMS, Node
from rlvr.pipeline.prepare import Prepared, prepare
from rlvr.pipeline.sizes import (
    ModelSizes,
    NotHere,
    checkpoint_bytes,
    learner_bytes,
    model_sizes,
    rollout_bytes,
    shown,
)
from rlvr.record.runs import read_manifest
from rlvr.stages.config import RlConfig
from rlvr.types import ConfigError

HEAD = ["stage", "state", "starts from", "reads", "steps", "tokens trained", "tokens sampled", "disk"]
NONE = "–"
UNKNOWN = "unknown"  # depends on data that does not exist yet
STAGES_OF_ZERO = (0, 1, 2, 3)


@dataclass(frozen=True)
class Need:
    """Upper bounds of a stage's steps and tokens; None where they depend on data that does not exist yet."""

    steps: int | None = 0
    trained: int | None = 0  # tokens
    sampled: int = 0  # tokens


def print_plan(config: RunConfig, overrides: Sequence[str]) -> None:
    """Check the recipe and print its plan.

    Raises:
        ConfigError, DataError: the same as running it would raise before anything is started.
    """
    # A plan downloads nothing: what is not on this machine is listed as missing.
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    absent: list[str] = []
    prepared = prepare(config, overrides, absent)
    source = config.model.scratch or str(config.model.path)
    sizes = model_sizes(source, prepared.alphabet)
    count = f"{len(prepared.problems):,} problems" if prepared.problems else "problems not downloaded yet"
    where = f", stages in {config.artefacts}" if config.artefacts else ""
    print(f"{config.name}: {count}{where}\n")
    print(stage_table(prepared, sizes))
    print(
        "\nToken counts are upper bounds: every answer at its token limit. Tokens sampled include the "
        f"evaluation after each stage.\n{UNKNOWN}: depends on data that does not exist yet.\n"
    )
    if isinstance(sizes, ModelSizes):
        print(memory_table(config, sizes))
    missing = [*absent, *missing_things(prepared, sizes)]
    print("\nmissing: " + ("nothing" if not missing else "".join(f"\n- {what}" for what in missing)))


def stage_table(prepared: Prepared, sizes: ModelSizes | NotHere) -> str:
    """One row per stage, with its state: done, begun or to do."""
    config = prepared.config
    rows = [HEAD]
    evaluated = sum(map(len, prepared.sets.values())) * config.evaluation.samples
    evaluated *= config.evaluation.max_tokens or config.sampling.max_tokens
    nothing = NONE if prepared.problems and all(prepared.sets.values()) else UNKNOWN
    for node in _stages(prepared):
        need = stage_need(prepared, node)
        sampled = need.sampled + (evaluated if node.makes_model and config.evaluation.every_stage else 0)
        trains = node.kind in MODELS and node.kind != "base"
        disk = NONE
        if trains and isinstance(sizes, ModelSizes):
            disk = shown(checkpoint_bytes(sizes, config.learner).peak)
        reads = [node.problems, *node.data, *node.files]
        if node.kind == "warm_start" and not node.data and not node.files:
            reads.append("solutions")
        rows.append(
            [
                node.name,
                _state(prepared, node),
                node.model or node.teacher or node.outside or NONE,
                ", ".join(name for name in reads if name) or NONE,
                UNKNOWN if need.steps is None else (f"{need.steps:,}" if need.steps else NONE),
                UNKNOWN if need.trained is None else (f"{need.trained:,}" if need.trained else NONE),
                f"{sampled:,}" if sampled else nothing,
                disk,
            ]
        )
    return aligned(rows)


def _stages(prepared: Prepared) -> list[Node]:
    return [node for node in prepared.nodes if node.kind != EVALUATION]


def _state(prepared: Prepared, node: Node) -> str:
    if prepared.config.artefacts is None:
        return "to do"  # a new run with private stages starts from the beginning
    manifest = read_manifest(Folders(Path(), Path(prepared.config.artefacts))[node])
    return "done" if "made" in manifest else "begun" if manifest else "to do"


def stage_need(prepared: Prepared, node: Node) -> Need:
    """Upper bounds of a stage's steps and tokens, from the settings alone."""
    config = prepared.config
    if node.kind == "base":
        return Need()
    settings, problems = config.section(node.name), most_problems(prepared, node)
    if node.kind in PROBLEMS or node.kind == "distill":
        longest = getattr(settings, "max_tokens", None) or config.sampling.max_tokens
        if node.kind == "synthesize":
            return Need(sampled=problems * settings.proposals * (1 + settings.solutions) * longest)
        return Need(sampled=problems * settings.samples * longest)
    if node.kind == "warm_start":
        if settings.steps is None:
            return Need(None, None)
        rows = 2 if node.name == "dpo" else 1
        return Need(settings.steps, settings.steps * settings.batch_size * rows * config.model.max_length)
    loop: RlConfig = settings.loop if node.kind == "opd" else settings
    tokens = loop.steps * loop.problems_per_step * loop.group_size * config.sampling.max_tokens
    return Need(loop.steps * loop.updates_per_step, tokens, tokens)


def most_problems(prepared: Prepared, node: Node) -> int:
    """How many problems the stage can read at most: problems.train, and new ones from an earlier stage."""
    if node.problems is None:
        return len(prepared.problems)
    (source,) = (other for other in prepared.nodes if other.name == node.problems)
    count = most_problems(prepared, source)
    if source.kind == "synthesize":
        settings = prepared.config.synthesize
        count += count * settings.proposals + (settings.n if settings.templates is not None else 0)
    return count


def memory_table(config: RunConfig, sizes: ModelSizes) -> str:
    """Memory per device: a learner rank for each ZeRO stage, with and without a reference; and an engine."""
    learner = config.learner
    rows = [["memory per device", *(f"ZeRO {stage}" for stage in STAGES_OF_ZERO)]]
    for title, reference in (("learner", False), ("learner and a reference model", True)):
        rows.append([title, *(_learner_memory(sizes, learner, stage, reference) for stage in STAGES_OF_ZERO)])
    engine = rollout_bytes(sizes, config.rollout)
    cache = "the remaining memory"
    if engine.cache is not None:
        cache = f"{shown(engine.cache)} ({engine.tokens:,} tokens)"
    return (
        f"{sizes.parameters:,} parameters, {learner.dtype}; learner.workers={learner.workers}, "
        f"learner.zero_stage={learner.zero_stage}, rollout.workers={config.rollout.workers}\n\n"
        f"{aligned(rows)}\n\nrollout engine: weights: {shown(engine.weights)}, KV cache: {cache}"
    )


def _learner_memory(sizes: ModelSizes, config: LearnerConfig, stage: int, reference: bool) -> str:
    try:
        return shown(learner_bytes(sizes, replace(config, zero_stage=stage), reference=reference).total)
    except ConfigError:
        return NONE  # bfloat16 needs ZeRO


def missing_things(prepared: Prepared, sizes: ModelSizes | NotHere) -> Iterator[str]:
    """Everything that is missing for the recipe to run, one line each."""
    config = prepared.config
    todo = [node for node in _stages(prepared) if _state(prepared, node) != "done"]
    if isinstance(sizes, NotHere):
        yield f"model.path: {sizes.reason}; the run downloads it, and its sizes are known then"
    for node in todo:
        if node.outside:
            teacher = model_sizes(node.outside)
            if isinstance(teacher, NotHere):
                yield f"{node.name}.teacher: {teacher.reason}"
        endpoint = getattr(config.section(node.name), "endpoint", None) if node.kind != "base" else None
        if endpoint and endpoint.api_key_env and not os.environ.get(endpoint.api_key_env):
            yield f"{node.name}.endpoint: the environment variable {endpoint.api_key_env} is not set"
    yield from _missing_gpus(config, todo)
    if isinstance(sizes, ModelSizes):
        needed = sum(
            checkpoint_bytes(sizes, config.learner).model
            for node in todo
            if node.kind in MODELS and node.kind != "base"
        )
        needed += checkpoint_bytes(sizes, config.learner).peak
        place = Path(config.artefacts or "runs").absolute()
        folder = next(path for path in (place, *place.parents) if path.exists())
        if (free := shutil.disk_usage(folder).free) < needed:
            yield f"disk: models and checkpoints need {shown(needed)}, but {folder} has {shown(free)} free"


def _missing_gpus(config: RunConfig, todo: Sequence[Node]) -> Iterator[str]:
    if config.cluster.address is not None:
        return  # a remote cluster's GPUs cannot be counted here
    available = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    rollout = config.rollout.workers * config.rollout.gpus_per_worker
    learner = config.learner.workers * config.learner.gpus_per_worker
    for node in todo:
        both = node.kind in ("rl", "opd")
        needed = learner if node.kind == "warm_start" else rollout + (learner if both else 0)
        if node.kind != "base" and needed > available:
            yield f"{node.name}: needs {needed} GPUs, but this machine has {available}"
