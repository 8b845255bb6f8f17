"""What the simulated clock has to know of the real parts, measured with them one at a time."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from alone import Alone, EngineAlone, LearnerAlone
from clock_simulation import Costs, Curve
from random_models import make_model

from rlvr.algorithms import objective
from rlvr.algorithms.losses import ppo_clip
from rlvr.base.processes import Whereabouts
from rlvr.cluster.config import ClusterConfig
from rlvr.cluster.ray_cluster import ray_cluster
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.record.journal import write_journal
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.service import RewardService
from rlvr.rollout.actor import Progress
from rlvr.rollout.config import RolloutConfig
from rlvr.rollout.engine import Request
from rlvr.rollout.pool import RolloutPool
from rlvr.stages.batches import rollout_batch
from rlvr.types import Group, Problem, Rollout, TrainingBatch

PROMPT, MAX_LENGTH = 16, 512  # tokens
FEW = (1, 2, 4, 8)  # sequences together, as in the last steps of a long tail
POLICY = partial(objective.policy, loss=ppo_clip)
REWARDS = RewardConfig(functions={"math": {"_target_": "rlvr.rewards.math.math_reward"}})


def requests(seed: int, answer: int) -> list[Request]:
    """256 of at most `answer` tokens: 8 for each of 32 prompts."""
    random = np.random.default_rng(seed)
    prompts = [[1, *random.integers(4, 84, PROMPT - 1).tolist()] for _ in range(32)]
    return [
        Request(f"p{p}", 1, s, int(random.integers(2**31)), prompt, 1.0, answer)
        for p, prompt in enumerate(prompts)
        for s in range(8)
    ]


def policy_batch(rollouts: Sequence[Rollout]) -> TrainingBatch:
    """All of them live, with random advantages."""
    random = np.random.default_rng(0)
    batch = rollout_batch(rollouts, [place // 8 for place in range(len(rollouts))])
    batch.columns["old_logprobs"] = batch.columns["sampler_logprobs"]
    batch.columns["advantages"] = [(mask * random.normal()).astype(np.float32) for mask in batch.mask]
    batch.scales = [1 / len(rollouts)] * len(rollouts)
    batch.live = [True] * len(rollouts)
    return batch


def decode_curve(steps: Sequence[tuple[int, float]]) -> Curve:
    """Sequences decoded together → median seconds of an engine step, around each power of two."""
    near = defaultdict(list)
    for step in steps:
        near[round(np.log2(step[0]))].append(step)
    return [
        (statistics.mean(size for size, _ in there), statistics.median(seconds for _, seconds in there))
        for _, there in sorted(near.items())
    ]


def measure_parts(model: str, rounds: int, answer: int) -> tuple[dict[str, Any], list[Rollout]]:
    """Costs of engine, learner and weight update; and rollouts."""
    cores = sorted(os.sched_getaffinity(0))
    decode, first, rollouts = [], [], []
    with (
        Alone(EngineAlone, cores, model, MAX_LENGTH, RolloutConfig(), 0) as engine,
        Alone(LearnerAlone, cores, model, MAX_LENGTH, LearnerConfig(), OptimizerConfig(lr=1e-9)) as learner,
    ):
        engine.ask("engine_steps", requests(0, 8))  # a warm-up
        for seed in range(1, rounds + 1):
            steps, drawn = engine.ask("engine_steps", requests(seed, answer))
            rollouts += drawn
            decode += steps[1:]
            first.append(steps[0][1])
        for count in FEW:
            decode += engine.ask("engine_steps", requests(count, answer)[:count])[0][1:]
        batches = [policy_batch(rollouts[start : start + 128]) for start in (0, 128)]
        learn = [
            learner.ask("update", batch, POLICY, 1e-9) / sum(map(len, batch.tokens))
            for batch in (batches[0], *batches)
        ][1:]
        transfers = []
        for version in range(1, 7):
            sent, info = learner.ask("send", version)
            transfers.append((sent, engine.ask("receive", info, version)))
    curve = decode_curve(decode)
    costs = {
        "decode": curve,
        "prefill": max(statistics.median(first) - curve[-1][1], 0.0) / (256 * PROMPT),
        "learn": statistics.median(learn),
        "send": statistics.median(sent for sent, _ in transfers[1:]),
        "receive": statistics.median(received for _, received in transfers[1:]),
    }
    return costs, rollouts


class Nobody:
    """As many rollout workers as you like, which never have anything to hand out."""

    async def ready(self) -> Whereabouts:
        return Whereabouts("", 0, 0)

    async def advance(self, _: Sequence[Request], seconds: float) -> Progress:
        await asyncio.sleep(seconds)
        return Progress([], 1, 0.0)


def measure_call(workers: int, seconds: float = 4.0) -> float:
    """Seconds that the driver needs for each call that comes back, of so many workers."""
    actor = ray.remote(Nobody).options(num_cpus=0).remote()
    pool = RolloutPool([actor] * workers, 256, float("inf"))
    for number in range(workers):
        pool.submit([Request(f"p{number}", 1, 0, 0, [0], 1.0, 1)])
    while pool.starting:
        for call in ray.wait(pool.calls)[0]:
            pool.collect(call)
    taken = []
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        pool.dispatch()
        ready, _ = ray.wait(pool.calls, timeout=0)
        for call in ready:
            pool.collect(call)
        if ready:
            taken.append(time.monotonic() - began)
        else:  # what the driver waits is not what it needs
            ray.wait(pool.calls, timeout=0.5)
    ray.kill(actor)
    return statistics.median(taken)


def measure_costs(workers: Sequence[int], rounds: int, answer: int) -> tuple[Costs, list[int]]:
    """With a model of 10M parameters on all cores; and the lengths of its answers."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        make_model(model, "10M")
        parts, rollouts = measure_parts(str(model), rounds, answer)
        problem = Problem("p", "1+1=?", "2")
        step = rollouts[:256]
        with RewardService(REWARDS) as service:
            service.score([(problem, step[0])])
            began = time.monotonic()
            verdicts = service.score([(problem, rollout) for rollout in step])
            verdict = (time.monotonic() - began) / len(step)
        recorded = []
        for _ in range(5):
            began = time.monotonic()
            write_journal(Path(folder) / "journal.parquet", [Group(problem, step, verdicts)])
            recorded.append((time.monotonic() - began) / len(step))
    with ray_cluster(ClusterConfig()):
        calls = [(float(count), measure_call(count)) for count in workers]
    costs = Costs(**parts, verdict=verdict, call=calls, record=statistics.median(recorded))
    return costs, [rollout.num_sampled for rollout in rollouts]
