"""Other settings for an update that was made: what of them may differ, and the rewards that they give."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from rlvr.base.settings import refuse
from rlvr.configuration import compose
from rlvr.configuration.arguments import SAVED_CONFIG
from rlvr.configuration.keys import config_folder
from rlvr.learner.config import learner_messages
from rlvr.pipeline.config import RunConfig
from rlvr.rewards.combine import combine
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.functions import validate_reward
from rlvr.stages.config import model_messages
from rlvr.stages.rl_checks import algorithm_messages, algorithm_targets, rl_messages
from rlvr.types import Group, Verdict

GROUP = "algorithm"  # the group whose options may be given
FREE = (
    "algorithm",
    "rl.optimizer",
    "rl.updates_per_step",
    *(
        f"learner.{name}"
        for name in ("micro_batch_tokens", "packing", "gradient_checkpointing", "max_grad_norm")
    ),
    *(f"reward.{name}" for name in ("weights", "gates", "gate_value", "clip", "logged")),
)
FIXED = "the step's rollouts are those that were drawn"
WHY_NOT = {
    "algorithm.max_rounds": FIXED,
    "algorithm.max_group_size": FIXED,
    "learner": "the models and the optimizer's state to begin with are those of the run",
    "reward": "no reward function is called: values in the journal can be combined anew, by "
    "reward.weights, gates, gate_value, clip and logged",
    "model": "the models to begin with are those of the run",
}


def what_if(config: RunConfig, given: Sequence[str]) -> RunConfig:
    """`config` with `algorithm=OPTION`, which takes the place of the whole section, and with other values.

    Raises:
        ConfigError: one of them is wrong, or is not read by an update.
    """
    schema = type(config)
    command = next(name for name, of in compose.SCHEMAS.items() if of is schema)
    compose.register_schema()
    with compose.said_plainly(given, command):
        overrides = OverridesParser.create().parse_overrides(list(given))
        refuse(message for override in overrides for message in _refusals(override))
        tree = OmegaConf.structured(config)
        for override in overrides:
            if _is_option(override):
                tree[GROUP] = _option(str(override.input_line))
        values = [str(override.input_line) for override in overrides if not _is_option(override)]
        changed = compose.to_config(_with_values(tree, values, command), schema)
    changed.algorithm = replace(changed.algorithm, max_rounds=1, max_group_size=None)  # rounds are over
    refuse(_messages(config, changed, values))
    return changed


def _refusals(override: Override) -> Iterator[str]:
    key = override.key_or_group
    if override.is_sweep_override():
        yield f"--what-if {override.input_line}: give one value; replay once for each"
    if not any(key == free or key.startswith(f"{free}.") for free in FREE) or key in WHY_NOT:
        first = key.partition(".")[0]
        yield f"--what-if {override.input_line}: {WHY_NOT.get(key) or WHY_NOT.get(first, FIXED)}"


def _is_option(override: Override) -> bool:
    return override.key_or_group == GROUP and isinstance(override.value(), str)


def _option(override: str) -> DictConfig:
    """The section that a fresh run would have with this option."""
    with initialize_config_dir(config_dir=str(config_folder()), version_base="1.3"):
        section: DictConfig = hydra_compose("train", overrides=[override])[GROUP]
    return section


def _with_values(tree: DictConfig, values: list[str], command: str) -> DictConfig:
    """Hydra's own idea of what an override does to a configuration, which it reads from a file."""
    with tempfile.TemporaryDirectory() as folder:
        header = f"defaults:\n  - {command}_schema\n  - _self_\n"
        (Path(folder) / f"{SAVED_CONFIG}.yaml").write_text(header + OmegaConf.to_yaml(tree))
        with initialize_config_dir(config_dir=folder, version_base="1.3"):
            return hydra_compose(SAVED_CONFIG, overrides=values)


def _messages(config: RunConfig, changed: RunConfig, values: list[str]) -> Iterator[str]:
    yield from algorithm_targets(changed.algorithm)
    yield from algorithm_messages(
        changed.rl, changed.for_stages(), [value for value in values if value[0] != "~"]
    )
    yield from rl_messages(changed.rl, changed.for_stages())
    yield from learner_messages(changed.learner)
    yield from model_messages(changed.model, changed.rollout.gpus_per_worker)
    yield from validate_reward(changed.reward)
    if changed.algorithm.critic and not config.algorithm.critic:
        yield (
            "the run has no value model, and a new one has nothing to say of its rollouts: take an algorithm "
            "without algorithm.critic"
        )


def rewarded(groups: Sequence[Group], settings: RewardConfig) -> list[Group]:
    """The groups with the rewards that these settings make of the values of their reward functions."""

    def again(verdict: Verdict) -> Verdict:
        if verdict.reward is None:
            return verdict
        made = combine(
            {name: verdict.parts.get(name) for name in settings.functions},
            settings.weights,
            gates=settings.gates,
            gate_value=settings.gate_value,
            clip=settings.clip,
            logged=settings.logged,
        )
        if made.reward is None:
            return replace(made, parts=verdict.parts)
        return replace(verdict, reward=made.reward)

    return [Group(g.problem, g.rollouts, [again(verdict) for verdict in g.verdicts]) for g in groups]
