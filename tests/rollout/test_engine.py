"""vLLM and the learner as they run: what is drawn, from which policy, and how weights get there."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from ray import cloudpickle
from ray.exceptions import RayTaskError
from torch import Tensor
from transformers import AutoModelForCausalLM

from rlvr.algorithms import objective
from rlvr.algorithms.group_relative import grpo
from rlvr.algorithms.losses import ppo_clip
from rlvr.algorithms.objective import Objective, supervised
from rlvr.cluster.waiting import finish
from rlvr.learner.actor import LearnerGroup, LearnerRank
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.learner.models import make_scratch_model
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.rewards.pool import RewardPool
from rlvr.rollout.actor import RolloutActor, RolloutWorker
from rlvr.rollout.config import DecodingConfig, RolloutConfig
from rlvr.rollout.engine import DRAWS, FINISHED, Request
from rlvr.rollout.pool import RolloutPool
from rlvr.rollout.text import drawn_text, prompt_end
from rlvr.stages.batches import judged, part, rollout_batch, supervised_batch, token_advantages
from rlvr.stages.buffer import RolloutBuffer
from rlvr.stages.logprob_check import check_logprobs
from rlvr.types import (
    FinishReason,
    Group,
    Problem,
    RlvrError,
    Rollout,
    StallError,
    Status,
    TrainingBatch,
    Verdict,
)
from rlvr.weights.sender import SharedMemorySender

pytestmark = pytest.mark.slow  # its models and runs

EOS = 2
MAX_LENGTH = 192
# prompts that do not all fit into one step
ROLLOUT = RolloutConfig(max_num_seqs=64, max_num_batched_tokens=192, kv_cache_gib=0.1)
LOSS = partial(objective.policy, loss=partial(ppo_clip, clip_low=0.2, clip_high=0.3))
PARAMETERS = [
    "model.embed_tokens.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.0.self_attn.k_proj.weight",
    "model.layers.0.self_attn.v_proj.weight",
    "model.layers.0.self_attn.o_proj.weight",
    "model.layers.0.mlp.gate_proj.weight",
    "model.layers.0.mlp.up_proj.weight",
    "model.layers.0.mlp.down_proj.weight",
    "model.layers.0.input_layernorm.weight",
    "model.layers.0.post_attention_layernorm.weight",
    "model.norm.weight",
    "lm_head.weight",
]


class Tampering:
    """A learner's weights without one of them, or with one number of one of them changed."""

    def __init__(self, source: Any, dropped: str | None, perturbed: str | None) -> None:
        self.source, self.dropped, self.perturbed = source, dropped, perturbed
        self.rank = source.rank

    def named_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, weight in self.source.named_weights():
            if name == self.perturbed:
                weight = weight.clone()
                weight.view(-1)[: weight.numel() // 2] += 1.0
            if name != self.dropped:
                yield name, weight

    def weight_shapes(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        return [entry for entry in self.source.weight_shapes() if entry[0] != self.dropped]


class TamperedRank(LearnerRank):
    def publish_tampered(self, version: int, dropped: str | None, perturbed: str | None) -> Any:
        self.tampered = SharedMemorySender(Tampering(self.learner, dropped, perturbed))
        return self.tampered.send(version)


class CountingWorker(RolloutWorker):
    def compile(self) -> None:
        """Before it is ready: have vLLM compile what it does for large vocabularies."""
        from rlvr.rollout import engine

        engine.FEW_TOKENS = 0

    def keep_stale_cache(self, keep: bool) -> None:
        self.engine.keep_stale_cache = keep

    def cached(self, requests: Sequence[Request]) -> list[int]:
        """Tokens of each request's prompt that had been computed for another one."""
        self.engine.submit(requests)
        found = []
        while self.engine.engine.has_unfinished_requests():
            for output in self.engine.engine.step():
                found.append(output.num_cached_tokens)
        self.engine.requests.clear()
        return found

    def broken_off(self, requests: Sequence[Request], times: int) -> list[Rollout]:
        """What is drawn if vLLM drops all that it is working on after an engine step, so many times."""
        self.engine.submit(requests)
        finished: list[Rollout] = []
        for _ in range(times):
            finished += self.engine.run(0)
            self.engine.engine.abort_request(list(self.engine.requests))
        try:
            return finished + self.engine.run(1e9)
        finally:
            self.engine.requests.clear()


@dataclass
class Pair:
    """One learner and one engine that began with the same weights."""

    learner: LearnerGroup
    worker: Any
    path: Path
    version: int = 0

    def draw(self, requests: Sequence[Request]) -> list[Rollout]:
        """In the order of the requests."""
        rollouts = {(r.problem_id, r.sample): r for r in self._advance(requests)}
        return [rollouts[(request.problem_id, request.sample)] for request in requests]

    def _advance(self, requests: Sequence[Request]) -> list[Rollout]:
        rollouts: list[Rollout] = ray.get(self.worker.advance.remote(requests, 1e9)).rollouts
        return rollouts

    def logprobs(self, batch: TrainingBatch) -> list[np.ndarray]:
        computed: list[np.ndarray] = ray.get(self.learner.call("logprobs", batch))[0]
        return computed

    def update(self, batch: TrainingBatch, lr: float, loss: Objective = LOSS) -> dict[str, float]:
        metrics: dict[str, float] = ray.get(self.learner.call("update", batch, loss, lr))[0]
        return metrics

    def publish(self) -> None:
        self.version += 1
        self.send("publish", self.version)

    def send(self, method: str, *arguments: Any) -> None:
        weights = ray.get(self.learner.call(method, *arguments))[0]
        ray.get(self.worker.receive_weights.remote(weights, self.version))

    def model(self, folder: Path) -> torch.nn.Module:
        """The learner's present weights as transformers loads them."""
        ray.get(self.learner.call("save", folder))
        model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
        return model


@pytest.fixture(scope="module")
def pairs(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pair]]:
    result, waiting, actors = {}, [], []
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers do not find test modules
    rank_actor = ray.remote(TamperedRank).options(num_cpus=0)
    worker_actor = ray.remote(concurrency_groups={"control": 1})(CountingWorker).options(num_cpus=0)
    for name in ("tied", "untied"):
        path = tmp_path_factory.mktemp(name) / "model"
        make_scratch_model(
            path,
            character_tokenizer(ALPHABET),
            MAX_LENGTH,
            seed=0,
            tie_word_embeddings=name == "tied",
            hidden_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=96,
            initializer_range=0.15,
        )
        worker = worker_actor.remote(str(path), MAX_LENGTH, ROLLOUT, 0, [])
        if name == "untied":
            worker.compile.remote()
        rank = rank_actor.remote(LearnerConfig(micro_batch_tokens=512), 0, [])
        actors += [worker, rank]
        learner = LearnerGroup([rank])
        result[name] = Pair(learner, worker, path)
        waiting += [worker.ready.remote(), *learner.start(str(path), MAX_LENGTH, OptimizerConfig(lr=1e-3))]
    ray.get(waiting, timeout=300)
    for pair in result.values():
        ray.get(pair.learner.connect([pair.worker], 0))
        pair.publish()
    yield result
    for actor in actors:
        ray.kill(actor)


@pytest.fixture(params=["tied", "untied"])
def pair(request: pytest.FixtureRequest, pairs: dict[str, Pair]) -> Pair:
    return pairs[request.param]


def make_requests(
    seed: int,
    problems: int = 8,
    samples: int = 4,
    temperature: float = 1.0,
    max_tokens: int = 16,
    top_p: float = 1.0,
    decoding: DecodingConfig | None = None,
) -> list[Request]:
    """Random prompts, the same for all samples of a problem."""
    random = np.random.default_rng(seed)
    prompts = [[1, *random.integers(4, 20, random.integers(2, 12)).tolist()] for _ in range(problems)]
    return [
        Request(
            problem_id=f"problem-{p}",
            step=seed,
            sample=s,
            seed=int(random.integers(2**31)),
            prompt=prompts[p],
            temperature=temperature,
            max_tokens=max_tokens,
            top_p=top_p,
            decoding=decoding or DecodingConfig(),
        )
        for p in range(problems)
        for s in range(samples)
    ]


def as_groups(rollouts: Sequence[Rollout]) -> list[Group]:
    """Judged by the number of odd tokens among those drawn, which a policy can learn. EOS is even."""
    groups: dict[str, Group] = {}
    for rollout in rollouts:
        group = groups.setdefault(rollout.problem_id, Group(Problem(rollout.problem_id, "", ""), []))
        group.rollouts.append(rollout)
        odd = float((rollout.tokens[rollout.sampled] % 2).sum())
        # a little for the place in the group, so that no group is left without a spread
        group.verdicts.append(Verdict(Status.CORRECT, odd + 0.01 * rollout.sample, ""))
    return list(groups.values())


def learning_batch(rollouts: Sequence[Rollout]) -> TrainingBatch:
    groups = as_groups(rollouts)
    rows = judged(groups)
    batch = rollout_batch([rollout for _, rollout, _ in rows], [place for place, _, _ in rows])
    batch.columns["old_logprobs"] = batch.columns["sampler_logprobs"]
    batch.columns["advantages"] = token_advantages(groups, grpo)
    return part(batch, range(len(groups)), "token", MAX_LENGTH, always_live=False)


def largest_gap(computed: Sequence[np.ndarray], batch: TrainingBatch) -> float:
    pairs_of = zip(computed, batch.columns["sampler_logprobs"], batch.mask, strict=True)
    return max(float(np.abs(ours - drawn)[mask].max()) for ours, drawn, mask in pairs_of)


# ---------------------------------------------------------------- one policy on both sides


def test_after_twenty_updates_both_sides_still_agree(pair: Pair) -> None:
    first = learning_batch(pair.draw(make_requests(0)))
    rewards = []
    for step in range(20):
        requests = [
            replace(r, seed=r.seed + step, temperature=[1.0, 0.7][step % 2]) for r in make_requests(0)
        ]
        rollouts = pair.draw(requests)
        batch = learning_batch(rollouts)
        assert largest_gap(pair.logprobs(batch), batch) < 1e-4
        metrics = pair.update(batch, lr=2e-3)
        assert metrics["ratio"] == pytest.approx(1, abs=1e-3)
        assert metrics["logprob_gap"] < 1e-4
        pair.publish()
        rewards.append(
            np.mean([verdict.reward for group in as_groups(rollouts) for verdict in group.verdicts])
        )
    last = learning_batch(pair.draw(make_requests(1)))
    assert largest_gap(pair.logprobs(last), last) < 1e-4
    # the agreement is one of policies that learned, far from where they began
    assert largest_gap(pair.logprobs(first), first) > 1
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 1


def test_what_is_cached_of_a_prompt_does_not_outlive_an_update(pair: Pair) -> None:
    # vLLM caches whole blocks of a prompt, of 128 tokens on the CPU
    prompt = [1, *np.random.default_rng(0).integers(4, 20, 170).tolist()]
    requests = [replace(request, prompt=prompt) for request in make_requests(20, problems=1)]
    for _ in range(2):
        batch = learning_batch(pair.draw(requests))
        assert largest_gap(pair.logprobs(batch), batch) < 1e-4
        pair.update(batch, lr=1e-2)
        assert largest_gap(pair.logprobs(batch), batch) > 0.01
        pair.publish()


def test_weights_arrive_bit_for_bit(pair: Pair) -> None:
    pair.update(learning_batch(pair.draw(make_requests(2))), lr=1e-3)
    before = ray.get(pair.worker.weight_checksums.remote())
    pair.publish()
    ours = ray.get(pair.learner.call("weight_checksums"))[0]
    assert sorted(ours) == sorted(PARAMETERS)
    assert ray.get(pair.worker.weight_checksums.remote()) == ours
    assert all(ours[name] != before[name] for name in ours)


@pytest.mark.parametrize(("temperature", "top_p"), [(0.7, 1.0), (1.4, 1.0), (0.7, 0.6)])
def test_logprobs_are_those_of_the_distribution_that_was_drawn_from(
    pair: Pair, tmp_path: Path, temperature: float, top_p: float
) -> None:
    rollouts = pair.draw(make_requests(3, temperature=temperature, top_p=top_p))
    model = pair.model(tmp_path)
    for rollout in rollouts:
        row = torch.from_numpy(rollout.tokens.astype(np.int64))
        with torch.no_grad():
            p = torch.softmax(model(input_ids=row[None]).logits[0, :-1].double() / temperature, -1)
        ordered, order = p.sort(descending=True)
        # top-p keeps the likeliest tokens until their sum reaches it
        p = torch.zeros_like(p).scatter(1, order, ordered * (ordered.cumsum(-1) - ordered < top_p))
        expected = (p / p.sum(-1, keepdim=True)).gather(1, row[1:, None])[:, 0].log().numpy()
        drawn = rollout.sampled[1:]
        np.testing.assert_allclose(rollout.logprobs[1:][drawn], expected[drawn], atol=1e-4)
        assert not rollout.logprobs[~rollout.sampled].any()


def test_the_learner_takes_the_temperature_into_account(pair: Pair) -> None:
    batch = learning_batch(pair.draw(make_requests(4, temperature=0.7)))
    assert batch.temperatures == [0.7] * 32
    assert largest_gap(pair.logprobs(batch), batch) < 1e-4
    assert largest_gap(pair.logprobs(replace(batch, temperatures=[1.0] * 32)), batch) > 0.1


TRUNCATED = {
    "top_p": (0.9, DecodingConfig()),
    "top_k": (1.0, DecodingConfig(top_k=5)),
    "min_p": (1.0, DecodingConfig(min_p=0.1)),
    "min_tokens": (1.0, DecodingConfig(min_tokens=12)),
    "all": (0.8, DecodingConfig(top_k=6, min_p=0.02, min_tokens=3)),
}


@pytest.mark.parametrize("name", TRUNCATED)
def test_the_learner_has_the_probabilities_of_a_truncated_sampler(
    pairs: dict[str, Pair], tmp_path: Path, name: str
) -> None:
    """Also: what is drawn is what vLLM draws by itself, and sets are what that leaves of a distribution."""
    pair = pairs["untied"]
    top_p, decoding = TRUNCATED[name]
    requests = make_requests(30, temperature=1.2, top_p=top_p, decoding=decoding)
    rollouts = pair.draw([replace(request, sampling_mask=True) for request in requests])
    for ours, plain in zip(rollouts, pair.draw(requests), strict=True):
        assert ours.tokens.tolist() == plain.tokens.tolist()
        np.testing.assert_array_equal(ours.logprobs, plain.logprobs)
        assert plain.sampling_mask is None
    model, sizes = pair.model(tmp_path), []
    for rollout in rollouts:
        mask = rollout.sampling_mask
        assert mask is not None
        sets = np.split(mask.ids, mask.sizes.cumsum())[:-1]
        assert [len(own) > 0 for own in sets] == rollout.sampled.tolist()
        row = torch.from_numpy(rollout.tokens.astype(np.int64))
        with torch.no_grad():
            logits = (model(input_ids=row[None]).logits[0, :-1] / 1.2).numpy()
        start = int(rollout.sampled.argmax())
        for place in range(start, len(sets)):
            before, inside = logits[place - 1].copy(), sets[place]
            if place - start < (decoding.min_tokens or 0):
                before[EOS] = -np.inf
            left_out = np.delete(before, inside)
            assert before[inside].min() >= left_out.max(initial=-np.inf) - 1e-4
            p = np.exp(before - before.max())
            if decoding.top_k:
                assert len(inside) <= decoding.top_k
            if decoding.min_p:
                assert p[inside].min() >= decoding.min_p - 1e-4
            if top_p < 1 and not (decoding.top_k or decoding.min_p):
                assert p[inside].sum() / p.sum() >= top_p - 1e-4
                assert (p[inside].sum() - p[inside].min()) / p.sum() <= top_p + 1e-4
        sizes += mask.sizes[start:].tolist()
    assert np.mean(sizes) < (4 + len(ALPHABET)) * (1 if decoding.min_tokens else 0.9)
    batch = learning_batch(rollouts)
    assert largest_gap(pair.logprobs(batch), batch) < 1e-4
    # an end token that min_tokens forbids may have little probability
    assert largest_gap(pair.logprobs(replace(batch, sampling_masks=None)), batch) > 1e-3
    metrics = pair.update(batch, lr=1e-3)
    assert metrics["ratio"] == pytest.approx(1, abs=1e-4)
    assert metrics["logprob_gap"] < 1e-4
    pair.publish()


def test_sets_stay_with_their_tokens_when_weights_change_in_the_middle(
    pairs: dict[str, Pair], tmp_path: Path
) -> None:
    pair = pairs["untied"]
    decoding = DecodingConfig(top_k=4)
    requests = [
        replace(r, max_tokens=1 if r.sample == 0 else 20, sampling_mask=True)
        for r in make_requests(31, temperature=2.0, decoding=decoding)
    ]
    early = ray.get(pair.worker.advance.remote(requests, 0.0)).rollouts
    pair.update(supervised_batch([(r.prompt, [*r.prompt[::-1], EOS]) for r in requests]), 1e-2, supervised)
    pair.publish()
    model = pair.model(tmp_path)
    late = ray.get(pair.worker.advance.remote([], 1e9)).rollouts
    assert len(early) + len(late) == len(requests)
    assert any(len(set(r.versions[r.sampled])) == 2 for r in late)
    rollout_batch([*early, *late], range(len(requests)))  # every token is in its set
    for rollout in late:
        row = torch.from_numpy(rollout.tokens.astype(np.int64))
        with torch.no_grad():
            logits = model(input_ids=row[None]).logits[0, :-1].double() / 2.0
        sets = np.split(rollout.sampling_mask.ids, rollout.sampling_mask.sizes.cumsum())
        for place in np.flatnonzero(rollout.versions == pair.version):
            own = torch.from_numpy(sets[place].astype(np.int64))
            over = logits[place - 1] - logits[place - 1, own].logsumexp(0)
            assert rollout.logprobs[place] == pytest.approx(float(over[row[place]]), abs=1e-4)


def test_tokens_are_drawn_as_often_as_their_probability_says(pairs: dict[str, Pair], tmp_path: Path) -> None:
    pair, draws = pairs["untied"], 2000
    (template,) = make_requests(5, problems=1, samples=1, temperature=0.7, max_tokens=1)
    rollouts = pair.draw([replace(template, sample=i, seed=1000 + i) for i in range(draws)])
    counts = np.bincount([r.tokens[-1] for r in rollouts], minlength=4 + len(ALPHABET))
    with torch.no_grad():
        logits = pair.model(tmp_path)(input_ids=torch.tensor([template.prompt])).logits[0, -1]
    expected = draws * torch.softmax(logits.double() / 0.7, -1).numpy()
    frequent = expected >= 5
    rest = (counts[~frequent].sum() - expected[~frequent].sum()) ** 2 / max(expected[~frequent].sum(), 1)
    statistic = ((counts - expected) ** 2 / expected)[frequent].sum() + rest
    degrees = int(frequent.sum())
    assert degrees >= 3
    assert statistic < degrees + 4 * np.sqrt(2 * degrees)  # mean and deviation of chi²
    flat = draws * torch.softmax(logits.double(), -1).numpy()
    assert ((counts - flat) ** 2 / flat)[frequent].sum() > 3 * (degrees + 4 * np.sqrt(2 * degrees))


# ---------------------------------------------------------------- seeds, versions, ends


def test_a_rollout_follows_from_its_request_alone(pairs: dict[str, Pair]) -> None:
    pair = pairs["untied"]
    requests = make_requests(6)
    together = pair.draw(requests)
    others = [replace(r, problem_id="other-" + r.problem_id) for r in make_requests(7)]
    random = np.random.default_rng(0)
    mixed = [*requests, *others]
    shuffled = [mixed[i] for i in random.permutation(len(mixed))]
    drawn = dict(zip([id(r) for r in shuffled], pair.draw(shuffled), strict=True))
    alone = pair.draw([requests[5]])[0]
    for request, rollout in zip(requests, together, strict=True):
        again = drawn[id(request)]
        assert again.tokens.tolist() == rollout.tokens.tolist()
        np.testing.assert_allclose(again.logprobs, rollout.logprobs, atol=1e-5)
    assert alone.tokens.tolist() == together[5].tokens.tolist()


def test_other_seeds_draw_other_tokens(pairs: dict[str, Pair]) -> None:
    (template,) = make_requests(8, problems=1, samples=1, temperature=1.5)
    requests = [replace(template, sample=i, seed=i // 2) for i in range(16)]
    texts = [tuple(r.tokens.tolist()) for r in pairs["untied"].draw(requests)]
    assert texts[::2] == texts[1::2]
    assert len(set(texts)) >= 6


def test_an_answer_ends_at_the_end_that_is_asked_for(pair: Pair) -> None:
    end = 7
    asked = [replace(request, end=end) for request in make_requests(10, temperature=2.0, max_tokens=40)]
    tokenizer = character_tokenizer(ALPHABET)
    ends = set()
    for rollout in pair.draw(asked):
        drawn = rollout.tokens[rollout.sampled].tolist()
        assert not {end, EOS} & set(drawn[:-1])
        if rollout.finish_reason is FinishReason.STOP:
            ends.add(drawn[-1])
            assert rollout.text == tokenizer.decode([token for token in drawn[:-1] if token > EOS])
    assert end in ends
    assert ends <= {end, EOS}


def test_an_answer_that_vllm_breaks_off_is_drawn_again(pair: Pair) -> None:
    requests = make_requests(11, problems=3, max_tokens=12)
    again = ray.get(pair.worker.broken_off.remote(requests, DRAWS - 1))
    drawn = {(r.problem_id, r.sample): r.tokens.tolist() for r in again}
    for request, rollout in zip(requests, pair.draw(requests), strict=True):
        assert drawn[request.problem_id, request.sample] == rollout.tokens.tolist()
    assert len(again) == len(requests)
    with pytest.raises(RayTaskError, match=rf"vLLM broke off the answer to problem .* {DRAWS} times"):
        ray.get(pair.worker.broken_off.remote(requests, DRAWS))
    assert len(pair.draw(requests)) == len(requests)  # the engine is as good as before


def test_every_word_of_vllms_for_an_end_is_known() -> None:
    from vllm.v1.engine import FINISH_REASON_STRINGS

    assert set(FINISH_REASON_STRINGS) == {*FINISHED, "abort", "error"}


def test_rollouts_are_whole(pair: Pair) -> None:
    requests = make_requests(9, problems=16, temperature=2.0, max_tokens=10)
    rollouts = pair.draw(requests)
    tokenizer = character_tokenizer(ALPHABET)
    for request, rollout in zip(requests, rollouts, strict=True):
        start = len(request.prompt)
        assert rollout.tokens[:start].tolist() == request.prompt
        assert rollout.sampled.tolist() == [False] * start + [True] * (len(rollout.tokens) - start)
        drawn = rollout.tokens[start:].tolist()
        assert EOS not in drawn[:-1]
        assert (drawn[-1] == EOS) == (rollout.finish_reason == FinishReason.STOP)
        if rollout.finish_reason == FinishReason.LENGTH:
            assert len(drawn) == 10
        assert rollout.text == drawn_text(drawn, rollout.finish_reason, tokenizer)
        assert rollout.prompt_end == prompt_end(rollout.tokens[~rollout.sampled].tolist(), tokenizer)
        assert (rollout.seed, rollout.step, rollout.temperature) == (request.seed, 9, 2.0)
        assert (rollout.logprobs[rollout.sampled] < 0).all()
    assert {r.finish_reason for r in rollouts} == {FinishReason.STOP, FinishReason.LENGTH}


def test_a_groups_prompt_is_computed_once(pairs: dict[str, Pair]) -> None:
    """In blocks of 32 tokens: what lies behind the last whole one, and the last token always, is computed."""
    pair = pairs["tied"]
    (template,) = make_requests(20, problems=1, samples=1, max_tokens=2)
    groups = [[(7 * i + j) % 20 + 3 for j in range(length)] for i, length in enumerate((20, 70, 100))]
    for prompt in groups:
        requests = [replace(template, prompt=prompt, sample=i, seed=i) for i in range(6)]
        blocks = (len(prompt) - 1) // 32 * 32
        for _ in range(2):  # what was computed before, for requests that are done, changes nothing
            assert sorted(ray.get(pair.worker.cached.remote(requests))) == [0] + [blocks] * 5


def test_answers_end_at_what_was_asked_for(pairs: dict[str, Pair]) -> None:
    """The tokens stay as they were drawn; the text is without the end unless it is to be kept."""
    pair = pairs["untied"]
    tokenizer = character_tokenizer(ALPHABET)
    requests = make_requests(32, temperature=2.0, max_tokens=30)

    def text_of(tokens: Sequence[int]) -> str:
        return drawn_text(tokens, FinishReason.LENGTH, tokenizer)

    drawn = [r.tokens[r.sampled].tolist() for r in pair.draw(requests)]
    two = next(d[i : i + 2] for d in drawn for i in range(3, len(d) - 1) if min(d[i : i + 2]) > 3)
    stop = [text_of(two), "=="]
    for keep in (None, True):
        decoding = DecodingConfig(stop=stop, include_stop_str_in_output=keep)
        rollouts = pair.draw([replace(r, decoding=decoding) for r in requests])
        ends = [text_of(r.tokens[r.sampled][-2:].tolist()) in stop for r in rollouts]
        assert any(ends)
        for rollout, ended in zip(rollouts, ends, strict=True):
            plain = text_of(rollout.tokens[rollout.sampled].tolist())
            if ended:
                assert rollout.finish_reason is FinishReason.STOP
                assert rollout.text == (plain if keep else plain[:-2])
            else:
                assert rollout.text == plain
            # for vLLM, which looks for them, padding between two characters is text
            if (rollout.tokens[rollout.sampled][:-1] > EOS).all():
                assert not any(end in (rollout.text[:-2] if keep else rollout.text) for end in stop)
    digits = DecodingConfig(stop_token_ids=[5, 6, 7], min_tokens=4)
    kept = replace(digits, include_stop_str_in_output=True)
    without, with_end = (pair.draw([replace(r, decoding=d) for r in requests]) for d in (digits, kept))
    ends = [r.tokens[-1] in (5, 6, 7) for r in without]
    assert any(ends)
    for one, other, ended in zip(without, with_end, ends, strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        assert not set(one.tokens[one.sampled][:-1].tolist()) & {5, 6, 7, EOS}
        assert other.text == one.text + (text_of([int(one.tokens[-1])]) if ended else "")
        assert one.num_sampled > 4 or not ended


def test_penalties_change_what_is_drawn(pairs: dict[str, Pair]) -> None:
    pair = pairs["untied"]
    requests = make_requests(33, max_tokens=30)

    def repeated(**settings: float) -> float:
        rollouts = pair.draw([replace(r, decoding=DecodingConfig(**settings)) for r in requests])
        return float(np.mean([1 - len(set(r.text)) / max(len(r.text), 1) for r in rollouts]))

    plain = repeated()
    assert plain > 0.1
    for name, value in (("repetition_penalty", 3.0), ("presence_penalty", 2.0), ("frequency_penalty", 2.0)):
        assert repeated(**{name: value}) < 0.9 * plain, name


def test_tokens_carry_the_version_that_drew_them(pair: Pair) -> None:
    for _ in range(2):
        rollouts = pair.draw(make_requests(10))
        for rollout in rollouts:
            assert (rollout.versions[rollout.sampled] == pair.version).all()
            assert (rollout.versions[~rollout.sampled] == -1).all()
        pair.publish()


def token_logprobs(model: torch.nn.Module, rollout: Rollout) -> np.ndarray:
    """Of the drawn tokens, by a model of transformers."""
    tokens = torch.tensor(rollout.tokens, dtype=torch.long)
    with torch.no_grad():
        logprobs = (model(tokens[None, :-1]).logits[0] / rollout.temperature).log_softmax(-1)
    found: np.ndarray = logprobs.gather(1, tokens[1:, None])[:, 0].numpy()[rollout.sampled[1:]]
    return found


def test_an_update_in_the_middle_of_an_answer_splits_its_versions(
    pairs: dict[str, Pair], tmp_path: Path
) -> None:
    """Also: every token's log-probability is that of the version that drew it, given all tokens before it."""
    pair = pairs["untied"]
    before = pair.model(tmp_path / "before")
    requests = [replace(r, max_tokens=1 if r.sample == 0 else 40) for r in make_requests(11, temperature=2.0)]
    early = ray.get(pair.worker.advance.remote(requests, 0.0)).rollouts
    assert {r.num_sampled for r in early} == {1}
    lessons = [(r.prompt, [*r.prompt[::-1], EOS]) for r in requests]
    pair.update(supervised_batch(lessons), lr=1e-2, loss=supervised)
    pair.publish()
    after = pair.model(tmp_path / "after")
    late = ray.get(pair.worker.advance.remote([], 1e9)).rollouts
    assert len(early) + len(late) == len(requests)
    split = [r for r in late if len(set(r.versions[r.sampled])) == 2]
    assert split
    moved = 0.0
    for rollout in split:
        versions = rollout.versions[rollout.sampled].tolist()
        assert versions == [pair.version - 1] + [pair.version] * (len(versions) - 1)
        old, new = (token_logprobs(model, rollout) for model in (before, after))
        drawn = rollout.logprobs[rollout.sampled]
        assert drawn[0] == pytest.approx(old[0], abs=1e-4)
        np.testing.assert_allclose(drawn[1:], new[1:], atol=1e-4)
        moved = max(moved, np.abs(old - new).max())
    assert moved > 0.01


def test_a_stale_cache_is_gone_on_from_and_never_shared(pairs: dict[str, Pair], tmp_path: Path) -> None:
    """An answer under way reads keys and values of the old weights; one that begins later reads new ones."""
    pair = pairs["untied"]
    ray.get(pair.worker.keep_stale_cache.remote(True))
    before = pair.model(tmp_path / "before")
    prompt = [1, *np.random.default_rng(1).integers(4, 20, 130).tolist()]
    requests = [
        replace(r, prompt=prompt, max_tokens=1 if r.sample == 0 else 30)
        for r in make_requests(23, problems=1, temperature=2.0)
    ]
    assert len(ray.get(pair.worker.advance.remote(requests, 0.0)).rollouts) == 1
    pair.update(supervised_batch([(prompt, [*prompt[::-1][:30], EOS])]), lr=1e-2, loss=supervised)
    pair.publish()
    after = pair.model(tmp_path / "after")
    later = [replace(r, problem_id="later") for r in requests]
    rollouts = ray.get(pair.worker.advance.remote(later, 1e9)).rollouts
    ray.get(pair.worker.keep_stale_cache.remote(False))
    first = len(prompt)  # the token that the old weights drew
    gap = 0.0
    for rollout in rollouts:
        drawn = rollout.logprobs[rollout.sampled]
        plain = token_logprobs(after, rollout)
        if rollout.problem_id == "later":
            np.testing.assert_allclose(drawn, plain, atol=1e-4)
            continue
        tokens = torch.tensor(rollout.tokens, dtype=torch.long)[None]
        with torch.no_grad():
            past = before(tokens[:, :first], use_cache=True).past_key_values
            logits = after(tokens[:, first:-1], past_key_values=past).logits[0] / rollout.temperature
        mixed = logits.log_softmax(-1).gather(1, tokens[0, first + 1 :, None])[:, 0].numpy()
        np.testing.assert_allclose(drawn[1:], mixed, atol=1e-4)
        gap = max(gap, np.abs(mixed - plain[1:]).max(initial=0.0))
    assert len(rollouts) == len(requests) - 1 + len(later)
    assert gap > 0.01


# ---------------------------------------------------------------- updates that go wrong


def check(pair: Pair, seed: int) -> None:
    """The run's own check of both sides, on rollouts of the present weights."""
    pool = RolloutPool([pair.worker], 64, 60)
    groups = as_groups(pair.draw(make_requests(seed)))
    check_logprobs(pair.learner, RolloutBuffer(pool, RewardPool([], 1.0), False, lambda: False), groups, 1e-4)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_weight_that_changes_on_the_way_is_named(pairs: dict[str, Pair], name: str) -> None:
    pair = pairs["untied"]
    pair.version += 1
    pair.send("publish_tampered", pair.version, None, name)
    with pytest.raises(RlvrError, match=rf"these weights differ: {name}$"):
        check(pair, 15)
    pair.publish()
    check(pair, 15)


# ---------------------------------------------------------------- many workers


def run_pool(pool: RolloutPool, until: Callable[[list[Rollout]], bool] = lambda came: False) -> list[Rollout]:
    """What comes out of a pool that has something to do, until it has nothing or that is true."""
    came: list[Rollout] = []
    while pool.busy and not until(came):
        pool.dispatch()
        done, _ = ray.wait(pool.calls)
        for call in done:
            came += pool.collect(call)
    return came


def test_two_workers_share_groups_and_keep_them_whole(pairs: dict[str, Pair]) -> None:
    requests = make_requests(16, problems=8, samples=4)
    pool = RolloutPool([pair.worker for pair in pairs.values()], max_num_seqs=4, deadline=60)
    for i in range(0, 32, 4):
        pool.submit(requests[i : i + 4])
    names: list[set[str]] = [set(), set()]
    most = 0

    def watch(came: list[Rollout]) -> bool:
        nonlocal most
        for place, of_worker in enumerate(names):
            of_worker |= {problem for _, problem, _ in pool.work.assigned[place].running}
            most = max(most, pool.work.load(place))
        return False

    came = run_pool(pool, watch)
    assert names[0]
    assert names[1]
    assert not names[0] & names[1]
    assert sorted((r.problem_id, r.sample) for r in came) == sorted(
        (r.problem_id, r.sample) for r in requests
    )
    assert most <= 8  # twice what a worker decodes at a time
    assert not pool.calls


def test_a_stall_names_the_sample_and_shows_where_the_process_stands(pairs: dict[str, Pair]) -> None:
    pool = RolloutPool([pairs["untied"].worker], max_num_seqs=4, deadline=1e-6)
    pool.submit(make_requests(17, problems=1, samples=4))
    run_pool(pool, lambda came: not pool.starting and not pool.calls)
    pool.check_progress()  # nothing to wait for
    pool.dispatch()
    with pytest.raises(
        StallError, match=r"(?s)it has 4 .*'problem-0', sample 0.*stacks:\n.*hread 0x"
    ) as stall:
        pool.check_progress()
    process = pool.workers[0].process
    assert process is not None
    assert f"process {process.pid}" in str(stall.value)
    assert len(run_pool(pool)) == 4


def same(ours: Sequence[Rollout], theirs: Sequence[Rollout]) -> bool:
    """To the bit, in any order."""

    def values(rollouts: Sequence[Rollout]) -> Any:
        found = {(r.problem_id, r.sample): (r.tokens.tobytes(), r.logprobs.tobytes()) for r in rollouts}
        assert len(found) == len(rollouts)
        return found

    return bool(values(ours) == values(theirs))


@pytest.mark.parametrize(("exact", "how"), [(True, signal.SIGKILL), (False, signal.SIGSTOP)])
def test_a_dead_or_stuck_worker_is_replaced_and_its_work_redone(
    pairs: dict[str, Pair],
    exact: bool,
    how: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Killed, or stopped, with some of its rollouts delivered. The new one has the last update's weights."""
    monkeypatch.setattr("rlvr.rollout.pool.SLICE", 0.0)  # one engine step a call
    pair = pairs["tied"]
    lengths = [4, 8, 12, 16]
    requests = [replace(r, max_tokens=lengths[r.sample]) for r in make_requests(18, problems=4)]
    undisturbed = pair.draw(requests)
    started: list[Any] = []

    def start(place: int) -> Any:
        started.append(RolloutActor.options(num_cpus=0).remote(str(pair.path), MAX_LENGTH, ROLLOUT, 0, []))
        return started[-1]

    pool = RolloutPool([start(0)], max_num_seqs=64, deadline=60, start=start, exact=exact)
    pool.update(ray.get(pair.learner.call("publish", pair.version))[0], pair.version)
    for i in range(0, 16, 4):
        pool.submit(requests[i : i + 4])
    came = run_pool(pool, lambda came: bool(came))
    assert len(came) < 16
    process = pool.workers[0].process
    assert process is not None
    os.kill(process.pid, how)
    before = len(came)
    if how == signal.SIGSTOP:
        pool.dispatch()
        pool.deadline = 1e-6
        pool.check_progress()
        pool.deadline = 60
    came += run_pool(pool)
    assert pool.replaced == 1
    assert set(np.concatenate([r.versions[r.sampled] for r in came])) == {pair.version}
    assert same(came, undisturbed) or not exact  # other batches have other last bits
    assert len(came) == 16
    again = 16 if exact else 16 - before
    said = capfd.readouterr().err
    assert (
        "died: The actor died unexpectedly" if how == signal.SIGKILL else "no stacks: the process"
    ) in said
    assert f"Replaced; {again} rollouts are generated again" in said
    for actor in started:
        ray.kill(actor)


def test_a_worker_that_cannot_start_is_not_tried_again(ray_cluster: None) -> None:
    started = []

    def start(place: int) -> Any:
        started.append(RolloutActor.options(num_cpus=0).remote("nowhere", MAX_LENGTH, ROLLOUT, 0, []))
        return started[-1]

    pool = RolloutPool([start(0)], max_num_seqs=4, deadline=60, start=start)
    pool.submit(make_requests(18, problems=1))
    with pytest.raises(RlvrError, match="rollout worker 0 failed: "):
        run_pool(pool)
    assert len(started) == 1


# ---------------------------------------------------------------- the last tests: engines do not outlive them


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_weight_that_is_left_out_is_named(pair: Pair, name: str) -> None:
    """By the receiver, or, for one part of a packed layer, by the check: the layer holds anything then."""
    prompts = [(r.prompt, [*r.prompt[::-1], EOS]) for r in make_requests(19, samples=1)]
    pair.update(supervised_batch(prompts), lr=1e-2, loss=supervised)
    pair.version += 1

    def publish_and_check() -> None:
        pair.send("publish_tampered", pair.version, name, None)
        check(pair, 13)

    with pytest.raises((RayTaskError, RlvrError)) as caught:
        publish_and_check()
    last = str(caught.value).strip().splitlines()[-1]
    missing = re.search(r"(leaves parameters at old values|these weights differ): (.*)$", last)
    assert missing
    assert missing[2].split(", ") == [name]


def nan_loss(
    outputs: Mapping[str, Tensor], columns: Mapping[str, Tensor], mask: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    return outputs["logprobs"] * float("nan"), {}


def test_a_loss_that_is_no_number_stops_the_run(pairs: dict[str, Pair]) -> None:
    learner = pairs["untied"].learner
    batch = supervised_batch([([1, 5, 6], [7, EOS])])
    with pytest.raises(RlvrError, match="the loss is nan and the gradient norm nan"):
        finish("update", learner.call("update", batch, nan_loss, 1e-3))
