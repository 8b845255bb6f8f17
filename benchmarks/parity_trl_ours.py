"""Our side of `parity_trl.py`: draws the rollouts with vLLM, and learns from them with the real learner.

    python benchmarks/parity_trl_ours.py sample|learn FOLDER

`sample` writes base/, policy/ and rollouts.json, `learn` a gradient per run of the plan as ours/I.npz,
and ours/results.json. Each is a process of its own, since both engines want to be the only one.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parity_trl_cases import GROUP_SIZE, MAX_TOKENS, TEMPERATURE, OurRun, make_plan
from torch import Tensor

from rlvr.algorithms import objective
from rlvr.configuration import compose
from rlvr.configuration.keys import config_folder
from rlvr.pipeline.config import RunConfig
from rlvr.rollout.config import RolloutConfig
from rlvr.types import FinishReason, Group, Problem, Rollout, Status, Verdict

MAX_LENGTH = 64
ALPHABET = "0123456789+-=? "
PROBLEMS = ["7+5=?", "12+9=?", "1+2+3=?", "305-17=?", "4=?", "88+88+88=?", "90-9=?", "6-5+4-3+2-1=?"]
SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
SHIFT = 0.35  # how far the policy has moved from the one that sampled, over the spread of its weights


def make_models(folder: Path) -> None:
    """`base` samples, and is the reference; `policy` is what it may have become some updates later."""
    from transformers import AutoModelForCausalLM

    from rlvr.learner.models import make_scratch_model
    from rlvr.problems.tokenizer import character_tokenizer

    tokenizer = character_tokenizer(ALPHABET)
    # wider than Llama's 0.02, so that the model prefers some tokens, as a trained one does
    sizes = {**SIZES, "intermediate_size": 128, "tie_word_embeddings": True, "initializer_range": 0.12}
    make_scratch_model(folder / "base", tokenizer, MAX_LENGTH, 0, **sizes)
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += SHIFT * weight.std() * torch.randn(weight.shape, generator=generator)
    model.save_pretrained(folder / "policy")
    tokenizer.save_pretrained(folder / "policy")


def sample(folder: Path) -> None:
    from rlvr.rollout.engine import Request, RolloutEngine

    make_models(folder)
    engine = RolloutEngine(str(folder / "base"), MAX_LENGTH, RolloutConfig(kv_cache_gib=0.1), 0)
    bos = engine.tokenizer.bos_token_id
    engine.submit(
        [
            Request(
                text, 1, i, 100 * g + i, [bos, *engine.tokenizer(text).input_ids], TEMPERATURE, MAX_TOKENS
            )
            for g, text in enumerate(PROBLEMS)
            for i in range(GROUP_SIZE)
        ]
    )
    rollouts = {(r.problem_id, r.sample): r for r in engine.run(float("inf"))}
    rewards = draw_rewards()
    rows = []
    for g, text in enumerate(PROBLEMS):
        for i in range(GROUP_SIZE):
            rollout = rollouts[text, i]
            start = len(rollout.tokens) - rollout.num_sampled
            rows.append(
                {
                    "prompt": rollout.tokens[:start].tolist(),
                    "completion": rollout.tokens[start:].tolist(),
                    "logprobs": rollout.logprobs[start:].tolist(),
                    "finish_reason": rollout.finish_reason.value,
                    "reward": rewards[g, i],
                }
            )
    (folder / "rollouts.json").write_text(json.dumps(rows))


def draw_rewards() -> np.ndarray:
    """[groups, GROUP_SIZE]: the first group has all right, the second none, the last graded rewards."""
    random = np.random.default_rng(0)
    rewards = np.where(random.random((len(PROBLEMS), GROUP_SIZE)) < 0.5, 1.0, -1.0)
    rewards[:, 0], rewards[:, 1] = 1.0, -1.0
    rewards[0], rewards[1] = 1.0, -1.0
    rewards[-1] = [0.25, -0.5, 1.0, 0.1]
    return rewards


def read_groups(folder: Path, unreached: bool) -> list[Group]:
    rows = json.loads((folder / "rollouts.json").read_text())
    groups = []
    for g, text in enumerate(PROBLEMS):
        group = Group(Problem(f"p{g}", text, ""), [], [])
        for i, row in enumerate(rows[g * GROUP_SIZE : (g + 1) * GROUP_SIZE]):
            group.rollouts.append(_rollout(f"p{g}", i, row))
            if unreached and (g, i) == (3, 2):
                group.verdicts.append(Verdict(Status.TIMEOUT, None, "too slow"))
            else:
                status = Status.CORRECT if row["reward"] > 0 else Status.WRONG
                group.verdicts.append(Verdict(status, row["reward"], "as stored"))
        groups.append(group)
    return groups


def _rollout(problem: str, sample: int, row: dict[str, Any]) -> Rollout:
    prompt, completion = row["prompt"], row["completion"]
    sampled = np.arange(len(prompt) + len(completion)) >= len(prompt)
    return Rollout(
        problem_id=problem,
        step=1,
        sample=sample,
        seed=0,
        tokens=np.array(prompt + completion, dtype=np.int32),
        sampled=sampled,
        logprobs=np.array([0.0] * len(prompt) + row["logprobs"], dtype=np.float32),
        versions=np.where(sampled, 0, -1).astype(np.int32),
        text="",
        finish_reason=FinishReason(row["finish_reason"]),
        temperature=TEMPERATURE,
    )


class InProcess:
    """Stands for the learner's actors and for the buffer that waits for them: calls are answered at once."""

    def __init__(self, learner: Any) -> None:
        self.learner = learner

    def call(self, method: str, *arguments: Any) -> list[Any]:
        if method == "logprobs":
            return [self.learner.outputs("logprobs", *arguments)]
        return [getattr(self.learner, method)(*arguments)]

    def wait(self, what: str, calls: list[Any], deadline: float) -> Any:
        return calls[0]


