"""Steps of worked solutions: which claims are found, which are checkable, and which hold."""

from __future__ import annotations

import gzip
import json
import random
import re
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.rewards.solution.claims import find_claims
from rlvr.rewards.steps import steps_reward
from rlvr.types import Status
from rlvr.verify.steps import rational_values, step_holds

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("left", "relation", "right", "holds"),
    [
        ("48/2", "=", "24", True),
        ("48/2", "=", "25", False),
        ("24", "=", "48/2", True),
        (r"\frac{1}{2}+\frac13", "=", r"\frac56", True),
        ("8 * 1 1/2", "=", "12", True),
        (r"8\cdot 1\frac{1}{2}", "=", "12", True),
        (r"\sqrt{16}+2^{-1}", "=", "4.5", True),
        ("3^25^2", "=", "225", True),  # LaTeX: 3²·5²
        ("2^10", "=", "1024", True),
        ("3!+(2)(5)", "=", "16", True),
        (r"\binom52", "=", "10", True),
        ("6/2(3)", "=", "9", True),
        ("6/2(3)", "=", "1", True),
        ("6/2(3)", "=", "2", False),
        ("6/1/30", "=", "180", True),
        ("60/3/4", "=", "5", True),
        ("60/3/4", "=", "6", False),
        ("1%", "=", "5/20", None),
        ("5{,}000+1", "=", "5,001", True),
        ("-2^2", "=", "4", False),
        # percent
        ("20/50", "=", "40%", True),
        ("20/50*100", "=", "40%", True),
        ("100-40", "=", "60%", True),
        (r"30\% \cdot 50", "=", "15", True),
        (r"30\% \cdot 50", "=", "16", False),
        # rounding
        ("10/3", "=", "3.33", True),
        ("10/3", "=", "3.34", False),
        ("2/3", "=", "0.66", True),
        ("2/3", "=", "67%", True),
        ("7/2", "=", "3", False),
        ("1234", "approx", "1200", True),
        ("1234", "approx", "1500", False),
        # relations
        ("3", "<", "2+2", True),
        ("3^2", "ge", "10", False),
        ("5", "ne", "2+2", True),
        # no claim of arithmetic
        ("0", "=", "1", None),
        ("x", "=", "5", None),
        ("2x+3", "=", "7", None),
        ("f(2)", "=", "2^2+1", None),
        ("x_2", "=", "5", None),
        ("5!!", "=", "5*3", None),
        ("(28,365)", "=", "1+0", None),
        ("5", "=", "5", None),
        ("3/4", "=", "15", None),  # of something
        # identities
        ("(x+1)^2", "=", "x^2+2x+1", True),
        ("(x+1)^2", "=", "x^2+x+1", None),
        (r"2\sqrt{2}", "=", r"\sqrt{8}", True),
        (r"2\sqrt{2}", "=", r"\sqrt{9}", False),
        (r"\sin 30^\circ", "=", r"\frac12", True),
    ],
)
def test_a_step(left: str, relation: str, right: str, holds: bool | None) -> None:
    assert step_holds(left, relation, right) is holds


def test_a_rewriting_in_the_same_names_may_fail() -> None:
    assert step_holds("(x+1)^2", "=", "x^2+x+1", same_names=True) is False
    assert step_holds("(x+1)^2", "=", "x^2+2x+1", same_names=True) is True


@pytest.mark.parametrize("pair", [("10/3", "3.333333"), (r"16\pi", "50.27"), (r"\sqrt{2}", "1.41")])
def test_an_approximation_is_a_rounding(pair: tuple[str, str]) -> None:
    assert step_holds(pair[0], "approx", pair[1]) is True
    assert (
        step_holds(pair[0], "approx", pair[1].replace("3.3", "3.4").replace("50", "51").replace("1.4", "1.6"))
        is not True
    )


