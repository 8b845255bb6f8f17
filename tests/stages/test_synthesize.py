"""New problems: from templates, and from a teacher at an endpoint whose solutions are judged for real."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from teachers import MATH, Teacher, serving, stage_with

from rlvr.problems.config import PromptConfig
from rlvr.problems.files import from_file
from rlvr.problems.templates import from_templates
from rlvr.problems.variants import END, START, STYLES, proposal_prompt, read_proposal
from rlvr.rewards.config import RewardConfig
from rlvr.stages.buffer import Interrupted
from rlvr.stages.config import SynthesizeConfig
from rlvr.stages.stage import StageInput
from rlvr.stages.synthesize import MAX_ANSWER, run_synthesize
from rlvr.types import Problem, RlvrError


def synthesized(stage: StageInput, heldout: Sequence[Problem] = ()) -> list[Problem]:
    stage.unseen = {"heldout": list(heldout)}
    run_synthesize(stage)
    return from_file(str(stage.folder / "problems.jsonl"))


BINS = Problem("own-1", "3 bins of 10, left?", "30", "3*10=30\n#30", {"level": 1, "note": None})


class TestTemplates:
    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        path = tmp_path / "templates.yaml"
        path.write_text(
            "templates:\n"
            "  - id: bins\n"
            '    text: "{bins} bins of {per}, left?"\n'
            "    variables: {bins: {from: 2, to: 9}, per: {from: 5, to: 14}}\n"
            "    answer: bins*per\n"
            '    solution: "{bins}*{per}={answer}\\n#{answer}"\n'
            "    columns: {level: 2}\n"
        )
        return str(path)

    @staticmethod
    def stage(folder: Path, path: str, own: list[Problem], n: int = 20) -> StageInput:
        return stage_with(Teacher(lambda *_: ""), folder, own, SynthesizeConfig(templates=path, n=n))

    def test_new_problems_follow_the_own_ones_and_are_none_of_an_evaluation(
        self, tmp_path: Path, path: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = from_templates(path, 80, "all", 0)  # all that there are
        heldout = [Problem("h", f" {made[0].text.upper()}\n", "0")]
        found = synthesized(self.stage(tmp_path / "a", path, [BINS], 80), heldout)
        assert found[0] == BINS
        rest = [one for one in made[1:] if one.text != BINS.text]
        assert found[1:] == rest
        assert len(rest) == 78
        assert "78 new problems; left out: 2 duplicates, or held out" in capsys.readouterr().out

    def test_the_same_again_with_the_same_seed_only(self, tmp_path: Path, path: str) -> None:
        written = []
        for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
            stage = self.stage(tmp_path / folder, path, [BINS])
            stage.config.seed = seed
            synthesized(stage)
            written.append((stage.folder / "problems.jsonl").read_bytes())
        assert written[0] == written[1] != written[2]

    def test_ids_stay_unique_when_own_problems_were_made_by_such_a_stage(
        self, tmp_path: Path, path: str
    ) -> None:
        made = from_templates(path, 20, "all", 0)
        own = [Problem(made[3].id, "another text", "1"), Problem(f"{made[3].id}~", "one more", "1")]
        found = synthesized(self.stage(tmp_path / "a", path, own))  # from_file refuses an id that comes twice
        assert [one.text for one in found[2:]] == [one.text for one in made]

    def test_nothing_new_is_an_error_in_words(self, tmp_path: Path, path: str) -> None:
        own = from_templates(path, 80, "all", 0)
        stage = self.stage(tmp_path / "a", path, own)
        with pytest.raises(RlvrError, match="none of 20 problems is new; left out: 20 duplicates"):
            run_synthesize(stage)
        assert not (stage.folder / "problems.jsonl").exists()


PROPOSALS, SOLUTIONS = 4, 4
OWN = [
    Problem("a", "1 and 1, half of that?", "1", columns={"level": 1}),
    Problem("b", "3 by 4, area?", "12", "3*4=12\n#12", {"level": 2}),
    Problem("c", "Sum of 2 and 2?", "4", columns={"level": 3}),
]


def boxed(*found: str) -> list[str]:
    return [f"I think that it is \\boxed{{{one}}}." for one in found]


Proposals = dict[str, tuple[str, list[str]]]  # id → the reply, and the solutions of what it proposes


@contextmanager
def proposing(proposals: Proposals) -> Iterator[Teacher]:
    """A teacher with these variants; whoever is asked for another says something without marks."""

    def answer(problem: str, sample: int, text: str) -> str:
        reply, solutions = proposals.get(problem, ("Nothing comes to my mind.", []))
        return reply if START in text else solutions[sample]

    teacher = Teacher(answer)
    teacher.expect([f"{one.id}~{n}" for one in OWN for n in range(PROPOSALS)], SOLUTIONS)
    with serving(teacher):
        yield teacher


def proposal(text: str, solutions: list[str]) -> tuple[str, list[str]]:
    return f"Sure.\n{START}\n{text}\n{END}", solutions


def stage_of(teacher: Teacher, folder: Path, stop_after: int = 10**9, **more: Any) -> StageInput:
    given = {"proposals": PROPOSALS, "solutions": SOLUTIONS, "agreement": 0.75, "chunk": 4}
    return stage_with(teacher, folder, OWN, SynthesizeConfig(**{**given, **more}), stop_after)


VARIANTS: Proposals = {
    "a~0": proposal("A half of 1?", boxed("0.5", "\\frac{1}{2}", "1/2", "0.50")),
    # a~1 and c~3 have no marks
    "a~2": proposal("1 AND 1, half of that?", boxed("1", "1", "1", "1")),  # the original
    "a~3": proposal("A half of 1 €?", boxed("0.5", "0.5", "0.5", "0.5")),  # no token for €
    "b~0": proposal("3 by 5, area? The answer is 15.", boxed("15", "15", "15", "15")),
    "b~1": proposal("3 by 6, how much?", boxed("18", "18", "9", "9")),
    "b~2": proposal("3 by 7, area?", boxed("21", "22", "21.0", "21")),
    "b~3": proposal("Which shelf is it?", boxed(*4 * ["A #### 3"])),  # as a reference, it is 3
    "c~0": proposal("Sum of 3 and 3?", boxed("6", "6", "6", "6")),  # held out
    "c~1": proposal("3 BY 7,  area?", boxed("21", "21", "21", "21")),  # as b~2
    "c~2": proposal("Sum of x and x?", [*boxed("2x", "x+x", "x\\cdot 2"), "<think>That is \\boxed{7}"]),
}
HELDOUT = [Problem("h", "sum of 3 and 3?", "6")]
NEW = {
    "a~0": ("A half of 1?", {"0.5", "1/2", "0.50", "\\frac{1}{2}"}, {"level": 1}),
    "b~2": ("3 by 7, area?", {"21"}, {"level": 2}),
    "c~2": ("Sum of x and x?", {"2x", "x+x", "x\\cdot 2"}, {"level": 3}),
}


@pytest.fixture(scope="module")
def whole(
    ray_cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Problem], Teacher, bytes]:
    """Of a run that was never stopped."""
    with proposing(VARIANTS) as teacher:
        stage = stage_of(teacher, tmp_path_factory.mktemp("whole"))
        found = synthesized(stage, HELDOUT)
    return found, teacher, (stage.folder / "problems.jsonl").read_bytes()


class TestProposals:
    def test_those_are_kept_whose_solutions_agree_with_the_answer_that_they_agree_on(
        self, whole: tuple[list[Problem], Teacher, bytes]
    ) -> None:
        found, teacher, _ = whole
        assert found[:3] == OWN
        assert [problem.id for problem in found[3:]] == list(NEW)
        for problem in found[3:]:
            text, spellings, columns = NEW[problem.id]
            assert (problem.text, problem.solution, problem.columns) == (text, None, columns)
            assert problem.answer in spellings
        assert teacher.failed > 10

    def test_the_teacher_sees_no_answer_and_solves_only_what_is_a_proposal(
        self, whole: tuple[list[Problem], Teacher, bytes]
    ) -> None:
        _, teacher, _ = whole
        assert set(teacher.answered.values()) == {1}
        requests = {(one.id, style): proposal_prompt(one, style) for one in OWN for style in STYLES}
        asked = {text for _, _, text in teacher.answered if START in text}
        assert asked == set(requests.values())
        solved = {(problem, sample) for problem, sample, text in teacher.answered if START not in text}
        read = ["a~0", "b~1", "b~2", "b~3", "c~0", "c~1", "c~2"]
        assert solved == {(problem, sample) for problem in read for sample in range(SOLUTIONS)}

    def test_a_stopped_stage_asks_nothing_twice_and_ends_the_same(
        self, whole: tuple[list[Problem], Teacher, bytes], tmp_path: Path
    ) -> None:
        """Stopped twice: among the proposals, of which there are 12, and among the solutions."""
        with proposing(VARIANTS) as teacher:
            for after in (6, 20):
                stage = stage_of(teacher, tmp_path, stop_after=after)
                stage.unseen = {"heldout": HELDOUT}
                with pytest.raises(Interrupted):
                    run_synthesize(stage)
                assert after <= teacher.given <= after + 3
                assert not (tmp_path / "problems.jsonl").exists()
            synthesized(stage_of(teacher, tmp_path), HELDOUT)
        assert teacher.answered == whole[1].answered
        assert (tmp_path / "problems.jsonl").read_bytes() == whole[2]

    def test_the_filled_prompt_is_that_of_the_solutions(self, ray_cluster: None, tmp_path: Path) -> None:
        with proposing(VARIANTS) as teacher:
            prompt = PromptConfig("Level {level}: {problem}", system="Think.", chat=True)
            stage = stage_of(
                teacher, tmp_path, prompt=prompt, temperature=0.5, max_tokens=55, stop_after=12 + 28
            )
            with pytest.raises(Interrupted):  # all answers have come; their verdicts do not matter here
                run_synthesize(stage)
        solved = {text for _, _, text in teacher.answered if START not in text}
        assert "Level 2: 3 by 7, area?" in solved
        assert "Level 3: Sum of x and x?" in solved
        for body in teacher.bodies:
            assert body["messages"][0] == {"role": "system", "content": "Think."}
            assert (body["temperature"], body["max_tokens"]) == (0.5, 55)
            assert (
                "Level" not in body["messages"][1]["content"] or START not in body["messages"][1]["content"]
            )

    def test_nothing_proposed_is_an_error_that_says_why(self, ray_cluster: None, tmp_path: Path) -> None:
        words = "none of 0 problems is new; left out: 12 replies without one new problem"
        with proposing({}) as teacher, pytest.raises(RlvrError, match=words):
            run_synthesize(stage_of(teacher, tmp_path))
        assert teacher.given == 12


class TestHostileTeachers:
    def test_what_hangs_runs_or_is_huge_is_neither_kept_nor_waited_for(
        self, ray_cluster: None, tmp_path: Path
    ) -> None:
        made = tmp_path / "made by a solution"
        code = f"__import__('pathlib').Path({str(made)!r}).touch()"
        loop = "x" * 60 + " \\boxed{8}"  # for the expression that looks for a "y" behind it
        proposals = {
            # two of four agree, and what the others say is no agreement
            "a~0": proposal("Tower?", boxed("9^{9^{9^{9^{9}}}}", code, "9", "9")),
            "a~1": proposal("Digits?", boxed(*["7" * 100_000] * 4)),
            "a~2": proposal("Digits of three?", [*boxed(*["7" * (MAX_ANSWER + 1)] * 3), "\\boxed{7}"]),
            "b~0": proposal(
                "Brackets?", boxed("(" * 10_000 + "1" + ")" * 10_000, "\\frac{" * 5_000, "", "1")
            ),
            "b~2": proposal("One that loops?", [*boxed("8", "8", "8.0"), loop]),
            "c~2": proposal(
                "Roots?", boxed("+".join(f"\\sqrt{{{n}}}" for n in range(2, 90)), code, code, "1")
            ),
        }
        with proposing(proposals) as teacher:
            stage = stage_of(teacher, tmp_path / "stage")
            slow = {"_target_": "rlvr.rewards.regex.regex_reward", "pattern": "(x+x+)+y"}
            stage.config.reward = RewardConfig({**MATH, "slow": slow}, deadline=4.0)
            found = synthesized(stage)
        assert [(one.id, one.answer) for one in found[len(OWN) :]] == [("b~2", "8")]
        assert not made.exists()

    @pytest.mark.parametrize(
        "body",
        [
            "9^9^9^9=1 " * 180,
            "9.9^(9.9^9.9)=1 " * 120,
            "(" * 10_000 + "1" + ")" * 10_000 + "=1",
            "(" * 980 + "1" + ")" * 980 + "=1",
            "7" * 5_000_000 + "=7",
            "(2^(1/3)+3^(1/5)+7^(1/7)-11^(1/11)*13^(1/13))^(1/2)=1.5 " * 30,
            "1," * 990,
            "The answer is " * 140,
            "__import__('os').abort()",
        ],
    )
    def test_proposals_are_read_at_once_whatever_they_are(self, body: str) -> None:
        """Reading happens in the process of the run, where nothing could kill it."""
        for reply in (body, START + body + END, START + body[:1990] + END, (START + END) * 10 + body):
            assert read_proposal(reply, "1+1=?") in (body.strip(), body[:1990].strip(), None)
