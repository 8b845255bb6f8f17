"""Values that a text names and does not claim: denied, taken back, bounded, worked on, or one of several."""

from __future__ import annotations

import pytest

from rlvr.rewards.math import math_reward
from rlvr.types import Status
from rlvr.verify.check import check_answer

NO_CLAIM = {
    "denied": [
        ("6", r"It is surely not \boxed{6}."), ("6", r"We never get \boxed{6}, only 7."),
        ("6", r"\boxed{6} is incorrect. The right value is 7."), ("6", r"Is it \boxed{6}?"),
        ("6", r"\boxed{6} (I am not sure; it might be 7.)"),
        ("6", "It is untrue that the answer is 6."),
        ("6", "Nobody would claim the answer is 6."), ("6", "I doubt that the answer is 6."),
        ("6", "6 is not the answer."), ("6", r"It is hardly \boxed{6}."), ("6", "It is anything but 6."),
        ("6", "答えは6ではなく、7です。"),
        ("6", "Die Antwort ist nicht 6, sondern 7."),
        ("no solution", "It is false that there is no solution."), ("Yes", "Yes or no?"),
    ],
    "taken back": [
        ("6", "Answer: 6\nCorrection, I dropped a sign."),
        ("6", "The answer is 6 - just kidding, it's 7."),
        ("6", "The answer is 6. I take that back."), ("6", "The answer is 6. Disregard that. It is 7."),
        ("6", "The answer is 6... Actually, 7."), ("6", "x = 6. But it does not satisfy the equation."),
        ("6", "x = 3 or x = 6, but x = 6 is extraneous."), ("6", "x = 6 is a spurious root."),
    ],
    "one of several": [
        ("6", "The answer is 6 (or 7)."), ("6", "The answer is 6 (7 if we count the host)."),
        ("6", "The answer is 6 if n is even, and 7 if n is odd."),
        ("6", "The answer is 6 unless it rains."),
        ("6", "It is 6 only if we ignore the wind; with wind it is 7."),
        ("1/2", "The probability is 1/2 if the coin is fair and 1/3 otherwise."),
        ("1/2", "The probability is 1/2 (but it may be 1/3)."),
    ],
    "a bound": [
        ("6", "The answer is less than or equal to 6."), ("6", "The answer is at least 6."),
        ("6", "答案大于6。"),
        ("6", "Die Antwort ist kleiner oder gleich 6."), ("6", "Ответ больше 6."),
        ("1/2", "The probability exceeds 1/2."), ("1/2", "The probability tends to 1/2."),
        ("3 kg", "It weighs more than 3 kg."), ("3 kg", "The mass is under 3 kg."),
        ("$9", "It costs over $9."),
        ("July 4, 2023", "It happened before July 4, 2023."),
        ("14:30", "The train leaves after 14:30."),
        ("1.5 hours", "Die Fahrt dauert länger als 1,5 Stunden."), ("18:30", "Er kommt nach 18:30 Uhr an."),
        ("18:30", "El tren llega después de las 18:30."),
        ("E", "None of the above, including E, seems to match."),
        ("v1.2.3", "You need v1.2.3 or later."), ("v1.2.3", "Anything before v1.2.3 fails."),
    ],
    "worked on": [
        ("3 kg", "It is half of 3 kg."), ("$9", "The price is $9 plus tax."),
        ("6", "Divide both sides of it by 6."),
        ("1/2", "The probability is (1/2)^2."), ("1/2", "The chance is the complement of 1/2."),
        ("14:30", "14:30 minus 20 minutes"), ("6", "The ratio is 6 to 1."), ("6", "See Theorem 6."),
        ("July 4, 2023", "July 4, 2023 was a Tuesday; they met a week later."),
    ],
    "still to be solved": [
        ("6", "This gives x^2 = 6."), ("6", "Hence x - 1 = 6."), ("6", "Thus 3x = 6."),
        ("6", "So x + 4 = 6."),
        ("6", "So we are left with $x^2 = 6$."), ("6", "Now consider n = 6."), ("6", "Let n = 6."),
    ],
    "an exception": [
        ("no solution", "There is no solution other than x = 2."),
        ("no solution", "There are no solutions except x = 1."),
        ("no solution", "There is no solution for x < 0, but x = 3 works."),
    ],
}  # fmt: skip
CLAIMED = [
    ("6", r"The answer is not 7 but \boxed{6}."), ("6", "The answer is not 7 but 6."),
    ("6", r"\boxed{6} is right."),
    ("6", r"n is not divisible by 4, so we get \boxed{6}."), ("1/2", "The answer is 1/2 (or 0.5)."),
    ("5", "The minimum value is 5 at x = 2."), ("2", "The expression is smallest when x = 2."),
    ("7", "Thus m + n = 7."), ("301", "So 100m + n = 301."), ("8", "There are $n+1=8$ corners."),
    ("3 hours", "They meet after 3 hours."), ("5 kg", "Ann's bag is 5 kg heavier."),
    ("42", "He has 42 more."),
    ("24", "Total cost = $24"), ("12", "Die Antwort ist nicht 13, sondern 12."),
    ("at least 5", "You need 5 or more."),
    ("no solution", "The system is inconsistent and has no solution."),
    ("Yes", "**Yes** — as 9 + 16 = 25."),
    ("C", "**Answer: C) 42 J**"), ("3:2", "The ratio of boys to girls is 3 to 2."),
    ("7", "We arrive at x = 7."),
    (r"\{1,\{2\}\}", r"\boxed{\{\{2\},1\}}"),
    ("5", r"x = -1 is negative, so we reject it. Hence \boxed{5}."),
]  # fmt: skip
CLAIMED += [
    ("5", "One might guess 6, but the answer is 5."), ("5", "Forget about the tax: the answer is 5."),
    ("5", r"The answer is \boxed{5}. Note that x = -1 was left out, as it does not satisfy x > 0."),
    ("no solution", "There is no real solution, only complex ones."), ("3 km", "She walked 3 km more."),
    ("0.125", "Die Wahrscheinlichkeit beträgt 0,125."),
    ("2023-10-03", "Die Antwort ist der 3. Oktober 2023."),
    ("32π cm^3", r"The volume is $V = \boxed{32\pi \text{ cm}^3}$."), ("₹500", "**Answer: Rs. 500**"),
    ("12:00 PM", "The answer is 12:00 noon."), ("9:45 pm", r"It ends at $\boxed{9\text{:}45 \text{ PM}}$."),
    ("M8×40", "You need a longer bolt.\n\nFinal answer: M8 × 40"),
    ("6-4 6-3", "She won the match, 6–4, 6–3."), ("no solution", "方程无解。"),
    ("Yes", "Since it has no divisors but 1 and 97, **yes**, 97 is prime."), ("Yes", "So yes, 97 is prime."),
    ("undefined", "Division by zero is not allowed, so the slope of the line is undefined."),
    ("x^2 + y^2 = 25", "The circle is $x^2 + y^2 = 5^2$, i.e. $x^2+y^2=25$."),
    ("y = C e^{-2x}", "The general solution is $y(x) = C e^{-2x}$."), (r"\{\{1\},\{2\}\}", "${{1},{2}}$"),
]  # fmt: skip
READ_APART = [  # whatever stands around them
    (r"\{1,\{2\}\}", r"\{1,2\}"), (r"\{\{1\}\}", r"\{1\}"), (r"\overline{A+B}", "A+B"),
    (r"\overline{z+w}", "z+w"),
    (r"\frac{\Delta y}{\Delta x}", r"\frac{y}{x}"), (r"\langle v^2\rangle", "v^2"),
    ("U+00E9", "U+00E8"),
    (r"\langle v^2\rangle", r"\langle v\rangle^2"), ("00E9", "00E8"), ("00:1A:2B", "00:1A:2C"),
    ("/etc/hosts", "/etc/host"), ("A$50", "US$50"), ("CAD 50", "USD 50"),
    ("50 Canadian dollars", "50 US dollars"),
    ("0:1", "1:0"), ("45°", r"\frac{\pi}{3}"),
]  # fmt: skip
READ_ALIKE = [
    ("FF_{16}", "255"), ("255", "FF_{16}"), ("45°", r"\frac{\pi}{4}"),
    (r"\langle v\rangle", r"\bar{v}"),
    (r"\langle 1,-2,2\rangle", r"\hat{i}-2\hat{j}+2\hat{k}"), ("A$50", "50 dollars"),
    ("U+00E9", "u+00e9"),
    (r"\overline{1+2i}", "1-2i"), ("3:2", "6:4"), ("0:1", "0:5"),
]  # fmt: skip


@pytest.mark.parametrize("why", NO_CLAIM)
def test_what_a_text_does_not_claim_is_no_answer(why: str) -> None:
    for gold, completion in NO_CLAIM[why]:
        verdict = check_answer(completion, gold)
        assert verdict.status is not Status.CORRECT, (completion, verdict.reason)


@pytest.mark.parametrize(("gold", "completion"), CLAIMED)
def test_what_it_claims_is_one(gold: str, completion: str) -> None:
    verdict = check_answer(completion, gold)
    assert verdict.status is Status.CORRECT, verdict.reason


@pytest.mark.parametrize(("gold", "answer"), READ_APART)
def test_answers_that_only_look_alike(gold: str, answer: str) -> None:
    assert math_reward(rf"\boxed{{{answer}}}", gold).status is Status.WRONG
    assert math_reward(rf"\boxed{{{gold}}}", gold).status is Status.CORRECT


@pytest.mark.parametrize(("gold", "answer"), READ_ALIKE)
def test_answers_that_only_look_different(gold: str, answer: str) -> None:
    verdict = math_reward(rf"\boxed{{{answer}}}", gold)
    assert verdict.status is Status.CORRECT, verdict.reason
