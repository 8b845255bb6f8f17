"""Which settings of the algorithm and of the stages are refused together, and functions of one's own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from rlvr.configuration import compose
from rlvr.configuration.keys import config_folder
from rlvr.pipeline.checks import check_config
from rlvr.types import ConfigError

FOLDER = config_folder()
NOISE = ["algorithm.advantage.false_positive=0.1", "algorithm.advantage.false_negative=0.2"]
TOKENS = "rlvr.algorithms.token_level"
OFF_POLICY = ["rl.updates_per_step=2"]


@pytest.fixture(scope="module", autouse=True)
def hydra_folder() -> Iterator[None]:
    compose.register_schema()
    with initialize_config_dir(config_dir=str(FOLDER), version_base="1.3"):
        yield


def refusals(*overrides: str) -> list[str]:
    """What is said to these arguments; nothing if they are taken."""
    given = [*overrides, "model.max_length=1024"]
    try:
        check_config(compose.to_config(hydra_compose("train", overrides=given)), given)
    except ConfigError as error:
        return str(error).splitlines()
    return []


OPTIONS = [
    f"{group}={path.stem}"
    for group in ("algorithm", "sampling")
    for path in sorted((FOLDER / group).glob("*.yaml"))
]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_algorithm_and_every_sampling_passes_the_checks(option: str) -> None:
    given = NOISE if option == "algorithm=grpo_noise" else []
    assert refusals(option, *given) == []


def test_the_rates_of_the_noise_must_be_given() -> None:
    said = refusals("algorithm=grpo_noise")
    assert [line.partition(" ")[0] for line in said] == [key.partition("=")[0] for key in reversed(NOISE)]


# Every refusal is the only one, so that each combination is told from those beside it.
HALF = ["rollout.dtype=bfloat16", "learner.dtype=bfloat16", "learner.zero_stage=1"]
IN_THE_REWARD = ["algorithm.kl.coef=0.1", "algorithm.kl.place=reward", "algorithm.kl.estimator=k1"]
CASES = {
    # rewards and advantages
    "group of one": (["rl.group_size=1"], "rl.group_size=1 gives no gradient"),
    "group of one with noise": (
        ["rl.group_size=1", "algorithm=grpo_noise", *NOISE],
        "rl.group_size=1 gives no gradient",
    ),
    "a verifier that says nothing": (
        ["algorithm=grpo_noise", *(f"{rate.partition('=')[0]}=0.5" for rate in NOISE)],
        "false_positive=0.5 and false_negative=0.5 must be",
    ),
    "whitened backward noise": (
        [
            "algorithm=grpo_noise",
            *NOISE,
            "algorithm.advantage._target_=rlvr.algorithms.noise.backward",
            "algorithm.whiten=true",
        ],
        "algorithm.whiten undoes noise.backward",
    ),
    "penalties of a reward of two values": (
        ["algorithm=max_rl", *IN_THE_REWARD],
        "algorithm.kl.place=reward makes rewards that are not binary, as .*max_rl requires",
    ),
    "penalties over a deviation": (
        ["algorithm=grpo", *IN_THE_REWARD],
        "place=reward with .*grpo: .* divide the penalties by their own deviation",
    ),
    "k3 in the reward": (
        ["algorithm=rloo", "algorithm.kl.coef=0.1", "algorithm.kl.place=reward"],
        "estimator=k3 in the reward regularizes almost nothing",
    ),
    "a sum for two rewards": (
        ["algorithm=max_rl", "reward=math_format"],
        "max_rl needs a binary reward, but the reward is the sum of math, format",
    ),
    "a schedule for select": (
        ["stages=[select]", "sampling=annealed", "sampling.max_tokens=16"],
        "sampling.schedule is used by rl and opd only",
    ),
    "a learner for select": (
        ["stages=[select]", "learner.workers=2"],
        "learner.workers is not used by the stages select",
    ),
    # KL and entropy
    "settings of no KL": (
        ["algorithm.kl.estimator=k2"],
        "algorithm.kl has settings, .* no effect with coef 0",
    ),
    "k1 in the loss": (
        ["algorithm.kl.coef=0.1", "algorithm.kl.estimator=k1"],
        "k1 in the loss regularizes nothing.*k2 .reverse KL. or k3, or place=reward",
    ),
    "a reset that never comes": (
        ["algorithm.kl.coef=0.1", "algorithm.kl.reset_every=20", "rl.steps=20"],
        "algorithm.kl.reset_every=20 has no effect: the stage has 20 steps",
    ),
    "delta without a target": (
        ["algorithm.entropy.delta=0.1"],
        "algorithm.entropy.delta has no effect without algorithm.entropy.target",
    ),
    # the ratio and its correction
    "settings of no correction": (
        ["algorithm.correction.high=3"],
        "algorithm.correction has settings, but they have no effect with kind=none",
    ),
    "correction of the sampler by itself": (
        ["algorithm.correction.kind=truncate"],
        "kind=truncate has no effect with old_policy=sampler.*Set algorithm.old_policy=learner",
    ),
    "lower bound of a truncation": (
        ["algorithm.correction={kind: truncate, low: 0.1}", "algorithm.old_policy=learner"],
        "algorithm.correction.low has no effect with kind=truncate",
    ),
    "an empty band": (
        ["algorithm.correction={kind: mask, low: 3, high: 2}", "algorithm.old_policy=learner"],
        "low=3.0 must be below high=2.0",
    ),
    "old policy without a ratio": (
        ["algorithm=reinforce", "algorithm.old_policy=learner"],
        "algorithm.old_policy=learner has no effect: reinforce has no ratio",
    ),
    "clip of a ratio that is one": (
        ["algorithm.loss.clip_high=0.3"],
        "algorithm.loss.clip_high has no effect.*Raise rl.updates_per_step or rl.max_staleness",
    ),
    "dual clip of a ratio that is one": (["+algorithm.loss.dual_clip=3"], "algorithm.loss.dual_clip has no"),
    "bound of a weight that is one": (
        ["algorithm=cispo", "algorithm.loss.max_ratio=3"],
        "algorithm.loss.max_ratio has no effect",
    ),
    "clip of a ratio that is one, though stale": (
        ["algorithm.loss.clip_high=0.3", "algorithm.old_policy=learner", "rl.max_staleness=2"],
        "algorithm.loss.clip_high has no effect.*Raise rl.updates_per_step, or leave",
    ),
    "sequence clip of a ratio that is one": (
        ["algorithm=gspo", "algorithm.loss.clip_high=1e-3", "algorithm.old_policy=learner"],
        "algorithm.loss.clip_high has no effect",
    ),
    "sequence clip below rounding": (
        ["algorithm=gspo", *HALF],
        "GSPO's clip range of 0.0003 and 0.0004 is narrower .* in bfloat16.*old_policy=learner",
    ),
    "sequence clip below a sampler's rounding": (
        ["algorithm=gspo", "rollout.dtype=bfloat16"],
        "GSPO's clip range of 0.0003 and 0.0004 is narrower",
    ),
    "dual clip below one": (["+algorithm.loss.dual_clip=0.5", *OFF_POLICY], "dual_clip=0.5 above 1"),
    # filters and rounds
    "rounds without filters": (
        ["algorithm.max_rounds=3"],
        "max_rounds=3 has no effect without algorithm.filters",
    ),
    "growth in one round": (
        ["algorithm=dapo", "algorithm.max_rounds=1", "algorithm.max_group_size=64"],
        "max_group_size=64 has no effect with max_rounds=1",
    ),
    "growth by less than a group": (
        ["algorithm=dapo", "algorithm.max_group_size=15", "rl.group_size=8"],
        "max_group_size=15 has no effect.*give 16 or more",
    ),
    "path of a filter": (
        ["+algorithm.filters.mine={_target_: rlvr.algorithms.filters.balance}"],
        "algorithm.filters.mine.*no 'balance'.*did you mean 'rebalance'",
    ),
    "a filter that is no path": (
        ["+algorithm.filters.mine=rebalance"],
        "algorithm.filters.mine must be .*_target_",
    ),
    "argument of a filter": (
        ["algorithm=phi4_mini", "+algorithm.filters.rebalance.max_acuracy=1"],
        "does not take 'max_acuracy'.*did you mean 'max_accuracy'",
    ),
    "group of a filter": (
        ["algorithm=dapo", "+algorithm.filters.informative.group=1"],
        "is given 'group' at every call",
    ),
    # the value model
    "estimates without a value model": (
        [f"algorithm.advantage._target_={TOKENS}.gae"],
        "takes `values`, but there is no value model: take algorithm=ppo",
    ),
    "a value model that nobody asks": (
        ["algorithm=ppo", f"algorithm.advantage._target_={TOKENS}.reward_to_go", "~algorithm.advantage.lam"],
        "algorithm.critic has no effect: algorithm.advantage does not take `values`",
    ),
    "warm-up without end": (
        ["algorithm=ppo", "algorithm.critic.warmup_steps=9", "rl.steps=9"],
        "algorithm.critic.warmup_steps=9 never ends.*9 steps",
    ),
    "clip of values that have not moved": (
        ["algorithm=ppo", "algorithm.critic.clip=0.3"],
        "algorithm.critic.clip has no effect with rl.updates_per_step=1",
    ),
    # sampling
    "a schedule that ends at nothing": (
        ["sampling=annealed", "sampling.schedule.final=0", "rl.steps=10"],
        "sampling.schedule gives 0 for step 6; vLLM accepts 0.01 to 2",
    ),
    "a schedule of no steps": (
        ["sampling=annealed", "sampling.schedule.share=0"],
        "sampling.schedule raised ZeroDivisionError",
    ),
    "a schedule without an end": (
        ["+sampling.schedule._target_=rlvr.rollout.schedules.linear"],
        "sampling.schedule: .*missing a required argument: 'final'",
    ),
    "no room for a prompt": (["sampling.max_tokens=1024"], "sampling.max_tokens=1024 leaves no room"),
    # stages, models, machines
    "no stage": (["stages=[]"], "stages is empty: name some of synthesize, select, distill"),
    "a stage twice": (["stages=[sft,sft]"], "name each stage at most once"),
    "key of a stage that does not run": (
        ["select.samples=4"],
        "select.samples is not used by the stages rl, only by select",
    ),
    "algorithm without rl": (
        ["stages=[select]", "algorithm=dapo"],
        "algorithm is not used by the stages select, only by rl",
    ),
    "order without rl": (
        ["stages=[select]", "problems.order._target_=rlvr.problems.curriculum.PassRate"],
        r"problems\.order\._target_ is not used by the stages select, only by rl",
    ),
    "path of a selection": (
        ["stages=[select]", "+select.filters.mine={_target_: nowhere.at_all}"],
        "select.filters.mine.*no module 'nowhere'",
    ),
    "argument of an order": (
        ["+problems.order.hardness=2"],
        "problems.order.hardness.*does not take 'hardness'",
    ),
    "updates that do not divide a step": (
        ["rl.problems_per_step=9", "rl.updates_per_step=2"],
        "problems_per_step=9 must be a multiple of updates_per_step=2",
    ),
    "nucleus of greedy decoding": (
        ["evaluation.top_p=0.9", "evaluation.temperature=0"],
        "evaluation.top_p=0.9 has no effect with temperature 0",
    ),
    "GPUs on one side": (["rollout.gpus_per_worker=1"], "give both GPUs, or neither"),
    "half precision without ZeRO": (
        ["learner.dtype=bfloat16"],
        "learner.dtype=bfloat16 needs learner.zero_stage",
    ),
    "two models": (["+model.path=there"], "model.path and model.scratch: both are given"),
    "heads that do not share": (["model.scratch.kv_heads=3"], "heads=4 must be a multiple of kv_heads=3"),
    "heads too thin": (["model.scratch.hidden_size=64"], "hidden_size/heads is 16; .* multiples of 32"),
}


@pytest.mark.parametrize(("overrides", "said"), CASES.values(), ids=CASES.keys())
def test_what_has_no_effect_or_cannot_work_is_refused(overrides: list[str], said: str) -> None:
    lines = refusals(*overrides)
    assert len(lines) == 1, lines
    assert re.search(said, lines[0])


TAKEN = {
    "penalties in the reward": ["algorithm=rloo", "+algorithm.kl={coef: 0.03, place: reward, estimator: k1}"],
    "a reset in time": ["algorithm.kl.coef=0.1", "algorithm.kl.reset_every=19", "rl.steps=20"],
    "delta with a target": ["algorithm.entropy={target: 0.2, delta: 0.1}"],
    "correction of the learner": [
        "algorithm.correction={kind: mask, low: 0.1}",
        "algorithm.old_policy=learner",
    ],
    "reinforce with a correction": [
        "algorithm=reinforce",
        "algorithm.old_policy=learner",
        "algorithm.correction.kind=truncate",
    ],
    "clip of several updates": ["+algorithm.loss.dual_clip=3", *OFF_POLICY],
    "clip of several updates of the learner's": [
        "algorithm.loss.clip_low=0.1",
        "algorithm.old_policy=learner",
        *OFF_POLICY,
    ],
    "clip of stale rollouts": ["algorithm.loss.clip_low=0.1", "rl.max_staleness=1"],
    "clip of sequences": ["algorithm=gspo", "algorithm.loss.clip_low=0.1"],
    "clip of sequences by one engine": ["algorithm=gspo", *HALF, "algorithm.old_policy=learner"],
    "clip of sequences beyond rounding": [
        "algorithm=gspo",
        *HALF,
        "algorithm.loss.clip_low=0.1",
        "algorithm.loss.clip_high=0.1",
    ],
    "clip of tokens, rounded": ["algorithm=grpo", *HALF],
    "group of one without a baseline": ["rl.group_size=1", "algorithm=reinforce"],
    "growth": ["algorithm=dapo", "algorithm.max_group_size=16", "rl.group_size=8"],
    "whitened noise": ["algorithm=grpo_noise", *NOISE, "algorithm.whiten=true"],
    "clip of values": ["algorithm=ppo", "algorithm.critic.clip=0.3", *OFF_POLICY],
    "a curriculum": [
        "problems.order._target_=rlvr.problems.curriculum.PassRate",
        "+problems.order.hardness=2",
    ],
    "a selection": ["stages=[select,rl]", "select.samples=4"],
}


@pytest.mark.parametrize("overrides", TAKEN.values(), ids=TAKEN.keys())
def test_what_has_an_effect_is_taken(overrides: list[str]) -> None:
    assert refusals(*overrides) == []


# ---------------------------------------------------------------- functions of one's own

OWN = """
def halved(*, rewards, by=2.0):
    return rewards / by

