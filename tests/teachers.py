"""A stage whose teacher is behind an endpoint that the test itself serves, and which fails now and then."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from servers import Reply, http_server, said

from rlvr.base.keys import key
from rlvr.base.stopping import StopRequest
from rlvr.pipeline.config import RunConfig
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import EndpointConfig
from rlvr.stages.config import ModelConfig, ScratchModelConfig, TeacherConfig
from rlvr.stages.stage import StageInput
from rlvr.types import Problem

ALPHABET = "".join(map(chr, range(32, 127))) + "\n"
MATH = {"math": {"_target_": "rlvr.rewards.math.math_reward"}}
FAILURES: list[Reply] = [(429, {"retry-after": "0"}, "slow down"), (500, {}, "oh"), (0, {}, "")]


@dataclass
class Teacher:
    """Says `answer(problem id, sample, user message)`; every third request fails first."""

    answer: Callable[[str, int, str], str]
    url: str = ""
    asked: dict[int, tuple[str, int]] = field(default_factory=dict)  # seed → problem and sample
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answered: Counter[tuple[str, int, str]] = field(default_factory=Counter)  # … and user message
    given: int = 0  # answers, which are not the failures
    failed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, ids: Sequence[str], samples: int) -> None:
        """Know the seeds of so many answers to each of these problems."""
        self.asked |= {
            key(0, "distill", one, sample): (one, sample) for one in ids for sample in range(samples)
        }

    def reply(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Reply:
        text = body["messages"][-1]["content"]
        with self.lock:
            number = len(self.bodies)
            self.bodies.append(body)
            if number % 3 == 0:
                self.failed += 1
                return FAILURES[number // 3 % len(FAILURES)]
            problem, sample = self.asked[body["seed"]]
            self.answered[problem, sample, text] += 1
            self.given += 1
        return said(self.answer(problem, sample, text))


@contextmanager
def serving(teacher: Teacher) -> Iterator[Teacher]:
    with http_server(teacher.reply) as teacher.url:
        yield teacher


@dataclass
class Stop:
    """Like `StopRequest`: true once the teacher has given so many answers."""

    teacher: Teacher
    after: int

    def __bool__(self) -> bool:
        return self.teacher.given >= self.after


def stage_with(
    teacher: Teacher, folder: Path, problems: list[Problem], settings: TeacherConfig, stop_after: int = 10**9
) -> StageInput:
    """The stage, in a new folder or one to go on in, with the mathematics reward and its real service."""
    folder.mkdir(parents=True, exist_ok=True)
    settings.endpoint = EndpointConfig(
        base_url=teacher.url, model="wise", concurrency=4, retries=20, backoff=0.001, timeout=20.0
    )
    config = RunConfig(
        model=ModelConfig(scratch=ScratchModelConfig()),
        reward=RewardConfig(functions=MATH),
        artefacts="-",
    )
    return StageInput(
        config=config.for_stages(),
        folder=folder,
        model_path="",
        problems=problems,
        heldout=[],
        tokenizer=character_tokenizer("".join(sorted(set(ALPHABET)))),
        stop=cast(StopRequest, Stop(teacher, stop_after)),
        sizes={},
        settings=settings,
    )