def weighted_kl(
    outputs: objective.Columns,
    columns: objective.Columns,
    mask: Tensor,
    *,
    kl: Any,
    kl_coef: float,
    **rest: Any,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The policy objective with its KL term times π/π_old."""
    per_token, diagnostics = objective.policy(outputs, columns, mask, **rest)
    logprobs = outputs["logprobs"]
    ratio = (logprobs - torch.where(mask, columns["old_logprobs"], logprobs)).exp()
    log_ratio = logprobs - torch.where(mask, columns["reference_logprobs"], logprobs)
    return per_token + kl_coef * ratio * kl(log_ratio), diagnostics


def configuration(folder: Path, run: OurRun) -> RunConfig:
    """What `rlvr train` makes of the overrides. A rate that moves no weight leaves the gradient to read."""
    from hydra import compose as hydra_compose

    common = [
        "model=pretrained",
        f"model.path={folder / 'policy'}",
        f"model.max_length={MAX_LENGTH}",
        f"sampling.max_tokens={MAX_TOKENS}",
        f"sampling.temperature={TEMPERATURE}",
        f"rl.problems_per_step={len(PROBLEMS)}",
        f"rl.group_size={GROUP_SIZE}",
        "rl.optimizer.lr=1e-30",
    ]
    return compose.to_config(hydra_compose("train", overrides=[*common, *run.overrides]))


def learn_run(folder: Path, run: OurRun, learner: Any) -> dict[str, Any]:
    """One update as the stage makes it; what it learned from, and its loss."""
    from hydra.utils import instantiate

    from rlvr.stages.collector import apply_filters
    from rlvr.stages.learning import Learning

    config = configuration(folder, run)
    shell: Any = InProcess(learner)
    learner.reference = None
    stage = Learning(config.for_stages(), config.rl, shell, shell, str(folder / "base"))
    if run.weighted_kl:
        stage.objective = partial(weighted_kl, **stage.objective.keywords)
    filters = {name: instantiate(spec, _partial_=True) for name, spec in config.algorithm.filters.items()}
    groups = [apply_filters(g, filters, config.seed, 1)[0] for g in read_groups(folder, run.unreached)]
    places = [place for place, group in enumerate(groups) if group is not None]
    kept = [group for group in groups if group is not None]
    batch = stage.batch(kept)
    (metrics,), _ = stage.update(batch, len(kept), 1)
    return {
        "loss": metrics["learner/loss"],
        "clip_fraction": metrics["learner/clip_fraction"],
        "tokens": int(sum(mask.sum() for mask in batch.mask)),
        "rows": len(batch.tokens),
        **_rows(places, kept, batch.columns["advantages"]),
    }


def _rows(places: Sequence[int], groups: Sequence[Group], advantages: Sequence[np.ndarray]) -> dict[str, Any]:
    """Which of the stored rollouts, with their rewards and advantages; 0 for a verdict not reached."""
    rewards = [verdict.reward for group in groups for verdict in group.verdicts]
    column = iter(advantages)
    return {
        "rollouts": [place * GROUP_SIZE + i for place in places for i in range(GROUP_SIZE)],
        "rewards": rewards,
        "advantages": [0.0 if reward is None else float(next(column)[-1]) for reward in rewards],
    }


def learn(folder: Path) -> None:
    from hydra import initialize_config_dir

    from rlvr.learner.config import LearnerConfig, OptimizerConfig
    from rlvr.learner.learner import join_ranks
    from rlvr.learner.policy import PolicyLearner

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    device = join_ranks(0, 1, "127.0.0.1", port, gpu=False)
    # micro-batches of a few rows, and a bound that never scales the gradient down
    settings = LearnerConfig(micro_batch_tokens=200, max_grad_norm=1e9)
    learner = PolicyLearner(str(folder / "policy"), MAX_LENGTH, settings, OptimizerConfig(), device)
    gradients: dict[str, Any] = {}

    def read(*_: Any) -> None:
        for name, weight in learner.model.named_parameters():
            assert weight.grad is not None
            gradients[name] = weight.grad.numpy().copy()

    learner.adamw.register_step_pre_hook(read)
    (folder / "ours").mkdir()
    results = {}
    compose.register_schema()
    with initialize_config_dir(config_dir=str(config_folder()), version_base="1.3"):
        for number, (name, run) in enumerate(make_plan().ours.items()):
            results[name] = learn_run(folder, run, learner) | {"file": f"ours/{number}.npz"}
            np.savez(folder / "ours" / f"{number}.npz", **gradients)
    (folder / "ours" / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    {"sample": sample, "learn": learn}[sys.argv[1]](Path(sys.argv[2]))