def of_tokens(token_rewards, values):
    return token_rewards - values

def of_nothing(completions):
    return completions

def of_both(rewards, token_rewards):
    return rewards

def of_groups_with_values(rewards, values):
    return rewards

def loss(logprobs, old_logprobs, advantages, mask, clip_margin=0.0):
    return -advantages * logprobs - clip_margin, {}

def mean_loss(logprobs, old_logprobs, advantages, mask):
    return (-advantages * logprobs).mean(), {}

def narrow_loss(logprobs, advantages):
    return -advantages * logprobs, {}

def longest(group, random, most=9):
    return group

def rising(step, steps, temperature):
    return temperature + step / steps

class Backwards:
    def __init__(self, problems, seed, stride=1):
        self.problems = problems
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module outside of the package."""
    (tmp_path / "own_functions.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_functions", raising=False)


PLAIN = ["~algorithm.loss.clip_low", "~algorithm.loss.clip_high"]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    "overrides",
    [
        ["algorithm.advantage._target_=own_functions.halved", "+algorithm.advantage.by=4"],
        [
            "algorithm=ppo",
            "algorithm.advantage._target_=own_functions.of_tokens",
            "~algorithm.advantage.gamma",
            "~algorithm.advantage.lam",
        ],
        # a setting that only looks like a bound of the ratio
        [*PLAIN, "algorithm.loss._target_=own_functions.loss", "+algorithm.loss.clip_margin=0.1"],
        ["+algorithm.filters.longest={_target_: own_functions.longest, most: 3}"],
        ["+sampling.schedule._target_=own_functions.rising"],
        ["problems.order._target_=own_functions.Backwards", "+problems.order.stride=2"],
    ],
    ids=["advantage", "advantage of tokens", "loss", "filter", "schedule", "order"],
)
def test_a_function_of_ones_own_is_taken_by_its_import_path(overrides: list[str]) -> None:
    assert refusals(*overrides) == []


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("name", ["of_nothing", "of_both", "of_groups_with_values"])
def test_an_advantage_of_ones_own_must_say_what_it_works_on(name: str) -> None:
    (line, *_) = refusals(f"algorithm.advantage._target_=own_functions.{name}")
    assert f"own_functions.{name} must have a parameter `rewards` (of a group), or `token_rewards`" in line


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mean_loss", "the loss is [], but must be [B, T]"),
        ("narrow_loss", "unexpected keyword argument"),
        ("los", "own_functions has no 'los'"),
    ],
)
def test_a_loss_of_ones_own_is_tried_before_the_run(name: str, said: str) -> None:
    (line,) = refusals(*PLAIN, f"algorithm.loss._target_=own_functions.{name}")
    assert said in line