def test_what_is_too_large_is_not_computed() -> None:
    started = time.perf_counter()
    assert step_holds("9^{9^{9^9}}", "=", "1+1") in (None, False)
    assert rational_values("9^{9^{9^9}}") == []
    assert rational_values("(" * 200 + "1" + ")" * 200) == []
    assert step_holds("9" * 1000, "=", "1+1") is None
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("Natalia sold 48/2 = 24 clips in May.", ["48/2 = 24"]),
        ("She has $14 + $25 + $6 = $45 left", ["14+25+6 = 45"]),
        ("Then 40 dinner rolls - 16 that got eaten = 24 rolls.", ["40-16 = 24"]),
        ("8 people eat 12 x 2 = 24 rolls", ["12*2 = 24"]),
        ("so 5 boxes * 10 pencils/box = 50 pencils", ["5*10 = 50"]),
        ("Total = 5 + 3 = 8", ["5+3 = 8"]),
        ("48/2 = <<48/2=24>>24 clips", ["48/2 = 24"]),
        ("(he has 5 + 3 = 8)", ["5+3 = 8"]),
        ("3 plus 4 equals 7, fine", ["3+4 = 7"]),
        ("It doubles 240/20=12 times. Later 4*7=28 hours a week.", ["240/20 = 12", "4*7 = 28"]),
        ("20% of 50 = 10 pens", ["20%*50 = 10"]),
        ("2. 3 + 4 = 7", ["3 + 4 = 7"]),
        ("3 + 4\n= 7", ["3 + 4 = 7"]),
        ("- 1,200 × 2 = 2,400", [r"1,200 \times 2 = 2,400"]),
        # names, gaps and what words make of a number
        ("Day 1 = 5 * 3 hours", []),
        ("half of 20 + 2 = 12", []),
        ("2 more than 3 + 4 = 9", []),
        ("100 - cost = 40 dollars", []),
        ("cost + 5 = 40 dollars", []),
        ("he runs 2 * 1 = 2 million miles", []),
        ("17 / 5 = 3 remainder 2", []),
        ("is 3 + 4 = 8?", []),
        # LaTeX
        (r"so $3 + 4 = 7$ and $x = 3\cdot 4 = 12$.", ["3 + 4 = 7", "x = 3\\cdot 4", "3\\cdot 4 = 12"]),
        (r"\[a = 1+1 < 3\]", ["a = 1+1", "1+1 < 3"]),
        (r"\begin{align*} x &= 1+2\\ &= 3\\ y+1 &= 5 \end{align*}", ["x = 1+2", "1+2 = 3", "y+1 = 5"]),
        (
            r"\[\begin{aligned} s &= 1+2 \\ &\qquad + 3 \\ &= 6 \end{aligned}\]",
            ["s = 1+2 + 3", "1+2 + 3 = 6"],
        ),
        (r"\[\begin{aligned} s &= 1+2 + \\ &3 \\ &= 6 \end{aligned}\]", ["s = 1+2 + 3", "1+2 + 3 = 6"]),
        (r"$5\text{ ft} \cdot 3\text{ ft} = 15\text{ ft}^2$", [r"5 \cdot 3 = 15"]),
        (r"$2+3=\boxed{5}.$", ["2+3 = {5}"]),
        (r"$3^4 \equiv 1 \pmod 5$, $x = 1 + \dots + 9 = 45$", []),
        (r"$x = 3 \Rightarrow 2+2 = 4$", ["x = 3", "2+2 = 4"]),
        (r"$a = 2, b = 3 \text{ and } c = 1{,}000$", ["a = 2", "b = 3", "c = 1{,}000"]),
        ("[asy] x = 3 + 4 = 8; [/asy]", []),
        ("It costs $5 = $5 and 2 + 2 = 4 dollars, so $x$ is", ["2+2 = 4"]),
        (r"\begin{align*}\end{align*} So 1 + 1 = 2.", ["1+1 = 2"]),  # a formula of nothing
    ],
)
def test_the_claims_of_a_text(text: str, claims: list[str]) -> None:
    assert [str(claim) for claim in find_claims(text)] == claims


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("2 + 2 = 4 apples. Then 4 * 3 = 12 apples.", 1.0),
        ("2 + 2 = 4 apples. Then 4 * 3 = 13 apples.", 0.5),
        ("2 + 2 = 5\n2 + 2 = 5\n3 + 3 = 6", 0.5),  # the same step counts once
        ("2 + 2 = 5\n7 = 7\n7 = 7\n8 = 8", 0.0),  # saying nothing earns nothing
        (r"We solve $2x + 3 = 7$: $2x = 4$, so $x = 2$.", None),
        (r"$x = 3 + 4 = 8$", 0.0),
        (r"$y = (x+1)^2 = x^2 + 2x + 2$", 0.0),
        ("1 dozen = 12 eggs, 2 hours = 120 minutes", None),
        (r"$60^\circ = \frac{\pi}{3} = 2$, $1 = \frac{1\text{ mile}}{8\text{ furlongs}}$", 0.0),
        (r"$y = \sqrt{x^2} = x$, $z = |x| = x$, $f = q(3) = q(5)$", None),
        ("4 boxes * 5 pens = 21 things", 0.0),
        ("Let $a * b = a^b + b^a$. Then $2 * 6 = 2^6 + 6^2 = 100$, but 2 * 6 = 13.", 0.5),
        ("12 pets - 8 cats = 5 dogs", 0.0),
        (r"$k = \frac{r_2}{4} = \frac{r_3}{5}$", None),
        (r"$0 = 2x^2 - 4 = x^2 - 2$", None),
        ("50 cents + 50 cents = 1 dollar", None),
        ("2 hours * 60 = 120 minutes = 7200 seconds", 1.0),  # a conversion is no step
        ("no arithmetic here", None),
    ],
)
def test_the_reward_is_the_share_that_holds(text: str, reward: float | None) -> None:
    verdict = steps_reward(text)
    assert (verdict and verdict.reward) == reward


