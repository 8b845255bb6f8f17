"""The audit: probes are what they claim to be, known rewards get their known rates, and it always ends."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rlvr
from rlvr.audit.audit import make_rollout, run_audit
from rlvr.audit.config import MARKS, AuditConfig
from rlvr.audit.golds import near_misses, read_gold, rewritings
from rlvr.audit.hacks import question_formula
from rlvr.audit.probes import FAMILIES, WRONG, Probe, draw_problems
from rlvr.audit.probes import make_probes as make_probes_of
from rlvr.audit.rates import judge_outcomes, wilson_interval
from rlvr.audit.report import make_report
from rlvr.audit.rollouts import draw_rollouts
from rlvr.audit.second import math_verify_reward
from rlvr.commands.audit import main
from rlvr.configuration.keys import all_keys
from rlvr.problems.config import PromptConfig
from rlvr.problems.generated import arithmetic
from rlvr.record.journal import journal_path, write_journal
from rlvr.types import ConfigError, DataError, Group, Problem, Status, Verdict
from rlvr.verify.kinds import Kind

SAMPLES = 12


def make_probes(problems: list[Problem], marks: Sequence[str], prompt: PromptConfig) -> list[Probe]:
    return make_probes_of(problems, [read_gold(problem.answer) for problem in problems], marks, prompt)


GOLDS = [
    "0", "7", "-1", "11", "42", "1234", "-70000", "1,234,567", "0.5", "-2.75", ".3", "3.20", r"\frac{1}{2}",
    r"-\frac{3}{4}", r"\frac{-33}{2}", r"\dfrac{22}{7}", "5/8", r"\sqrt{65}", r"2\sqrt{3} + 1", "6 - 5i",
    r"\frac{\sqrt{5} - 1}{2}", r"12 - 8\pi", "(x+1)(x-2)", "x^2 - 3x + 2", "1, -2, 3", r"\frac{1}{2}, 4",
    r"\{4, 5, 7\}",
]  # fmt: skip

# A table of the right completions, and rewards that know it.
REWARDS = """
import hashlib, json, time
from pathlib import Path

TABLE = {tuple(pair) for pair in json.loads((Path(__file__).parent / "right.json").read_text())}

def oracle(completion, problem):
    return float((problem.id, completion) in TABLE)

def always(completion):
    return 1.0

def mentions(completion, answer):
    return float(answer in completion)

def never(completion):
    return 0.0

def flipping(completion, problem, share):
    digest = hashlib.sha256(f"{problem.id}|{completion}".encode()).digest()
    flip = int.from_bytes(digest[:4], "big") / 2**32 < share
    return float(((problem.id, completion) in TABLE) != flip)

def hanging(completion):
    time.sleep(60)

def raising(completion):
    return 1 / 0
