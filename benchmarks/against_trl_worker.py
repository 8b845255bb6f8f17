"""TRL's side of `against_trl*.py`, for a Python that has TRL and not this project:

    against_trl_worker.py SPEC DESCRIPTOR   # a step whenever it is its turn

SPEC is a JSON file: model, problems, problems_per_step, chat (whether they are put to the model in its chat
template), reward (a name of `against_trl_cases`), settings of GRPOConfig, warmup_steps, and where there are
evaluations heldout and evaluate_every. Seconds of parts are those of TRL's own profiling, whose contexts
report to nobody else.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

import against_trl_cases as cases
import torch
from datasets import Dataset
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer  # type: ignore[import-not-found]
from trl.extras.profiling import ProfilingContext  # type: ignore[import-not-found]

GENERATE = ("transformers.generate", "transformers.generate_batch")
BASE: dict[str, Any] = {  # nothing beside the work itself
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "report_to": [],
    "logging_strategy": "no",
    "save_strategy": "no",
    "disable_tqdm": True,
    "dataloader_num_workers": 0,
    "dataloader_pin_memory": False,
    "num_generations": cases.GROUP_SIZE,
    "num_iterations": 1,
    "optim": "adamw_torch_fused",
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
}


class Profile:
    """What TRL's profiling says, by name of the context without the trainer's: seconds since `take`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def add(self, context: Any, duration: float) -> None:
        self.seconds[context.name.partition(".")[2]] += duration

    def take(self) -> dict[str, float]:
        seconds, self.seconds = dict(self.seconds), defaultdict(float)
        return seconds


class Trainer(GRPOTrainer):
    """TRL's own, which notes what it drew and how it was judged."""

    warmup_steps: int
    drawn: list[list[int]]
    prompts: list[list[int]]
    rewards: list[float]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Our warm-up: the first step has a rate above zero, which transformers' own has not."""
        warmup = max(self.warmup_steps, 1)
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda step: min((step + 1) / warmup, 1.0))
        return self.lr_scheduler

    def _generate_single_turn(self, prompt_ids: Any, *arguments: Any, **options: Any) -> Any:
        self.prompts = prompt_ids
        self.drawn, logprobs = super()._generate_single_turn(prompt_ids, *arguments, **options)
        return self.drawn, logprobs

    def _calculate_rewards(self, *arguments: Any) -> Any:
        rewards = super()._calculate_rewards(*arguments)
        self.rewards = rewards.sum(1).tolist()
        return rewards


def reward_function(name: str) -> Any:
    function = getattr(cases, name)
    if name == "parity":
        return lambda completions, **_: [function(text) for text in completions]
    return lambda completions, answer, **_: [
        function(*pair) for pair in zip(completions, answer, strict=True)
    ]


def prompt_of(problem: dict[str, str], tokenizer: Any, chat: bool) -> str:
    if not chat:
        return f"{tokenizer.bos_token}{problem['problem']}\n"
    message = {"role": "user", "content": problem["problem"]}
    return str(tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True))


def make_trainer(spec: dict[str, Any], callback: TrainerCallback) -> Trainer:
    settings = {**BASE, **spec["settings"]}
    rows = settings["per_device_train_batch_size"]
    tokenizer = AutoTokenizer.from_pretrained(spec["model"])
    # a random model draws the padding token too, and TRL takes an answer that was cut off there for ended
    tokenizer.pad_token = tokenizer.eos_token
    arguments = GRPOConfig(
        output_dir=spec["folder"],
        gradient_accumulation_steps=spec["problems_per_step"] * cases.GROUP_SIZE // rows,
        model_init_kwargs={"dtype": "float32"},
        **settings,
    )
    data = [
        {"prompt": prompt_of(p, tokenizer, spec["chat"]), "answer": p["answer"]} for p in spec["problems"]
    ]
    trainer = Trainer(
        model=spec["model"],
        reward_funcs=reward_function(spec["reward"]),
        args=arguments,
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        callbacks=[callback],
    )
    trainer.warmup_steps = spec["warmup_steps"]
    return trainer


