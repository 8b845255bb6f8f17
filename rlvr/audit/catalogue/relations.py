"""Curves, functions in pieces, congruences, and numbers in a base."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd
from random import Random
from typing import Literal

from rlvr.audit.catalogue.entry import MATH, Entry, Writer
from rlvr.audit.catalogue.polynomials import Terms, scaled, written
from rlvr.audit.catalogue.spelled import SUBSCRIPT, in_words, latex_number, swap_digits
from rlvr.verify.kinds import Kind

Sort = Literal["line", "circle", "parabola", "ellipse"]


@dataclass(frozen=True)
class Curve:
    """A line y = a x + b, a circle about (a, b) of square radius c, y = a(x - b)^2 + c, x²/a² + y²/b² = 1."""

    sort: Sort
    a: Fraction
    b: Fraction
    c: Fraction = Fraction(0)

    @property
    def text(self) -> str:
        if self.sort == "line":
            return f"y = {written({'x': self.a, '': self.b})}"
        if self.sort == "circle":
            return f"{squared('x', self.a)} + {squared('y', self.b)} = {latex_number(self.c)}"
        if self.sort == "parabola":
            return f"y = {written({squared('x', self.b): self.a, '': self.c})}"
        return rf"\frac{{x^2}}{{{self.a**2}}} + \frac{{y^2}}{{{self.b**2}}} = 1"

    @property
    def value(self) -> frozenset[tuple[str, Fraction]]:
        """The polynomial whose zeros are the curve, up to a factor."""
        terms = self.polynomial
        first = terms[min(terms)]
        return frozenset((name, factor / first) for name, factor in terms.items())

    @property
    def polynomial(self) -> Terms:
        a, b, c = self.a, self.b, self.c
        if self.sort == "line":
            terms = {"x": a, "y": Fraction(-1), "": b}
        elif self.sort == "circle":
            terms = {"x^2": Fraction(1), "y^2": Fraction(1), "x": -2 * a, "y": -2 * b, "": a**2 + b**2 - c}
        elif self.sort == "parabola":
            terms = {"x^2": a, "x": -2 * a * b, "": a * b**2 + c, "y": Fraction(-1)}
        else:
            terms = {"x^2": b**2, "y^2": a**2, "": -(a**2) * b**2}
        return {name: factor for name, factor in terms.items() if factor}


def squared(name: str, shift: Fraction) -> str:
    """(x - 3)^2, x^2 where the shift is 0."""
    return f"({written({name: Fraction(1), '': -shift})})^2" if shift else f"{name}^2"


def draw_curve(rng: Random) -> Curve:
    sort: Sort = rng.choice(["line", "line", "circle", "parabola", "ellipse"])
    a, b = Fraction(rng.choice([-5, -4, -3, -2, 2, 3, 4, 5, 7])), Fraction(rng.randrange(-9, 10))
    if sort == "line":
        return Curve(sort, a / rng.choice([1, 1, 2, 3]), b)
    if sort == "circle":
        return Curve(sort, a, b, Fraction(rng.randrange(1, 8) ** 2 + rng.choice([0, 0, 1])))
    if sort == "parabola":
        return Curve(sort, a, Fraction(rng.choice([-3, -2, -1, 1, 2, 3])), b)
    first, second = rng.sample(range(2, 9), 2)
    return Curve(sort, Fraction(first), Fraction(second))


def _integral(terms: Terms) -> Terms:
    by = 1
    for factor in terms.values():
        by = by * factor.denominator // gcd(by, factor.denominator)
    return scaled(terms, Fraction(by))


def _all_on_the_left(gold: Curve, rng: Random) -> str:
    return f"{written(_integral(gold.polynomial))} = 0"


def _times(by: int) -> Writer:
    return lambda gold, rng: f"{written(scaled(_integral(gold.polynomial), Fraction(by)))} = 0"


def _standard(gold: Curve, rng: Random) -> str:
    """The constant alone on the right."""
    terms = _integral(gold.polynomial)
    return f"{written({n: f for n, f in terms.items() if n})} = {latex_number(-terms.get('', Fraction(0)))}"


def _reversed_terms(gold: Curve, rng: Random) -> str:
    return f"{written(dict(reversed(list(_integral(gold.polynomial).items()))))} = 0"


def _swapped_sides(gold: Curve, rng: Random) -> str:
    left, right = gold.text.split(" = ")
    return f"{right} = {left}"


def _y_alone(gold: Curve, rng: Random) -> str | None:
    if gold.sort not in ("line", "parabola"):
        return None
    return f"y = {written({n: f for n, f in gold.polynomial.items() if n != 'y'})}"


def _through_a_point(gold: Curve, rng: Random) -> str | None:
    if gold.sort != "line":
        return None
    x = Fraction(rng.choice([-2, -1, 1, 2, 3]))
    y = gold.a * x + gold.b
    left, right = written({"y": Fraction(1), "": -y}), written({"x": Fraction(1), "": -x})
    return f"{left} = {latex_number(gold.a)}({right})"


def _intercepts(gold: Curve, rng: Random) -> str | None:
    if gold.sort != "line" or not gold.b or (gold.b / gold.a).denominator > 1 or gold.b.denominator > 1:
        return None
    x, y = -gold.b / gold.a, gold.b
    return rf"\frac{{x}}{{{x}}} + \frac{{y}}{{{y}}} = 1"


def _one_square_left(gold: Curve, rng: Random) -> str | None:
    if gold.sort != "circle":
        return None
    return f"{squared('y', gold.b)} = {latex_number(gold.c)} - {squared('x', gold.a)}"


def _radius_as_square(gold: Curve, rng: Random) -> str | None:
    root = round(float(gold.c) ** 0.5) if gold.sort == "circle" else 0
    return gold.text.replace(f"= {gold.c}", f"= {root}^2") if root and root**2 == gold.c else None


def _curve_changed(**by: int) -> Writer:
    def changed(gold: Curve, rng: Random) -> Curve | None:
        found = replace(gold, **{name: getattr(gold, name) + step for name, step in by.items()})
        if (gold.sort == "ellipse" and "c" in by) or (gold.sort == "line" and "c" in by):
            return None
        return (
            found
            if found.a and (gold.sort != "ellipse" or found.b > 0) and (gold.sort != "circle" or found.c > 0)
            else None
        )

    return changed


def _sign_of(name: str) -> Writer:
    def changed(gold: Curve, rng: Random) -> Curve | None:
        if gold.sort == "ellipse" or (gold.sort == "circle" and name == "c"):
            return None
        return replace(gold, **{name: -getattr(gold, name)})

    return changed


def _for_equals(sign: str) -> Writer:
    return lambda gold, rng: gold.text.replace(" = ", f" {sign} ")


def _names_exchanged(gold: Curve, rng: Random) -> str | None:
    if gold.sort == "line" and (gold.a == -1 or (gold.a == 1 and not gold.b)):
        return None  # the line is its own mirror image
    if gold.sort == "circle" and gold.a == gold.b:
        return None
    # \frac has no x or y in it, which \text and \infty have
    return gold.text.replace("x", "@").replace("y", "x").replace("@", "y")


def _radius_not_squared(gold: Curve, rng: Random) -> Curve | None:
    root = round(float(gold.c) ** 0.5) if gold.sort == "circle" else 0
    return replace(gold, c=Fraction(root)) if root and root**2 == gold.c else None


def _term_dropped(gold: Curve, rng: Random) -> str | None:
    terms = dict(gold.polynomial)
    name = rng.choice(list(terms))
    del terms[name]
    return f"{written(terms)} = 0"


def _perpendicular(gold: Curve, rng: Random) -> Curve | None:
    return replace(gold, a=-1 / gold.a) if gold.sort == "line" else None


_READ_LINE = re.compile(r"y\s*=\s*(-?\d*)\s*x\s*(?:([+-])\s*(\d+))?")


def read_curve(text: str) -> Curve | None:
    """y = 2x + 3 alone: other curves are compared as text by whoever changes them."""
    match = _READ_LINE.fullmatch(text.strip())
    if match is None:
        return None
    slope = Fraction({"": "1", "-": "-1"}.get(match[1], match[1]))
    return Curve("line", slope, Fraction((match[2] or "") + (match[3] or "0"))) if slope else None


EQUATION = Entry(
    Kind.EQUATION,
    draw_curve,
    read_curve,
    keeps={
        **MATH,
        "all on the left": _all_on_the_left,
        "constant on the right": _standard,
        "sides swapped": _swapped_sides,
        "terms reversed": _reversed_terms,
        "doubled": _times(2),
        "negated": _times(-1),
        "tripled": _times(3),
        "y alone": _y_alone,
        "through a point": _through_a_point,
        "intercepts": _intercepts,
        "one square on the left": _one_square_left,
        "radius as a square": _radius_as_square,
        "no spaces": lambda gold, rng: gold.text.replace(" ", ""),
        "squares in Unicode": lambda gold, rng: gold.text.replace("^2", "²") if "^2" in gold.text else None,
        "braces around exponents": lambda gold, rng: (
            gold.text.replace("^2", "^{2}") if "^2" in gold.text else None
        ),
        "sized brackets": lambda gold, rng: (
            gold.text.replace("(", r"\left(").replace(")", r"\right)") if "(" in gold.text else None
        ),
        "minus signs of Unicode": lambda gold, rng: gold.text.replace("-", "−"),
    },
    changes={
        "a + 1": _curve_changed(a=1),
        "a − 1": _curve_changed(a=-1),
        "b + 1": _curve_changed(b=1),
        "b − 1": _curve_changed(b=-1),
        "c + 1": _curve_changed(c=1),
        "sign of a flipped": _sign_of("a"),
        "sign of b flipped": _sign_of("b"),
        "sign of c flipped": _sign_of("c"),
        "a and b exchanged": lambda gold, rng: replace(gold, a=gold.b, b=gold.a) if gold.b else None,
        "radius not squared": _radius_not_squared,
        "names exchanged": _names_exchanged,
        "one term dropped": _term_dropped,
        "perpendicular": _perpendicular,
        "less for equal": _for_equals("<"),
        "at most for equal": _for_equals(r"\le"),
        "not equal for equal": _for_equals(r"\neq"),
        "right side + 1": lambda gold, rng: f"{gold.text} + 1",
        "right side doubled": lambda gold, rng: (sides := gold.text.split(" = "))[0] + f" = 2({sides[1]})",
    },
)


# --- functions in pieces --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pieces:
    """`left` where x < bound, `right` elsewhere; polynomials as factors of 1, x, x². The bound is right's."""

    bound: Fraction
    left: tuple[Fraction, ...]
    right: tuple[Fraction, ...]
    left_has_bound: bool = False
    name: str = "f(x) = "

    @property
    def text(self) -> str:
        return self.name + self.cases()

    @property
    def value(self) -> tuple[object, ...]:
        at_bound = _at(self.left if self.left_has_bound else self.right, self.bound)
        return self.bound, self.left, self.right, at_bound

    @property
    def continuous(self) -> bool:
        return _at(self.left, self.bound) == _at(self.right, self.bound)

    def conditions(
        self, less: str = "<", least: str = r"\le", more: str = ">", most: str = r"\ge"
    ) -> tuple[str, str]:
        bound = latex_number(self.bound)
        if self.left_has_bound:
            return f"x {least} {bound}", f"x {more} {bound}"
        return f"x {less} {bound}", f"x {most} {bound}"

    def cases(self, template: str = "{} & {}", environment: str = "cases", turn: bool = False) -> str:
        low, high = self.conditions()
        rows = [template.format(_poly(self.left), low), template.format(_poly(self.right), high)]
        joined = r" \\ ".join(reversed(rows) if turn else rows)
        return rf"\begin{{{environment}}} {joined} \end{{{environment}}}"


