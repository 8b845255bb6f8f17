"""Identifiers and chemical formulas: equal if they have the same spelling, apart from formatting."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

MAX_CODE = 200  # characters

_VERSION = re.compile(
    r"(?:(?:version|release|revision|rev|ver)[.:]? |v\.? ?)?"
    r"(\d+(?:\.\d+){2,}(?:[-+.]?(?:rc|a|b|alpha|beta|dev|post)\.?\d*)?)"
    r"|(?:(?:version|release)[.:]? |v\.? ?)(\d+(?:\.\d+)*)",
    re.IGNORECASE,
)
_COLOUR = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{4}|[0-9a-f]{6}|[0-9a-f]{8})", re.IGNORECASE)
_MAC = re.compile(r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}", re.IGNORECASE)
_BYTES = re.compile(  # in hexadecimal digits: U+00E9, 00E9, 00:1A
    r"U\+[0-9A-F]{4,6}|(?=[0-9]*[A-F])(?!0b[01]+$)0[0-9A-F]{2,}|(?=[0-9:]*[A-F])[0-9A-F]{2}(?::[0-9A-F]{2})+",
    re.IGNORECASE,
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ISBN = re.compile(
    r"(?:ISBN(?:-1[03])?:?\s?)?((?:97[89][- ])?\d{1,5}[- ]\d{1,7}[- ]\d{1,7}[- ][\dX])", re.IGNORECASE
)
_PHONE = re.compile(r"\+\d[\d\s()./-]{6,20}\d|\(\d{3}\)\s?\d{3}-\d{4}|\d{3}([-. ])\d{3}\1\d{4}")
_GROUPS = re.compile(r"\d+(?:-\d+){2,}")  # CAS and account numbers
_PART = re.compile(
    r"[A-Z]{1,5}[- ]?\d+(?:[-./×x ]?[A-Za-z0-9]+)*|\d+[A-Z]{1,3}-?\d+[A-Za-z0-9-]*|[A-Za-z]+ ?#\s?\d+|#\d+"
    r"|[A-Z]{2,}(?:-[A-Z0-9]+)*-?\d[A-Z0-9-]*"
)
_WEB = re.compile(
    r"(?:https?://|www\.)\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[\w-]+(?:\.[\w-]+)*\.(?:py|txt|csv|json|pdf|png|jpg|html|md|com|org|net|io|exe|zip|xml|yaml)"
)
_HEX_WORD = re.compile(r"0[xX][0-9A-Fa-f]+")

_THOUSANDS = re.compile(r"\d{1,3}(?:\.\d{3}){2}|\d{1,3}(?:\.\d{3}){4,}")

_ELEMENTS = [
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
    "Y",
    "Zr",
    "Nb",
    "Mo",
    "Tc",
    "Ru",
    "Rh",
    "Pd",
    "Ag",
    "Cd",
    "In",
    "Sn",
    "Sb",
    "Te",
    "I",
    "Xe",
    "Cs",
    "Ba",
    "La",
    "Ce",
    "Pr",
    "Nd",
    "Pm",
    "Sm",
    "Eu",
    "Gd",
    "Tb",
    "Dy",
    "Ho",
    "Er",
    "Tm",
    "Yb",
    "Lu",
    "Hf",
    "Ta",
    "W",
    "Re",
    "Os",
    "Ir",
    "Pt",
    "Au",
    "Hg",
    "Tl",
    "Pb",
    "Bi",
    "Po",
    "At",
    "Rn",
    "Fr",
    "Ra",
    "Ac",
    "Th",
    "Pa",
    "U",
    "Np",
    "Pu",
    "Am",
    "Cm",
    "Bk",
    "Cf",
    "Es",
    "Fm",
    "D",
]
_ELEMENT = "|".join(sorted(_ELEMENTS, key=len, reverse=True))
_MOST_ATOMS = 120  # atoms of one element in a formula, if the kind is not stated
_FORMULA = re.compile(rf"(?:\d+)?(?:(?:{_ELEMENT}|[()\[\]])\d*)+(?:[·.*]\d*(?:(?:{_ELEMENT}|[()\[\]])\d*)+)*")
_CHARGE = re.compile(r"\^\{?(\d*)([-+])(\d*)\}?$|([-+])$|\^\{?([-+])(\d+)\}?$")
_CHARGED_METAL = re.compile(rf"^({_ELEMENT})(?<=[a-z])(\d)([-+])$")  # Fe3+
_ARROW = re.compile(
    r"\s*(?:→|⟶|⇌|⇄|-{1,2}>|=>|\\(?:long)?rightarrow|\\rightleftharpoons|\\xrightarrow\{[^{}]*\})\s*"
)
_MOLECULE = re.compile(
    rf"(?:{_ELEMENT})(?:_?\{{?\d\}}?(?:{_ELEMENT})|(?:{_ELEMENT})_?\{{?\d)"
)  # no law of physics
_TERM = re.compile(r"(\d+)?\s?(.+)")
_STATE = re.compile(r"\s?\((?:aq|s|l|g)\)$")


@dataclass(frozen=True)
class Code:
    """An identifier or a formula; `written` is its normalized form, the same for all spellings."""

    written: str
    formula: bool = False

    def same(self, gold: Code) -> bool:
        return self.written == gold.written


def read_code(text: str) -> Code:
    """Any plain `text` as an identifier."""
    text = " ".join(text[:MAX_CODE].split())
    if _PHONE.fullmatch(text):
        return Code("phone " + re.sub(r"[^\d+]", "", text))
    if match := _VERSION.fullmatch(text):
        return Code("version " + (match.group(1) or match.group(2)).lower())
    if match := _COLOUR.fullmatch(text):
        digits = match.group(1).lower()
        return Code("#" + ("".join(2 * digit for digit in digits) if len(digits) < 6 else digits))
    if _MAC.fullmatch(text):
        return Code("mac " + re.sub("[:.-]", "", text.lower()))
    if (address := _address(text)) is not None:
        return Code(address)
    if (digits := _isbn(text)) is not None:
        return Code(f"isbn {digits}")
    if re.fullmatch(r"(?:97[89])?\d{9}[\dX]", text):
        return Code("isbn " + text)
    if _WEB.fullmatch(text):
        return Code(text.casefold())
    text = re.sub(
        r"^CAS(?: (?:no\.?|number))?:? (?=\d)", "", re.sub(r"#\s+(?=\d)", "#", text), flags=re.IGNORECASE
    )
    text = re.sub(r"\b(?:no\.?|number|nr\.?|№)\s?(?=\d)", "#", text, flags=re.IGNORECASE)
    text = re.sub(
        r"(?<=\d)\s?[×xX*·]\s?(?=\d)", "x", text.replace("_{", "_").replace("{", "").replace("}", "")
    )
    if re.fullmatch(r"[Ee]-\d+", text):  # a power of ten
        return Code(text.casefold())
    text = re.sub(r"(?<=[A-Za-z])[\s_-]+(?=\d)|(?<=\d)[\s_-]+(?=[A-Za-z])", "", text)
    return Code(re.sub(r"[\s_]+", "-", text).casefold())


def _isbn(text: str) -> str | None:
    """The ten or thirteen digits of an ISBN; 6-4 6-3 are two sets of tennis."""
    match = _ISBN.fullmatch(text)
    digits = re.sub(r"[- ]", "", match.group(1)).upper() if match else ""
    return digits if len(digits) in (10, 13) else None


def _address(text: str) -> str | None:
    bare, _, prefix = text.partition("/")
    try:
        return f"{ipaddress.ip_address(bare)}/{int(prefix)}" if prefix else str(ipaddress.ip_address(bare))
    except ValueError:
        return None


def is_a_code(text: str) -> bool:
    """Whether plain `text` is an identifier in any context: an address, a colour, version 1.2.3."""
    if (
        any(form.fullmatch(text) for form in (_COLOUR, _MAC, _BYTES, _UUID, _WEB))
        or _address(text) is not None
    ):
        return True
    return text[:1].isdigit() and _VERSION.fullmatch(text) is not None and not _THOUSANDS.fullmatch(text)


def seems_a_code(text: str) -> bool:
    """Whether plain `text` of a reference is an identifier: as `is_a_code`, or v1.23, ISBN, phone number."""
    if len(text) > MAX_CODE or _HEX_WORD.fullmatch(text):
        return False
    return (
        is_a_code(text)
        or _isbn(text) is not None
        or any(f.fullmatch(text) for f in (_VERSION, _PHONE, _GROUPS))
    )


def may_be_a_code(text: str) -> bool:
    """Whether plain `text` of letters and digits may name a part, a size, a room: K2, A-12, 7B, Bin #7."""
    return len(text) <= 40 and _HEX_WORD.fullmatch(text) is None and _PART.fullmatch(text) is not None


