"""Identifiers (versions, addresses, colours, part numbers) and chemical formulas."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from rlvr.audit.catalogue.entry import WORDS, Entry, Writer
from rlvr.audit.catalogue.spelled import SUBSCRIPT, SUPERSCRIPT, next_digit, swap_digits
from rlvr.verify.kinds import Kind

Sort = Literal["version", "address", "address6", "colour", "hardware address", "part"]


@dataclass(frozen=True)
class Identifier:
    text: str
    sort: Sort

    @property
    def value(self) -> tuple[str, str]:
        if self.sort in ("colour", "hardware address", "address6"):
            return self.sort, self.text.lower()  # hexadecimal digits have no case
        return self.sort, self.text


def draw_identifier(rng: Random) -> Identifier:
    sort: Sort = rng.choice(["version", "address", "address6", "colour", "hardware address", "part", "part"])
    if sort == "version":
        return Identifier(f"{rng.randrange(4)}.{rng.randrange(24)}.{rng.randrange(24)}", sort)
    if sort == "address":
        return Identifier(".".join(str(rng.randrange(1, 255)) for _ in range(4)), sort)
    if sort == "address6":
        groups = [rng.randrange(1, 1 << 16) if place in (0, 1, 2, 7) else 0 for place in range(8)]
        return Identifier(str(ipaddress.IPv6Address(":".join(f"{group:x}" for group in groups))), sort)
    if sort == "colour":
        return Identifier(f"#{rng.randrange(1 << 24):06X}", sort)
    if sort == "hardware address":
        return Identifier(":".join(f"{rng.randrange(256):02X}" for _ in range(6)), sort)
    letters = "".join(rng.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(rng.choice([1, 2, 3])))
    digits = str(rng.randrange(1, 10 ** rng.choice([1, 2, 4])))
    return Identifier(
        rng.choice([f"{letters}{digits}", f"{letters}-{digits}", f"{letters}-{digits}-{rng.randrange(9)}"]),
        sort,
    )


_SORTS: dict[Sort, re.Pattern[str]] = {
    "version": re.compile(r"v?\d{1,4}(?:\.\d{1,4}){2}"),
    "address": re.compile(r"\d{1,3}(?:\.\d{1,3}){3}"),
    "address6": re.compile(r"(?=.*::|(?:[^:]*:){7})[0-9A-Fa-f:]{3,39}"),
    "colour": re.compile(r"\\?#(?:[0-9A-Fa-f]{6}|[0-9A-Fa-f]{3})"),
    "hardware address": re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}"),
    "part": re.compile(
        r"[A-Z]{1,4}-?\d{1,6}(?:-[A-Z0-9]{1,6})*|\d{1,4}[A-Z]{1,3}\d{0,4}|\d{1,5}(?:-\d{1,7}){2,4}"
    ),
}


def read_identifier(text: str) -> Identifier | None:
    """1.10.2, 172.16.0.1, #FF0000, 0A:1B:2C:3D:4E:5F, AB-1234, K2."""
    plain = re.sub(r"\\(?:text|texttt|mathrm)\{([^{}]*)\}", r"\1", text).strip()
    for sort, pattern in _SORTS.items():
        if pattern.fullmatch(plain):
            return Identifier(plain.removeprefix("\\").removeprefix("v"), sort)
    return None


def _only(sorts: tuple[str, ...], write: Writer) -> Writer:
    return lambda gold, rng: write(gold, rng) if gold.sort in sorts else None


def _channels(gold: Identifier) -> list[int] | None:
    digits = gold.text.removeprefix("#")
    return [int(digits[place : place + 2], 16) for place in (0, 2, 4)] if len(digits) == 6 else None


def _rgb(gold: Identifier, rng: Random) -> str | None:
    channels = _channels(gold) if gold.sort == "colour" else None
    return f"rgb({', '.join(map(str, channels))})" if channels else None


def _digit_of_identifier(gold: Identifier, rng: Random) -> Identifier | None:
    places = [place for place, sign in enumerate(gold.text) if sign.isdigit()]
    return replace(gold, text=next_digit(gold.text, rng.choice(places))) if places else None


def _neighbours(gold: Identifier, rng: Random) -> Identifier | None:
    text = swap_digits(gold.text)
    return replace(gold, text=text) if text else None