def _at(factors: tuple[Fraction, ...], x: Fraction) -> Fraction:
    return sum((factor * x**power for power, factor in enumerate(factors)), Fraction(0))


def _poly(factors: tuple[Fraction, ...], rising: bool = False) -> str:
    names = ("", "x", "x^2", "x^3")
    terms = {names[power]: factor for power, factor in enumerate(factors) if factor}
    return written(terms if rising else dict(reversed(terms.items())))


def draw_pieces(rng: Random) -> Pieces:
    def factors() -> tuple[Fraction, ...]:
        high = Fraction(rng.choice([-3, -2, -1, 1, 2, 3]))
        return (Fraction(rng.randrange(-6, 7)), *[Fraction(0)] * (rng.random() < 0.4), high)

    while True:
        left, right, bound = factors(), factors(), Fraction(rng.randrange(-4, 5))
        if rng.random() < 0.4:  # make it continuous
            shift = _at(left, bound) - _at(right, bound)
            right = (right[0] + shift, *right[1:])
        if left != right:
            return Pieces(bound, left, right, rng.random() < 0.4, rng.choice(["f(x) = ", "f(x) = ", ""]))


def _cases(template: str, environment: str = "cases", turn: bool = False) -> Writer:
    return lambda gold, rng: gold.name + gold.cases(template, environment, turn)


