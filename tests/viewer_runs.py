"""Runs made by hand for the tests of the viewer, what is in them, and a client to ask about them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from rlvr.record.journal import journal_path, write_journal
from rlvr.types import FinishReason, Group, Problem, Rollout, Status, UpdateRecord, Verdict
from rlvr.viewer.library import Library
from rlvr.viewer.server import create_app

SPECIAL = ["<pad>", "<bos>", "<eos>"]
ALPHABET = [*SPECIAL, *sorted(set(map(chr, range(32, 127))) | set("\n≠é"))]
ANSWERS = ("#12", "#7 since 3+4=7", "so $\\frac{1}{2}$\n#1", "I do not know", "Twelve", "%_ \\ 'quoted'")


SOURCE = {"run": 0, "stage": "rl", "kind": "train"}


@dataclass
class Made:
    """A rollout and where it lies: the row of its step's file."""

    step: int
    row: int
    group: int
    rollout: Rollout
    verdict: Verdict | None
    learned: UpdateRecord

    @property
    def gap(self) -> float | None:
        if self.learned.logprobs is None:
            return None
        own = self.learned.logprobs != 0
        return float(np.abs(self.learned.logprobs - self.rollout.logprobs)[own].max())


def encode(text: str) -> list[int]:
    return [ALPHABET.index(character) for character in text]


def write_tokenizer(folder: Path) -> None:
    backend = Tokenizer(models.WordLevel({token: i for i, token in enumerate(ALPHABET)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(SPECIAL)
    folder.mkdir(parents=True)
    backend.save(str(folder / "tokenizer.json"))


def rollout(problem: Problem, step: int, sample: int, text: str, random: np.random.Generator) -> Rollout:
    prompt, drawn = [1, *encode(problem.text)], [*encode(text), 2]
    sampled = np.arange(len(prompt) + len(drawn)) >= len(prompt)
    logprobs = np.where(sampled, -random.exponential(0.5, len(sampled)), 0)
    return Rollout(
        problem_id=problem.id,
        step=step,
        sample=sample,
        seed=2**62 + sample,
        tokens=np.array(prompt + drawn, np.int32),
        sampled=sampled,
        logprobs=logprobs.astype(np.float32),
        versions=np.where(sampled, step - 1 - sample % 2, -1).astype(np.int32),
        text=text,
        finish_reason=FinishReason.LENGTH if random.random() < 0.2 else FinishReason.STOP,
        temperature=1.0,
    )


def verdict(status: Status, random: np.random.Generator) -> Verdict:
    seconds = float(random.exponential(0.001))
    if not status.reached:
        return Verdict(status, None, "check ran 5 s", seconds=seconds)
    parts = {"math": 1.0 if status is Status.CORRECT else -1.0, "brief": float(random.integers(0, 3)) / 2}
    return Verdict(status, sum(parts.values()), "compared", "12", parts, seconds, "same text")


def learned(drawn: Rollout, random: np.random.Generator) -> UpdateRecord:
    if random.random() < 0.25:
        return UpdateRecord(("no verdict", "filter no_signal")[int(random.integers(2))])
    noise = random.normal(0, 0.1, len(drawn.tokens))
    return UpdateRecord(
        None,
        np.where(drawn.sampled, random.normal(), 0).astype(np.float32),
        np.where(drawn.sampled, drawn.logprobs + noise, 0).astype(np.float32),
        np.where(drawn.sampled, 0.7, 0).astype(np.float32),
        np.where(drawn.sampled, 1 - random.integers(0, 2, len(noise)), 0).astype(np.float32),
    )


def write_step(stage: Path, step: int, texts: Sequence[str] = ANSWERS, kind: str = "train") -> list[Made]:
    """Four groups of three, of problems that come again in other steps; the last has no verdicts yet."""
    random = np.random.default_rng([step, len(texts)])
    statuses = list(Status)
    groups, made, own = [], [], []
    for index in range(4):
        number = (3 * step + index) % 10
        problem = Problem(f"p-{number}", f"What is {number} + 5?", str(number + 5), None, {"level": 2})
        answers = [texts[int(random.integers(len(texts)))] for _ in range(3)]
        group = Group(problem, [rollout(problem, step, i, text, random) for i, text in enumerate(answers)])
        if index < 3:
            group.verdicts = [verdict(statuses[int(random.integers(5))], random) for _ in answers]
        own.append([learned(one, random) for one in group.rollouts])
        for i, one in enumerate(group.rollouts):
            verdicts: list[Any] = group.verdicts or [None] * 3
            made.append(Made(step, 3 * index + i, index, one, verdicts[i], own[-1][i]))
        groups.append(group)
    write_journal(journal_path(stage, kind, step), groups, own)
    return made


def make_run(folder: Path, steps: Sequence[int] = range(1, 6), texts: Sequence[str] = ANSWERS) -> list[Made]:
    """A run with one stage, rl, whose metric `train/reward` is a tenth of the step."""
    stage = folder / "rl"
    made = [one for step in steps for one in write_step(stage, step, texts)]
    folder.joinpath("config.yaml").write_text("stages: [rl]\nmodel: {path: null}\n")
    lines = [{"step": step, "train/reward": step / 10} for step in steps]
    stage.joinpath("metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_tokenizer(folder / "scratch_model")
    return made


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    for _ in range(math.ceil(seconds / 0.02)):
        if holds():
            return
        Event().wait(0.02)
    raise AssertionError(f"not within {seconds} s")


class Viewed:
    """A run, its viewer, and a client."""

    def __init__(self, folder: Path, made: list[Made], library: Library) -> None:
        self.folder = folder
        self.made = made
        self.library = library
        self.client = TestClient(create_app(library), base_url="http://127.0.0.1")

    def get(self, path: str, **given: Any) -> Any:
        answer = self.client.get(f"/api/{path}", params={**SOURCE, **given})
        assert answer.status_code == 200, answer.text
        return answer.json()
