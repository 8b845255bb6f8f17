"""Which span of a sentence is an answer of the kind that is wanted, and what is none."""

from __future__ import annotations

import pytest

from rlvr.types import Status
from rlvr.verify.check import check_answer
from rlvr.verify.kinds import Kind
from rlvr.verify.wanted import sought

FOUND = [
    (Kind.DATE, "The meeting is on 3 May 2024.", "3 May 2024"),
    (Kind.DATE, "Die Frist endet am 09.03.2024.", "09.03.2024"),
    (Kind.DATE, "La date cherchée est le 29 février 2024.", "le 29 février 2024"),
    (Kind.TIME, "So they arrive at half past seven.", "half past seven"),
    (Kind.TIME, "Le film commence à 19h30.", "à 19h30"),
    (Kind.TIME, "Leaving at noon is best.", "noon"),
    (Kind.DURATION, "The trip takes 2 hours and 5 minutes.", "2 hours and 5 minutes"),
    (Kind.RANGE, "The value lies between 10 and 15.", "between 10 and 15"),
    (Kind.RANGE, "It must be from 18 mm to 22 mm.", "from 18 mm to 22 mm"),
    (Kind.RATIO, "The home team won 2-1.", "2-1"),
    (Kind.RATIO, "The ratio is 3 to 2.", "3:2"),
    (Kind.IDENTIFIER, "You need an M8×40 bolt.", "M8×40"),
    (Kind.IDENTIFIER, "The fix landed in version v1.2.10.", "v1.2.10"),
    (Kind.IDENTIFIER, "Put it into Bin #7 today.", "Bin #7"),
    (Kind.FORMULA, "The precipitate is AgCl.", "AgCl"),
    (Kind.MONEY, "In all she pays $24.50 for 3 books.", "$24.50"),
    (Kind.QUANTITY, "After 3 tries the rod is 5 cm long.", "5 cm long"),
    (Kind.CONGRUENCE, "So x ≡ 4 (mod 5).", "x ≡ 4 (mod 5)"),
    (Kind.SPECIAL, "The limit does not exist.", "The limit does not exist"),
    (Kind.SPECIAL, "The equation has no real solutions.", "The equation has no real solutions"),
    (Kind.YES_NO, "Therefore the claim is false.", "false"),
    (Kind.YES_NO, "No, because 91 = 7 · 13.", "No"),
    (Kind.TEXT, "The process is called photosynthesis.", "photosynthesis"),
    (Kind.TEXT, "It took place in **New York City**.", "New York City"),
    (Kind.LIST, "The colours are red, green, and blue.", "red, green, and blue"),
    (Kind.TUPLE, "Der Schnittpunkt ist S(3|-4).", "(3|-4)"),
]
NONE = [
    (Kind.DATE, "It is either 3 May 2024 or 4 May 2024."),
    (Kind.DATE, "It was not 3 May 2024."),
    (Kind.DATE, "Is it 3 May 2024?"),
    (Kind.TIME, "Perhaps they arrive at 7:30 PM."),
    (Kind.TIME, "They leave at 7:30 PM and arrive at 9:15 PM."),
    (Kind.RATIO, "The score was 2-1, then 3-1."),
    (Kind.RANGE, "It is wrong that it lies between 10 and 15."),
    (Kind.IDENTIFIER, "Either A-12 or A-13 fits."),
    (Kind.YES_NO, "It is not true."),
    (Kind.YES_NO, "Is it true?"),
    (Kind.TEXT, "The process is not called photosynthesis."),
    (Kind.INTEGER, "There are 42 screws."),
]


@pytest.mark.parametrize(("kind", "sentence", "span"), FOUND)
def test_a_sentence_states_one_answer_of_the_kind(kind: Kind, sentence: str, span: str) -> None:
    found = sought(kind, sentence)
    assert found is not None
    assert found == span or check_answer(rf"\boxed{{{found}}}", span).status is Status.CORRECT


@pytest.mark.parametrize(("kind", "sentence"), NONE)
def test_a_sentence_that_states_none(kind: Kind, sentence: str) -> None:
    assert sought(kind, sentence) is None


@pytest.mark.parametrize(
    ("completion", "gold", "status"),
    [
        ("Step 2 takes 3 h.\nSo the process is called photosynthesis.", "photosynthesis", Status.CORRECT),
        ("We leave at 8:40.\nThey arrive at half past seven.", "7:30", Status.CORRECT),
        ("The answer is 3 May 2024 in the end.", "2024-05-03", Status.CORRECT),
        ("The answer is 4 May 2024 in the end.", "2024-05-03", Status.WRONG),
        (r"\boxed{4 May 2024}. It was on 3 May 2024.", "2024-05-03", Status.WRONG),
        ("It is 3 May 2024. Or it may be later.", "2024-05-03", Status.UNPARSEABLE),
        ("Answer: Bin #7", "Bin #7", Status.CORRECT),
        ("Answer: Bin #8", "Bin #7", Status.WRONG),
    ],
)
def test_the_kind_guides_what_is_found(completion: str, gold: str, status: Status) -> None:
    assert check_answer(completion, gold).status is status
