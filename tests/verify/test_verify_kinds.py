"""Pairs of answers of every kind: what says the same, and what does not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.types import Status
from rlvr.verify.check import check_answer, equal_answers
from rlvr.verify.settings import VerifySettings

SAME = {
    "complex numbers": [
        ("3+4i", "4i+3"), ("3+4i", r"3 + 4\mathrm{i}"),
        (r"\frac{1}{2}+\frac{\sqrt{3}}{2}i", r"e^{i\pi/3}"), ("-1", "i^2"),
        (r"2e^{i\pi/4}", r"\sqrt{2}+\sqrt{2}i"), (r"1\pm 2i", "1+2i, 1-2i"), ("1-2i", r"\overline{1+2i}"),
        ("5", "|3+4i|"), (r"2\sqrt{2}\,\text{cis}\, 45^\circ", "2+2i"),
        (r"\cos 60^\circ + i \sin 60^\circ", r"\frac{1+i\sqrt{3}}{2}"), ("6+9i", "9i + 6"),
        ("-4i", "-4*i"),
    ],
    "scientific notation": [
        (r"6.02\times 10^{23}", "6.02e23"), (r"6.02 \cdot 10^{23}", "6.02*10^23"),
        (r"1.5\times10^{-3}", "0.0015"), (r"3\times 10^8", "300000000"),
        (r"3\times 10^8", r"3 \times 10^{8} \text{ m/s}"), ("2.5e-4", "2.5 × 10⁻⁴"),
        ("10^{6}", "1,000,000"), ("1.2E5", "120000"),
    ],
    "inequalities": [
        ("x>3", "3<x"), ("x>3", r"(3,\infty)"), (r"x \le 5", r"(-\infty,5]"), ("-1<x<4", "(-1,4)"),
        ("-1<x<4", r"x>-1 \text{ and } x<4"), (r"x<-1 \text{ or } x>4", r"(-\infty,-1)\cup(4,\infty)"),
        (r"x\ne 2", r"(-\infty,2)\cup(2,\infty)"), (r"x\neq 2", r"\mathbb{R}\setminus\{2\}"),
        (r"x \in (1,3)", "1<x<3"), (r"x\geq 0", r"[0,+\infty)"), ("2x > 6", "x > 3"),
        (r"\{x \mid x > 3\}", "x > 3"), (r"\{x : -2 \le x < 7\}", "[-2,7)"),
        (r"\{x \in \mathbb{R} : x>0\}", r"(0,\infty)"), ("a>b", "b<a"), (r"x \geq 3", "x ≥ 3"),
        (r"0 \leq x \leq 1", "[0,1]"),
    ],
    "intervals": [
        ("[2,5]", r"2 \le x \le 5"), (r"(0,1)\cup(1,2)", r"(0,2)\setminus\{1\}"),
        (r"[1,2]\cup[2,3]", "[1,3]"), (r"(-\infty,\infty)", r"\mathbb{R}"),
        (r"\left(-\infty, -\frac{1}{2}\right]", "(-∞, -0.5]"), ("]0,1[", "(0,1)"),
        (r"[0,\frac{\pi}{2})", "[0, π/2)"),
    ],
    "sets and lists": [
        (r"\{1,2,3\}", "3, 2, 1"), (r"\{1,2,3\}", "{3,1,2}"), (r"\{1,2,3\}", "1, 2 and 3"),
        (r"\{-1, 1\}", r"\pm 1"), (r"\emptyset", r"\{\}"), (r"\{(1,2),(3,4)\}", "(3,4), (1,2)"),
        ("1,2", r"x=1 \text{ or } x=2"), ("1,2", "x_1 = 1, x_2 = 2"), ("2, 3", "x = 2, 3"),
        ("5", r"\{5\}"),
    ],
    "tuples and vectors": [
        ("(1,2)", "x=1, y=2"), ("(1,2)", "(x,y)=(1,2)"), ("(1,2,3)", r"\langle 1,2,3\rangle"),
        ("(1,-2)", r"\begin{pmatrix}1\\-2\end{pmatrix}"), (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"),
        (r"(3, \frac{\pi}{2})", "(3, π/2)"),
    ],
    "matrices": [
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "[[1,2],[3,4]]"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\left[\begin{array}{cc}1&2\\3&4\end{array}\right]"),
        (r"\frac{1}{2}\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1/2&1\\3/2&2\end{pmatrix}"),
    ],
    "equations": [
        ("y=2x+1", "y = 1+2x"), ("y=2x+1", "2x+1"), ("2x+1", "y=2x+1"), ("x^2+y^2=4", "y^2+x^2-4=0"),
        ("f(x)=x^2", "x^2"), ("f(x)=x^2", "f(t)=t^2"), ("x=5", "5"), ("5", "x = 5"), ("42", "n = 42."),
        ("42", "= 42"), (r"y = \frac{3}{2}x - 2", "3x-2y=4"),
    ],
    "words and choices": [
        (r"\text{yes}", "Yes"), (r"\text{True}", "true"), ("even", r"\text{Even}"),
        (r"\text{Saturday}", "Saturday"), (r"\text{infinitely many}", "infinitely many"),
        (r"\text{no solution}", "No solution"), ("B", "(B)"), ("B", r"\text{B}"), ("B", "B."),
        ("C", "The correct option is C."), ("D", "Option D"), ("A", "**A**"), (r"\text{(E)}", "E"),
        ("four", "4"),
    ],
    "ratios and times": [
        ("3:4", "6:8"), ("3:4", "3 : 4"), ("3:4", r"\frac{3}{4}"), ("2:3:5", "4:6:10"), ("7:30", "07:30"),
        (r"7:30 \text{ p.m.}", "7:30 pm"), ("1:1", "1 : 1"),
    ],
    "numbers in a base": [
        ("1011_2", "1011_{2}"), ("1011_2", r"1011_{\text{two}}"), ("11", "1011_2"), ("2A_{16}", "42"),
    ],
    "units": [
        (r"5\text{ cm}", "5 cm"), (r"5\text{ cm}", "5"), ("5", r"5\text{ cm}"),
        (r"10\text{ m}^2", r"10 \text{ square meters}"), (r"90^\circ", "90 degrees"),
        (r"60\text{ mph}", "60"), (r"\$12.50", "12.5"), (r"12\%", r"12\text{ percent}"), (r"25\%", "0.25"),
        (r"3\sqrt{2}\text{ cm}", r"3\sqrt{2}"), ("7 hours", "7"), (r"5 \text{ apples}", "5"),
    ],
    "dimensions": [
        ("10 cm × 5 cm", "10 by 5 cm"), ("10 cm × 5 cm", r"100\text{ mm} \times 50\text{ mm}"),
        ("10 cm × 5 cm", "5cmx10cm"), ("8.5 by 11 inches", '8.5" x 11"'), ("1920x1080", "1920 × 1080"),
        ("3 by 4", r"3 \times 4"), ("2 x 3 x 4", "2 by 3 by 4"), (r"2 \times 3", "2x3"),
        (r"2 \times 3", "6"),
    ],
    "bounds": [
        ("at least 5", "5 or more"), ("at least 5", r"x \ge 5"), ("at least 5", r"[5, \infty)"),
        ("n ≥ 5", "at least 5"), ("more than 12 people", "> 12 people"), ("up to 20%", "at most 20%"),
        ("no more than 3", "≤ 3"), ("under 30 minutes", "less than 0.5 h"), ("x > 3", "over 3"),
        ("$5 or more", "at least $5"),
    ],
    "temperatures": [
        ("37 °C", "37 C"), ("37 °C", "98.6 F"), ("-5 °C", "-5 C"),
        ("20 C", "20 °C"), ("20 C", "68 °F"), ("20 C", "20 coulombs"),
    ],
    "reactions": [
        ("2H2 + O2 → 2H2O", r"O_2 + 2H_2 \rightarrow 2H_2O"), ("2H2 + O2 → 2H2O", "2H2 + O2 = 2H2O"),
        ("CH4 + 2O2 → CO2 + 2H2O", "CH4(g) + 2 O2(g) -> 2H2O(l) + CO2(g)"),
        ("N2 + 3H2 ⇌ 2NH3", "N2+3H2->2NH3"),
        ("Fe^{3+} + 3OH^- → Fe(OH)3", r"3OH^{-} + Fe^{3+} \to Fe(OH)_3"),
    ],
    "laws": [
        ("I = V/R", r"\frac{V}{R}"), ("5 A", "I = 5 A"), (r"e = \frac{c}{a}", "c/a"), ("i", "z = i"),
        ("I = I_0 e^{-x}", "I_0e^{-x}"), ("2.718", "e = 2.718"),
    ],
    "expressions": [
        (r"\frac{a}{b}", "a/b"), (r"\frac{1}{2}ab", r"\frac{ab}{2}"), (r"\sqrt{12}", r"2\sqrt{3}"),
        (r"\sqrt[3]{8}", "2"), (r"\ln 8", r"3\ln 2"), (r"\log_2 8", "3"), (r"\sin^2 x", r"(\sin x)^2"),
        (r"\tan x", r"\frac{\sin x}{\cos x}"), (r"\sin^{-1} x", r"\arcsin x"), ("2^{10}", "1024"),
        ("5!", "120"), (r"\binom{5}{2}", "10"), (r"{5 \choose 2}", "10"), ("(a+b)(a-b)", "a^2-b^2"),
        ("x^{-1}", r"\frac{1}{x}"), ("e^{2x}", r"\exp(2x)"), (r"\frac{2}{\sqrt{3}}", r"\frac{2\sqrt3}{3}"),
        (r"\pi r^2", r"r^2\pi"), (r"2\pi", "2*pi"), ("3x^2 + 2x", "x(3x+2)"), ("|x-1|", "|1-x|"),
        (r"\frac{n(n+1)}{2}", "n(n+1)/2"), (r"\frac{3\pi}{4}", r"0.75\pi"),
        ("x^3/3 + C", r"\frac{1}{3}x^3 + C"), (r"-\frac{1}{2}", r"\frac{-1}{2}"),
        (r"-\frac{1}{2}", "-0.5"), (r"\frac{1}{3}", r"0.\overline{3}"), (r"1\frac{1}{2}", "1 1/2"),
        (r"1\frac{1}{2}", "1.5"), (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5+2\sqrt{6}}"),
        (r"\text{lcm}(4,6)", "12"), (r"\lfloor 3.7 \rfloor", "3"), (r"\cos 2x", r"1-2\sin^2 x"),
        (r"\sum_{k=1}^{10} k", "55"), (r"\prod_{k=1}^{5} k", "120"),
        (r"\int_0^1 x\,dx", r"\int_0^1 t\,dt"), ("4ac-b^2", "-b^2+4ac"),
    ],
    "numbers": [
        ("1000", "1{,}000"), ("1000", "1 000"), ("12345", r"12\,345"), ("0.5", ".5"), ("-7", "−7"),
        ("1/2", "½"), ("7", "7.0"), ("7", "7."), ("7", "+7"), ("3.14159265", r"\pi"), ("2/3", "0.666667"),
        ("42", "**42**"), ("42", "$42$"), ("42", r"\(42\)"), ("42", "forty-two"), ("3/4", r"75\%"),
    ],
}  # fmt: skip
DIFFERENT = [
    ("3+4i", "3-4i"), ("3:4", "4:3"), ("7:30 am", "7:30 pm"), ("[1,2]", "(1,2)"), ("x>3", r"x\ge 3"),
    (r"x<-1 \text{ or } x>4", "-1<x<4"), (r"\{1,2,3\}", r"\{1,2\}"), (r"\{1,2\}", r"\{1,2,3\}"),
    ("42", "42, 43"), ("42", "41 or 42"), ("42", "43 = 42"), ("42", "42 = 43"), ("10 m", "10 km"),
    (r"5\%", "5"), ("101_2", "101"), ("(1,2)", "(2,1)"), ("(1,2)", "y=1, x=2"),
    (r"6.63\times10^{-34}", r"9.1\times10^{-31}"), (r"\sqrt{2}", "1.41"), ("1/3", "0.33"),
    (r"\pi", "3.14"), (r"\pi", "22/7"), ("B", "C"), ("x^2", "x^3"), (r"\sin x", r"\cos x"),
    (r"\frac{a}{b}", r"\frac{b}{a}"), ("|x|", "x"), ("2^{10}", "2^{11}"), ("f(x)=x^2", "f(x)=x^3"),
    ("y=2x+1", "y=2x"), ("x=5", "y=5"), (r"\emptyset", "0"), (r"\text{yes}", "no"),
    (r"\text{Saturday}", "Sunday"), ("12", "1,2"), ("1,2", "12"), ("-1", "1"), (r"\pm 1", "1"),
    ("1", r"\pm 1"), (r"\infty", r"-\infty"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"), ("5", "5!"),
    ("120", "5"), ("0", "10^{-10}"), ("0", "0.0000001"), (r"\frac{1}{2004!}", "0"),
    (r"(0,1)\cup(1,2)", "(0,2)"), (r"x \neq 2", "x = 2"), ("42", r"\text{not } 42"), ("42", r"\neq 42"),
    ("42", "> 42"), ("42", "about 42"), ("1000", "1.000"), ("A", "B or A"), ("2x+1", "2y+1"),
    (r"\ln 2", r"\log_{10} 2"), (r"90^\circ", r"90\text{ radians}"), ("-5", "5"), ("x+y=1", "1"),
    ("7.5", "7:5"), (r"\int_0^1 x\,dx", r"\int_0^2 x\,dx"), (r"\sum_{k=1}^{n} k", r"\sum_{k=1}^{n} k^2"),
    ("a", "b"), ("100", r"100\%"),
    ("10 cm × 5 cm", "10 cm × 6 cm"), ("10 cm × 5 cm", "50 cm^2"), ("1920x1080", "1080x1920"),
    ("3 by 4", "12"), ("3 by 4", "4 by 3"), ("50", "10x5"), ("2x3", "6"), ("10 × 5 cm", "50 cm"),
    ("at least 5", "5"), ("at least 5", "more than 5"), ("at least 5", "at most 5"), ("5", "at least 5"),
    ("more than 12 people", "at least 12 people"), ("under 30 minutes", "under 30 hours"),
    ("37 °C", "37 coulombs"), ("37 °C", "37 F"), ("5 µC", "5 °C"),
    ("2H2 + O2 → 2H2O", "2H2O → 2H2 + O2"), ("2H2 + O2 → 2H2O", "H2 + O2 → H2O"),
    ("P = I + V", "I + V = O"), ("I = V/R", "R/V"), ("R_1 + I_2", "I_1 + R_1"),
]  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
def test_the_same_answer_written_differently(kind: str) -> None:
    for gold, answer in SAME[kind]:
        verdict = check_answer(rf"\boxed{{{answer}}}", gold)
        assert verdict.status is Status.CORRECT, verdict.reason
        assert verdict.rule


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_answers_that_differ(gold: str, answer: str) -> None:
    verdict = check_answer(rf"\boxed{{{answer}}}", gold)
    assert verdict.status is not Status.CORRECT, verdict.reason


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("42", r"42\text{ million}"), ("42", r"42\text{ or more}"), ("42", r"42\text{ is wrong}"),
        ("42", r"42\text{, but maybe 43}"), ("42", r"42\text{ squared}"), ("42", r"42\text{ dozen}"),
        (r"\sqrt{2}", r"\sqrt{2}\text{ or more}"), ("42", r"42, \text{ where we could also have } 43"),
        ("42", "42 for all n, or 43"), ("42", r"\not= 42"), ("42", "xy = 42"),
        ("|a|+|b|", "|a+b|"), ("xy", r"\sqrt{x^2y^2}"), ("10-x", "|x-10|"), ("x", r"\min(x, 10)"),
        ("100", r"\max(x^2, 100)"), (r"\lfloor n/11 \rfloor", r"\lfloor n/10 \rfloor"),
        (r"\lfloor x \rfloor + 1", r"\lceil x \rceil"), (r"\lfloor n/2 \rfloor + 1", r"\lceil n/2 \rceil"),
        ("1/3", "0.333334"), ("1/7", "0.142858"), (r"\sqrt{2}", "1.41422"), (r"\pi", "3.14160"),
        ("100+0.123456", "100+0.123999"), ("1000000x+1.23457", "1000000x+1.23456"),
        ("1.5", "(1,5)"), ("1.2", "x=1,2"), ("no", "on"), ("HT", "TH"), ("1,2,2", "1,1,2"),
        (r"\pi k^2", r"\pi n^2"), ("12:30", "5:12.5"), ("6", "2 3"), ("€15", r"\$15"), ("5 mg", "5 Mg"),
        (r"\sqrt{2}\text{ cm}", r"\sqrt{2}\text{ km}"), ("(1,4)", r"\{x \in \mathbb{Z} : 1 < x < 4\}"),
    ],
)  # fmt: skip
def test_what_a_policy_might_try_instead(gold: str, answer: str) -> None:
    verdict = check_answer(rf"\boxed{{{answer}}}", gold)
    assert verdict.status is not Status.CORRECT, verdict.reason


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\sqrt{xy}", r"\sqrt{x}\sqrt{y}"), ("(-1)^n", r"\cos n\pi"), ("0", r"\sin n\pi"),
        ("1", r"e^{2\pi i n}"), (r"90^\circ", r"\frac{\pi}{2}"),
        (r"\lfloor (n+1)/2 \rfloor", r"\lceil n/2 \rceil"), ("3,000,000", "3 million"),
        (r"\frac{\pi}{4}+k\pi", r"\frac{\pi}{4}+n\pi, n\in\mathbb{Z}"), ("2.74", "2,74"),
        (r"\$0.15", "15 cents"),
        ("9.8 m/s^2", "9.8"), ("42", r"\text{forty-two}"),
    ],
)  # fmt: skip
def test_what_is_right_all_the_same(gold: str, answer: str) -> None:
    verdict = check_answer(rf"\boxed{{{answer}}}", gold)
    assert verdict.status is Status.CORRECT, verdict.reason


@pytest.mark.parametrize(
    "completion",
    [
        "Therefore it is not 42.", "So the answer isn't 42.", "So we can rule out 42.", "So 42 is too large.",
        "答案不是42", "답은 42가 아닙니다.", "La risposta non è 42.", "A resposta não é 42.",
        "The answer is the square root of 42", "The answer is one less than 42", "The answer is 42? No, 43.",
        "Who says the answer is 42?", "The answer is $42 and $43", "So x = 41 or x = 42.",
    ],
)  # fmt: skip
def test_a_value_that_is_denied_or_worked_on_is_no_answer(completion: str) -> None:
    assert check_answer(completion, "42").status is not Status.CORRECT


@pytest.mark.parametrize(
    "completion", ["Answer: C or D", "The answer is either C or D", "Therefore, C is incorrect."]
)
def test_an_option_among_others_or_denied_is_not_chosen(completion: str) -> None:
    assert check_answer(completion, "C").status is not Status.CORRECT


HEAVY = [
    "1*" * 500 + "1", "2^" * 300 + "1", "1/2 " * 260 + "1", "(" * 300 + "1" + ")" * 300, "x" + "!" * 400,
    "5" + r"\mod 3" * 300, r"\int " * 160 + "x", r"\sin " * 300 + "x", r"\frac{d}{dx} " * 12 + "x",
    r"\sum_{i=1}^{9} " * 20 + "i", r"\sum_{a=1}^{299}\sum_{b=1}^{299}\sqrt{a+b}", "9^{9^{9^{9}}}",
    ",".join(rf"\ln({2000 + i}!)" for i in range(60)),
    r"\cup".join(rf"[e^{{{i}}},e^{{{i + 1}}}]" for i in range(58)),
]  # fmt: skip


@pytest.mark.parametrize("text", HEAVY)
def test_what_costs_too_much_is_refused_and_equal_to_itself_only(text: str) -> None:
    assert equal_answers(text, text + " ").equal
    assert not equal_answers(text, "42").equal
    assert not equal_answers("42", text).equal


# Where the rule is one of equality, it holds from both sides: not where the reference alone may
# name a unit or a letter stands for its option.
BOTH_WAYS = [
    pair for kind in SAME for pair in SAME[kind] if kind not in ("words and choices", "equations", "units")
]


@pytest.mark.parametrize(("gold", "answer"), BOTH_WAYS)
def test_equality_is_symmetric(gold: str, answer: str) -> None:
    assert equal_answers(gold, answer).equal
    assert equal_answers(answer, gold).equal


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_difference_is_symmetric(gold: str, answer: str) -> None:
    if answer:
        assert not equal_answers(gold, answer).equal


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("The answer is 42.", "42"),
        ("**Final Answer:** $42$", "42"),
        ("La réponse est 42.", "42"),
        ("Réponse : $\\frac{1}{2}$", "\\frac{1}{2}"),
        ("Die Antwort lautet 42.", "42"),
        ("La respuesta es 42.", "42"),
        ("La risposta è 42.", "42"),
        ("A resposta é 42.", "42"),
        ("Het antwoord is 42.", "42"),
        ("Odpowiedź: 42", "42"),
        ("Cevap: 42", "42"),
        ("Đáp án: 42", "42"),
        ("Ответ: 42", "42"),
        ("答案是42。", "42"),
        ("答案：42", "42"),
        ("答えは42です。", "42"),
        ("정답: 42", "42"),
        ("الجواب هو 42", "42"),
        ("उत्तर: 42", "42"),
        ("因此，一共有 42 只鸟。", "42"),
        ("Donc, il reste 42 g.", "42"),
        ("Daher sind es 42 Vögel.", "42"),
        ("Therefore there are 40 + 2 = 42 birds.", "42"),
        ("We add them up. So, he has **42** birds left.", "42"),
        ("Therefore $x \\geq 5$ is the solution.", "x \\geq 5"),
        ("The sum of both is $42$.", "42"),
    ],
)
def test_where_many_languages_put_an_answer(completion: str, answer: str) -> None:
    assert check_answer(completion, answer).status is Status.CORRECT
    assert check_answer(completion, "4242").status is not Status.CORRECT


@pytest.mark.parametrize(
    ("completion", "letter"),
    [
        ("The answer is (B).", "B"),
        ("B", "B"),
        ("B. the second one", "B"),
        ("It's not A because it is too small, therefore I think it's B", "B"),
        ("The answer is for sure D, it can't be A or B", "D"),
        ("答案是 C", "C"),
        ("C不是 A", "C"),
        (r"\boxed{\text{(B) } 42}", "B"),
    ],
)
def test_options_are_chosen_by_their_letter(completion: str, letter: str) -> None:
    for gold in "ABCD":
        assert (check_answer(completion, gold).status is Status.CORRECT) == (gold == letter)


@pytest.mark.parametrize(
    "completion",
    [
        "There are 42 steps, but I do not know the answer to it",
        "Either 41 or 42 or 43",
        "So it is 41 or 42",
        "Therefore it may be 42, I am not sure",
        "We have 42 birds.\nLet us count them again",
        "42 is the number of birds. Then we add 7 of them and get more",
        "A or B or C",
        "(B), (C), (C)",
        "A. B. C.",
        "B\nA",
        r"\boxed{(B)}, \boxed{(C)}",
        r"\boxed{\text{(B)} = \text{(C)}}",
        "What is 40 + 2? Find the value of $42$",
        "Is it 42?",
        "It could be A. It could be B. It could be 42.",
    ],
)
@pytest.mark.parametrize("gold", ["42", "A", "B"])
def test_naming_candidates_does_not_pay(completion: str, gold: str) -> None:
    assert check_answer(completion, gold).status is not Status.CORRECT


def test_of_a_chat_only_the_last_turn_of_the_assistant_counts() -> None:
    chat = "<|im_start|>user\nIs it 41?<|im_end|>\n<|im_start|>assistant\nThe answer is 42.<|im_end|>"
    assert check_answer(chat, "42").status is Status.CORRECT
    assert check_answer(chat + "<|im_start|>user\n#### 41", "42").status is Status.CORRECT


def test_strictness_is_a_setting() -> None:
    exact, loose = VerifySettings(rounding_digits=0), VerifySettings(relative_tolerance=0.02)
    with_units = VerifySettings(require_units=True)
    assert equal_answers("0.333333", "1/3").equal
    assert not equal_answers("0.333333", "1/3", exact).equal
    assert not equal_answers("0.333332", "1/3").equal
    assert not equal_answers("3.14", r"\pi").equal
    assert equal_answers("3.14", r"\pi", loose).equal
    assert not equal_answers("3.3", r"\pi", loose).equal
    assert equal_answers("5", r"5\text{ cm}").equal
    assert not equal_answers("5", r"5\text{ cm}", with_units).equal
    assert equal_answers("5 cm", r"5\text{ cm}", with_units).equal
    with pytest.raises(ValueError, match="rounding_digits"):
        VerifySettings(rounding_digits=-1)


def test_a_number_must_be_evaluated_where_that_is_asked() -> None:
    strict = VerifySettings(evaluated=True)
    for answer, gold in [("3+4", "7"), (r"99\times 99", "9801"), (r"\frac{84}{2}", "42"), ("x = 3+4", "7"),
                         (r"\log_{2} 8", "3"), ("7, 1+1", "7, 2")]:  # fmt: skip
        assert equal_answers(answer, gold).equal
        assert not equal_answers(answer, gold, strict).equal, answer
    for answer, gold in [("3+4=7", "7"), ("7.0", "7"), (r"\frac{2}{4}", r"\frac{1}{2}"), ("1.5e3", "1500"),
                         (r"3\frac{1}{2}", "3.5"), (r"2\sqrt{3}", r"\sqrt{12}"),
                         ("(x+1)^2", "x^2+2x+1")]:  # fmt: skip
        assert equal_answers(answer, gold, strict).equal, answer


# -- properties over generated expressions ---------------------------------------------------------

ATOMS = st.one_of(
    st.integers(1, 30).map(str),
    st.sampled_from(["x", "y", "n", r"\pi", r"\sqrt{2}", r"\sqrt{x}", "0.5", r"\sin x", "e^{x}"]),
)


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]})({p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"{p[0]} + {p[1]}"),
        st.tuples(inner, inner).map(lambda p: f"{p[0]} - ({p[1]})"),
        st.tuples(inner, st.integers(2, 4)).map(lambda p: f"({p[0]})^{{{p[1]}}}"),
    )


EXPRESSIONS = st.recursive(ATOMS, _compound, max_leaves=5)


def _noisy(text: str, draw: random.Random) -> str:
    changes = [
        (r"\frac", r"\dfrac"), ("(", r"\left("), (")", r"\right)"), (" + ", "+"), (" + ", r" \, + \; "),
        ("x", " x "), (r"\pi", "π"), (r"\sqrt{2}", r"\sqrt 2"),
    ]  # fmt: skip
    for old, new in draw.sample(changes, 4):
        text = text.replace(old, new)
    if text.count(r"\left(") != text.count(r"\right)"):
        text = text.replace(r"\left", "").replace(r"\right", "")
    return draw.choice(["{}", "${}$", r"\({}\)", "{}.", r"\displaystyle {}", " {} "]).format(text)


@given(EXPRESSIONS, st.integers(0, 2**16))
@settings(max_examples=150)
def test_layout_changes_nothing(text: str, seed: int) -> None:
    noisy = _noisy(text, random.Random(seed))
    assert equal_answers(text, text).equal
    comparison = equal_answers(noisy, text)
    assert comparison.equal or not comparison.decided, (noisy, comparison)


@given(EXPRESSIONS, EXPRESSIONS)
@settings(max_examples=150)
def test_comparison_is_symmetric_and_repeatable(left: str, right: str) -> None:
    one = equal_answers(left, right)
    assert one == equal_answers(left, right)
    assert one.equal == equal_answers(right, left).equal


@given(EXPRESSIONS, st.integers(1, 5))
@settings(max_examples=100)
def test_adding_something_changes_the_answer(text: str, more: int) -> None:
    assert not equal_answers(f"{text} + {more}", text).equal
    assert not equal_answers(f"{text}, {text} + {more}", text).equal


def test_the_last_box_counts_and_boxes_that_are_joined_count_together() -> None:
    assert check_answer(r"\boxed{x+11} or \boxed{11+x}", "11+x").status is Status.CORRECT
    assert check_answer(r"\boxed{41} or \boxed{42}", "42").status is Status.WRONG