def test_the_reason_names_the_first_failing_step() -> None:
    verdict = steps_reward("1 + 1 = 2, then 2 + 2 = 5 and 3 + 3 = 7 pens.")
    assert verdict is not None
    assert verdict.status is Status.WRONG
    assert verdict.reason == "step 2 does not hold: 2+2 = 5"
    assert verdict.reward == pytest.approx(1 / 3)


def test_the_number_of_steps_is_bounded() -> None:
    text = "\n".join(f"{n} + 1 = {n + 1}" for n in range(50)) + "\n1 + 1 = 3"
    bounded = steps_reward(text, max_steps=50)
    assert bounded is not None
    assert bounded.reward == 1.0
    assert steps_reward(text).reward == pytest.approx(50 / 51)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="max_steps"):
        steps_reward("1+1=2", max_steps=0)


NUMBERS = st.integers(1, 999)
SIGNS = {"+": Fraction.__add__, "-": Fraction.__sub__, "*": Fraction.__mul__, "/": Fraction.__truediv__}
FORMS = [
    "{a} {s} {b} = {c}",
    "She has {a} {s} {b} = {c} pens.",
    "so ${a} {t} {b} = {c}$.",
    "<<{a}{s}{b}={c}>>",
]


@given(NUMBERS, st.sampled_from(sorted(SIGNS)), NUMBERS, st.sampled_from(FORMS), st.integers(1, 50))
@settings(max_examples=150)
def test_true_arithmetic_holds_and_false_does_not(a: int, sign: str, b: int, form: str, error: int) -> None:
    value = SIGNS[sign](Fraction(a), Fraction(b))
    tex = {"*": r"\cdot", "/": r"\div"}.get(sign, sign)
    right = form.format(a=a, s=sign, t=tex, b=b, c=str(value))
    wrong = form.format(a=a, s=sign, t=tex, b=b, c=str(value + error))
    if str(value) == f"{a}/{b}":
        return  # says nothing
    verdict = steps_reward(right)
    assert verdict is not None
    assert verdict.reward == 1.0
    verdict = steps_reward(wrong)
    if sign == "/" and a < b:  # 3/4 = 15 may speak of three quarters of something
        assert verdict is None or verdict.reward == 0.0
    else:
        assert verdict is not None
        assert verdict.reward == 0.0


@given(st.text(alphabet="0123456789+-*/^=<>$\\{}()[]&%.,x frac\n≈", max_size=120))
@settings(max_examples=300)
def test_no_text_raises_and_the_share_is_a_share(text: str) -> None:
    verdict = steps_reward(text)
    assert verdict is None or 0 <= (verdict.reward or 0) <= 1
    assert steps_reward(text) == verdict


@pytest.mark.parametrize(
    "text",
    [
        "$" * 50_000,
        r"\[" * 25_000,
        r"\begin{align}" * 4_000,
        "1 + " * 12_500,
        "1=" * 25_000,
        "((((" * 12_500 + "=1",
        "a b " * 12_000 + "= 5",
        "9^" * 20_000 + "9=1",
        r"\frac{1}{" * 5_000 + "=2",
        "1 1/" * 10_000 + "=",
        "[asy]" * 10_000,
        "<<1=1" * 10_000,
    ],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    started = time.perf_counter()
    steps_reward(text)
    assert time.perf_counter() - started < 2


def _solutions(name: str, number: int) -> list[str]:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path} is not here: the data sets are not part of the project")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
        rows = [json.loads(line) for line in file]
    return [str(row["solution"]) for row in rows[:: len(rows) // number]]


@pytest.mark.parametrize(
    ("name", "number", "least"), [("gsm8k_train.jsonl", 400, 0.99), ("math_sft4500.jsonl", 150, 0.97)]
)
def test_the_steps_of_reference_solutions_hold(name: str, number: int, least: float) -> None:
    verdicts = [verdict for solution in _solutions(name, number) if (verdict := steps_reward(solution))]
    assert len(verdicts) > number / 2
    assert sum(verdict.reward or 0 for verdict in verdicts) / len(verdicts) >= least


def test_a_corrupted_step_of_a_reference_solution_is_found() -> None:
    draw = random.Random(0)
    found = total = 0
    for solution in _solutions("gsm8k_train.jsonl", 300):
        results = list(re.finditer(r"(?<== )\d+(?![\d.,%/])|(?<==)\d+(?![\d.,%/])", solution))
        before = steps_reward(solution)
        if not results or before is None or before.reward != 1.0:
            continue
        match = draw.choice(results)
        corrupted = (
            f"{solution[: match.start()]}{int(match.group()) + draw.randint(1, 9)}{solution[match.end() :]}"
        )
        after = steps_reward(corrupted)
        total += 1
        found += after is None or (after.reward or 0) < 1
    assert total > 100
    assert found / total > 0.9
