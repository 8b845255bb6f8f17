"""Expressions: polynomials, roots, multiples of π, complex numbers, logarithms, powers, sines, fractions.

Each is drawn with its equal forms and with what differs from it, both by construction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random

from rlvr.audit.catalogue.entry import MATH, Entry, Writer
from rlvr.audit.catalogue.polynomials import multiply, written
from rlvr.audit.catalogue.spelled import SUPERSCRIPT, decimal_text, latex_number
from rlvr.verify.kinds import Kind

Forms = Mapping[str, str]


@dataclass(frozen=True)
class Expression:
    """`forms` are equal to it and `others` are not, by their names. `one` where it may be 0, 1 or -1."""

    text: str
    forms: Forms = field(default_factory=dict, compare=False)
    others: Forms = field(default_factory=dict, compare=False)

    @property
    def value(self) -> str:
        return self.text


def _polynomial(
    factors: tuple[Fraction, ...], name: str = "x", falling: bool = True, product: str = ""
) -> str:
    names = [("", name)[power] if power < 2 else f"{name}^{power}" for power in range(len(factors))]
    terms = [(names[power], factor) for power, factor in enumerate(factors)]
    return written(dict(reversed(terms) if falling else terms), product)


def _factor(root: Fraction) -> str:
    return "x" if not root else f"({_polynomial((-root, Fraction(1)))})"


def _factored(lead: Fraction, roots: list[Fraction]) -> str:
    front = "" if lead == 1 else "-" if lead == -1 else str(lead)
    return front + "".join(map(_factor, roots))


def _coefficients(lead: Fraction, roots: list[Fraction]) -> tuple[Fraction, ...]:
    found: tuple[Fraction, ...] = (lead,)
    for root in roots:
        found = multiply(found, (-root, Fraction(1)))
    return found


def _horner(factors: tuple[Fraction, ...]) -> str:
    text = _polynomial(factors[-2:])
    for factor in reversed(factors[:-2]):
        constant = "" if not factor else f" {'-' if factor < 0 else '+'} {abs(factor)}"
        text = f"x({text}){constant}"
    return text


def _completed(factors: tuple[Fraction, ...]) -> str:
    constant, linear, lead = factors
    shift = linear / (2 * lead)
    rest = constant - lead * shift**2
    front = "" if lead == 1 else "-" if lead == -1 else latex_number(lead)
    tail = "" if not rest else f" {'-' if rest < 0 else '+'} {latex_number(abs(rest))}"
    inside = _polynomial((shift, Fraction(1)))
    return f"{front}\\left({inside}\\right)^2{tail}" if shift else f"{front}x^2{tail}"


def _draw_polynomial(rng: Random) -> Expression:
    roots = [Fraction(root) for root in rng.sample(range(-7, 8), rng.choice([2, 2, 3]))]
    lead = Fraction(rng.choice([1, 1, 1, -1, 2, 3]))
    factors = _coefficients(lead, roots)
    expanded, factored = _polynomial(factors), _factored(lead, roots)
    forms = {
        "expanded": expanded,
        "factored": factored,
        "factors in another order": _factored(lead, roots[::-1]),
        "terms reversed": _polynomial(factors, falling=False),
        "nested": _horner(factors),
        "signs of products": _polynomial(factors, product=r" \cdot "),
        "stars of products": _polynomial(factors, product="*"),
        "stars for powers": _polynomial(factors, product="*").replace("^", "**"),
        "first factor multiplied in": f"({_polynomial(_coefficients(lead, roots[:1]))})"
        + _factored(Fraction(1), roots[1:]),
        "dots between factors": r" \cdot ".join(map(_factor, roots)) if lead == 1 else "",
        "completed square": _completed(factors) if len(factors) == 3 else "",
    }
    place = rng.choice([power for power, factor in enumerate(factors) if factor])
    flipped = [-f if power == place else f for power, f in enumerate(factors)]
    dropped = [Fraction(0) if power == place else f for power, f in enumerate(factors)]
    moved = [root + (power == 0) for power, root in enumerate(roots)]
    others = {
        "sign of one term flipped": _polynomial(tuple(flipped)),
        "one term dropped": _polynomial(tuple(dropped)),
        "one number changed": _factored(lead, moved),
        "one number changed, expanded": _polynomial(_coefficients(lead, moved)),
        "one factor dropped": _factored(lead, roots[1:]),
        "one factor squared": f"{factored}{_factor(roots[0])}",
        "exponents raised": _polynomial((factors[0], Fraction(0), *factors[1:])),
        "derivative": _polynomial(tuple(power * f for power, f in enumerate(factors))[1:]),
        # it is negative between two roots, or beyond them
        "absolute value": rf"\left|{expanded}\right|",
        "positive part": rf"\max({expanded}, 0)",
        "root of the square": rf"\sqrt{{({expanded})^2}}",
        "arctangent of the tangent": rf"\arctan(\tan({expanded}))",
        "rounded down": rf"\lfloor {expanded} \rfloor",
        "set to zero": f"{expanded} = 0",
    }
    if len(factors) == 4:
        others["maximum with a number"] = rf"\max({expanded}, -1000)"
    mirrored = tuple(f * (-1) ** power for power, f in enumerate(factors))
    if mirrored != factors:
        others["x negated"] = _polynomial(mirrored)
    return Expression(rng.choice([expanded, expanded, factored]), forms, others)


def _square_free(rng: Random) -> int:
    return rng.choice([2, 3, 5, 6, 7, 10, 11, 13, 15, 17, 19, 21, 30, 65])


def _root_sum(a: Fraction, b: Fraction, root: str) -> str:
    return written({"": a, root: b})


def _draw_root(rng: Random) -> Expression:
    """a + b √c over d."""
    a, b, c = (
        Fraction(rng.randrange(-9, 10)),
        Fraction(rng.choice([-5, -3, -2, -1, 1, 2, 3, 4, 5])),
        _square_free(rng),
    )
    d = rng.choice([1, 1, 2, 3, 7])
    root = rf"\sqrt{{{c}}}"

    def over(upper: str, lower: int = d) -> str:
        return upper if lower == 1 else rf"\frac{{{upper}}}{{{lower}}}"

    inside = f"{'-' if b < 0 else ''}\\sqrt{{{b**2 * c}}}"
    inner = inside if not a else f"{latex_number(a)} {'-' if b < 0 else '+'} {inside.removeprefix('-')}"
    plain = written({"": a, f"sqrt({c})": b}, product="*")
    forms = {
        "one fraction": over(_root_sum(a, b, root)),
        "terms reversed": over(written({root: b, "": a})),
        "split into terms": _root_sum(a / d, b / d, root),
        "factor under the root": over(inner),
        "power for the root": over(_root_sum(a, b, f"{c}^{{1/2}}"))
        if abs(b) == 1
        else over(written({"": a, f"{c}^{{1/2}}": b}, r" \cdot ")),
        "signs of products": over(written({"": a, root: b}, r" \cdot ")),
        "root of Unicode": written({"": a, f"√{c}": b}) if d == 1 else "",
        "sqrt of plain text": f"({plain})/{d}" if d > 1 else plain,
        "not in lowest terms": over(_root_sum(2 * a, 2 * b, root), 2 * d),
        "short root": over(_root_sum(a, b, rf"\sqrt{c}")) if c < 10 else "",
        "slash": f"({_root_sum(a, b, root)})/{d}" if d > 1 else "",
        "\\dfrac": over(_root_sum(a, b, root)).replace(r"\frac", r"\dfrac"),
    }
    others = {
        "sign of the root flipped": over(_root_sum(a, -b, root)),
        "number under the root changed": over(
            _root_sum(a, b, rf"\sqrt{{{c + 1 if c not in (3, 15) else c + 2}}}")
        ),
        "factor of the root + 1": over(_root_sum(a, b + 1, root)),
        "one number changed": over(_root_sum(a + 1, b, root)),
        "root dropped": latex_number((a + b * c) / d),
        "root over both terms": over(rf"\sqrt{{{abs(a) + b**2 * c}}}") if a else "",
        "cube root": over(_root_sum(a, b, rf"\sqrt[3]{{{c}}}")),
        "denominator doubled": over(_root_sum(a, b, root), 2 * d),
    }
    if a:
        others["sign of the number flipped"] = over(_root_sum(-a, b, root))
    return Expression(forms["one fraction"], forms, others)


def _draw_inverse_root(rng: Random) -> Expression:
    c = _square_free(rng)
    forms = {
        "denominator without root": rf"\frac{{\sqrt{{{c}}}}}{{{c}}}",
        "root in the denominator": rf"\frac{{1}}{{\sqrt{{{c}}}}}",
        "root of the fraction": rf"\sqrt{{\frac{{1}}{{{c}}}}}",
        "power for the root": f"{c}^{{-1/2}}",
        "slash": rf"\sqrt{{{c}}}/{c}",
        "sqrt of plain text": f"1/sqrt({c})",
        "fraction before": rf"\frac{{1}}{{{c}}}\sqrt{{{c}}}",
        "\\dfrac": rf"\dfrac{{\sqrt{{{c}}}}}{{{c}}}",
        "root of Unicode": f"√{c}/{c}",
    }
    others = {
        "root dropped": rf"\frac{{1}}{{{c}}}",
        "number under the root changed": rf"\frac{{\sqrt{{{c + 1}}}}}{{{c}}}",
        "denominator doubled": rf"\frac{{\sqrt{{{c}}}}}{{{2 * c}}}",
        "inverse": rf"\sqrt{{{c}}}",
        "one number changed": rf"\frac{{1}}{{\sqrt{{{c + 1}}}}}",
        "cube root": rf"\frac{{1}}{{\sqrt[3]{{{c}}}}}",
    }
    return Expression(
        rng.choice([forms["denominator without root"], forms["root in the denominator"]]), forms, others
    )


def _draw_pi(rng: Random) -> Expression:
    p, q = rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 25, 36]), rng.choice([1, 1, 2, 3, 4, 5, 6])
    number = Fraction(p, q)
    p, q = number.numerator, number.denominator
    upper = r"\pi" if p == 1 else rf"{p}\pi"
    text = upper if q == 1 else rf"\frac{{{upper}}}{{{q}}}"
    decimal = decimal_text(number)
    plain = f"{p}*pi/{q}" if q > 1 else f"{p}*pi"
    forms = {
        "fraction before": rf"\frac{{{p}}}{{{q}}}\pi" if q > 1 else "",
        "signs of products": rf"{latex_number(number)} \cdot \pi",
        "cross of products": rf"{latex_number(number)} \times \pi",
        "pi before": rf"\pi \cdot {latex_number(number)}",
        "decimal factor": rf"{decimal}\pi" if decimal and q > 1 else "",
        "pi of Unicode": f"{'' if p == 1 else p}π{'' if q == 1 else f'/{q}'}",
        "slash": f"{upper}/{q}" if q > 1 else "",
        "plain text": plain,
        "not in lowest terms": rf"\frac{{{2 * p}\pi}}{{{2 * q}}}" if q > 1 else "",
        "\\dfrac": text.replace(r"\frac", r"\dfrac"),
        "thin space before pi": text.replace(r"\pi", r"\,\pi"),
    }
    others = {
        "pi dropped": latex_number(number),
        "pi squared": text.replace(r"\pi", r"\pi^2"),
        "e for pi": text.replace(r"\pi", "e"),
        "factor + 1": rf"{latex_number(number + 1)}\pi",
        "one number changed": rf"\frac{{{p + 1}\pi}}{{{q}}}",
        "denominator doubled": rf"\frac{{{upper}}}{{{2 * q}}}",
        "pi in the denominator": rf"\frac{{{p}}}{{{q}\pi}}" if q > 1 else rf"\frac{{{p}}}{{\pi}}",
        "pi rounded": str(round(float(number) * 3, 3)),
        "root of pi": text.replace(r"\pi", r"\sqrt{\pi}"),
        "degrees": rf"{latex_number(number)}^\circ",
    }
    return Expression(text, forms, others)


def _draw_complex(rng: Random) -> Expression:
    a, b = Fraction(rng.randrange(-9, 10)), Fraction(rng.choice([-7, -5, -4, -3, -2, -1, 1, 2, 3, 4, 6, 8]))
    d = rng.choice([1, 1, 1, 2, 5])
    text = (
        _root_sum(a / d, b / d, "i")
        if rng.random() < 0.5
        else (_root_sum(a, b, "i") if d == 1 else rf"\frac{{{_root_sum(a, b, 'i')}}}{{{d}}}")
    )
    sign = "" if not a else " + " if b > 0 else " - "
    size = "" if abs(b / d) == 1 else latex_number(abs(b / d))
    front = "" if a else "-" if b < 0 else ""
    head = latex_number(a / d) if a else ""
    forms = {
        "terms reversed": written({"i": b / d, "": a / d}),
        "split into terms": _root_sum(a / d, b / d, "i"),
        "one fraction": rf"\frac{{{_root_sum(a, b, 'i')}}}{{{d}}}" if d > 1 else "",
        "i before its factor": f"{head}{sign}{front}i{size}" if "frac" not in size else "",
        "signs of products": written({"": a / d, "i": b / d}, r" \cdot "),
        "stars of products": written({"": a, "i": b}, "*") if d == 1 else "",
        "\\mathrm": _root_sum(a / d, b / d, r"\mathrm{i}"),
        "\\dfrac": _root_sum(a / d, b / d, "i").replace(r"\frac", r"\dfrac"),
        "no spaces": _root_sum(a / d, b / d, "i").replace(" ", ""),
        "minus times i": rf"{head} + ({latex_number(b / d)})i" if a and b < 0 else "",
    }
    others = {
        "conjugate": _root_sum(a / d, -b / d, "i"),
        "parts exchanged": _root_sum(b / d, a / d, "i") if a != b else "",
        "i dropped": _root_sum(a / d, b / d, ""),
        "factor + 1": _root_sum(a / d, b / d + 1, "i"),
        "one number changed": _root_sum(a / d + 1, b / d, "i"),
        "real part alone": latex_number(a / d),
        "imaginary part alone": latex_number(b / d),
        "i squared": _root_sum(a / d, b / d, "i^2"),
        "sign of the number flipped": _root_sum(-a / d, b / d, "i") if a else "",
        "pair": f"({latex_number(a / d)}, {latex_number(b / d)})",
    }
    others["i dropped"] = latex_number(a / d + b / d)
    others["i squared"] = latex_number(a / d - b / d)
    return Expression(text, forms, others)


def _draw_logarithm(rng: Random) -> Expression:
    a, b = rng.sample([2, 3, 5, 7, 11, 13], 2)
    forms = {
        "one logarithm": rf"\ln {a * b}",
        "sum of logarithms": rf"\ln {a} + \ln {b}",
        "terms reversed": rf"\ln {b} + \ln {a}",
        "brackets of functions": rf"\ln({a * b})",
        "sized brackets": rf"\ln\left({a * b}\right)",
        "plain text": f"ln({a * b})",
        "half of the square": rf"\frac{{1}}{{2}}\ln {(a * b) ** 2}",
        "minus of the inverse": rf"-\ln \frac{{1}}{{{a * b}}}",
    }
    others = {
        "one number changed": rf"\ln {a * b + 1}",
        "product of logarithms": rf"\ln {a} \cdot \ln {b}",
        "logarithm of the sum": rf"\ln {a + b}",
        "difference of logarithms": rf"\ln {a} - \ln {b}",
        "function dropped": str(a * b),
        "another base": rf"\log_{{2}} {a * b}",
        "denominator doubled": rf"\frac{{\ln {a * b}}}{{2}}",
        "function squared": rf"(\ln {a * b})^2",
    }
    return Expression(rng.choice([forms["one logarithm"], forms["sum of logarithms"]]), forms, others)


def _draw_power(rng: Random) -> Expression:
    base, shift = rng.choice([2, 3, 5, 7]), rng.choice([1, 2])
    factor = base**shift
    forms = {
        "exponent of a sum": f"{base}^{{n+{shift}}}",
        "factor before": rf"{factor} \cdot {base}^n",
        "factor after": rf"{base}^n \cdot {factor}",
        "terms reversed": f"{base}^{{{shift}+n}}",
        "fraction of powers": rf"\frac{{{base}^{{n+{shift + 1}}}}}{{{base}}}",
        "product of powers": rf"{base}^{{n}} \cdot {base}^{{{shift}}}",
        "cross of products": rf"{factor} \times {base}^n",
        "plain text": f"{base}^(n+{shift})",
        "stars for powers": f"{base}**(n+{shift})",
    }
    others = {
        "one number changed": f"{base}^{{n+{shift + 1}}}",
        "base + 1": f"{base + 1}^{{n+{shift}}}",
        "exponent multiplied": f"{base}^{{{shift + 1}n}}",
        "sum for the product": f"{base}^n + {factor}",
        "factor into the base": f"{base * factor}^n",
        "braces dropped": f"{base}^n + {shift}",
        "sign of the number flipped": f"{base}^{{n-{shift}}}",
        "base and exponent exchanged": f"n^{{{base}}}",
        "factor dropped": f"{base}^n",
    }
    return Expression(rng.choice([forms["exponent of a sum"], forms["factor before"]]), forms, others)


def _draw_sine(rng: Random) -> Expression:
    x = rng.choice(["x", r"\theta", "t"])
    forms = {
        "double angle": rf"\sin 2{x}",
        "product of functions": rf"2\sin {x} \cos {x}",
        "factors in another order": rf"2\cos {x} \sin {x}",
        "brackets of functions": rf"\sin(2{x})",
        "sized brackets": rf"\sin\left(2{x}\right)",
        "brackets of both functions": rf"2\sin({x})\cos({x})",
        "signs of products": rf"2 \cdot \sin({x}) \cdot \cos({x})",
    }
    others = {
        "factor dropped": rf"\sin {x} \cos {x}",
        "other function": rf"\cos 2{x}",
        "angle not doubled": rf"2\sin {x}",
        "one number changed": rf"\sin 3{x}",
        "function squared": rf"\sin^2 2{x}",
        "sign of the number flipped": rf"\sin(-2{x})",
        "absolute value": rf"|\sin 2{x}|",
        "function dropped": f"2{x}",
    }
    return Expression(rng.choice([forms["double angle"], forms["product of functions"]]), forms, others)


def _draw_fraction(rng: Random) -> Expression:
    """1/(x - a) - 1/(x - b) as one fraction and as two."""
    a, b = (Fraction(root) for root in rng.sample(range(-6, 7), 2))
    upper, lower = a - b, f"{_factor(a)}{_factor(b)}"
    expanded = _polynomial(_coefficients(Fraction(1), [a, b]))
    one, other = _polynomial((-a, Fraction(1))), _polynomial((-b, Fraction(1)))
    forms = {
        "one fraction": rf"\frac{{{upper}}}{{{lower}}}",
        "split into terms": rf"\frac{{1}}{{{one}}} - \frac{{1}}{{{other}}}",
        "denominator multiplied out": rf"\frac{{{upper}}}{{{expanded}}}",
        "factors in another order": rf"\frac{{{upper}}}{{{_factor(b)}{_factor(a)}}}",
        "terms reversed": rf"-\frac{{1}}{{{other}}} + \frac{{1}}{{{one}}}",
        "slash": f"{upper}/({expanded})",
        "sign in front": rf"-\frac{{{-upper}}}{{{lower}}}",
        "\\dfrac": rf"\dfrac{{{upper}}}{{{lower}}}",
        "negative powers": f"{upper} {_factor(a)}^{{-1}} {_factor(b)}^{{-1}}" if upper > 0 else "",
    }
    others = {
        "one number changed": rf"\frac{{{upper + 1}}}{{{lower}}}",
        "sign of the number flipped": rf"\frac{{{-upper}}}{{{lower}}}",
        "sum for the difference": rf"\frac{{1}}{{{one}}} + \frac{{1}}{{{other}}}",
        "inverse": rf"\frac{{{lower}}}{{{upper}}}",
        "one factor dropped": rf"\frac{{{upper}}}{{{one}}}",
        "numerator alone": str(upper),
        "denominator alone": expanded,
        "one factor squared": rf"\frac{{{upper}}}{{{lower}{_factor(b)}}}",
    }
    return Expression(rng.choice([forms["one fraction"], forms["split into terms"]]), forms, others)


_FAMILIES: tuple[Callable[[Random], Expression], ...] = (
    _draw_polynomial, _draw_polynomial, _draw_polynomial, _draw_root, _draw_root, _draw_inverse_root,
    _draw_pi, _draw_complex, _draw_logarithm, _draw_power, _draw_sine, _draw_fraction,
)  # fmt: skip
EXPRESSION_FAMILIES = tuple(dict.fromkeys(_FAMILIES))


def draw_expression(rng: Random) -> Expression:
    return rng.choice(_FAMILIES)(rng)


def _names(which: str) -> list[str]:
    """The names of all forms, or others, of all families; the same in every process."""
    found: dict[str, None] = {}
    for family in EXPRESSION_FAMILIES:
        for seed in range(8):
            found |= dict.fromkeys(getattr(family(Random(seed)), which))
    return list(found)


def _form(name: str) -> Writer:
    return lambda gold, rng: gold.forms.get(name) or None


def _other(name: str) -> Writer:
    return lambda gold, rng: gold.others.get(name) or None


_WRITTEN_SIGNS = re.compile(
    r"[A-Za-z0-9+\-*/^_{}()\[\]|. ,!]|\\(?:[dt]?frac|sqrt|pi|cdot|times|left|right|sin|cos|tan|log|ln"
    r"|theta|[,;! ])(?![A-Za-z])"
)


def read_expression(text: str) -> Expression | None:
    """An expression of which no equal form is known but those that its text gives."""
    plain = text.strip()
    if (
        not _WRITTEN_SIGNS.sub("", plain)
        and re.search(r"[\da-z]", plain)
        and not re.search(r"[A-Za-z]{4}", re.sub(r"\\[A-Za-z]+", "", plain))
    ):
        return Expression(plain)
    return None


def _sized_brackets(gold: Expression, rng: Random) -> str | None:
    if "(" not in gold.text or r"\left" in gold.text:
        return None
    return re.sub(r"\)", r"\\right)", re.sub(r"\(", r"\\left(", gold.text))


EXPRESSION = Entry(
    Kind.EXPRESSION,
    draw_expression,
    read_expression,
    keeps={
        **MATH,
        "in brackets": lambda gold, rng: rf"\left({gold.text}\right)",
        "\\dfrac for \\frac": lambda gold, rng: gold.text.replace(r"\frac", r"\dfrac"),
        "\\tfrac for \\frac": lambda gold, rng: gold.text.replace(r"\frac", r"\tfrac"),
        "sized brackets for plain ones": _sized_brackets,
        "braces around exponents": lambda gold, rng: re.sub(r"\^(\w)", r"^{\1}", gold.text),
        "exponents of Unicode": lambda gold, rng: re.sub(
            r"\^(\d)", lambda match: match[1].translate(SUPERSCRIPT), gold.text
        ),
        "minus signs of Unicode": lambda gold, rng: (
            gold.text.replace("-", "−") if r"\begin" not in gold.text else None
        ),
        "thin spaces around signs": lambda gold, rng: re.sub(r" ([+-]) ", r"\\,\1\\,", gold.text),
        "no spaces around signs": lambda gold, rng: re.sub(r" ([+-]) ", r"\1", gold.text),
        **{name: _form(name) for name in _names("forms")},
    },
    changes={
        "+ 1": lambda gold, rng: f"{gold.text} + 1",
        "− 1": lambda gold, rng: f"{gold.text} - 1",
        "times 2": lambda gold, rng: rf"2\left({gold.text}\right)",
        "negated": lambda gold, rng: rf"-\left({gold.text}\right)",
        "one of two": lambda gold, rng: rf"{gold.text} \text{{ or }} {gold.text} + 1",
        "false equation": lambda gold, rng: f"{gold.text} = {gold.text} + 1",
        **{name: _other(name) for name in _names("others")},
    },
)

ENTRIES = (EXPRESSION,)