def read_formula(text: str) -> Code | None:
    """Plain `text` as a chemical formula with its charge: H2O, SO_4^{2-}, Ca(OH)2, CuSO4·5H2O, Na+."""
    text = _CHARGED_METAL.sub(r"\1^{\2\3}", _STATE.sub("", text.strip()))
    if not text or len(text) > 80:
        return None
    charge = ""
    if match := _CHARGE.search(text):
        before, sign, behind, alone, first, second = match.groups()
        number = before or behind or second or "1"
        charge = f"{number}{sign or alone or first}"
        text = text[: match.start()]
    elif match := re.search(r"(?<=[A-Za-z)\d])\^?\{?(\d)([-+])\}?$", text):
        return None
    flat = re.sub(r"_\{?(\d+)\}?", r"\1", text).replace(" ", "").replace("{", "").replace("}", "")
    if "^" in flat or not _FORMULA.fullmatch(flat) or flat.count("(") != flat.count(")"):
        return None
    return Code(
        flat.replace("[", "(").replace("]", ")").replace("*", "·").replace(".", "·")
        + (f" {charge}" if charge else ""),
        True,
    )


def read_reaction(text: str) -> Code | None:
    """Plain `text` as a reaction, 2H2 + O2 → 2H2O; the order within each side does not matter."""
    sides = _ARROW.split(text.replace(" = ", " → "))
    if len(sides) != 2 or len(text) > MAX_CODE:
        return None
    written = []
    for side in sides:
        terms = [_TERM.fullmatch(term.strip()) for term in re.split(r"\s\+\s?|\+(?=\s?\d*[A-Z])", side)]
        found = [(term.group(1) or "1", read_formula(term.group(2))) for term in terms if term]
        formulas = [f"{count} {formula.written}" for count, formula in found if formula]
        if len(formulas) < len(terms):
            return None
        written.append(" + ".join(sorted(formulas)))
    return Code(" → ".join(written), True)


def seems_a_formula(text: str) -> bool:
    """Whether plain `text` is almost certainly a formula: two elements, a charge, or a reaction."""
    if _ARROW.search(text) or (" = " in text and _MOLECULE.search(text)):
        return read_reaction(text) is not None
    found = read_formula(text)
    if found is None:
        return False
    elements = re.findall(_ELEMENT, found.written)
    if any(int(number) > _MOST_ATOMS for number in re.findall(r"\d+", found.written)):
        return False  # BC547 is a transistor
    lower = any(len(element) == 2 for element in elements)
    numbered = re.search(r"[A-Za-z)]_?\{?\d", text) is not None
    return (len(elements) >= 2 and (numbered or lower or " " in found.written)) or (
        " " in found.written and ("{" in text or "^" in text or lower)
    )
