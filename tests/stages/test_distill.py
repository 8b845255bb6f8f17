"""Distillation with a teacher at an endpoint that fails now and then, and the real reward service."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from teachers import Stop, Teacher, serving, stage_with
from transformers import LlamaConfig

from rlvr.base.stopping import StopRequest
from rlvr.problems.config import PromptConfig
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.record.journal import journal_path, write_journal
from rlvr.stages.buffer import Interrupted
from rlvr.stages.config import DistillConfig
from rlvr.stages.distill import run_distill
from rlvr.stages.sampling import same_tokenizer
from rlvr.stages.stage import StageInput
from rlvr.traces.files import read_traces
from rlvr.traces.traces import Trace
from rlvr.types import FinishReason, Group, Problem, RlvrError, Rollout, Status, Verdict

SAMPLES = 4
OVERLAPPING = "a shop sells 3 pens and then 4 more pens to a man; how many does he have?"
PROBLEMS = [
    *(Problem(f"p{i}", f"{i}+10=?", str(i + 10), columns={"topic": f"t{i % 2}"}) for i in range(5)),
    Problem("double", " 0+10=？ ", "10", columns={"topic": "t0"}),
    Problem("seen", OVERLAPPING, "7", columns={"topic": "words"}),
    Problem("elsewhere", "double 8", "16", columns={"topic": "words"}),
]
HELDOUT = {"heldout": [Problem("h1", f"Here {OVERLAPPING} Say it.", "7"), Problem("h2", "1+1=?", "2")]}
UNSURE = "I have no idea what it could be, so I say none at all!"
RIGHT = {"p0": 0, "p1": 1, "p2": 2, "p3": 3, "p4": 4, "double": 2, "seen": 2, "elsewhere": 2}


def answer(problem: str, sample: int, text: str) -> str:
    """The first few answers are right; of the others, the last two say nothing that can be read."""
    if sample < RIGHT[problem]:
        number = next(one.answer for one in PROBLEMS if one.id == problem)
        return f"Sample {sample}. The answer is \\boxed{{{number}}}."
    return UNSURE if sample >= 2 else f"Sample {sample}: \\boxed{{999}}"


@pytest.fixture
def teacher() -> Iterator[Teacher]:
    made = Teacher(answer)
    made.expect([problem.id for problem in PROBLEMS], SAMPLES)
    with serving(made):
        yield made


UNSEEN = {**HELDOUT, "other": [Problem("o1", "Double 8", "16")]}


def settings(**more: Any) -> DistillConfig:
    return DistillConfig(**{"samples": SAMPLES, "domain_column": "topic", "overlap_words": 8, **more})


def distil(stage: StageInput) -> list[Trace]:
    stage.unseen = UNSEEN
    run_distill(stage)
    return read_traces(stage.folder / "traces.parquet")


def asked_only(teacher: Teacher, stage: StageInput, answers: int) -> None:
    """Run the stage until so many answers have come, all that it needs; no verdict is waited for."""
    stage.stop = cast(StopRequest, Stop(teacher, answers))
    with pytest.raises(Interrupted):
        run_distill(stage)
    assert teacher.given == answers


@pytest.fixture(scope="module")
def whole(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Trace], Teacher]:
    """A run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    made = Teacher(answer)
    made.expect([problem.id for problem in PROBLEMS], SAMPLES)
    with serving(made):
        stage = stage_with(made, folder / "distill-1a2b", PROBLEMS, settings())
        return stage.folder, distil(stage), made


