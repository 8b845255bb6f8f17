"""Notations of one and the same answer that are easily told apart, or easily confused."""

from __future__ import annotations

import time

import pytest

from rlvr.types import Status
from rlvr.verify.check import check_answer, equal_answers

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


# -- what a reader must not overlook ---------------------------------------------------------------

EQUAL = {
    "statements about constants": [
        ("f(2)=5", "5=f(2)"), ("f(2)=5", "5"), ("P(X>3)=0.2", "0.2"), (r"\sqrt2<2", r"2>\sqrt{2}"),
        ("f(0)>1", "1<f(0)"), (r"2\in\{1,2\}", r"2 \in \{2,1\}"),
    ],
    "conditions": [
        (r"x^2 \text{ for } x>0", r"x^2, \text{ where } 0<x"), (r"x^2 \text{ for } x>0", "x^2"),
        (r"2\pi k, k\in\mathbb{Z}", r"2\pi n \text{ for any integer } n"),
        (r"2k, k\in\mathbb{N}", r"2k \text{ for positive integers } k"), ("x^2 for x > 0", "x^2 if x > 0"),
        (r"x^2+C \text{ where } C \text{ is a constant}", "x^2+C"),
        (r"n \text{ if } n \text{ is even}", r"n \text{ when } n \text{ is even}"),
    ],
    "and, or": [
        (r"p\land q", "p and q"), ("A or B", "B or A"), (r"x=2 \text{ or } x=-3", r"x=-3 \text{ and } x=2"),
        ("1 or 15", "15, 1"), (r"x=1 \text{ and } y=2", "x=1, y=2"), ("(1, 15)", "1, 15"),
    ],
    "capitals and spaces": [
        ("Saturday", "SATURDAY"), ("North East", "north east"), ("north-east", "northeast"),
        ("well-known", "well known"), ("AaBb", r"\text{AaBb}"), ("the Moon", "moon"),
    ],
    "digits": [
        ("1/3", "0.333333"), (r"\pi", "3.14159"), (r"\frac{x}{3}", "0.333333x"), (r"\sqrt5", "2.23607"),
        ("1234567", "1.234567e6"), ("1 mile", "1.60934 km"), ("4^{20}", "1.09951162778e12"),
        ("1/3", "0.333..."), (r"0.1\overline{6}", "0.1666..."), (r"\pi", r"\pi \approx 3.14"),
        ("42.4", r"42.4 \approx 42"),
    ],
    "units of several numbers": [
        (r"(3,4) \text{ cm}", "(3 cm, 4 cm)"), (r"(3,4) \text{ cm}", "(3,4)"),
        (r"[2,3] \text{ min}", r"[120,180] \text{ s}"), ("t < 5 min", "t < 300 s"), ("t < 5 s", "t<5"),
        (r"\frac{\pi}{2} \text{ rad}", "90°"), ("$12/hour", "$12 an hour"), ("$3 per pound", "3 dollars/lb"),
    ],
    "vectors and matrices": [
        (r"\mathbf{a}\times\mathbf{b}", r"-\mathbf{b}\times\mathbf{a}"), ("(1,2)", "P(1,2)"),
        (r"(1,2,3)", r"\begin{pmatrix}1&2&3\end{pmatrix}^T"), ("-2", r"\begin{vmatrix}1&2\\3&4\end{vmatrix}"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}^T"),
        (r"\left|\begin{array}{cc}a&b\\c&d\end{array}\right|", "ad-bc"),
    ],
    "products of letters": [
        ("mgh", "m g h"), ("mgh", "ghm"), ("F=ma", "F=am"), ("F = ma", "ma"), ("PV=nRT", "PV = n R T"),
        ("nRT", r"R \cdot n \cdot T"), (r"\frac12mv^2+mgh", r"mgh+\frac{mv^2}{2}"), ("V=IR", "V=RI"),
        ("2gh", "2 g h"), ("IR", "I R"), ("qE", "q E"), ("V = IR", "IR"),
    ],
    "sets": [
        (r"\mathbb{R}\setminus\{0\}", "all nonzero real numbers"), ("[0,3)", r"x<3, x\ge0"),
        (r"\mathbb{R}\setminus\{0\}", r"\text{all real numbers except } 0"), ("[0,3)", "{x | 0 ≤ x < 3}"),
        (r"(-\infty,-2)\cup(-2,2)\cup(2,\infty)", r"x\ne\pm2"), ("[3,5]", r"3=<x=<5"),
        (r"(-\infty,-2)\cup(-2,2)\cup(2,\infty)", r"x\ne-2, 2"), (r"\{x:x>3\}", r"\{y:y>3\}"),
        (r"(-\infty,-1)\cup(4,\infty)", "x<-1, x>4"), ("1,000, 2,000", "2000, 1000"),
        ("1,000, 2,000", "1,000 and 2,000"), (r"\{1,2,\ldots,10\}", r"\{1,2,...,10\}"),
    ],
    "functions": [
        ("f(x)=x^2", "y=x^2"), ("f(x)=x^2", r"f: x\mapsto x^2"), ("a_n=2n+1", "a_k=2k+1"),
        (r"\frac{dy}{dx}=2x", "y'=2x"), (r"\frac{dy}{dx}=2x", "dy/dx = 2x"), (r"\frac{dy}{dx}=2x", "2x"),
        ("y=C_1e^x+C_2e^{-x}", "y=Ae^{-x}+Be^x"), ("y=Ce^{x}", "y=Ke^x"), ("y=C_1e^x+C_2xe^x", "y=(A+Bx)e^x"),
        ("P(5,2)", "20"), (r"\binom52", "_5C_2"), (r"\binom{5}{2}", "{}_5C_2"), (r"\binom nk", "nCk"),
        ("C_2", "C₂"),
    ],
}  # fmt: skip
UNEQUAL = {
    "statements about constants": [
        ("f(2)=5", "f(2)=6"), ("f(2)=5", "f(5)=2"), ("f(2)=5", "6"), ("f(2)>5", "f(2)>6"),
        (r"\sqrt2<2", r"\sqrt3<2"),
        ("f'(2)=3", "f(2)=3"), (r"2\in\{1,2\}", r"3\in\{1,2\}"), (r"x\in[-2,7]", r"2x\in[-2,7]"),
        (r"\lim_{x\to0} f(x)=1", r"\lim_{x\to0} f(x)=2"), ("P(X>3)=0.2", "P(X>2)=0.2"),
    ],
    "conditions": [
        (r"x^2 \text{ for } x>0", r"x^2 \text{ for } x<0"), ("x^2 for x > 0", "x^2 for x < 0"),
        (r"2k, k\in\mathbb{N}", r"2k, k\in\mathbb{Z}"), (r"x=2 \text{ when } y=3", r"x=2 \text{ when } y=4"),
        (r"n \text{ if } n \text{ is even}", r"n \text{ if } n \text{ is odd}"),
        (r"\{2k : k\in\mathbb{Z}\}", r"\{2k : k\in\mathbb{N}\}"),
    ],
    "and, or": [
        (r"p\land q", r"p\lor q"), ("A or B", "A and B"), (r"x=1 \text{ or } y=2", r"x=1 \text{ and } y=2"),
        ("red or blue", "red and blue"), ("(1,15)", "(1 or 15)"),
        (r"\theta=1 or \phi=2", r"\theta=1 and \phi=2"),
    ],
    "capitals and spaces": [
        ("AaBb", "aabb"), ("AABB", "aabb"), ("Aa", "aa"), ("AB", "ab"), ("ma", "Ma"), ("ABC", "abc"),
        ("now here", "nowhere"), ("now here", "no where"), ("a part", "apart"),
        ("x_{12}", "x_{1}2"), ("a_{n}b", "a_{nb}"),
    ],
    "digits": [
        ("1234567", "1.23457e6"), ("123456789012", r"1.23457\times10^{11}"), ("42.1875", "42.18757"),
        (r"\$1012.50", r"\$1012.507"), ("1234567x", "1.23457e6x"), ("42", r"42 \approx 43"),
        ("1/3", "0.3331..."), ("25%", "0.25 kg"), ("25%", r"\$0.25"), ("3:4", "0.75 kg"),
    ],
    "units of several numbers": [
        (r"(3,4) \text{ cm}", r"(3,4) \text{ m}"), (r"[2,3] \text{ seconds}", r"[2,3] \text{ minutes}"),
        ("t < 5 s", "t < 5 min"), (r"\frac{\pi}{2} \text{ rad}", r"\frac{\pi}{2}^\circ"),
        (r"\frac{\pi}{2} \text{ rad}", r"\frac\pi2 \text{ degrees}"), (r"\frac{\pi}{3}", r"\pi/3^\circ"),
        ("$12/hour", "$12/minute"), ("$12/hour", "€12/hour"), ("$3 per apple", "$3 per pear"),
    ],
    "vectors and matrices": [
        (r"\mathbf{a}\times\mathbf{b}", r"\mathbf{b}\times\mathbf{a}"), ("(1,2)", "P(2,1)"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\left|\begin{matrix}1&2\\3&4\end{matrix}\right|"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^T"),
        ("2", r"\begin{vmatrix}1&2\\3&4\end{vmatrix}"),
    ],
    "products of letters": [
        ("mgh", "mgr"), ("F=ma", "F=mg"), ("no", "on"), ("HT", "T H"), ("F = ma", "mg"), ("3 dogs", "3 gods"),
        ("ma", "am"), ("listen", "silent"), ("E=mc^2", "E=mc"),
    ],
    "sets": [
        (r"\mathbb{R}\setminus\{0\}", "all real numbers except 1"), ("[0,3)", r"x<3, x>0"),
        ("[0,3)", r"x<3 or x\ge0"), (r"\{x:x>3\}", r"\{y:y<3\}"), ("1,000, 2,000", "1000, 200"),
        (r"\{1,2,\ldots,10\}", r"\{1,2,\ldots,11\}"),
    ],
    "members": [
        (r"(-\infty,0),(1,\infty)", r"(-\infty,0),(2,\infty)"),
        (r"x\in\mathbb{R}, x\ne0", r"x\in\mathbb{R}, x\ne1"),
    ],
    "functions": [
        ("f(x)=x^2", "g(x)=x^2"), ("f(x)=x^2", "y=x^3"), ("a_n=2n+1", "b_n=2n+1"),
        (r"\frac{dy}{dx}=2x", "y=2x"),
        ("y=C_1e^x+C_2e^{-x}", "y=C_1e^x+C_2e^{x}"), (r"\frac{QC_1}{C_1+C_2}", r"\frac{QC_2}{C_1+C_2}"),
        (r"\frac95C+32", r"\frac95A+32"), ("P(5,2)", "10"), (r"\binom52", "_5P_2"), ("y=Ce^{x}", "y=Ce^{2x}"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", EQUAL)
def test_what_is_the_same_in_other_words(kind: str) -> None:
    wrong = [(gold, answer) for gold, answer in EQUAL[kind] if not equal_answers(answer, gold).equal]
    assert wrong == []


@pytest.mark.parametrize("kind", UNEQUAL)
def test_what_makes_a_difference(kind: str) -> None:
    pairs = [pair for gold, answer in UNEQUAL[kind] for pair in ((gold, answer), (answer, gold))]
    assert [(gold, answer) for gold, answer in pairs if equal_answers(answer, gold).equal] == []


LONG = [
    r"\text{ for } x" * 90, "x" + r"\end" * 400, r"|\begin{matrix}" * 60, "1,000, " * 250, "$5 per " * 200,
    r"\mathbf{a}\times" * 80, r"x\in\mathbb{Z}" * 100, "all real numbers except " * 60, "mgh+" * 300,
    "C_1x+C_2x^2+C_3x^3" * 20, "_5C_2" * 200, "A or B and " * 100, "x≠" * 500, "aA" * 500,
]  # fmt: skip


@pytest.mark.parametrize("text", LONG, ids=lambda text: text[:12])
def test_no_reading_takes_long(text: str) -> None:
    started = time.process_time()
    for gold in (text + "x", "mgh", r"x^2 \text{ for } x > 0", "y = C_1e^x + C_2"):
        equal_answers(text, gold)
    assert time.process_time() - started < 2.0
