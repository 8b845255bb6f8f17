"""Notations of one and the same answer that are easily told apart, or easily confused."""

from __future__ import annotations

import pytest

from rlvr.types import Status
from rlvr.verify import check_answer

SAME = {
    "units": [
        ("5 hours", "5h"), ("5 cm", "5cm"), ("10 km", "10km"), ("12 m^2", "12 square meters"),
        ("72 km/h", "72 km per hour"), ("30 mi/h", "30 mph"), ("30 mi/h", "30 miles/hour"),
        ("6 kg/m^3", "6 kilograms per cubic meter"), ("5 hours", "five hours"), ("12π", "12 pi"),
    ],
    "currencies": [(r"\$40", "USD 40"), (r"\$40", "40 USD"), (r"\$40", "US$40"), ("€7", "EUR 7")],
    "numbers in words": [
        ("2/3", "two thirds"), ("2/3", "2 thirds"), ("3/4", "three quarters"), ("1/2", "one half"),
        ("2/5", r"\text{two-fifths}"),
        ("100000", "one hundred thousand"), ("2000000", "two million"), ("5", "five apples"),
    ],
    "numbers in a base": [
        ("2102_3", "2102_{(3)}"), ("2102_3", "2102 (base 3)"), ("5", "101 in base 2"), ("5", "101 base 2"),
    ],
    "ratios and times": [
        ("3:5", "6:10"), ("3:5", "3 to 5"), ("3:5", r"3\text{ to }5"), ("7:45 PM", "19:45"),
        ("7:45 PM", "7:45"), ("12:30 PM", "12:30"),
    ],
    "combinations": [
        (r"\binom{n}{k}", "C_n^k"), ("120", "C_{10}^3"), ("120", r"\mathrm{C}_{10}^{3}"), ("120", "C(10,3)"),
    ],
    "expressions": [
        (r"\frac{a+b}{c}", r"{a+b \over c}"), (r"\frac{1}{x+1}", r"{1 \over {x+1}}"),
        (r"\overline{z}", r"\bar{z}"), ("f(x,y,z)", r"f{\left(x,y,z \right)}"), (r"\sqrt[3]{2}", "∛2"),
        (r"\int_a^b x\,dx", r"\int_{a}^{b} x \mathrm{d}x"),
    ],
    "vectors": [(r"\begin{pmatrix}4\\-1\\0\end{pmatrix}", "[4,-1,0]^T"), ("(1,2)", r"(1,2)^{\top}")],
    "sets": [
        (r"(-1,0)\cup(0,1)", r"\{x \mid -1<x<1, x\neq 0\}"), (r"(-1,0)\cup(0,1)", r"-1<x<1 and x\ne 0"),
        (r"\mathbb{R}\setminus\{1,2\}", r"x\ne 1, x\ne 2"), (r"\text{no solution}", r"\emptyset"),
        (r"\{(x,y): x^2+y^2\le 1\}", r"\{(x,y) \mid x^2+y^2 \le 1\}"), ("x>0,y>0", "y>0, x>0"),
    ],
    "what was asked for": [
        ("14", "m+n = 6+8 = 14"), ("14", "|z|=14"), ("14", "f(3)=14"),
        (r"\frac35", r"\cos\theta=\frac35"), (r"\cos\theta=\frac{3}{5}", "0.6"),
        ("14", r"Thus $a+b = 6+8 = 14$."),
    ],
    "systems": [
        ("x=2, y=3", r"\begin{cases}x=2\\y=3\end{cases}"),
        ("x=2, y=3", r"\left\{\begin{array}{l}x=2\\y=3\end{array}\right."),
    ],
    "roots": [(r"\sqrt{17}", r"\sqrt17"), (r"2\sqrt{7}", r"2\sqrt7")],
    "lower-case letters": [("c", "(c)"), ("c", r"\text{c}"), ("e", r"\mathrm{e}")],
    "signs": [("f(x)=x, f(x)=-x", r"f(x)=\pm x"), (r"y=\pm 3", "3, -3")],
}  # fmt: skip
DIFFERENT = [
    ("2", "2 thirds"), ("2", "two thirds"), ("1", "one half"), ("900", "nine hundred ninety nine"),
    ("7", "seven eight"), ("101", "101 base 2"), (r"\$40", "EUR 40"), ("30 mi/h", "30 km/h"),
    ("30 mi/h", "30 miles"), ("10 km", "10m"), ("12 m^2", "12 m"), ("5 hours", "6h"), ("3:5", "3:05"),
    ("1:05", "1:5"), ("3:5", "5 to 3"), ("3", "3 to 5"), ("7:45 AM", "19:45"), ("7:45 PM", "7:45 AM"),
    ("7:45 PM", "20:45"), ("12:30 am", "12:30 pm"), ("120", "C_{10}^4"), ("1", "C_1^2"),
    ("(1,2)", "(2,1)^T"), ("x<1, y<2", "y<1, x<2"), ("x>0, y>0", "x>0"),
    ("x>0 and y>0", "x>0 or y>0"), (r"x\ne 1, y\ne 2", r"x\ne 2, y\ne 1"),
    (r"x\ne 1, x\ne 2", r"x\ne 1"), (r"\text{no solution}", r"\{0\}"), (r"\text{no solution}", "0"),
    ("14", "2x=14"), ("14", "14=15"), ("14", "a+b=13"), ("14", "a+b=14=15"), ("14", "3x^2=14"),
    (r"\cos\theta=\frac{3}{5}", r"\sin\theta=\frac35"), (r"\cos\theta=\frac{3}{5}", r"\frac45"),
    ("2x+3y=12", "12"), ("x+y=12", "12"),
    ("12", "x+y=12"), ("12", "x+y=12=13"), ("12:30", "2:5"),
    ("c", "C"), ("a", "(A)"), (r"y=\pm 3", "3"), (r"\sqrt[3]{2}", "√2"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), [pair for kind in SAME.values() for pair in kind])
def test_notations_of_the_same_answer(gold: str, answer: str) -> None:
    boxed = rf"\boxed{{{answer}}}" if "$" not in answer else answer
    assert check_answer(answer, gold).status is Status.CORRECT
    assert check_answer(boxed, gold).status is Status.CORRECT


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_answers_that_only_look_alike(gold: str, answer: str) -> None:
    assert check_answer(rf"\boxed{{{answer}}}", gold).status is Status.WRONG
    assert check_answer(answer, gold).status is not Status.CORRECT


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("The area is 84 square units.", Status.CORRECT),
        ("The length is $84$ cm.", Status.CORRECT),
        ("The side is 42 cm. The perimeter is 84 cm.", Status.CORRECT),
        ("There are 84 cm, I do not know.", Status.UNPARSEABLE),
        ("The side is 84 cm longer than 3 m.", Status.UNPARSEABLE),
    ],
)
def test_a_last_sentence_may_end_with_a_unit(text: str, status: Status) -> None:
    assert check_answer(text, "84").status is status


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("B is the right answer", True),
        ("B is better than A, which is wrong", True),
        ("B is wrong", False),
        ("B is clearly not right.", False),
        ("B is not", False),
    ],
)
def test_an_option_that_is_denied_is_not_chosen(text: str, correct: bool) -> None:
    assert (check_answer(text, "B").status is Status.CORRECT) == correct
