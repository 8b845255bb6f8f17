"""TRL's side of `parity_trl.py`, for a Python that has TRL and not this project: parity_trl_worker.py FOLDER

Reads FOLDER/spec.json and rollouts.json; writes a gradient per run as trl/I.npz, and trl/results.json.

Each run is what GRPOTrainer does with `num_iterations=2` in the second pass over its rollouts: the batch
was made with the base model (rewards, advantages, padding, masks, old and reference log-probabilities),
then the policy moved, and `training_step` accumulates the gradient over micro-batches. The rollouts
come in through `rollout_func`, which is TRL's own way; what is put in their place afterwards are the old
log-probabilities, which the trainer has computed anew, and the advantages where they are to be equal.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

Rows = list[dict[str, Any]]


def stored_rewards(prompts: list[str], completions: list[str], reward: list[Any], **_: Any) -> list[Any]:
    return reward


def make_trainer(spec: dict[str, Any], run: dict[str, Any], rows: Rows, folder: str) -> Any:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer  # type: ignore[import-not-found]

    size = spec["group_size"]
    tokenizer = AutoTokenizer.from_pretrained(spec["base"])
    # an untrained model draws the padding token too, and TRL takes an answer that was cut off there for ended
    tokenizer.pad_token = tokenizer.eos_token
    arguments = GRPOConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        report_to=[],
        model_init_kwargs={"dtype": "float32"},
        num_generations=size,
        num_iterations=2,
        per_device_train_batch_size=size,
        gradient_accumulation_steps=len(rows) // size,
        max_completion_length=spec["max_tokens"],
        temperature=spec["temperature"],
        **run["settings"],
    )

    def rollouts(prompts: list[str], trainer: Any) -> dict[str, Any]:
        return {
            "prompt_ids": [row["prompt"] for row in rows],
            "completion_ids": [row["completion"] for row in rows],
            "logprobs": [row["logprobs"] for row in rows],
        }

    return GRPOTrainer(
        model=spec["base"],
        reward_funcs=stored_rewards,
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": ["?"] * len(rows)}),
        processing_class=tokenizer,
        rollout_func=rollouts,
    )


def make_batches(trainer: Any, run: dict[str, Any], result: dict[str, Any]) -> list[dict[str, Any]]:
    """TRL's batch of the stored rollouts, cut into micro-batches."""
    from trl.trainer.utils import shuffle_sequence_dict, split_tensor_dict  # type: ignore[import-not-found]

    batch = trainer._generate_and_score_completions(
        [{"prompt": "?", "reward": reward} for reward in run["rewards"]]
    )
    result["advantages"] = batch["advantages"].tolist()
    if not run["own_advantages"]:
        batch["advantages"] = torch.tensor(run["advantages"])
    stored = batch["sampling_per_token_logps"]
    gap = (batch["old_per_token_logps"] - stored)[batch["completion_mask"].bool()]
    result["old_logprob_gap"] = float(gap.abs().max())
    batch["old_per_token_logps"] = stored
    return list(split_tensor_dict(shuffle_sequence_dict(batch), trainer.args.steps_per_generation))


def learn(spec: dict[str, Any], run: dict[str, Any], rows: Rows) -> tuple[dict[str, Any], dict[str, Any]]:
    from transformers import AutoModelForCausalLM

    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(spec, run, rows, folder)
    trainer.model.train()
    trainer._buffered_inputs = make_batches(trainer, run, result)
    policy = AutoModelForCausalLM.from_pretrained(spec["policy"], dtype=torch.float32)
    trainer.model.load_state_dict(policy.state_dict())
    steps = trainer.args.gradient_accumulation_steps
    trainer.current_gradient_accumulation_steps = steps
    trainer._step = steps  # the first pass is over: nothing is generated any more
    trainer.model.zero_grad()
    # each is a micro-batch's share of the loss, as its gradient is of the gradient
    losses = [float(trainer.training_step(trainer.model, None, None)) for _ in range(steps)]
    clipped = {
        n: v for n, v in trainer._metrics["train"].items() if "clip_ratio/" in n or n == "cispo_clip_ratio"
    }
    result["clipped"] = {name: float(np.mean(values)) for name, values in clipped.items()}
    gradients = {name: weight.grad.numpy() for name, weight in trainer.model.named_parameters()}
    return result | {"loss": sum(losses)}, gradients


def main(folder: Path) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    rollouts = json.loads((folder / "rollouts.json").read_text())
    (folder / "trl").mkdir()
    results = {}
    for number, (name, run) in enumerate(spec["runs"].items()):
        result, gradients = learn(spec, run, [rollouts[i] for i in run["rollouts"]])
        np.savez(folder / "trl" / f"{number}.npz", **gradients)
        results[name] = result | {"file": f"trl/{number}.npz"}
    versions = {name: metadata.version(name) for name in ("trl", "torch", "transformers", "accelerate")}
    text = json.dumps({"versions": versions, "runs": results})
    (folder / "trl" / "results.json").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