def _array(gold: Pieces, rng: Random) -> str:
    inner = gold.cases(environment="array").replace(r"\begin{array}", r"\begin{array}{ll}")
    return rf"{gold.name}\left\{{ {inner} \right."


def _otherwise(gold: Pieces, rng: Random) -> str:
    high = gold.conditions()[1]
    return gold.text.replace(f"& {high}", r"& \text{otherwise}")


def _plain_pieces(gold: Pieces, rng: Random) -> str:
    low, high = gold.conditions("<", "<=", ">", ">=")
    return f"{gold.name}{_poly(gold.left)} if {low}, {_poly(gold.right)} if {high}"


def _conditions_turned(gold: Pieces, rng: Random) -> str:
    low, high = gold.conditions()
    signs = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
    text = gold.text
    for condition in (low, high):
        x, sign, bound = condition.split(" ")
        text = text.replace(f"& {condition}", f"& {bound} {signs[sign]} {x}")
    return text


def _rising(gold: Pieces, rng: Random) -> str:
    return gold.text.replace(f" {_poly(gold.left)} &", f" {_poly(gold.left, True)} &").replace(
        f" {_poly(gold.right)} &", f" {_poly(gold.right, True)} &"
    )


def _signs(**signs: str) -> Writer:
    def changed(gold: Pieces, rng: Random) -> str:
        text = gold.text
        for old, new in zip(gold.conditions(), gold.conditions(**signs), strict=True):
            text = text.replace(f"& {old}", f"& {new}")
        return text

    return changed


