"""Sums of terms, written as LaTeX: just what the catalogue needs of algebra, exact and without a library."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from rlvr.audit.catalogue.spelled import latex_number

Terms = Mapping[str, Fraction]  # the factor of each power product; "" is the constant


def written(terms: Terms, product: str = "") -> str:
    """2x^2 - x + 3 for {"x^2": 2, "x": -1, "": 3}, in that order; `product` between factor and name."""
    parts: list[str] = []
    for name, factor in terms.items():
        if not factor:
            continue
        size = latex_number(abs(factor))
        body = size if not name else name if size == "1" else f"{size}{product}{name}"
        sign = "-" if factor < 0 else "+"
        parts.append(f" {sign} {body}" if parts else ("-" if factor < 0 else "") + body)
    return "".join(parts) or "0"


def scaled(terms: Terms, by: Fraction) -> dict[str, Fraction]:
    return {name: factor * by for name, factor in terms.items()}


def multiply(one: tuple[Fraction, ...], other: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """The product of polynomials in one variable, as factors of its rising powers."""
    found = [Fraction(0)] * (len(one) + len(other) - 1)
    for place, factor in enumerate(one):
        for shift, by in enumerate(other):
            found[place + shift] += factor * by
    return tuple(found)
