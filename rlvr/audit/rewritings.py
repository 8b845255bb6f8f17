"""Other ways to write a reference answer that mean the same, for each kind of answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from rlvr.audit.golds import NUMBERS, Gold, split_outside_brackets, terminating

Rewriting = tuple[str, str]  # what was done, and the answer that came of it

_ORDERED = re.compile(r"\border|increasing|decreasing|ascending|descending|respectively", re.IGNORECASE)


def rewritings(gold: Gold, question: str) -> list[Rewriting]:
    """Rewritings of `gold` that every reader of mathematics takes for the same answer.

    A list is permuted unless the question speaks of an order.
    """
    found = dict.fromkeys([*_of_any(gold), *_of_kind(gold, question)])
    return [(name, answer) for name, answer in found if answer != gold.text]


def _of_any(gold: Gold) -> Iterator[Rewriting]:
    yield "trailing period", f"{gold.text}."
    yield "spaces", f" {gold.text} "
    if "$" not in gold.text:
        yield "in dollars", f"${gold.text}$"
    if r"\frac" in gold.text:
        yield "\\dfrac", gold.text.replace(r"\frac", r"\dfrac")
        yield "\\tfrac", gold.text.replace(r"\frac", r"\tfrac")
    plain = gold.kind in ("expression", "relation", "list") and r"\left" not in gold.text
    if plain and "(" in gold.text:
        yield "\\left and \\right", re.sub(r"\)", r"\\right)", re.sub(r"\(", r"\\left(", gold.text))


def _of_kind(gold: Gold, question: str) -> Iterator[Rewriting]:
    if gold.kind in NUMBERS:
        yield from _of_number(gold)
    elif gold.kind == "text":
        word = gold.items[0]
        if not word.isupper():  # a label such as ABCD
            yield "lower case", word.lower()
        yield "upper case", word.upper()
        yield "\\text", rf"\text{{{word}}}"
    elif gold.kind == "choice":
        letter = gold.items[0]
        yield "choice in brackets", f"({letter})"
        yield "choice alone", letter
        yield "\\textbf", rf"\textbf{{({letter})}}"
    elif gold.kind in ("list", "set"):
        reverse = gold.items[::-1]
        if gold.kind == "set" or not _ORDERED.search(question):
            joined = ", ".join(reverse)
            yield "permuted", rf"\{{{joined}\}}" if gold.kind == "set" else joined
        if gold.kind == "list":
            yield "list with and", ", ".join(gold.items[:-1]) + rf" \text{{ and }} {gold.items[-1]}"
    elif gold.kind in ("tuple", "interval"):
        yield "spacing", f"{gold.prefix} {' , '.join(gold.items)} {gold.suffix}"
        yield "sized brackets", rf"\left{gold.prefix}{', '.join(gold.items)}\right{gold.suffix}"
        if gold.items[-1] == r"\infty":
            yield "signed infinity", gold.text.replace(r"\infty", r"+\infty").replace("-+", "-")
    elif gold.kind == "relation":
        yield "sides swapped", f"{gold.items[1]} = {gold.items[0]}"
    elif gold.kind == "expression":
        yield from _of_expression(gold)
    elif gold.kind == "other":
        yield "another bracket of matrices", gold.text.replace("pmatrix", "bmatrix")
        yield "base in braces", re.sub(r"(?<=\d)_(\d+)$", r"_{\1}", gold.text)


def _of_number(gold: Gold) -> Iterator[Rewriting]:
    value = gold.value
    assert value is not None
    sign, size = ("-" if value < 0 else ""), abs(value)
    around = gold.prefix + "{}" + gold.suffix
    if size.denominator == 1 and size >= 1000:
        separated = f"{size.numerator:,}"
        yield "thousands separators", around.format(sign + separated)
        yield "thousands separators of LaTeX", around.format(sign + separated.replace(",", "{,}"))
        yield "thousands separated by thin spaces", around.format(sign + separated.replace(",", r"\,"))
    if gold.prefix or gold.suffix:
        return
    if sign:
        yield "minus sign of Unicode", gold.text.replace("-", "−")
    if size.denominator == 1:
        yield "decimal point", f"{sign}{size.numerator}.0"
        if size >= 10:
            yield from _scientific(sign, str(size.numerator))
        return
    yield "fraction", rf"{sign}\frac{{{size.numerator}}}{{{size.denominator}}}"
    yield "fraction not in lowest terms", rf"{sign}\frac{{{2 * size.numerator}}}{{{2 * size.denominator}}}"
    yield "slash", f"{sign}{size.numerator}/{size.denominator}"
    if gold.kind == "fraction":
        yield "sign in the numerator", rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    written = terminating(value)
    if written:
        yield "decimal", written
        yield "trailing zero", f"{written}0"
        if size < 1:
            yield "no zero before the point", written.replace("0.", ".", 1)
    if gold.kind == "fraction" and size > 1:
        yield "mixed number", _mixed(sign, size)


def _scientific(sign: str, digits: str) -> Iterator[Rewriting]:
    mantissa = f"{digits[0]}.{digits[1:].rstrip('0') or '0'}"
    exponent = len(digits) - 1
    yield "scientific", rf"{sign}{mantissa} \times 10^{{{exponent}}}"
    yield "e notation", f"{sign}{mantissa}e{exponent}"


def _mixed(sign: str, size: Fraction) -> str:
    whole, rest = divmod(size.numerator, size.denominator)
    return rf"{sign}{whole}\frac{{{rest}}}{{{size.denominator}}}"


def _of_expression(gold: Gold) -> Iterator[Rewriting]:
    text = gold.text
    yield "brackets around", rf"\left({text}\right)"
    yield "spacing", r"\,".join(part.strip() for part in split_outside_brackets(text, "+"))
    yield "written product", re.sub(r"(\d|\})\s*(\\sqrt|\\pi)(?![A-Za-z])", r"\1 \\cdot \2", text)
    if len(gold.items) > 1 and not re.search(r"[*/^]$|\\(?:cdot|times)$", " ".join(gold.items[:-1])):
        terms = [term if term[0] in "+-" else f"+ {term}" for term in gold.items]
        yield "sum reordered", " ".join(reversed(terms)).removeprefix("+ ").removeprefix("+")