def _piece(side: str, change: Callable[[tuple[Fraction, ...]], tuple[Fraction, ...]]) -> Writer:
    return lambda gold, rng: replace(gold, **{side: change(getattr(gold, side))})


def _plus_one(factors: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    return (factors[0] + 1, *factors[1:])


def _negated(factors: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    return tuple(-factor for factor in factors)


def _doubled(factors: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    return tuple(2 * factor for factor in factors)


def _next_power(factors: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    return (factors[0], Fraction(0), *factors[1:])


FUNCTION = Entry(
    Kind.FUNCTION,
    draw_pieces,
    lambda text: None,
    keeps={
        **MATH,
        "if in \\text": _cases(r"{} & \text{{if }} {}"),
        "for in \\text": _cases(r"{}, & \text{{for }} {}"),
        "if in \\text without a column": _cases(r"{} \text{{ if }} {}"),
        "commas": _cases("{}, & {}"),
        "\\mbox": _cases(r"{} & \mbox{{if }} {}"),
        "when in \\text": _cases(r"{} & \text{{when }} {}"),
        "conditions in brackets": _cases(r"{} & ({})"),
        "dcases": _cases("{} & {}", "dcases"),
        "rows reversed": _cases("{} & {}", turn=True),
        "array with a brace": _array,
        "otherwise": _otherwise,
        "plain text": _plain_pieces,
        "conditions turned around": _conditions_turned,
        "terms rising": _rising,
        "\\leq and \\geq": _signs(least=r"\leq", most=r"\geq"),
        "signs of Unicode": _signs(least="≤", most="≥"),
        "bound in the other piece, where both agree": lambda gold, rng: (
            replace(gold, left_has_bound=not gold.left_has_bound) if gold.continuous else None
        ),
        "no spaces": lambda gold, rng: gold.text.replace(" & ", "&").replace(r" \\ ", r"\\"),
        "one row a line": lambda gold, rng: gold.text.replace(r" \\ ", " \\\\\n"),
        "no space before the equals sign": lambda gold, rng: (
            gold.text.replace("f(x) =", "f(x)=") if gold.name else None
        ),
    },
    changes={
        "bound + 1": lambda gold, rng: replace(gold, bound=gold.bound + 1),
        "bound − 1": lambda gold, rng: replace(gold, bound=gold.bound - 1),
        "sign of the bound flipped": lambda gold, rng: replace(gold, bound=-gold.bound),
        "bound in the other piece": lambda gold, rng: replace(gold, left_has_bound=not gold.left_has_bound),
        "pieces exchanged": lambda gold, rng: replace(gold, left=gold.right, right=gold.left),
        "left piece + 1": _piece("left", _plus_one),
        "right piece + 1": _piece("right", _plus_one),
        "left piece negated": _piece("left", _negated),
        "right piece negated": _piece("right", _negated),
        "left piece doubled": _piece("left", _doubled),
        "right piece doubled": _piece("right", _doubled),
        "left piece of another power": _piece("left", _next_power),
        "right piece of another power": _piece("right", _next_power),
        "left piece everywhere": lambda gold, rng: f"{gold.name}{_poly(gold.left)}",
        "right piece everywhere": lambda gold, rng: f"{gold.name}{_poly(gold.right)}",
        "same piece twice": lambda gold, rng: replace(gold, right=gold.left),
        "pieces added": lambda gold, rng: f"{gold.name}{_poly(gold.left)} + {_poly(gold.right)}",
        "conditions exchanged": lambda gold, rng: replace(
            gold, left=gold.right, right=gold.left, left_has_bound=not gold.left_has_bound
        ),
    },
)


# --- congruences ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Congruence:
    rest: int
    modulus: int
    name: str = "x"

    @property
    def text(self) -> str:
        return rf"{self.name} \equiv {self.rest} \pmod{{{self.modulus}}}"

    @property
    def value(self) -> tuple[int, int]:
        return self.rest % self.modulus, self.modulus


def draw_congruence(rng: Random) -> Congruence:
    modulus = rng.choice([3, 5, 6, 7, 8, 9, 11, 12, 13, 15, 20, 24, 37, 60, 101])
    return Congruence(rng.randrange(modulus), modulus, rng.choice("xxxn"))


_CONGRUENCE = re.compile(
    r"([a-z])\s*(?:\\equiv|≡)\s*(-?\d+)\s*(?:\\pmod\s*\{?(\d+)\}?|"
    r"\(?(?:\\bmod|\\mod|\\text\{mod \}|mod)\s*\{?(\d+)\}?\)?)"
)


def read_congruence(text: str) -> Congruence | None:
    match = _CONGRUENCE.fullmatch(text.strip())
    modulus = int(match[3] or match[4]) if match else 0
    return Congruence(int(match[2]), modulus, match[1]) if match and modulus > 1 else None


def _mod(template: str) -> Writer:
    return lambda gold, rng: template.format(
        x=gold.name,
        r=gold.rest,
        m=gold.modulus,
        more=gold.rest + gold.modulus,
        less=gold.rest - gold.modulus,
        far=gold.rest + 10 * gold.modulus,
    )


def _other_rest(by: int) -> Writer:
    return lambda gold, rng: replace(gold, rest=(gold.rest + by) % gold.modulus)


def _other_modulus(by: int) -> Writer:
    return lambda gold, rng: (
        replace(gold, modulus=gold.modulus + by) if gold.rest < gold.modulus + by > 1 else None
    )


CONGRUENCE = Entry(
    Kind.CONGRUENCE,
    draw_congruence,
    read_congruence,
    keeps={
        **MATH,
        "rest plus the modulus": _mod(r"{x} \equiv {more} \pmod{{{m}}}"),
        "rest minus the modulus": _mod(r"{x} \equiv {less} \pmod{{{m}}}"),
        "rest plus ten times the modulus": _mod(r"{x} \equiv {far} \pmod{{{m}}}"),
        "\\mod": _mod(r"{x} \equiv {r} \mod {m}"),
        "\\bmod": _mod(r"{x} \equiv {r} \bmod {m}"),
        "\\bmod in brackets": _mod(r"{x} \equiv {r} \; (\bmod\; {m})"),
        "mod in \\text": _mod(r"{x} \equiv {r} \; (\text{{mod }} {m})"),
        "Unicode": _mod("{x} ≡ {r} (mod {m})"),
        "Unicode without brackets": _mod("{x} ≡ {r} mod {m}"),
        "modulo": _mod("{x} ≡ {r} modulo {m}"),
        "no spaces": _mod(r"{x}\equiv{r}\pmod{{{m}}}"),
        "in words": _mod("{x} is congruent to {r} modulo {m}"),
        "thin space before": _mod(r"{x}\equiv {r}\,(\mathrm{{mod}}\,{m})"),
    },
    changes={
        "rest + 1": _other_rest(1),
        "rest − 1": _other_rest(-1),
        "rest + 2": _other_rest(2),
        "rest negated": lambda gold, rng: replace(gold, rest=-gold.rest),
        "modulus + 1": _other_modulus(1),
        "modulus − 1": _other_modulus(-1),
        "modulus doubled": lambda gold, rng: replace(gold, modulus=2 * gold.modulus),
        "modulus ten times": lambda gold, rng: replace(gold, modulus=10 * gold.modulus),
        "rest and modulus exchanged": lambda gold, rng: (
            replace(gold, rest=gold.modulus, modulus=gold.rest) if gold.rest > 1 else None
        ),
        "not congruent": lambda gold, rng: gold.text.replace(r"\equiv", r"\not\equiv"),
        "not congruent in Unicode": _mod("{x} ≢ {r} (mod {m})"),
        "equation": _mod("{x} = {r}"),
        "equation with the modulus": _mod("{x} = {m}"),
        "next rest in Unicode": lambda gold, rng: (
            f"{gold.name} ≡ {(gold.rest + 1) % gold.modulus} (mod {gold.modulus})"
        ),
        "two rests": lambda gold, rng: (
            rf"{gold.name} \equiv {gold.rest}, {(gold.rest + 1) % gold.modulus} \pmod{{{gold.modulus}}}"
        ),
        "multiples of the modulus": lambda gold, rng: (
            rf"{gold.name} \equiv 0 \pmod{{{gold.modulus}}}" if gold.rest else None
        ),
    },
)


# --- numbers in a base ----------------------------------------------------------------------------------

_SIGNS = "0123456789ABCDEF"
_PREFIX = {2: "0b", 8: "0o", 16: "0x"}


@dataclass(frozen=True)
class Based:
    digits: str
    base: int
    prefixed: bool = False

    @property
    def text(self) -> str:
        return f"{_PREFIX[self.base]}{self.digits}" if self.prefixed else f"{self.digits}_{{{self.base}}}"

    @property
    def value(self) -> int:
        return int(self.digits, self.base)


def in_base(value: int, base: int) -> str:
    digits = ""
    while value:
        value, digit = divmod(value, base)
        digits = _SIGNS[digit] + digits
    return digits or "0"


def draw_based(rng: Random) -> Based:
    base = rng.choice([2, 2, 3, 4, 5, 6, 7, 8, 9, 16, 16])
    value = rng.randrange(base, base ** rng.choice([3, 4, 5]))
    return Based(in_base(value, base), base, base in (2, 16) and rng.random() < 0.4)


_BASED = re.compile(r"([0-9A-F]+)_\{?(\d{1,2})\}?|0([xbo])([0-9A-Fa-f]+)")


def read_based(text: str) -> Based | None:
    """1242_6, 2A_{16}, 0x2A."""
    match = _BASED.fullmatch(text.strip())
    if match is None:
        return None
    base = int(match[2]) if match[2] else {"x": 16, "b": 2, "o": 8}[match[3]]
    digits = (match[1] or match[4]).upper()
    if not 2 <= base <= 16 or any(_SIGNS.index(digit) >= base for digit in digits):
        return None
    return Based(digits, base, match[3] is not None)


def _based(template: str, prefixed: bool | None = None) -> Writer:
    return lambda gold, rng: (
        template.format(d=gold.digits, b=gold.base, word=in_words(gold.base))
        if prefixed in (None, gold.prefixed)
        else None
    )


def _of_value(gold: Based, value: int) -> Based | None:
    return replace(gold, digits=in_base(value, gold.base)) if value > 0 else None


def _based_digit(place: int) -> Writer:
    def changed(gold: Based, rng: Random) -> Based | None:
        digit = _SIGNS.index(gold.digits[place])
        other = _SIGNS[(digit + 1) % gold.base]
        digits = list(gold.digits)
        digits[place] = other
        return replace(gold, digits="".join(digits)) if digits[0] != "0" else None

    return changed


def _with_digits(change: Callable[[str], str | None]) -> Writer:
    def changed(gold: Based, rng: Random) -> Based | None:
        digits = change(gold.digits)
        return replace(gold, digits=digits) if digits and digits[0] != "0" else None

    return changed


def _other_base(by: int) -> Writer:
    def changed(gold: Based, rng: Random) -> str | None:
        base = gold.base + by
        if not max(map(_SIGNS.index, gold.digits)) < base <= 16:
            return None
        return Based(gold.digits, base).text if int(gold.digits, base) != gold.value else None

    return changed


BASE = Entry(
    Kind.BASE,
    draw_based,
    read_based,
    keeps={
        **MATH,
        "base in braces": _based("{d}_{{{b}}}"),
        "base without braces": lambda gold, rng: f"{gold.digits}_{gold.base}" if gold.base < 10 else None,
        "digits in brackets": _based("({d})_{{{b}}}"),
        "sized brackets": _based(r"\left({d}\right)_{{{b}}}"),
        "base in words": _based(r"{d}_{{\text{{{word}}}}}"),
        "base after the number": _based("{d} base {b}"),
        "in base": _based("{d} in base {b}"),
        "base in \\text": _based(r"{d} \text{{ (base {b})}}"),
        "base in \\text without brackets": _based(r"{d} \text{{ base {b}}}"),
        "subscript of Unicode": lambda gold, rng: f"{gold.digits}{str(gold.base).translate(SUBSCRIPT)}",
        "digits in \\text": _based(r"\text{{{d}}}_{{{b}}}"),
        "prefix": lambda gold, rng: f"{_PREFIX[gold.base]}{gold.digits}" if gold.base in (2, 16) else None,
        "prefix and small digits": lambda gold, rng: (
            f"{_PREFIX[gold.base]}{gold.digits.lower()}" if gold.base == 16 else None
        ),
        "leading zeros": lambda gold, rng: (
            f"{_PREFIX[gold.base]}{gold.digits.rjust(8, '0')}" if gold.prefixed else None
        ),
        "space before the base": _based("{d} _{{{b}}}"),
    },
    changes={
        "last digit changed": _based_digit(-1),
        "first digit changed": _based_digit(0),
        "middle digit changed": lambda gold, rng: _based_digit(len(gold.digits) // 2)(gold, rng),
        "+ 1": lambda gold, rng: _of_value(gold, gold.value + 1),
        "− 1": lambda gold, rng: _of_value(gold, gold.value - 1),
        "doubled": lambda gold, rng: _of_value(gold, 2 * gold.value),
        "base + 1": _other_base(1),
        "base − 1": _other_base(-1),
        "base ten": lambda gold, rng: (
            f"{gold.digits}_{{10}}" if len(gold.digits) > 1 and gold.digits.isdigit() else None
        ),
        "last digit dropped": _with_digits(lambda digits: digits[:-1]),
        "zero appended": _with_digits(lambda digits: f"{digits}0"),
        "digits reversed": _with_digits(lambda digits: digits[::-1]),
        "neighbours swapped": _with_digits(swap_digits),
        "first digit dropped": _with_digits(lambda digits: digits[1:]),
        "negative": lambda gold, rng: f"-{gold.text}",
        "another prefix": lambda gold, rng: (
            {2: "0x", 16: "0o"}[gold.base] + gold.digits
            if gold.prefixed and (gold.base == 2 or max(gold.digits) < "8")
            else None
        ),
        "next number in base words": lambda gold, rng: (
            f"{in_base(gold.value + 1, gold.base)} base {gold.base}"
        ),
        "bits inverted": lambda gold, rng: (
            replace(gold, digits=gold.digits.translate(str.maketrans("01", "10")).lstrip("0") or "0")
            if gold.base == 2
            else None
        ),
    },
)

ENTRIES = (EQUATION, FUNCTION, CONGRUENCE, BASE)