def _letter_changed(gold: Identifier, rng: Random) -> Identifier | None:
    places = [place for place, sign in enumerate(gold.text) if sign.isupper()]
    if not places:
        return None
    place = rng.choice(places)
    other = "ABCDEF" if gold.sort != "part" else "ABCDEFGHJKLMNPQRSTUVWXYZ"
    letter = other[(other.index(gold.text[place]) + 1) % len(other)] if gold.text[place] in other else "A"
    return replace(gold, text=gold.text[:place] + letter + gold.text[place + 1 :])


def _letters_after_digits(gold: Identifier, rng: Random) -> str | None:
    match = re.fullmatch(r"([A-Z]+)(\d+)", gold.text) if gold.sort == "part" else None
    return match[2] + match[1] if match else None


def _piece_writer(change: str) -> Writer:
    """The dotted or dashed pieces of an identifier dropped, swapped, repeated or moved."""

    def written(gold: Identifier, rng: Random) -> str | None:
        joint = next((sign for sign in ".:-" if sign in gold.text), None)
        if joint is None or gold.sort == "address6":
            return None
        pieces = gold.text.split(joint)
        if change == "drop":
            pieces = pieces[:-1]
        elif change == "swap":
            pieces[-2:] = pieces[:-3:-1]
        elif change == "reverse":
            pieces = pieces[::-1]
        elif change == "repeat":
            pieces = [*pieces, pieces[-1]]
        return joint.join(pieces)

    return written


def _same_sum(gold: Identifier, rng: Random) -> str | None:
    """What is equal where the parts are added or subtracted as numbers."""
    joint = next((sign for sign in ".-" if sign in gold.text), None)
    pieces = gold.text.split(joint) if joint else []
    places = [place for place, piece in enumerate(pieces) if piece.isdigit() and piece[0] != "0"]
    if joint is None or len(places) < 2 or gold.sort not in ("version", "address", "part"):
        return None
    first, second = places[0], places[-1]
    pieces[first] = str(int(pieces[first]) + 1)
    pieces[second] = str(int(pieces[second]) + (-1 if joint == "." else 1))
    return joint.join(pieces)


IDENTIFIER = Entry(
    Kind.IDENTIFIER,
    draw_identifier,
    read_identifier,
    keeps={
        **{name: write for name, write in WORDS.items() if name not in ("\\mathrm",)},
        "\\texttt": lambda gold, rng: rf"\texttt{{{gold.text}}}",
        "in backquotes": lambda gold, rng: f"`{gold.text}`",
        "in quotes": lambda gold, rng: f'"{gold.text}"',
        "in single quotes": lambda gold, rng: f"'{gold.text}'",
        "\\mathrm": lambda gold, rng: rf"\mathrm{{{gold.text}}}" if gold.sort == "part" else None,
        "escaped #": lambda gold, rng: gold.text.replace("#", r"\#"),
        "escaped # in \\text": lambda gold, rng: (
            rf"\text{{{gold.text.replace('#', chr(92) + '#')}}}" if "#" in gold.text else None
        ),
        "lower case of hexadecimal digits": _only(
            ("colour", "hardware address"), lambda gold, rng: gold.text.lower()
        ),
        "upper case of hexadecimal digits": _only(("address6",), lambda gold, rng: gold.text.upper()),
        "rgb": _rgb,
        "hyphens in a hardware address": _only(
            ("hardware address",), lambda gold, rng: gold.text.replace(":", "-")
        ),
        "address in full": _only(("address6",), lambda gold, rng: ipaddress.IPv6Address(gold.text).exploded),
        "v before": _only(("version",), lambda gold, rng: f"v{gold.text}"),
        "word version before": _only(("version",), lambda gold, rng: f"version {gold.text}"),
        "hyphen that does not break": _only(("part",), lambda gold, rng: gold.text.replace("-", "\u2011")),
        "kind before": lambda gold, rng: {
            "address": f"IP address {gold.text}",
            "part": f"part number {gold.text}",
        }.get(gold.sort),
    },
    changes={
        "one digit changed": _digit_of_identifier,
        "neighbours swapped": _neighbours,
        "one letter changed": _letter_changed,
        "letters after the digits": _letters_after_digits,
        "last piece dropped": _piece_writer("drop"),
        "last pieces swapped": _piece_writer("swap"),
        "pieces reversed": _piece_writer("reverse"),
        "last piece repeated": _piece_writer("repeat"),
        "same sum of the pieces": _same_sum,
        "last digit dropped": lambda gold, rng: (
            gold.text[:-1] if len(gold.text) > 2 and gold.text[-2].isdigit() else None
        ),
        "zero appended": lambda gold, rng: (
            f"{gold.text}0" if gold.sort in ("part", "version", "address") else None
        ),
        "letter appended": lambda gold, rng: f"{gold.text}B" if gold.sort in ("part", "version") else None,
        "first sign dropped": lambda gold, rng: (
            gold.text[1:] if gold.sort == "part" and len(gold.text) > 2 else None
        ),
        "digits alone": _only(("part",), lambda gold, rng: re.sub(r"\D", "", gold.text)),
        "letter for a digit": _only(
            ("part",), lambda gold, rng: gold.text.replace("1", "I", 1).replace("0", "O", 1)
        ),
        "dot moved": _only(("version",), lambda gold, rng: re.sub(r"\.(\d)", r"\1.", gold.text, count=1)),
        "channels swapped": _only(
            ("colour",), lambda gold, rng: f"#{gold.text[5:7]}{gold.text[3:5]}{gold.text[1:3]}"
        ),
        "port appended": _only(("address",), lambda gold, rng: f"{gold.text}:80"),
        "candidate of a release": _only(("version",), lambda gold, rng: f"{gold.text}-rc1"),
        "one of two": lambda gold, rng: (
            f"{gold.text} or {found.text}" if (found := _digit_of_identifier(gold, rng)) else None
        ),
        "denied": lambda gold, rng: f"not {gold.text}",
    },
)