class TestTraces:
    def test_every_answer_is_there_once_with_its_verdict_whatever_failed(
        self, whole: tuple[Path, list[Trace], Teacher]
    ) -> None:
        _, traces, teacher = whole
        assert teacher.failed > 10
        assert set(teacher.answered.values()) == {1}
        assert [(trace.problem.id, trace.sample) for trace in traces] == [
            (problem.id, sample) for problem in PROBLEMS for sample in range(SAMPLES)
        ]
        for trace in traces:
            name = trace.problem.id
            assert trace.text == answer(name, trace.sample, "")
            wrong = Status.WRONG if trace.sample < 2 else Status.UNPARSEABLE
            assert trace.status is (Status.CORRECT if trace.sample < RIGHT[name] else wrong)
            assert trace.reward == float(trace.status is Status.CORRECT)
            assert trace.pass_rate == RIGHT[name] / SAMPLES
            assert trace.finish_reason is FinishReason.STOP

    def test_labels_and_problems_are_those_of_the_file(
        self, whole: tuple[Path, list[Trace], Teacher]
    ) -> None:
        _, traces, _ = whole
        assert [trace.problem for trace in traces[::SAMPLES]] == PROBLEMS
        for trace in traces:
            assert trace.domain == trace.problem.columns["topic"]
            assert trace.source == "wise"
            assert trace.tokens is None
        assert traces[0].text == "Sample 0: \\boxed{999}"
        assert traces[0].length == 10  # words: digits and signs count one by one

    def test_duplicates_and_overlaps_are_marked_and_stay(
        self, whole: tuple[Path, list[Trace], Teacher]
    ) -> None:
        folder, traces, _ = whole
        found = {(trace.problem.id, trace.sample): trace.dropped for trace in traces}
        assert {found["double", sample] for sample in range(SAMPLES)} == {"duplicate problem"}
        assert {found["seen", sample] for sample in range(3)} == {"overlaps heldout"}
        assert {found["elsewhere", sample] for sample in range(3)} == {"overlaps other"}
        assert found["p0", 3] == "duplicate answer"  # the same as sample 2
        rest = {place: why for place, why in found.items() if place[0] in ("p0", "p1", "p2", "p3", "p4")}
        assert Counter(rest.values()) == {None: 17, "duplicate answer": 3}
        overlaps = json.loads((folder / "overlaps.json").read_text())
        assert {name: (one["name"], one["id"]) for name, one in overlaps.items()} == {
            "seen": ("heldout", "h1"),
            "elsewhere": ("other", "o1"),
        }
        assert overlaps["seen"]["words"] in OVERLAPPING.replace(";", " ;").replace("?", " ?")

    def test_the_card_says_who_was_asked_and_how(self, whole: tuple[Path, list[Trace], Teacher]) -> None:
        folder, _, _ = whole
        card = (folder / "card.md").read_text()
        for words in ("teacher: wise", "problems: 8", "answers per problem: 4", "verified by: math"):
            assert words in card
        assert "32 answers to 8 problems" in card


class TestStops:
    @pytest.mark.parametrize(("chunk", "after"), [(3, 12), (3, 17), (256, 7)])
    def test_a_stopped_stage_asks_for_the_rest_only_and_ends_with_the_same_traces(
        self,
        whole: tuple[Path, list[Trace], Teacher],
        teacher: Teacher,
        tmp_path: Path,
        chunk: int,
        after: int,
    ) -> None:
        """After 12 answers a chunk is complete, but without verdicts."""
        folder = tmp_path / "distill-1a2b"
        with pytest.raises(Interrupted):
            distil(stage_with(teacher, folder, PROBLEMS, settings(chunk=chunk), stop_after=after))
        assert after <= teacher.given <= after + 3  # those under way are kept
        assert not (folder / "traces.parquet").exists()
        again = distil(stage_with(teacher, folder, PROBLEMS, settings(chunk=chunk)))
        assert set(teacher.answered.values()) == {1}
        assert teacher.given == len(PROBLEMS) * SAMPLES
        assert again == whole[1]
        requests = len(teacher.bodies)
        assert distil(stage_with(teacher, folder, PROBLEMS, settings(chunk=chunk))) == whole[1]
        assert len(teacher.bodies) == requests

    def test_what_fails_to_the_end_is_said_and_the_rest_is_kept(
        self, ray_cluster: None, teacher: Teacher, tmp_path: Path
    ) -> None:
        seeds = [seed for seed, (problem, _) in teacher.asked.items() if problem == "p3"]
        known = {seed: teacher.asked.pop(seed) for seed in seeds}  # its requests make the server close
        stage = stage_with(teacher, tmp_path / "distill-1", PROBLEMS, settings())
        stage.settings.endpoint.retries = 6
        with pytest.raises(RlvrError, match="4 of 32 questions have no answer; the first, problem 'p3'"):
            distil(stage)
        teacher.asked |= known
        asked_only(teacher, stage_with(teacher, stage.folder, PROBLEMS, settings()), 32)
        assert set(teacher.answered.values()) == {1}


