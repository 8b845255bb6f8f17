"""Answers of one model to many problems, with verdicts, written to the journal chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import ray

from rlvr.algorithms.filters import accuracy
from rlvr.record.journal import journal_path, read_journal, write_journal
from rlvr.record.progress import Progress
from rlvr.rewards.pool import RewardPool
from rlvr.rollout.engine import Request
from rlvr.stages.buffer import Interrupted, RolloutBuffer
from rlvr.stages.families import check_checkpoint
from rlvr.stages.stage import StageInput
from rlvr.stages.step_metrics import true_steps
from rlvr.types import ConfigError, Group, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HUB_SECONDS = 5.0  # timeout after which the hub counts as unreachable

Requests = Callable[[int, Problem], list[Request]]  # (number of the chunk, problem) → requests of one group


def chunked(problems: Sequence[Problem], size: int) -> list[list[Problem]]:
    rest = iter(problems)
    return list(iter(lambda: list(islice(rest, size)), []))


def sample(
    stage: StageInput, chunks: Sequence[Sequence[Problem]], requests: Requests, kind: str = "train"
) -> list[list[Group]]:
    """Answer the problems of all chunks that are not in the stage's journal. Returns all groups by chunk.

    Raises:
        Interrupted: the user asked to stop; complete chunks are kept.
    """
    kept = [Chunk(journal_path(stage.folder, kind, n), n, chunk) for n, chunk in enumerate(chunks)]
    answer(stage, kept, lambda chunk, problem: requests(chunk.number, problem))
    return [read_journal(stage.folder, kind, chunk.number) for chunk in kept]


@dataclass(frozen=True)
class Chunk:
    """Problems that are answered together."""

    path: Path  # journal file of their groups
    number: int  # `step` of their requests
    problems: Sequence[Problem]


def answer(
    stage: StageInput, chunks: Sequence[Chunk], requests: Callable[[Chunk, Problem], list[Request]]
) -> None:
    """Answer the problems of every chunk whose file does not exist, on one pool.

    Raises:
        Interrupted: the user asked to stop; complete chunks are kept.
    """
    missing = [chunk for chunk in chunks if not chunk.path.exists()]
    if not missing:
        return
    before = len(chunks) - len(missing)
    with stage.workers() as workers, Progress(stage.name, len(chunks), before) as progress:
        rewards = workers.rewards()
        pool = workers.rollout_pool(stage.model_path)
        shares_cores = stage.config.rollout.gpus_per_worker == 0
        buffer = RolloutBuffer(pool, rewards, shares_cores, interrupted=lambda: bool(stage.stop))
        buffer.start()
        for done, chunk in enumerate(missing, before + 1):
            groups = [requests(chunk, problem) for problem in chunk.problems]
            buffer.submit(chunk.number, chunk.problems, groups)
            taken = buffer.take(chunk.number, seen=progress.within)
            write_journal(chunk.path, taken.groups)
            progress.update(done, chunk_metrics(taken.groups))


def chunk_metrics(groups: Sequence[Group]) -> dict[str, float]:
    rates = [rate for rate in map(accuracy, groups) if not np.isnan(rate)]
    verdicts = [verdict for group in groups for verdict in group.verdicts]
    return {"train/accuracy": float(np.mean(rates)) if rates else float("nan"), **true_steps(verdicts)}


def score(pool: RewardPool, groups: Sequence[Group], interrupted: Callable[[], bool]) -> None:
    """Set the verdicts of groups whose rollouts are complete.

    Raises:
        Interrupted: the user asked to stop.
    """
    for group in groups:
        pool.submit(group)
    while not all(group.verdicts for group in groups):
        if interrupted():
            raise Interrupted
        pool.dispatch()
        done, _ = ray.wait(list(pool.calls), timeout=0.5)
        for call in done:
            pool.collect(call)
        pool.check_progress()


def as_teacher(stage: StageInput) -> StageInput:
    """The stage with the prompt, tokenizer, longest answer and context length of its teacher."""
    settings, config = stage.settings, stage.config
    sampling = replace(config.sampling, max_tokens=settings.max_tokens or config.sampling.max_tokens)
    prompt = settings.prompt or config.prompt
    changed = replace(
        config,
        prompt=replace(prompt, chat=True) if settings.endpoint else prompt,  # endpoints take messages
        sampling=sampling,
        max_length=settings.max_length or config.max_length,
    )
    if settings.endpoint:
        return replace(stage, config=changed)
    tokenizer, on_cpu = load_tokenizer(stage.model_path), config.rollout.gpus_per_worker == 0
    check_checkpoint(stage.model_path, changed.max_length, samples=True, on_cpu=on_cpu, key="teacher")
    return replace(stage, config=changed, tokenizer=tokenizer)


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerBase:
    """Load a tokenizer from a folder or the hub.

    Raises:
        ConfigError: there is none, or it has token ids without an embedding in the model.
    """
    import httpx
    from huggingface_hub import constants
    from transformers import AutoTokenizer, PretrainedConfig

    named = not Path(path).is_dir()  # on the hub
    offline = constants.HF_HUB_OFFLINE
    if named and not offline:
        # one quick check: huggingface_hub would retry every file six times, with waits
        try:
            httpx.head(constants.ENDPOINT, timeout=HUB_SECONDS)
        except httpx.TransportError:
            offline = True
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path, local_files_only=offline)
        model, _ = PretrainedConfig.get_config_dict(path, local_files_only=offline)
    except (OSError, ValueError) as error:
        if named and offline:
            raise ConfigError(
                f"model.path={path} is no local folder, it is not in the cache {constants.HF_HUB_CACHE}, "
                f"and {constants.ENDPOINT} cannot be reached: give a folder, or download the model with "
                "network access first"
            ) from error
        raise ConfigError(f"model.path={path}: no tokenizer can be loaded from there: {error}") from error
    size = model.get("vocab_size") or (model.get("text_config") or {}).get("vocab_size")
    token, highest = max(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    if size is not None and highest >= size:
        raise ConfigError(
            f"model.path={path}: the tokenizer's token {token!r} has the id {highest}, but the model has "
            f"embeddings for {size} tokens: use the model's own tokenizer, or resize its embeddings"
        )
    return tokenizer


def same_tokenizer(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Whether the two have the same vocabulary and end token."""
    return bool(one.get_vocab() == other.get_vocab() and one.eos_token_id == other.eos_token_id)