class Stopped(Exception):
    """No further step is wanted."""


class TakesTurns(TrainerCallback):
    """Waits before each step and each evaluation. With `heldout` problems there is one before the first step,
    after the last, and every `evaluate_every` steps."""

    def __init__(self, spec: dict[str, Any], turns: cases.Turns, profile: Profile) -> None:
        self.spec, self.turns, self.profile = spec, turns, profile
        self.trainer: Any = None
        self.began = 0.0

    def on_step_begin(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        figures: dict[str, Any] = {"versions": versions(), "step": step}
        if self.began:
            figures |= step_figures(self.trainer, self.profile, time.monotonic() - self.began)
        if "heldout" in self.spec and step % self.spec["evaluate_every"] == 0:
            figures["accuracy"] = self.evaluate(step)
        self.go("train", figures)
        self.began = time.monotonic()
        self.profile.take()

    def on_train_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
        if "heldout" in self.spec:
            self.turns.end(step=state.global_step, accuracy=self.evaluate(state.global_step))

    def go(self, following: str, figures: dict[str, Any]) -> None:
        if not self.turns.wait(following, figures):
            raise Stopped

    @torch.no_grad()
    def evaluate(self, step: int) -> float:
        """Share of the right answers to the held-out problems, drawn like those for training."""
        self.go("evaluate", {"step": step})
        trainer, problems = self.trainer, self.spec["heldout"]
        tokenizer = trainer.processing_class
        prompts = [prompt_of(problem, tokenizer, self.spec["chat"]) for problem in problems]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
        trainer.model.eval()
        most = trainer.args.max_completion_length
        samples = cases.HELDOUT_SAMPLES
        made = trainer.model.generate(
            **inputs,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=most,
            num_return_sequences=samples,
        )
        trainer.model.train()
        texts = tokenizer.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        function = getattr(cases, self.spec["reward"])
        answers = [problem["answer"] for problem in problems for _ in range(samples)]
        right = [function(text, answer) for text, answer in zip(texts, answers, strict=True)]
        return sum(right) / len(right)


def versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("trl", "torch", "transformers", "accelerate")}


def step_figures(trainer: Trainer, profile: Profile, seconds: float) -> dict[str, Any]:
    """Of the step that is over; `prepare` is what is neither generation nor rewards before the first loss."""
    spent = profile.take()
    generate = sum(spent.get(name, 0.0) for name in GENERATE)
    reward = spent["_calculate_rewards"]
    prepare = spent["_prepare_inputs"] - generate - reward
    groups = torch.tensor(trainer.rewards).view(-1, cases.GROUP_SIZE)
    lengths = [len(answer) for answer in trainer.drawn]
    widest = max(map(len, trainer.prompts)) + max(lengths)
    return {
        "seconds": {
            "generate": generate,
            "reward": reward,
            "prepare": prepare,
            "learn": seconds - generate - reward - prepare,
        },
        "lengths": lengths,
        "prompt_tokens": sum(map(len, trainer.prompts)),
        "learned_tokens": sum(lengths),
        "padding": 1 - (sum(lengths) + sum(map(len, trainer.prompts))) / (widest * len(lengths)),
        "no_signal": float((groups == groups[:, :1]).all(1).float().mean()),
    }


def main() -> None:
    spec, descriptor = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    torch.set_num_threads(spec["threads"])
    profile = Profile()
    callback = TakesTurns(spec, cases.Turns(descriptor), profile)
    trainer = callback.trainer = make_trainer(spec, callback)
    with (
        mock.patch.object(ProfilingContext, "_log_metrics", lambda self, seconds: profile.add(self, seconds)),
        suppress(Stopped),
    ):
        trainer.train()


if __name__ == "__main__":
    main()