"""


# --- what the probes are -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", GOLDS)
def test_every_reference_has_rewritings_and_near_misses(text: str) -> None:
    gold = read_gold(text)
    right = {answer for _, answer in rewritings(gold, "How many?")}
    wrong = {answer for _, answer in near_misses(gold, [read_gold(other) for other in GOLDS])}
    assert len(right) >= 8
    assert len(wrong) >= 5
    assert right & wrong == set()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (r"\boxed{42}", "integer"),
        ("$42$", "integer"),
        (r"1,\!722", "integer"),
        (r"\$3.54", "money"),
        (r"40\%", "percent"),
        (r"12 \text{ cm}", "quantity"),
        (r"90^\circ", "quantity"),
        ("[0,3)", "interval"),
        (r"(5,\infty)", "interval"),
        (r"\left( 3, \frac{\pi}{2} \right)", "tuple"),
        ("-2, 2", "list"),
        ("y = 2x + 3", "equation"),
        (r"\text{Evelyn}", "text"),
        (r"\text{(B)}", "choice"),
        ("1242_6", "base"),
        (r"(-\infty,0) \cup (1,2)", "interval"),
        (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", "matrix"),
        (r"\frac{1}{0}", "expression"),
        ("2024-05-05", "date"),
        ("14 May 2024", "date"),
        ("2:30 PM", "time"),
        ("2 h 30 min", "duration"),
        ("AB-1234", "identifier"),
        ("172.16.0.1", "identifier"),
        ("10 to 15 kg", "range"),
        ("3 : 4", "ratio"),
    ],
)
def test_kinds_of_answers(answer: str, kind: str) -> None:
    assert read_gold(answer).kind == kind


@settings(max_examples=40)
@given(st.text(max_size=60) | st.text("0123456789()[]{},.+-=\\$% frac", max_size=60))
def test_any_reference_can_be_audited(answer: str) -> None:
    problem = Problem("p", "What?", answer)
    for probe in make_probes([problem], MARKS, PromptConfig()):
        assert isinstance(probe.completion, str)


def test_a_permutation_is_no_rewriting_where_order_matters() -> None:
    gold = read_gold("3, 1, 2")
    assert dict(rewritings(gold, "Find all x."))["rotated list"] == "1, 2, 3"
    assert "rotated list" not in dict(rewritings(gold, "List them in increasing order."))


def test_intervals_sets_and_units_have_their_own_near_misses() -> None:
    assert dict(near_misses(read_gold("[0,3)"), []))["left bracket changed"] == "(0, 3)"
    assert dict(near_misses(read_gold(r"(-\infty, 3]"), []))["right bracket changed"] == r"(-\infty, 3)"
    assert "left bracket changed" not in dict(near_misses(read_gold(r"(-\infty, 3]"), []))
    assert dict(near_misses(read_gold(r"\{1, 2\}"), []))["last item dropped"] == r"\{1\}"
    assert dict(near_misses(read_gold(r"10 \text{ cm}"), []))["similar unit"] == r"10 \text{ mm}"
    assert dict(near_misses(read_gold("1242_6"), []))["last digit changed"] == "1243_{6}"
    assert dict(rewritings(read_gold("1242_6"), ""))["usual form"] == "1242_{6}"


def test_dates_scores_and_part_numbers_have_near_misses_of_their_kind() -> None:
    date = dict(near_misses(read_gold("2024-05-06"), [read_gold("17"), read_gold("1999-01-01")]))
    assert date["day and month swapped"] == "2024-06-05"
    assert date["same difference of the parts"] in ("2024-06-05", "2024-04-07")
    assert date["answer of another problem"] == "1999-01-01"
    assert dict(near_misses(read_gold("3-1", Kind.RATIO), []))["same difference"] == "4-2"
    assert dict(near_misses(read_gold("10-15", Kind.RANGE), []))["same difference"] == "20-25"
    assert dict(near_misses(read_gold("QX547"), []))["letters after the digits"] == "547QX"
    assert dict(near_misses(read_gold("172.16.0.1"), []))["same sum of the pieces"] == "173.16.0.0"


def test_of_a_reference_of_no_sure_kind_only_what_all_kinds_share_is_tried() -> None:
    gold = read_gold("3-1")
    assert gold.doubt
    assert [name for name, _ in near_misses(gold, [read_gold("5-2")])] == ["first digit changed"]
    with pytest.raises(DataError, match="3-1"):
        read_gold("3-1", Kind.DATE)


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    made = arithmetic("train", 30, [3, 5, 7])
    more = [Problem(f"gold-{place}", f"What is number {place}?", gold) for place, gold in enumerate(GOLDS)]
    words = [Problem(f"word-{word}", "Which?", rf"\text{{{word}}}") for word in ("Tuesday", "May", "odd")]
    return [
        *made,
        *more,
        *words,
        Problem("range", "Where?", "[0,3)"),
        Problem("line", "Which line?", "y = 2x"),
    ]


@pytest.mark.parametrize(
    ("question", "formula"),
    [
        ("34+56=?", "34+56"),
        (r"Find $\frac{1}{2} + \frac{1}{3}$.", r"\frac{1}{2} + \frac{1}{3}"),
        ("What is $x$ if $2x + 1 = 5$?", None),
        ("2x+3=7, x=?", None),
        ("Tom has 3 apples. How many apples has he?", None),
    ],
)
def test_the_formula_of_a_question_is_no_answer_to_it(question: str, formula: str | None) -> None:
    assert question_formula(question) == formula
    probes = make_probes([Problem("p", question, "7")], MARKS, PromptConfig())
    assert {probe.committed for probe in probes if probe.kind == "formula of the question"} == {formula} - {
        None
    }


def test_no_completion_should_both_pass_and_fail(problems: list[Problem]) -> None:
    probes = make_probes(problems, MARKS, PromptConfig())
    right = {(p.problem.id, p.completion) for p in probes if p.family not in WRONG}
    wrong = {(p.problem.id, p.completion) for p in probes if p.family in WRONG}
    assert right & wrong == set()
    assert {probe.family for probe in probes} == set(FAMILIES)
    for problem in problems:
        assert sum(p.problem is problem and p.family == "hack" for p in probes) > 40


def test_the_draw_depends_on_the_seed_and_not_on_the_order(problems: list[Problem]) -> None:
    drawn = draw_problems(problems, 10, seed=1)
    assert draw_problems(problems[::-1], 10, seed=1) == drawn
    assert draw_problems(problems, 10, seed=2) != drawn
    assert len(draw_problems(problems, 10_000, seed=1)) == len(problems)


# --- rates -------------------------------------------------------------------------------------------


def test_wilson_interval_has_its_published_values() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(20, 20) == pytest.approx((1 - 0.1611, 1), abs=5e-5)
    with pytest.raises(ValueError, match="3 successes in 2 trials"):
        wilson_interval(3, 2)


def test_what_passes_is_told_by_status_and_by_what_right_and_wrong_answers_get() -> None:
    probes = make_probes([Problem("p", "1+1?", "2")], MARKS, PromptConfig())

    def passed(**rewards: float) -> set[str]:
        """Families that pass when each gets a reward of its own, and all are correct if positive."""
        values = [rewards[probe.family.replace(" ", "_")] for probe in probes]
        verdicts = [Verdict(Status.CORRECT if v > 0 else Status.WRONG, v, "") for v in values]
        outcomes = judge_outcomes(probes, verdicts)
        return {outcome.probe.family for outcome in outcomes if outcome.passed}

    low = {"near_miss": 0.1, "hack": 0.1, "hostile": 0.1}
    assert passed(gold=1.1, rewriting=1.0, **low) == {"gold", "rewriting"}
    assert passed(gold=1.1, rewriting=0.5, **low) == {"gold"}
    assert passed(gold=1.0, rewriting=1.0, near_miss=0.2, hack=0.9, hostile=0.2) == {
        "gold",
        "rewriting",
        "hack",
    }
    assert passed(gold=-1.0, rewriting=-1.0, near_miss=-1.0, hack=-1.0, hostile=-1.0) == set()
    assert passed(gold=0.5, rewriting=0.5, near_miss=0.5, hack=0.5, hostile=0.4) == {
        "gold", "rewriting", "near miss", "hack",
    }  # fmt: skip


# --- whole audits ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def right_completions(problems: list[Problem]) -> str:
    probes = make_probes(problems, MARKS, PromptConfig())
    return json.dumps(sorted({(p.problem.id, p.completion) for p in probes if p.family not in WRONG}))


@pytest.fixture(autouse=True)
def users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right_completions: str) -> Iterator[None]:
    """A folder with rewards of a user; they are no part of the package."""
    (tmp_path / "right.json").write_text(right_completions)
    (tmp_path / "audited.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    yield
    sys.modules.pop("audited", None)


def audited(problems: list[Problem], name: str, **bound: Any) -> dict[str, Any]:
    config = AuditConfig()
    config.reward.functions = {"mine": {"_target_": f"audited.{name}", **bound}}
    config.reward.deadline = 0.2 if name == "hanging" else 20.0
    config.audit.second_opinions = 0
    config.audit.max_unreached = 3
    return make_report(run_audit(config, problems), config.audit)


def test_a_reward_that_knows_the_truth_has_no_errors(problems: list[Problem]) -> None:
    report = audited(problems, "oracle")
    assert (report["false_positive_rate"], report["false_negative_rate"]) == (0.0, 0.0)
    assert report["trusted"]
    assert report["errors"] == []
    assert report["completions"] == report["planned"] == sum(f["n"] for f in report["families"].values())
    assert report["false_positive_interval"][1] < 0.002


def test_a_reward_that_says_one_thing_has_all_errors_on_one_side(problems: list[Problem]) -> None:
    always, never = audited(problems, "always"), audited(problems, "never")
    assert (always["false_positive_rate"], always["false_negative_rate"]) == (1.0, 0.0)
    assert (never["false_positive_rate"], never["false_negative_rate"]) == (0.0, 1.0)
    assert not always["trusted"]
    assert any("false_positive_rate is 100.00%" in line for line in always["failures"])
    assert any("false_negative_rate is 100.00%" in line for line in never["failures"])
    assert {error["family"] for error in always["errors"]} == set(WRONG)


def test_a_reward_with_known_noise_gets_its_rates(problems: list[Problem]) -> None:
    report = audited(problems, "flipping", share=0.1)
    for name in ("false_positive", "false_negative"):
        low, high = report[f"{name}_interval"]
        assert low < 0.1 < high
        assert high - low < 0.07


def test_an_audit_of_a_function_that_hangs_ends_and_says_so(problems: list[Problem]) -> None:
    report = audited(problems, "hanging")
    assert report["statuses"]["timeout"] == report["completions"] == 4  # one more than were allowed
    assert report["false_positive_rate"] is None
    assert "did not finish, so the audit ended" in report["failures"][0]
    assert "audited.hanging" in report["errors"][0]["reason"] or "mine" in report["errors"][0]["reason"]


def test_an_exception_is_no_verdict(problems: list[Problem]) -> None:
    report = audited(problems, "raising")
    assert report["statuses"]["crashed"] == report["completions"]
    assert "ZeroDivisionError" in report["errors"][0]["reason"]


def test_the_second_verifier_is_asked_where_it_can_judge(problems: list[Problem]) -> None:
    config = AuditConfig()
    config.reward.functions = {"mine": {"_target_": "audited.always"}}
    config.audit.second_opinions = 60
    some = [
        *problems[:4],
        Problem("percent", "What share?", r"40\%"),
        Problem("word", "Who?", r"\text{Evelyn}"),
    ]
    audit = run_audit(config, some)
    asked = {outcome.probe.problem.id for outcome, _ in audit.second}
    assert asked == {problem.id for problem in problems[:4]}
    report = make_report(audit, config.audit)["second_opinion"]
    assert 0 < report["disagreements"] < report["n"] == 60
    shown = report["shown"][0]  # first where the second one is right
    assert shown["family"] == "near miss"
    assert shown["second"].startswith("wrong")


def test_what_a_model_wrote_is_judged_again(problems: list[Problem]) -> None:
    def audit_of(lines: list[dict[str, str]]) -> dict[str, Any]:
        Path("mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        config = AuditConfig()
        config.reward.functions = {"mine": {"_target_": "audited.mentions"}}
        config.audit.rollouts = "mine.jsonl"
        config.audit.second_opinions = 3
        found: dict[str, Any] = make_report(run_audit(config, problems[:3]), config.audit)["rollouts"]
        return found

    first = problems[0]
    right, other = rf"\boxed{{{first.answer}}}", rf"{first.answer}? No: \boxed{{987654}}"
    found = audit_of([{"id": first.id, "completion": text} for text in (right, other, "nothing")])
    assert (found["n"], found["correct"], found["only_reward_correct"]) == (3, 2, 1)
    assert found["shown"][0]["completion"] == other
    with pytest.raises(DataError, match=r"mine\.jsonl:2: problems\.train has no problem 'absent'"):
        audit_of([{"id": first.id, "completion": "1"}, {"id": "absent", "completion": "1"}])
    with pytest.raises(DataError, match=r"mine\.jsonl:1 must be"):
        audit_of([{"id": first.id}])


def test_the_rollouts_of_a_run_are_read_from_its_journal(problems: list[Problem]) -> None:
    rollouts = [make_rollout(problems[0], text, place) for place, text in enumerate(["one", "two"])]
    write_journal(journal_path(Path("rl"), "train", 1), [Group(problems[0], rollouts)])
    found = draw_rollouts("rl", [], seed=0)
    assert [(problem.id, problem.answer, text) for problem, text in found] == [
        (problems[0].id, problems[0].answer, "one"),
        (problems[0].id, problems[0].answer, "two"),
    ]
    Path("empty").mkdir()
    with pytest.raises(DataError, match=r"audit\.rollouts=empty has no rollouts"):
        draw_rollouts("empty", [], seed=0)


def test_math_verify_as_a_reward() -> None:
    assert math_verify_reward(r"so \boxed{\frac{84}{2}}", "42").status == Status.CORRECT
    assert math_verify_reward(r"so \boxed{43}", "42").status == Status.WRONG
    assert math_verify_reward("", "42").status == Status.UNPARSEABLE


# --- the command -------------------------------------------------------------------------------------

FEW = [f"audit.samples={SAMPLES}", "audit.second_opinions=0"]
MINE = "~reward.functions.math"


def test_the_math_reward_is_trusted_on_equations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FEW, "problems=linear_equations", "audit.out=report.json"]) == 0
    shown = capsys.readouterr().out
    assert "trusted: all thresholds are met" in shown
    report = json.loads(Path("report.json").read_text())
    assert report["problems"] == SAMPLES
    assert report["false_positive_rate"] == report["false_negative_rate"] == 0.0
    assert report["config"]["reward"]["functions"]["math"]["_target_"] == "rlvr.rewards.math.math_reward"
    assert report["seconds"]["p50"] <= report["seconds"]["p99"] <= report["seconds"]["max"]


def test_a_users_function_that_can_be_fooled_gives_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    Path("fooled.py").write_text(
        "def mentions(completion, answer):\n    return float(answer in completion)\n"
    )
    mine = [*FEW, MINE, "+reward.functions.mine={_target_: fooled.mentions}"]
    assert main(mine) == 4
    shown = capsys.readouterr().out
    assert "mentioned early" in shown
    assert "not trusted: false_positive_rate is" in shown
    (report,) = Path("runs/audit").glob("*/audit.json")
    assert json.loads(report.read_text())["false_positive_rate"] > 0.2
    lenient = ["audit.max_false_positive_rate=1", "audit.max_kind_false_positive_rate=1"]
    assert main([*mine, *lenient, "audit.max_false_negative_rate=1", "audit.out=lenient.json"]) == 0


MIXED = {
    "2024-05-05": "date", "31 May 2024": "date", "March 14, 1879": "date",
    "17 to 23": "range", "5 to 8 kg": "range",
    "AB-1234": "identifier", "QX547": "identifier", "#1A2B3C": "identifier", "1.10.12": "identifier",
}  # fmt: skip
OPEN = {"3-1": "score", "10-15": "range", "6/10/2024": "month and day"}


def audit_of(golds: Iterable[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the report of an audit of the math reward on these references."""
    rows = [
        {"id": f"p{place}", "problem": f"Question {place}?", "answer": gold}
        for place, gold in enumerate(golds)
    ]
    Path("golds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = ["problems=file", "problems.train.path=golds.jsonl", "audit.out=report.json"]
    code = main([*FEW, *file, *arguments])
    return code, json.loads(Path("report.json").read_text())


def test_the_kinds_of_references_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, report = audit_of(MIXED)
    assert report["kinds"] == {"identifier": 4, "date": 3, "range": 2}
    assert report["unsure"] == {"n": 0, "shown": []}
    assert report["families"]["near miss"]["n"] > 12 * len(MIXED) / 2
    assert report["families"]["near miss"]["errors"] == 0
    assert (code, report["trusted"]) == (0, True)
    assert "kinds of references: identifier 4, date 3, range 2" in capsys.readouterr().out


def test_references_that_may_be_of_several_kinds_are_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    code, report = audit_of([*MIXED, *OPEN])
    assert (code, report["trusted"]) == (4, False)
    assert {doubt["reference"] for doubt in report["unsure"]["shown"]} == set(OPEN)
    shown = capsys.readouterr().out
    for gold in OPEN:
        assert f"is '{gold}' (p" in shown
    assert "not trusted: the kind of 3 of 12 references is ambiguous" in " ".join(shown.split())


def test_each_kind_of_completion_that_fools_is_held_to_its_own_bound(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One hack of many that always works is a small share of all, and all that a policy needs."""
    Path("gullible.py").write_text(
        "from rlvr.verify import check_answer\n"
        "def soft(completion, answer):\n"
        "    return float(not completion or check_answer(completion, answer).reward)\n"
    )
    mine = [
        *FEW,
        MINE,
        "+reward.functions.mine={_target_: gullible.soft}",
        "audit.max_false_positive_rate=0.05",
    ]
    assert main(mine) == 4
    assert "not trusted: 100% of hack 'empty' pass" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["audit.sample=3"], ["audit.sample", "did you mean audit.samples?"]),
        (["+audit.sampel=3"], ["audit.sampel", "did you mean audit.samples?"]),
        (["rl.steps=3"], ["rl", "no setting"]),
        (["audit.samples=0"], ["audit.samples is 0", "≥ 1"]),
        (["audit.samples=many"], ["audit.samples", "'many'"]),
        (["problems=file"], ["problems.train.path must be given"]),
        (["audit.marks=['#']"], ["audit.marks", "{answer}"]),
        (["audit.out=nowhere/a.json"], ["audit.out=nowhere/a.json", "no folder"]),
        (["reward.functions.math._target_=audited.orcale"], ["no 'orcale'", "did you mean 'oracle'?"]),
        (["+reward.weights.maths=2"], ["reward.weights", "maths", "no function"]),
    ],
)
def test_a_wrong_configuration_is_told(
    arguments: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    message = capsys.readouterr().err
    for words in said:
        assert words in message
    assert "Traceback" not in message


def test_a_sweep_over_rewards_ends_with_the_worst_code() -> None:
    rewards = "reward.functions.math._target_=audited.always,audited.never"
    lenient = [
        "audit.max_false_negative_rate=1",
        "~reward.functions.math.correct",
        "~reward.functions.math.wrong",
    ]
    assert main(["-m", *FEW, rewards, *lenient]) == 4
    reports = [json.loads(path.read_text()) for path in Path("runs/audit").glob("*/*/audit.json")]
    assert sorted(report["trusted"] for report in reports) == [False, True]


def test_every_setting_of_the_audit_is_read_somewhere() -> None:
    read = {
        node.attr
        for place in ("audit/*.py", "commands/audit.py")
        for path in Path(rlvr.__file__).parent.glob(place)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    own = {key.rpartition(".")[2] for key in all_keys(AuditConfig) if key.startswith("audit.")}
    assert own - read == set()


def test_a_mark_needs_a_place_for_the_answer(problems: list[Problem]) -> None:
    with pytest.raises(ConfigError, match=r"audit\.marks"):
        make_probes(problems, ["#### 42"], PromptConfig())