# --- chemical formulas ----------------------------------------------------------------------------------

Group = tuple["str | tuple[Group, ...]", int]  # an element or a bracket, and how often


@dataclass(frozen=True)
class Formula:
    """Groups and a charge; `water` molecules of a hydrate."""

    groups: tuple[Group, ...]
    charge: int = 0
    water: int = 0

    @property
    def text(self) -> str:
        return _compose(self, "_{}", "^{{{}}}")

    @property
    def value(self) -> tuple[tuple[Group, ...], int, int]:
        return self.groups, self.charge, self.water


_FORMULAS = (
    "H2O", "CO2", "NaCl", "H2SO4", "C6H12O6", "NH3", "CH4", "CaCO3", "Fe2O3", "Al2O3", "KMnO4", "HNO3",
    "Na2CO3", "C2H6", "C8H18", "N2O5", "P4O10", "SiO2", "MgCl2", "Ca(OH)2", "Al2(SO4)3", "Mg(NO3)2",
    "Fe(OH)3", "(NH4)2SO4",
    "CO", "NO2", "SO3", "H2O2", "K2Cr2O7", "PbO2",
)  # fmt: skip
_IONS = (
    ("SO4", -2), ("NO3", -1), ("NH4", 1), ("CO3", -2), ("PO4", -3), ("Fe", 3), ("Ca", 2), ("Cl", -1),
    ("O", -2),
    ("Al", 3), ("Cr2O7", -2), ("MnO4", -1), ("H3O", 1), ("OH", -1), ("Na", 1), ("S2O3", -2),
)  # fmt: skip
_HYDRATES = (("CuSO4", 5), ("MgSO4", 7), ("CaSO4", 2), ("Na2CO3", 10), ("CoCl2", 6), ("BaCl2", 2))
_GROUP = re.compile(r"([A-Z][a-z]?)(\d*)|\(([^()]*)\)(\d*)")


def parse_groups(plain: str) -> tuple[Group, ...] | None:
    groups: list[Group] = []
    place = 0
    while match := _GROUP.match(plain, place):
        element, times, inner, of_inner = match.groups()
        if element:
            groups.append((element, int(times or 1)))
        else:
            inside = parse_groups(inner)
            if inside is None:
                return None
            groups.append((inside, int(of_inner or 1)))
        place = match.end()
    return tuple(groups) if groups and place == len(plain) else None


def draw_formula(rng: Random) -> Formula:
    draw = rng.random()
    if draw < 0.6:
        return Formula(parse_groups(rng.choice(_FORMULAS)) or ())
    if draw < 0.9:
        plain, charge = rng.choice(_IONS)
        return Formula(parse_groups(plain) or (), charge)
    plain, water = rng.choice(_HYDRATES)
    return Formula(parse_groups(plain) or (), 0, water)


