"""Extraction, reading and comparison of answers."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.types import Status
from rlvr.verify.check import check_answer
from rlvr.verify.exact import read_rational
from rlvr.verify.extract import extract_answer


@pytest.mark.parametrize(
    ("completion", "text", "where"),
    [
        (r"\boxed{1} and then \boxed{\frac{1}{2}}", r"\frac{1}{2}", "box"),
        (r"\boxed{41} or \boxed{42}", "41, 42", "box"),
        (r"\boxed{(1, 2)}, \boxed{(2, 1)}", "(1, 2), (2, 1)", "box"),
        (r"\boxed{ unclosed \boxed{42}", "42", "box"),
        (r"\boxed{43} The final answer is 42", "43", "box"),
        ("<answer>2x + 3</answer>", "2x + 3", "answer tag"),
        (r"<answer>so \boxed{7}</answer>", "7", "answer tag"),
        ("17+25=42\n#42", "42", "hash line"),
        ("work\n#### 1,234", "1,234", "hash line"),
        ("# Step 1\nThe answer is 7.", "7", "answer phrase"),
        ("## 3. Check\nThe final answer is: $x = 3$.", "x = 3", "answer phrase"),
        ("The answer is 3. No, the answer is 4.5. Done", "4.5", "answer phrase"),
        (r"<think>\boxed{1}</think>#2", "2", "hash line"),
        (r"The answer is $\$36$, I think.", r"\$36", "answer phrase"),
        ("so the answer is: 42<|im_end|>", "42", "answer phrase"),
        (r"-\frac{3}{4}", r"-\frac{3}{4}", "whole text"),
    ],
)
def test_where_an_answer_is_found(completion: str, text: str, where: str) -> None:
    found = extract_answer(completion)
    assert found is not None
    assert (found.text, found.where) == (text, where)


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "I counted 42 of them, perhaps 43",
        "<think>it is \\boxed{42}",
        "first 41\nthen 42",
        "# Solution\n12 steps follow",
    ],
)
def test_a_completion_that_commits_to_nothing_has_no_answer(completion: str) -> None:
    assert extract_answer(completion) is None
    assert check_answer(completion, "42", wrong=-1.0).status is Status.UNPARSEABLE


def test_the_last_number_counts_only_on_request() -> None:
    completion = "first 41 birds\nthen 42 of them"
    found = extract_answer(completion, extraction="lenient")
    assert found is not None
    assert (found.text, found.where) == ("42", "last number")


EQUAL = [
    ("7425000", "7,425,000"), ("1234", r"1\,234"), ("42", "42."), ("0.5", r"50\%"), ("0.5", "1/2"),
    ("3.5", "3½"), ("10/9", r"\dfrac{10}{9}"), ("-10/9", r"-\frac{10}9"), ("7/2", r"3\frac{1}{2}"),
    ("0.0015", r"1.5 \times 10^{-3}"), ("18", r"\$18.00"), ("18", "18 dollars"), ("90", r"90^\circ"),
    ("5", r"x = 5"), (r"\sqrt{2}", "√2"), ("-3", "−3"), (r"\frac{1}{\sqrt{n}}", r"\sqrt{\frac{1}{n}}"),
    ("(x+1)^2", "x^2+2x+1"), (r"2\cos^2 x", r"1+\cos(2x)"), (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    ("{1,2,3}", r"\{3,2,1\}"), ("(1,2]", r"\left(1, \frac{4}{2}\right]"), (r"(-\infty,-5)", "k<-5"),
    ("x >= 5", r"5 \leq x"), ("x < 1", "-x > -1"), ("y=2x+1", "2x - y + 1 = 0"),
    (r"1 \pm \sqrt{19}", r"1 + \sqrt{19}, 1 - \sqrt{19}"), ("C", r"\text{(C)}"),
    (r"\frac{9}{4}\pi", r"9\pi/4"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix} 1 \\ \frac{4}{2} \end{bmatrix}"),
    ("e^{16}-1", "-1 + exp(16)"), ("(p,q)=(3,2)", "(3,2)"), ("sin(x)", r"\sin x"), ("42", "40 + 2 = 42"),
    (r"\infty", r"+\infty"),
]  # fmt: skip
UNEQUAL = [
    ("0.5", r"0.5\%"), (r"\frac{1}{2004!}", r"\frac{1}{2006!}"),
    (r"6.63 \times 10^{-34}", r"9.11 \times 10^{-31}"), ("listen", "silent"), ("10 m", "10 cm"),
    ("101_2", "101"), ("42", "43 = 42"), ("42", "41 or 42"), ("42", "0=0"), ("42", "x=41, x=42"),
    ("(1,2)", "[1,2]"), (r"\{1,2\}", "(1,2)"), ("(3,1)", "(1,3)"), ("x < 1", "x > 1"),
    ("x < 1", r"x \le 1"), ("x", r"x + 10^{-100}"), (r"\sqrt{x^2}", "x"), ("2024^{4046}", "2024^{4046}+1"),
    ("1/3", "0.3333"), (r"\sqrt{2}", "1.41421356237309504881e-1"), ("x=5", "y=5"), ("42", r"\frac{42}{0}"),
    ("42", ""), ("18 dollars", "18 cents"), ("42", "9^{9^{9^9}}"), ("A", "B"), ("x^2", "2x"), ("a", "A"),
    ("42", r"41 \approx 42"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal_answers(gold: str, answer: str) -> None:
    verdict = check_answer(rf"\boxed{{{answer}}}", gold)
    assert verdict.status is Status.CORRECT, verdict.reason
    assert check_answer(rf"\boxed{{{gold}}}", gold).status is Status.CORRECT


@pytest.mark.parametrize(("gold", "answer"), UNEQUAL)
def test_unequal_answers(gold: str, answer: str) -> None:
    verdict = check_answer(rf"\boxed{{{answer}}}", gold)
    assert verdict.status is not Status.CORRECT, verdict.reason


def test_a_verdict_explains_itself() -> None:
    verdict = check_answer(r"so \boxed{\frac{84}{2}}", "42")
    assert verdict.extracted == r"\frac{84}{2}"
    for words in ("from the box", "42", "exact rational numbers"):
        assert words in verdict.reason


rationals = st.fractions(max_denominator=10**6)


@given(rationals, rationals)
def test_fractions_are_equal_exactly_when_they_are(left: Fraction, right: Fraction) -> None:
    for a, b in ((left, right), (left, left)):
        verdict = check_answer(
            rf"\boxed{{\frac{{{a.numerator}}}{{{a.denominator}}}}}", f"{b.numerator}/{b.denominator}"
        )
        assert (verdict.status is Status.CORRECT) == (a == b)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_numbers_equal_themselves_however_they_are_written(number: object) -> None:
    value = Fraction(str(number))
    for text in (f"{number}", f"{number:,}", f"${number}$", f"{number}0", rf"\text{{{number}}}"):
        assert check_answer(f"#### {text}", f"{number}").status is Status.CORRECT
    assert read_rational(f"{number:,}") == value


@given(st.fractions(min_value=-50, max_value=50, max_denominator=20), st.integers(1, 5), st.integers(1, 9))
@settings(max_examples=25)
def test_polynomials_equal_their_expansions_only(root: Fraction, power: int, shift: int) -> None:
    p, q = root.numerator, root.denominator
    factored = f"({q}x - ({p}))^2 + {power}"
    expanded = f"{q * q}x^2 - ({2 * p * q})x + {p * p + power}"
    assert check_answer(rf"\boxed{{{expanded}}}", factored).status is Status.CORRECT
    assert check_answer(rf"\boxed{{{expanded} + {shift}}}", factored).status is Status.WRONG


LATEX = st.lists(
    st.sampled_from(
        [
            r"\boxed{",
            r"\frac{",
            r"\sqrt{",
            r"\sqrt[",
            r"\begin{pmatrix}",
            r"\end{pmatrix}",
            r"\{",
            r"\}",
            r"{",
            r"}",
            r"(",
            r")",
            r"[",
            r"]",
            r"|",
            r"^",
            r"_",
            r"!",
            r"=",
            r"<",
            r"\le",
            r",",
            r";",
            r"&",
            r"\\",
            r"\pm",
            r"\cup",
            r"\in",
            r"\pi",
            r"\infty",
            r"\text{",
            r"\left",
            r"\right",
            r"%",
            r"\%",
            r"$",
            r"#",
            r"####",
            r"<answer>",
            r"</answer>",
            r"</think>",
            r"x",
            r"y",
            r"i",
            r"e",
            r"0",
            r"1",
            r"42",
            r"9999999",
            r"1.234567",
            r"29034800000{2006!}",
            r"\lcm(",
            r"\max(",
            r"\sqrt{2}",
            r".",
            r"-",
            r"+",
            r"/",
            r"*",
            r"or",
            r"\sin",
            r"\log",
            r"\circ",
            r"½",
            r"√",
            r"−",
            r"\operatorname{det}",
            r"\det",
            r"\sum",
            r"\int_",
            r"the",
            r"answer",
            r"is",
        ]
    ),
    max_size=25,
).map("".join)


@given(st.text(max_size=60) | LATEX, st.text(max_size=30) | LATEX)
@settings(max_examples=400)
def test_no_text_raises(completion: str, gold: str) -> None:
    verdict = check_answer(completion, gold)
    assert verdict == check_answer(completion, gold)
    assert verdict.status.reached
    check_answer(rf"\boxed{{{completion}}}", gold)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (r"\lcm(\sqrt \sqrt{2})", r"\lcm(0.0000923423,3 -8341.234802909)"),
        ("3.14159", r"29034800000{2006!}"),
        (r"e^{\pi\sqrt{163}}1234.567", r"1.234567x\sqrt{2}"),
        (r"1.234567i + \sqrt{2}", "1.234567"),
    ],
)
def test_decimals_meet_numbers_of_every_kind(left: str, right: str) -> None:
    assert check_answer(rf"\boxed{{{left}}}", right).status is not Status.CORRECT
    assert check_answer(rf"\boxed{{{right}}}", left).status is not Status.CORRECT


@pytest.mark.parametrize("seed", range(3))
def test_noise_of_layout_changes_nothing(seed: int) -> None:
    draw = random.Random(seed)
    noise = [(r"\frac", r"\dfrac"), ("(", r"\left("), (")", r"\right)"), ("+", r" + \, "), ("x", " x ")]
    text = r"(x+1)(\frac{x}{3}+\frac{2}{7})"
    for old, new in draw.sample(noise, 3):
        text = text.replace(old, new)
    assert check_answer(rf"\[\boxed{{{text}}}.\]", r"(x+1)(\frac{x}{3}+\frac{2}{7})").status is Status.CORRECT