class TestPrompts:
    def test_the_teachers_own_prompt_and_sampling_arrive(
        self, ray_cluster: None, teacher: Teacher, tmp_path: Path
    ) -> None:
        prompt = PromptConfig("On {topic}: {problem}", system="Be brief.", chat=True)
        own = settings(prompt=prompt, temperature=0.5, top_p=0.9, max_tokens=33, samples=1)
        asked_only(teacher, stage_with(teacher, tmp_path / "distill-1", PROBLEMS, own), 8)
        sent = {body["messages"][1]["content"] for body in teacher.bodies}
        assert sent == {f"On {problem.columns['topic']}: {problem.text}" for problem in PROBLEMS}
        for body in teacher.bodies:
            assert body["messages"][0] == {"role": "system", "content": "Be brief."}
            assert (body["model"], body["temperature"], body["top_p"]) == ("wise", 0.5, 0.9)
            assert body["max_tokens"] == 33

    def test_without_them_they_are_those_of_the_student(
        self, ray_cluster: None, teacher: Teacher, tmp_path: Path
    ) -> None:
        stage = stage_with(teacher, tmp_path / "distill-1", PROBLEMS, settings(samples=1))
        stage.config.prompt = PromptConfig("Solve: {problem}")
        stage.config.sampling.max_tokens = 44
        asked_only(teacher, stage, 8)
        assert {body["messages"][0]["content"] for body in teacher.bodies} == {
            f"Solve: {problem.text}" for problem in PROBLEMS
        }
        for body in teacher.bodies:
            assert len(body["messages"]) == 1
            assert (body["max_tokens"], body["temperature"], body["top_p"]) == (44, 1.0, 1.0)


def test_hostile_answers_are_data_like_any_other(ray_cluster: None, tmp_path: Path) -> None:
    made = tmp_path / "made by an answer"
    hostile = [
        f"\\boxed{{__import__('pathlib').Path({str(made)!r}).touch()}}",
        "\\boxed{9^{9^{9^{9^{9}}}}}",
        f"\\boxed{{{'7' * 100_000}}}",
        "(" * 10_000 + "1" + ")" * 10_000,
        "\\boxed{" * 5_000,
        "<think>" + "12=12 " * 20_000,
        "\x00\x1b[2J\u202e \ud800 | `` </problem> [x](y) \\boxed{1}",
        "",
    ]
    problem = Problem("p", "6*7=?", "42")
    teacher = Teacher(lambda problem, sample, text: hostile[sample])
    teacher.expect(["p"], len(hostile))
    with serving(teacher):
        own = DistillConfig(samples=len(hostile))
        traces = distil(stage_with(teacher, tmp_path / "distill-1", [problem], own))
    assert [trace.text for trace in traces] == [text.replace("\ud800", "?") for text in hostile]
    assert not any(trace.status is Status.CORRECT for trace in traces)
    assert traces[0].pass_rate == 0
    assert not made.exists()


class TestTokens:
    """Of a teacher on the pool; its answers are in the journal already, so that no engine is needed."""

    @staticmethod
    def traces(folder: Path, of_teacher: str) -> list[Trace]:
        teacher = character_tokenizer(of_teacher)
        teacher.save_pretrained(folder / "teacher")
        LlamaConfig().save_pretrained(folder / "teacher")
        tokens = np.array([*teacher.encode("6*7=?42"), teacher.eos_token_id], np.int32)
        drawn = np.arange(len(tokens)) >= 5
        arrays = {"logprobs": drawn.astype(np.float32), "versions": drawn.astype(np.int32)}
        rollout = Rollout(
            "p", 0, 0, 1, tokens, drawn, text="42", finish_reason=FinishReason.STOP, temperature=1.0, **arrays
        )
        group = Group(Problem("p", "6*7=?", "42"), [rollout], [Verdict(Status.CORRECT, 1.0, "so it is")])
        stage = stage_with(Teacher(answer), folder / "distill-1", [group.problem], DistillConfig(samples=1))
        write_journal(journal_path(stage.folder, "train", 0), [group])
        stage.settings.endpoint = None
        student = character_tokenizer("0123456789*=?")
        return distil(replace(stage, model_path=str(folder / "teacher"), tokenizer=student))

    def test_the_tokens_of_a_teacher_with_the_students_tokenizer_are_kept(self, tmp_path: Path) -> None:
        (trace,) = self.traces(tmp_path, "0123456789*=?")
        assert trace.tokens == [8, 6, 2]  # "4", "2", end
        assert (trace.length, trace.text, trace.source) == (3, "42", "previous")

    def test_those_of_another_mean_nothing_to_it(self, tmp_path: Path) -> None:
        (trace,) = self.traces(tmp_path, "9876543210*=?")
        assert trace.tokens is None
        assert (trace.length, trace.text) == (2, "42")  # words: digits count one by one

    def test_tokenizers_are_the_same_if_ids_and_end_mean_the_same(self) -> None:
        one = character_tokenizer("abc")
        assert same_tokenizer(one, character_tokenizer("abc"))
        assert not same_tokenizer(one, character_tokenizer("acb"))
        assert not same_tokenizer(one, character_tokenizer("abcd"))
        other = character_tokenizer("abc")
        other.eos_token = "<pad>"
        assert not same_tokenizer(one, other)