_ELEMENTS = frozenset(
    [
        "H",
        "He",
        "Li",
        "Be",
        "B",
        "C",
        "N",
        "O",
        "F",
        "Ne",
        "Na",
        "Mg",
        "Al",
        "Si",
        "P",
        "S",
        "Cl",
        "Ar",
        "K",
        "Ca",
        "Sc",
        "Ti",
        "V",
        "Cr",
        "Mn",
        "Fe",
        "Co",
        "Ni",
        "Cu",
        "Zn",
        "Ga",
        "Ge",
        "As",
        "Se",
        "Br",
        "Kr",
        "Rb",
        "Sr",
        "Zr",
        "Mo",
        "Ag",
        "Cd",
        "Sn",
        "Sb",
        "Te",
        "I",
        "Xe",
        "Cs",
        "Ba",
        "W",
        "Pt",
        "Au",
        "Hg",
        "Pb",
        "Bi",
        "U",
    ]
)


def read_formula(text: str) -> Formula | None:
    """H2O, \\mathrm{H_2O}, SO_4^{2-}: known elements, and two groups or a charge at least."""
    plain = re.sub(r"\\(?:mathrm|text|ce)\{(.*)\}", r"\1", text).replace(r"\mathrm", "")
    match = re.fullmatch(r"([A-Za-z0-9_{}()]+?)(?:\^\{?(\d?)([+-])\}?)?", plain)
    if match is None:
        return None
    groups = parse_groups(re.sub(r"[_{}]", "", match[1]))
    charge = (int(match[2] or 1) * (1 if match[3] == "+" else -1)) if match[3] else 0
    if groups is None or not (len(groups) > 1 or charge or "_" in plain):
        return None
    return Formula(groups, charge) if _elements(groups) <= _ELEMENTS else None


def _elements(groups: tuple[Group, ...]) -> set[str]:
    found: set[str] = set()
    for what, _ in groups:
        found |= {what} if isinstance(what, str) else _elements(what)
    return found


def _charge(charge: int) -> str:
    return f"{abs(charge) if abs(charge) > 1 else ''}{'+' if charge > 0 else '-'}" if charge else ""


def _compose(gold: Formula, subscript: str, superscript: str, dot: str = r" \cdot ") -> str:
    """`subscript` and `superscript` are templates of what stands there."""

    def written(groups: tuple[Group, ...]) -> str:
        parts = []
        for what, times in groups:
            body = what if isinstance(what, str) else f"({written(what)})"
            several = str(times) if len(str(times)) == 1 or subscript != "_{}" else f"{{{times}}}"
            parts.append(body + (subscript.format(several) if times > 1 else ""))
        return "".join(parts)

    body = written(gold.groups)
    if gold.charge:
        body += superscript.format(_charge(gold.charge))
    if gold.water:
        body += dot + f"{gold.water}" + written(parse_groups("H2O") or ())
    return body


def _composed(subscript: str, superscript: str, dot: str = "·", around: str = "{}") -> Writer:
    return lambda gold, rng: around.format(_compose(gold, subscript, superscript, dot))


def _unicode_formula(gold: Formula, rng: Random) -> str:
    body = _compose(replace(gold, charge=0), "{}", "", "·")
    head, dot, _ = body.partition("·")
    digits = head.translate(SUBSCRIPT) + _charge(gold.charge).translate(SUPERSCRIPT)
    return digits + (f"·{gold.water}H₂O" if dot else "")


def _ce(gold: Formula, rng: Random) -> str:
    return rf"\ce{{{_compose(gold, '{}', '^{}' if abs(gold.charge) > 1 else '{}', ' * ' if False else '.')}}}"


def _regrouped(gold: Formula, place: int, times: int) -> Formula | None:
    groups = list(gold.groups)
    what, old = groups[place]
    groups[place] = (what, old + times)
    return replace(gold, groups=tuple(groups)) if old + times > 0 else None


def _times_swapped(gold: Formula, rng: Random) -> Formula | None:
    if len(gold.groups) < 2:
        return None
    (first, one), (second, two), *rest = gold.groups
    return replace(gold, groups=((first, two), (second, one), *rest))


_OTHER_ELEMENT = {
    "H": "He", "C": "Ca", "N": "Na", "O": "S", "S": "Se", "Fe": "F", "Na": "N", "Ca": "C", "Cl": "Br",
    "Mg": "Mn", "P": "K", "K": "Kr", "Al": "Ar", "Cu": "Co",
}  # fmt: skip


def _element_changed(gold: Formula, rng: Random) -> Formula | None:
    places = [
        p for p, (what, _) in enumerate(gold.groups) if isinstance(what, str) and what in _OTHER_ELEMENT
    ]
    if not places:
        return None
    place = rng.choice(places)
    what, times = gold.groups[place]
    assert isinstance(what, str)
    groups = (*gold.groups[:place], (_OTHER_ELEMENT[what], times), *gold.groups[place + 1 :])
    return replace(gold, groups=groups)


