"""Write problems.jsonl: the 100 problems that a small works is supposed to have.

    python experiments/shop_floor/make.py

Nothing here knows the templates: each kind is a question and its answer in exact decimals, as a
person would work it out, so that the templates' `like` compares two ways to the same answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from rlvr.base.keys import key

FILE = Path(__file__).with_name("problems.jsonl")
COUNT = 100

Draw = Callable[[str, int, int], int]  # a name, the least and the most → a whole number
DENSITIES = {"alu": Decimal("2.7"), "steel": Decimal("7.8"), "brass": Decimal("8.5")}


def bins(draw: Draw) -> tuple[str, Decimal]:
    per, count = draw("per", 4, 20), draw("bins", 2, 9)
    used = draw("used", 3, min(99, per * count))
    return f"bin {per} pcs, {count} bins, used {used}, left?", Decimal(per * count - used)


def reorder(draw: Draw) -> tuple[str, Decimal]:
    use, lead, spare = draw("use", 2, 20), draw("lead", 2, 9), 2 * draw("spare", 2, 15)
    return f"use {use}/day, lead {lead} days, spare {spare}, reorder at?", Decimal(use * lead + spare)


def bar(draw: Draw) -> tuple[str, Decimal]:
    cut = 2 * draw("cut", 20, 30)
    length = 10 * draw("bar", 10, 36)
    return f"bar {length} mm, cut {cut} mm, rest?", Decimal(length % cut)


def in_mm(draw: Draw) -> tuple[str, Decimal]:
    inches = Decimal(draw("halves", 1, 80)) / 2
    return f"25.4 mm/in, {inches} in, mm?", inches * Decimal("25.4")


def mm_in(draw: Draw) -> tuple[str, Decimal]:
    inches = Decimal(draw("halves", 1, 80)) / 2
    return f"25.4 mm/in, {plain(inches * Decimal('25.4'))} mm, in?", inches


def kg_lb(draw: Draw) -> tuple[str, Decimal]:
    kg = Decimal(draw("halves", 1, 100)) / 2
    return f"2.2 lb/kg, {kg} kg, lb?", kg * Decimal("2.2")


def cut_time(draw: Draw) -> tuple[str, Decimal]:
    speed, halves, pieces = 20 * draw("speed", 1, 5), draw("halves", 3, 8), draw("pcs", 2, 9)
    minutes = Decimal(halves) / 2
    return f"cut {plain(minutes * speed)} mm, {speed} mm/min, {pieces} pcs, min?", minutes * pieces


def feed(draw: Draw) -> tuple[str, Decimal]:
    each, speed = Decimal(draw("feed", 1, 8)) / 10, 10 * draw("speed", 5, 90)
    return f"{each} mm/rev, {speed} rev/min, mm/min?", each * speed


def upper(draw: Draw) -> tuple[str, Decimal]:
    size, above, below = _gauge(draw)
    return f"{size} mm, +{above} -{below}, upper?", size + above


def lower(draw: Draw) -> tuple[str, Decimal]:
    size, above, below = _gauge(draw)
    return f"{size} mm, +{above} -{below}, lower?", size - below


def off(draw: Draw) -> tuple[str, Decimal]:
    size, by = Decimal(draw("size", 10, 80)) / 2, Decimal(draw("by", -4, 4)) / 10
    return f"{size} mm, is {plain(size + by)} mm, off?", by


def mass(draw: Draw) -> tuple[str, Decimal]:
    metal = list(DENSITIES)[draw("metal", 0, 2)]
    a, b, c = draw("a", 2, 9), draw("b", 2, 5), draw("c", 1, 3)
    return f"{metal} {DENSITIES[metal]} g/cm3, {a}*{b}*{c} cm, g?", a * b * c * DENSITIES[metal]


def scrap(draw: Draw) -> tuple[str, Decimal]:
    pieces = (50, 100, 200, 400)[draw("all", 0, 3)]
    bad = draw("bad", 1, min(40, pieces // 5))
    return f"{pieces} pcs, {bad} bad, bad per 100?", Decimal(100 * bad) / pieces


def _gauge(draw: Draw) -> tuple[Decimal, Decimal, Decimal]:
    above, below = Decimal(draw("above", 1, 4)) / 10, Decimal(draw("below", 1, 4)) / 10
    return Decimal(draw("size", 10, 80)) / 2, above, below


FIRST = (  # of each kind one that was worked out by hand
    (bins, "stock", "bin 12 pcs, 7 bins, used 35, left?", "49"),
    (reorder, "stock", "use 6/day, lead 5 days, spare 8, reorder at?", "38"),
    (bar, "stock", "bar 300 mm, cut 40 mm, rest?", "20"),
    (in_mm, "units", "25.4 mm/in, 3 in, mm?", "76.2"),
    (mm_in, "units", "25.4 mm/in, 50.8 mm, in?", "2"),
    (kg_lb, "units", "2.2 lb/kg, 15 kg, lb?", "33"),
    (cut_time, "time", "cut 240 mm, 60 mm/min, 6 pcs, min?", "24"),
    (feed, "time", "0.2 mm/rev, 300 rev/min, mm/min?", "60"),
    (upper, "tolerance", "12.5 mm, +0.2 -0.1, upper?", "12.7"),
    (lower, "tolerance", "30 mm, +0.1 -0.3, lower?", "29.7"),
    (off, "tolerance", "12.5 mm, is 12.3 mm, off?", "-0.2"),
    (mass, "mass", "steel 7.8 g/cm3, 4*5*2 cm, g?", "312"),
    (scrap, "scrap", "200 pcs, 6 bad, bad per 100?", "3"),
)


def plain(number: Decimal) -> str:
    """Without an exponent and without zeros behind the point."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rows() -> list[dict[str, str]]:
    found = {text: (answer, subject) for _, subject, text, answer in FIRST}
    attempt = 0
    while len(found) < COUNT:
        kind, subject, *_ = FIRST[len(found) % len(FIRST)]
        attempt += 1

        def draw(name: str, least: int, most: int, kind: str = kind.__name__, attempt: int = attempt) -> int:
            return least + key("shop floor", kind, attempt, name) % (most - least + 1)

        text, answer = kind(draw)
        found.setdefault(text, (plain(answer), subject))
    return [
        {"id": f"sf-{number:03d}", "text": text, "answer": answer, "subject": subject}
        for number, (text, (answer, subject)) in enumerate(found.items(), 1)
    ]


if __name__ == "__main__":
    FILE.write_text("".join(f"{json.dumps(row)}\n" for row in rows()), encoding="utf-8")
