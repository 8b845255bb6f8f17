"""Money and quantities with a unit. Conversions are exact: the factors of SI, and those that are defined."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

from rlvr.audit.catalogue.entry import MATH, Entry, Writer
from rlvr.audit.catalogue.numbers import fixed, read_decimal, read_fraction
from rlvr.audit.catalogue.spelled import (
    decimal_text,
    grouped,
    in_lakhs,
    in_words,
    next_digit,
    scientific,
    swap_digits,
)
from rlvr.verify.kinds import Kind


@dataclass(frozen=True)
class Currency:
    """`cents` make one of it, 0 where it has none in use; `one` and `many` are its English names."""

    code: str
    sign: str
    one: str
    many: str
    cents: int
    cent: str


CURRENCIES = {
    currency.code: currency
    for currency in (
        Currency("USD", "$", "dollar", "dollars", 100, "cents"),
        Currency("EUR", "€", "euro", "euros", 100, "cents"),
        Currency("GBP", "£", "pound", "pounds", 100, "pence"),
        Currency("INR", "₹", "rupee", "rupees", 100, "paise"),
        Currency("JPY", "¥", "yen", "yen", 0, ""),
        Currency("CHF", "CHF ", "Swiss franc", "Swiss francs", 100, "centimes"),
    )
}


@dataclass(frozen=True)
class Money:
    amount: Fraction
    currency: Currency
    places: int

    @property
    def text(self) -> str:
        minus = "-" if self.amount < 0 else ""
        sign = self.currency.sign.replace("$", r"\$")
        return f"{minus}{sign}{fixed(abs(self.amount), self.places)}"

    @property
    def value(self) -> tuple[Fraction, str]:
        return self.amount, self.currency.code

    @property
    def digits(self) -> str:
        return fixed(self.amount, self.places)

    @property
    def units(self) -> int:
        """Whole ones, without the sign."""
        return abs(self.amount).numerator // abs(self.amount).denominator

    @property
    def after(self) -> str:
        return self.digits.partition(".")[2]


def draw_money(rng: Random) -> Money:
    currency = rng.choice([*CURRENCIES.values(), CURRENCIES["USD"], CURRENCIES["USD"], CURRENCIES["EUR"]])
    units = rng.randrange(1, 10 ** rng.choice([1, 2, 3, 4, 6])) * rng.choice([1, 1, 1, 100])
    if currency.cents and rng.random() < 0.6:
        return Money(units + Fraction(rng.randrange(1, 100), 100), currency, 2)
    return Money(Fraction(units), currency, 0)


_SIGN = re.compile(r"(-?)(\\?\$|€|£|₹|¥|CHF )\s*(\S+)")
_CODE = re.compile(r"(-?\S+)\s*(\\?\$|€|£|₹|¥|USD|EUR|GBP|INR|JPY|CHF)")


def read_money(text: str) -> Money | None:
    """$12.50, -€3, 12.50 USD, 7 €."""
    found = _SIGN.fullmatch(text)
    minus, sign, digits = found.groups() if found else ("", "", "")
    if not found and (found := _CODE.fullmatch(text)):
        digits, sign = found.groups()
    amount = read_decimal(digits)
    if not amount or (amount.value < 0 and minus):
        return None
    plain = sign.strip("\\ ")
    currency = next((c for c in CURRENCIES.values() if plain in (c.sign.strip(), c.code)), None)
    value = -amount.value if minus else amount.value
    return Money(value, currency, amount.places or 0) if currency else None


def _amount(gold: Money, separator: str = "", point: str = ".") -> str:
    minus = "-" if gold.amount < 0 else ""
    whole = f"{gold.units:,}".replace(",", separator)
    return minus + whole + (point + gold.after if gold.after else "")


def _signed(gold: Money, body: str) -> str:
    """The sign of the currency before `body`, which may begin with a minus."""
    minus = "-" if body.startswith("-") else ""
    return f"{minus}{gold.currency.sign.replace('$', chr(92) + '$')}{body.removeprefix('-')}"


def _named(gold: Money, rng: Random) -> str:
    return f"{gold.digits} {gold.currency.one if gold.amount == 1 else gold.currency.many}"


def _grouped_money(separator: str) -> Writer:
    return lambda gold, rng: _signed(gold, _amount(gold, separator)) if gold.units >= 1000 else None


def _with_comma(gold: Money, rng: Random) -> str | None:
    if gold.currency.code != "EUR" or len(gold.after) != 2:
        return None
    return f"{_amount(gold, rng.choice(['.', ' ']) if gold.units >= 1000 else '', ',')} €"


def _cents(gold: Money, rng: Random) -> str | None:
    if not gold.currency.cents or gold.currency.code not in ("USD", "EUR", "GBP") or gold.units > 100:
        return None
    return f"{gold.amount * gold.currency.cents} {gold.currency.cent}"


def _and_cents(gold: Money, rng: Random) -> str | None:
    cents = abs(gold.amount) % 1 * 100
    if cents < 2 or gold.amount < 2 or gold.currency.code not in ("USD", "EUR", "GBP"):
        return None
    return f"{gold.units} {gold.currency.many} and {cents} {gold.currency.cent}"


def _lakhs(gold: Money, rng: Random) -> str | None:
    written = in_lakhs(gold.units) if gold.currency.code == "INR" else None
    return f"₹{written}{'.' + gold.after if gold.after else ''}" if written and gold.amount > 0 else None


def _words_of_money(gold: Money, rng: Random) -> str | None:
    if gold.after or gold.amount < 2 or gold.amount >= 10**9:
        return None
    return f"{in_words(gold.units)} {gold.currency.many}"


def _million(gold: Money, rng: Random) -> str | None:
    for size, name in ((10**6, "million"), (10**3, "thousand")):
        text = decimal_text(gold.amount / size)
        if gold.amount >= size and text and len(text) <= 4:
            return f"{_signed(gold, text)} {name}"
    return None


def _more_money(gold: Money, by: Fraction) -> Money:
    return replace(gold, amount=gold.amount + by)


def _times_money(gold: Money, by: Fraction) -> Money:
    amount = gold.amount * by
    text = decimal_text(amount) or ""
    return replace(gold, amount=amount, places=max(gold.places, len(text.partition(".")[2])))


def _money_digits(gold: Money, digits: str | None) -> Money | None:
    return replace(gold, amount=Fraction(digits)) if digits else None


def _money_digit(gold: Money, rng: Random) -> Money | None:
    places = [place for place, digit in enumerate(gold.digits) if digit.isdigit()]
    return _money_digits(gold, next_digit(gold.digits, rng.choice(places)))


def _other_currency(gold: Money, rng: Random) -> Money:
    others = [currency for code, currency in CURRENCIES.items() if code != gold.currency.code]
    return replace(gold, currency=rng.choice(others))


MONEY = Entry(
    Kind.MONEY,
    draw_money,
    read_money,
    keeps={
        "in a box": MATH["in a box"],
        "trailing period": MATH["trailing period"],
        "white space around": MATH["white space around"],
        "sign after the amount": lambda gold, rng: (
            f"{gold.digits} {gold.currency.sign.strip()}" if gold.currency.code != "CHF" else None
        ),
        "sign right after the amount": lambda gold, rng: (
            f"{gold.digits}{gold.currency.sign}" if gold.currency.code in ("EUR", "USD") else None
        ),
        "code before the amount": lambda gold, rng: f"{gold.currency.code} {gold.digits}",
        "code after the amount": lambda gold, rng: f"{gold.digits} {gold.currency.code}",
        "code in \\text": lambda gold, rng: rf"{gold.digits}\text{{ {gold.currency.code}}}",
        "name of the currency": _named,
        "name of the currency in \\text": lambda gold, rng: (
            rf"{gold.digits} \text{{ {gold.currency.many}}}" if abs(gold.amount) != 1 else None
        ),
        "space after the sign": lambda gold, rng: (
            gold.text.replace("$", "$ ", 1) if "$" in gold.text else None
        ),
        "plain dollar sign": lambda gold, rng: gold.text.replace(r"\$", "$"),
        "two zeros after the point": lambda gold, rng: (
            f"{gold.text}.00" if not gold.after and gold.currency.cents else None
        ),
        "commas between thousands": _grouped_money(","),
        "commas of LaTeX between thousands": _grouped_money("{,}"),
        "spaces between thousands": _grouped_money("\u202f"),
        "apostrophes between thousands": lambda gold, rng: (
            f"CHF {_amount(gold, chr(39))}" if gold.currency.code == "CHF" and gold.units >= 1000 else None
        ),
        "decimal comma": _with_comma,
        "in cents": _cents,
        "cents apart": _and_cents,
        "lakhs": _lakhs,
        "in words": _words_of_money,
        "name of a large number": _million,
        "sign in \\text": lambda gold, rng: (
            rf"\text{{{gold.currency.sign}}}{gold.digits}"
            if gold.currency.code in ("EUR", "GBP", "JPY", "INR") and gold.amount > 0
            else None
        ),
    },
    changes={
        "another currency": _other_currency,
        "another currency by name": lambda gold, rng: _named(_other_currency(gold, rng), rng),
        "one more": lambda gold, rng: _more_money(gold, Fraction(1)),
        "one less": lambda gold, rng: _more_money(gold, Fraction(-1)),
        "a cent more": lambda gold, rng: (
            replace(_more_money(gold, Fraction(1, 100)), places=2) if gold.currency.cents else None
        ),
        "times 10": lambda gold, rng: _times_money(gold, Fraction(10)),
        "a tenth": lambda gold, rng: _times_money(gold, Fraction(1, 10)),
        "sign flipped": lambda gold, rng: replace(gold, amount=-gold.amount),
        "doubled": lambda gold, rng: _times_money(gold, Fraction(2)),
        "one digit changed": _money_digit,
        "neighbours swapped": lambda gold, rng: _money_digits(gold, swap_digits(gold.digits)),
        "cents for whole ones": lambda gold, rng: (
            f"{gold.digits} {gold.currency.cent}" if gold.currency.code in ("USD", "EUR", "GBP") else None
        ),
        "millions of it": lambda gold, rng: f"{gold.text} million" if gold.amount else None,
        "per hour": lambda gold, rng: f"{gold.text} per hour",
        "cents dropped": lambda gold, rng: replace(gold, amount=Fraction(gold.units), places=0),
        "range": lambda gold, rng: (
            f"{gold.text}–{_more_money(gold, Fraction(5)).text}" if gold.amount > 0 else None
        ),
        "one of two": lambda gold, rng: f"{gold.text} or {_more_money(gold, Fraction(1)).text}",
        "percent": lambda gold, rng: rf"{gold.digits}\%",
    },
)


# --- quantities -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unit:
    """`size` in the base unit of its `dimension`; `plain` may be m/s^2, `latex` stands in \\mathrm."""

    plain: str
    size: Fraction
    dimension: str
    names: tuple[str, str]
    latex: str

    @property
    def unicode(self) -> str:
        return self.plain.replace("^2", "²").replace("^3", "³")


def _unit(plain: str, size: str, dimension: str, one: str, many: str, latex: str = "") -> Unit:
    return Unit(plain, Fraction(size), dimension, (one, many), latex or plain)


UNITS: Mapping[str, Unit] = {
    unit.plain: unit
    for unit in (
        _unit("km", "1000", "length", "kilometer", "kilometers"),
        _unit("m", "1", "length", "meter", "meters"),
        _unit("cm", "1/100", "length", "centimeter", "centimeters"),
        _unit("mm", "1/1000", "length", "millimeter", "millimeters"),
        _unit("µm", "1/1000000", "length", "micrometer", "micrometers", r"\mu m"),
        _unit("kg", "1000", "mass", "kilogram", "kilograms"),
        _unit("g", "1", "mass", "gram", "grams"),
        _unit("mg", "1/1000", "mass", "milligram", "milligrams"),
        _unit("ms", "1/1000", "time", "millisecond", "milliseconds"),
        _unit("s", "1", "time", "second", "seconds"),
        _unit("min", "60", "time", "minute", "minutes"),
        _unit("h", "3600", "time", "hour", "hours"),
        _unit("m/s", "1", "speed", "meter per second", "meters per second"),
        _unit("km/h", "5/18", "speed", "kilometer per hour", "kilometers per hour"),
        _unit("m/s^2", "1", "acceleration", "meter per second squared", "meters per second squared"),
        _unit("cm^2", "1/10000", "area", "square centimeter", "square centimeters"),
        _unit("m^2", "1", "area", "square meter", "square meters"),
        _unit("km^2", "1000000", "area", "square kilometer", "square kilometers"),
        _unit("cm^3", "1/1000000", "volume", "cubic centimeter", "cubic centimeters"),
        _unit("m^3", "1", "volume", "cubic meter", "cubic meters"),
        _unit("L", "1/1000", "volume", "liter", "liters"),
        _unit("mL", "1/1000000", "volume", "milliliter", "milliliters"),
        _unit("N", "1", "force", "newton", "newtons"),
        _unit("kN", "1000", "force", "kilonewton", "kilonewtons"),
        _unit("J", "1", "energy", "joule", "joules"),
        _unit("kJ", "1000", "energy", "kilojoule", "kilojoules"),
        _unit("kWh", "3600000", "energy", "kilowatt-hour", "kilowatt-hours"),
        _unit("W", "1", "power", "watt", "watts"),
        _unit("kW", "1000", "power", "kilowatt", "kilowatts"),
        _unit("mW", "1/1000", "power", "milliwatt", "milliwatts"),
        _unit("MW", "1000000", "power", "megawatt", "megawatts"),
        _unit("V", "1", "voltage", "volt", "volts"),
        _unit("mV", "1/1000", "voltage", "millivolt", "millivolts"),
        _unit("A", "1", "current", "ampere", "amperes"),
        _unit("mA", "1/1000", "current", "milliampere", "milliamperes"),
        _unit("Ω", "1", "resistance", "ohm", "ohms", r"\Omega"),
        _unit("kΩ", "1000", "resistance", "kilohm", "kilohms", r"k\Omega"),
        _unit("Hz", "1", "frequency", "hertz", "hertz"),
        _unit("MHz", "1000000", "frequency", "megahertz", "megahertz"),
        _unit("Pa", "1", "pressure", "pascal", "pascals"),
        _unit("kPa", "1000", "pressure", "kilopascal", "kilopascals"),
        _unit("mol", "1", "amount", "mole", "moles"),
        _unit("mmol", "1/1000", "amount", "millimole", "millimoles"),
        _unit("in", "127/5000", "length", "inch", "inches"),
        _unit("ft", "381/1250", "length", "foot", "feet"),
        _unit("g/cm^3", "1000", "density", "gram per cubic centimeter", "grams per cubic centimeter"),
        _unit("kg/m^3", "1", "density", "kilogram per cubic meter", "kilograms per cubic meter"),
        _unit("N m", "1", "torque", "newton meter", "newton meters", r"N \cdot m"),
    )
}
_SIMILAR = {
    "mW": "MW", "MW": "mW", "m": "mm", "mm": "m", "kg": "g", "g": "kg", "km": "m", "h": "min", "min": "s",
    "s": "ms", "kW": "W", "kWh": "kW", "km/h": "m/s", "m/s": "km/h", "L": "mL", "mL": "L", "N": "kN",
    "in": "ft", "ft": "in", "J": "kJ", "kJ": "J", "cm": "mm", "V": "mV", "A": "mA", "Ω": "kΩ",
    "Hz": "MHz", "Pa": "kPa", "mg": "g", "mol": "mmol", "W": "kW", "µm": "mm", "kΩ": "Ω", "kPa": "Pa",
    "mA": "A", "mV": "V", "kN": "N",
    "cm^2": "m^2", "m^2": "cm^2", "km^2": "m^2", "cm^3": "m^3", "m^3": "cm^3", "ms": "s", "MHz": "Hz",
    "mmol": "mol", "g/cm^3": "kg/m^3", "kg/m^3": "g/cm^3",
}  # fmt: skip
_OTHER_POWER = {
    "m": "m^2", "cm": "cm^2", "km": "km^2", "m^2": "m^3", "cm^2": "cm^3", "cm^3": "cm^2", "m^3": "m^2",
    "m/s": "m/s^2", "m/s^2": "m/s", "km^2": "km", "N m": "N", "N": "N m", "kWh": "kW",
}  # fmt: skip
_INVERSE = {
    "m/s": "s/m",
    "km/h": "h/km",
    "g/cm^3": "cm^3/g",
    "kg/m^3": "m^3/kg",
    "s": "s^{-1}",
    "m": "m^{-1}",
}


@dataclass(frozen=True)
class Quantity:
    number: Fraction
    unit: Unit
    form: int = 0

    @property
    def body(self) -> str:
        return decimal_text(self.number) or f"{self.number.numerator}/{self.number.denominator}"

    @property
    def text(self) -> str:
        forms = (
            f"{self.body} {self.unit.plain}",
            rf"{self.body} \text{{ {self.unit.unicode}}}",
            rf"{self.body}\,\mathrm{{{self.unit.latex}}}",
        )
        return forms[self.form]

    @property
    def value(self) -> tuple[Fraction, str]:
        return self.number * self.unit.size, self.unit.dimension


def draw_quantity(rng: Random) -> Quantity:
    unit = rng.choice(list(UNITS.values()))
    places = rng.choice([0, 0, 1, 2])
    number = Fraction(rng.randrange(2, 10 ** (places + rng.choice([1, 2, 3]))), 10**places)
    return Quantity(number, unit, rng.randrange(3))


_QUANTITY = re.compile(r"(-?[\d.,]+|-?\d+/\d+|-?\\[dt]?frac\{\d+\}\{\d+\})(?:\s|\\[,; ]|~)*(\S.*)")
_ROMAN = re.compile(r"\\(?:text|mathrm|mbox)\s*\{\s*([^{}]*?)\s*\}")
_NAMES = {
    name: unit for unit in UNITS.values() for name in (*unit.names, unit.plain, unit.latex, unit.unicode)
}


def read_quantity(text: str) -> Quantity | None:
    """12 km, 5\\text{ m}, 9.8 \\mathrm{m/s^2}, 3 hours."""
    match = _QUANTITY.fullmatch(text)
    number = (read_decimal(match[1]) or read_fraction(match[1])) if match else None
    if match is None or number is None:
        return None
    unit = _NAMES.get(_ROMAN.sub(r"\1", match[2]).strip().replace("^{2}", "^2").replace("μ", "µ"))
    return (
        Quantity(number.value, unit, 1 if r"\text" in text else 2 if r"\m" in text else 0) if unit else None
    )


def _spelled_unit(gold: Quantity, rng: Random) -> str:
    return f"{gold.body} {gold.unit.names[gold.number != 1]}"


def _converted(gold: Quantity, rng: Random) -> Quantity | None:
    """In another unit of the same dimension, where that is a short decimal."""
    others = []
    for unit in UNITS.values():
        text = decimal_text(gold.number * gold.unit.size / unit.size)
        if unit.dimension == gold.unit.dimension and unit != gold.unit and text and len(text) <= 8:
            others.append(unit)
    if not others:
        return None
    unit = rng.choice(others)
    return Quantity(gold.number * gold.unit.size / unit.size, unit, gold.form)


def _negative_powers(gold: Quantity, rng: Random, joint: str, power: str) -> str | None:
    upper, slash, lower = gold.unit.plain.partition("/")
    if not slash:
        return None
    base, _, exponent = lower.partition("^")
    return f"{upper}{joint}{base}{power.format(exponent or 1)}"


def _powers_of_latex(gold: Quantity, rng: Random) -> str | None:
    written = _negative_powers(gold, rng, r"\,", "^{{-{}}}")
    return rf"{gold.body}\ \mathrm{{{written}}}" if written else None


def _powers_of_unicode(gold: Quantity, rng: Random) -> str | None:
    written = _negative_powers(gold, rng, "·", "⁻{}")
    return f"{gold.body} {written.translate(str.maketrans('123', '¹²³'))}" if written else None


def _fraction_of_units(gold: Quantity, rng: Random) -> str | None:
    upper, slash, lower = gold.unit.plain.partition("/")
    return rf"{gold.body}\,\frac{{\mathrm{{{upper}}}}}{{\mathrm{{{lower}}}}}" if slash else None


_BRITISH = {"meter": "metre", "liter": "litre"}


def _british(gold: Quantity, rng: Random) -> str | None:
    written = _spelled_unit(gold, rng)
    for here, there in _BRITISH.items():
        written = written.replace(here, there)
    return written if written != _spelled_unit(gold, rng) else None


def _quantity_in_e(gold: Quantity, rng: Random) -> str | None:
    found = scientific(gold.number)
    return (
        rf"{found[0]} \times 10^{{{found[1]}}}\ \mathrm{{{gold.unit.latex}}}" if found and found[1] else None
    )


def _number_changed(gold: Quantity, digits: str | None) -> Quantity | None:
    return replace(gold, number=Fraction(digits)) if digits and decimal_text(gold.number) else None


def _quantity_digit(gold: Quantity, rng: Random) -> Quantity | None:
    places = [place for place, digit in enumerate(gold.body) if digit.isdigit()]
    return _number_changed(gold, next_digit(gold.body, rng.choice(places)))


def _similar(table: Mapping[str, str]) -> Writer:
    def written(gold: Quantity, rng: Random) -> Quantity | None:
        other = table.get(gold.unit.plain)
        return replace(gold, unit=UNITS[other]) if other else None

    return written


def _other_dimension(gold: Quantity, rng: Random) -> Quantity:
    related = {gold.unit.dimension, "torque", "energy"}  # N m and J have one dimension
    units = [unit for unit in UNITS.values() if unit.dimension not in related]
    return replace(gold, unit=rng.choice(units))


def _wrong_conversion(gold: Quantity, rng: Random) -> Quantity | None:
    found = _converted(gold, rng)
    return (
        replace(found, number=found.number * rng.choice([Fraction(10), Fraction(100), Fraction(1, 10)]))
        if found
        else None
    )


def _reversed_conversion(gold: Quantity, rng: Random) -> Quantity | None:
    found = _converted(gold, rng)
    number = gold.number * found.unit.size / gold.unit.size if found else None
    return replace(found, number=number) if found and number and decimal_text(number) else None


def _quantity_suffix(template: str) -> Writer:
    def written(gold: Quantity, rng: Random) -> str:
        unit = gold.unit
        return gold.body + template.format(plain=unit.plain, unicode=unit.unicode, latex=unit.latex)

    return written


QUANTITY = Entry(
    Kind.QUANTITY,
    draw_quantity,
    read_quantity,
    keeps={
        **MATH,
        "plain": _quantity_suffix(" {plain}"),
        "no space": _quantity_suffix("{unicode}"),
        "space of Unicode": _quantity_suffix("\u202f{unicode}"),
        "unit in \\text": _quantity_suffix(r"\text{{ {unicode}}}"),
        "unit in \\mathrm": _quantity_suffix(r"\,\mathrm{{{latex}}}"),
        "tie before the unit": _quantity_suffix(r"~\mathrm{{{latex}}}"),
        "unit in \\mathrm after a space": _quantity_suffix(r"\ \mathrm{{{latex}}}"),
        "name of the unit": _spelled_unit,
        "British name of the unit": _british,
        "name of the unit in \\text": lambda gold, rng: (
            rf"{gold.body} \text{{ {gold.unit.names[gold.number != 1]}}}"
        ),
        "another unit": _converted,
        "another unit by name": lambda gold, rng: (
            _spelled_unit(found, rng) if (found := _converted(gold, rng)) else None
        ),
        "negative powers of LaTeX": _powers_of_latex,
        "negative powers of Unicode": _powers_of_unicode,
        "fraction of units": _fraction_of_units,
        "trailing zero": lambda gold, rng: (
            f"{gold.body}{'0' if '.' in gold.body else '.0'} {gold.unit.plain}"
            if decimal_text(gold.number)
            else None
        ),
        "scientific": _quantity_in_e,
        "commas between thousands": lambda gold, rng: (
            f"{written} {gold.unit.plain}"
            if gold.number.denominator == 1 and (written := grouped(int(gold.number), ","))
            else None
        ),
        "Greek mu": lambda gold, rng: gold.text.replace("µ", "μ"),
        "in words": lambda gold, rng: (
            f"{in_words(int(gold.number))} {gold.unit.names[1]}"
            if gold.number.denominator == 1 and 1 < gold.number < 1000
            else None
        ),
        "named": lambda gold, rng: f"{rng.choice('xdtv')} = {gold.text}",
    },
    changes={
        "similar unit": _similar(_SIMILAR),
        "similar unit by name": lambda gold, rng: (
            _spelled_unit(found, rng)
            if isinstance(found := _similar(_SIMILAR)(gold, rng), Quantity)
            else None
        ),
        "another power of the unit": _similar(_OTHER_POWER),
        "inverse unit": lambda gold, rng: (
            f"{gold.body} {_INVERSE[gold.unit.plain]}" if gold.unit.plain in _INVERSE else None
        ),
        "unit of another dimension": _other_dimension,
        "+ 1": lambda gold, rng: replace(gold, number=gold.number + 1),
        "− 1": lambda gold, rng: replace(gold, number=gold.number - 1),
        "times 10": lambda gold, rng: replace(gold, number=gold.number * 10),
        "a tenth": lambda gold, rng: replace(gold, number=gold.number / 10),
        "sign flipped": lambda gold, rng: replace(gold, number=-gold.number),
        "one digit changed": _quantity_digit,
        "neighbours swapped": lambda gold, rng: _number_changed(gold, swap_digits(gold.body)),
        "converted with a wrong power of ten": _wrong_conversion,
        "converted the wrong way": _reversed_conversion,
        "per hour": lambda gold, rng: f"{gold.body} {gold.unit.plain} per hour",
        "per second in \\mathrm": lambda gold, rng: (
            rf"{gold.body}\ \mathrm{{{gold.unit.latex}/s}}" if "/" not in gold.unit.plain else None
        ),
        "percent": lambda gold, rng: rf"{gold.body}\%",
        "money": lambda gold, rng: rf"\${gold.body}",
        "range": lambda gold, rng: f"{gold.body}–{decimal_text(gold.number + 5)} {gold.unit.plain}",
        "one of two": lambda gold, rng: f"{gold.text} or {replace(gold, number=gold.number + 1).text}",
    },
)

ENTRIES = (MONEY, QUANTITY)
