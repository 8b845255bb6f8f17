"""Workers that a stage leaves for the next one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import ray

from rlvr.cluster.config import ClusterConfig, WorkerSettings
from rlvr.cluster.workers import StandingWorkers, Workers
from rlvr.learner.config import LearnerConfig
from rlvr.learner.models import make_scratch_model
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import RolloutConfig
from rlvr.rollout.engine import Request
from rlvr.rollout.pool import RolloutPool
from rlvr.types import Rollout

pytestmark = pytest.mark.slow  # its engines
SETTINGS = WorkerSettings(
    seed=0,
    max_length=64,
    cluster=ClusterConfig(),
    rollout=RolloutConfig(kv_cache_gib=0.1),
    learner=LearnerConfig(),
    reward=RewardConfig(functions={"math": {"_target_": "rlvr.rewards.math.math_reward"}}),
)
REQUESTS = [
    Request(str(i), 1, sample, 9 * i + sample, [1, 3, 4 + i], 1.0, 20) for i in (0, 1) for sample in (0, 1)
]


def make_model(path: Path, seed: int, tied: bool, layers: int = 2) -> str:
    sizes = {
        "tie_word_embeddings": tied,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
    }
    make_scratch_model(path, character_tokenizer(ALPHABET), 64, seed, num_key_value_heads=2, **sizes)
    return str(path)


def draw(pool: RolloutPool) -> list[Rollout]:
    pool.submit(REQUESTS)
    came: list[Rollout] = []
    while len(came) < len(REQUESTS):
        pool.dispatch()
        done, _ = ray.wait(pool.calls, timeout=60)
        assert done, "the engine makes no steps"
        came += pool.collect(done[0])
    return sorted(came, key=lambda rollout: (rollout.problem_id, rollout.sample))


def process(workers: Workers) -> int:
    pid: int = ray.get(workers.started["rollout worker 0"][1]).pid
    return pid


def fail(standing: StandingWorkers) -> None:
    with standing.of_stage(SETTINGS):
        raise ZeroDivisionError


@pytest.mark.parametrize("tied", [True, False])
def test_an_engine_goes_on_with_the_next_stages_checkpoint_as_a_new_one_would(
    ray_cluster: None, tmp_path: Path, tied: bool
) -> None:
    names = enumerate(("first", "second"))
    first, second = (make_model(tmp_path / name, seed, tied) for seed, name in names)
    with StandingWorkers() as standing:
        with standing.of_stage(SETTINGS) as workers:
            new = draw(workers.rollout_pool(second))
            began, rewards = process(workers), workers.rewards().actors
        with standing.of_stage(SETTINGS) as workers:
            other = draw(workers.rollout_pool(first))
            assert process(workers) == began
            assert workers.rewards().actors == rewards
        with standing.of_stage(SETTINGS) as workers:
            kept = draw(workers.rollout_pool(second))
            assert process(workers) == began
        assert [rollout.text for rollout in other] != [rollout.text for rollout in new]
        for one, again in zip(new, kept, strict=True):
            assert one.tokens.tolist() == again.tokens.tolist()
            assert one.logprobs.tobytes() == again.logprobs.tobytes()
            assert set(again.versions[again.sampled]) == {0}

        larger = make_model(tmp_path / "larger", 0, tied, layers=3)
        with standing.of_stage(SETTINGS) as workers:
            draw(workers.rollout_pool(larger))
            assert process(workers) != began
        with pytest.raises(ZeroDivisionError):
            fail(standing)
        assert standing.kept is None  # after an error nothing is known of them

        with standing.of_stage(SETTINGS) as workers:
            workers.rewards()
        ended = standing.kept
        with standing.of_stage(replace(SETTINGS, seed=1)) as workers:
            assert workers is not ended
    assert standing.kept is None
    with standing.of_stage(SETTINGS) as workers:
        actor = workers.rewards().actors[0]
    with pytest.raises(ray.exceptions.RayActorError):  # outside of the block nothing is kept
        ray.get(actor.whereabouts.remote(), timeout=60)