def _brackets_dropped(gold: Formula, rng: Random) -> str | None:
    return gold.text.replace("(", "").replace(")", "") if "(" in gold.text else None


FORMULA = Entry(
    Kind.FORMULA,
    draw_formula,
    read_formula,
    keeps={
        "in dollars": lambda gold, rng: f"${gold.text}$",
        "in a box": lambda gold, rng: rf"\boxed{{{gold.text}}}",
        "trailing period": lambda gold, rng: f"{gold.text}.",
        "white space around": lambda gold, rng: f"  {gold.text}\n",
        "\\mathrm": _composed("_{}", "^{{{}}}", r" \cdot ", r"\mathrm{{{}}}"),
        "\\mathrm with braces": _composed("_{{{}}}", "^{{{}}}", r" \cdot ", r"\mathrm{{{}}}"),
        "subscripts in braces": _composed("_{{{}}}", "^{{{}}}", r" \cdot "),
        "plain": _composed("{}", "^{}"),
        "\\text": lambda gold, rng: (
            rf"\text{{{_compose(gold, '{}', '^{}', '·')}}}" if not gold.charge else None
        ),
        "subscripts and superscripts of Unicode": _unicode_formula,
        "\\ce": _ce,
        "elements in \\text": lambda gold, rng: re.sub(
            r"[A-Z][a-z]?", r"\\text{\g<0>}", gold.text.replace(r"\cdot", "·")
        ),
        "elements in \\mathrm": lambda gold, rng: re.sub(
            r"[A-Z][a-z]?", r"\\mathrm{\g<0>}", gold.text.replace(r"\cdot", "·")
        ),
        "subscripts of HTML": lambda gold, rng: _compose(gold, "<sub>{}</sub>", "<sup>{}</sup>", "·"),
        "bold of Markdown": lambda gold, rng: f"**{_unicode_formula(gold, rng)}**",
        "\\rm": _composed("_{}", "^{{{}}}", r" \cdot ", r"{{\rm {}}}"),
    },
    changes={
        "first subscript + 1": lambda gold, rng: _regrouped(gold, 0, 1),
        "last subscript + 1": lambda gold, rng: _regrouped(gold, len(gold.groups) - 1, 1),
        "last subscript − 1": lambda gold, rng: _regrouped(gold, len(gold.groups) - 1, -1),
        "subscripts swapped": _times_swapped,
        "last group dropped": lambda gold, rng: (
            replace(gold, groups=gold.groups[:-1]) if len(gold.groups) > 1 else None
        ),
        "another element": _element_changed,
        "charge flipped": lambda gold, rng: replace(gold, charge=-gold.charge),
        "charge + 1": lambda gold, rng: (
            replace(gold, charge=gold.charge + 1) if gold.charge not in (0, -1) else None
        ),
        "charge dropped": lambda gold, rng: replace(gold, charge=0),
        "charge added": lambda gold, rng: (
            replace(gold, charge=rng.choice([-2, -1, 1, 2])) if not gold.charge else None
        ),
        "sign of the charge dropped": lambda gold, rng: (
            gold.text.replace("-}", "}").replace("+}", "}") if abs(gold.charge) > 1 else None
        ),
        "two of them": lambda gold, rng: f"2{gold.text}",
        "brackets dropped": _brackets_dropped,
        "subscripts raised": lambda gold, rng: gold.text.replace("_", "^"),
        "all in upper case": lambda gold, rng: (
            gold.text.replace(r"\cdot", "·").upper()
            if re.search("[a-z]", gold.text.replace(r"\cdot", ""))
            else None
        ),
        "subscripts doubled": lambda gold, rng: replace(
            gold, groups=tuple((what, 2 * times) for what, times in gold.groups)
        ),
        "water + 1": lambda gold, rng: replace(gold, water=gold.water + 1) if gold.water else None,
        "water dropped": lambda gold, rng: replace(gold, water=0),
        "subscripts dropped": lambda gold, rng: re.sub(r"_(?:\{\d+\}|\d)", "", gold.text),
        "one of two": lambda gold, rng: (
            f"{gold.text} or {found.text}" if (found := _regrouped(gold, 0, 1)) else None
        ),
    },
)

ENTRIES = (IDENTIFIER, FORMULA)
