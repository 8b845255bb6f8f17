"""Units of measurement in common use, with factors and dimensions from pint.

pint by itself accepts too many words: a hare is a hectare with a prefix, a candle a candela and a pole 5 m.
So the accepted words are listed here, with those that may have prefixes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any


@dataclass(frozen=True)
class Unit:
    """A unit: `value` in it is `value · scale + offset` in `base`, which is base units, a currency or a noun.

    `details` are further words: what is measured (kg of "flour"), or which things are counted ("red").
    """

    base: str
    scale: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    counted: bool = False  # a noun, not a unit of measurement
    details: frozenset[str] = frozenset()


DEGREE = Unit("degree")

_PREFIXED = {  # pint's name: its symbols, then its names
    "meter": ("m", "meter metre metro metri mètre метр"), "gram": ("g", "gram gramme gramm gramo grammo"),
    "second": ("s", "second"), "ampere": ("A", "ampere amp"), "kelvin": ("K", "kelvin"),
    "mole": ("mol", "mole"), "candela": ("cd", "candela"), "hertz": ("Hz", "hertz"),
    "newton": ("N", "newton"), "pascal": ("Pa", "pascal"), "joule": ("J", "joule"), "watt": ("W", "watt"),
    "coulomb": ("C", "coulomb"), "volt": ("V", "volt"), "farad": ("F", "farad"), "ohm": ("Ω ω", "ohm"),
    "siemens": ("S", "siemens"), "weber": ("Wb", "weber"), "tesla": ("T", "tesla"), "henry": ("H", "henry"),
    "lumen": ("lm", "lumen"), "lux": ("lx", "lux"), "becquerel": ("Bq", "becquerel"), "gray": ("Gy", "gray"),
    "sievert": ("Sv", "sievert"), "liter": ("L l ℓ", "liter litre litro"), "bar": ("bar", "bar"),
    "electron_volt": ("eV", "electronvolt"), "watt*hour": ("Wh", ""), "ampere*hour": ("Ah", ""),
    "volt*ampere": ("VA", ""), "tonne": ("t", "tonne"), "calorie": ("cal", "calorie"),
    "parsec": ("", "parsec"), "mole/liter": ("M", "molar"), "bit": ("bit", "bit"), "byte": ("B", "byte"),
    "bit/second": ("bps", ""), "torr": ("torr Torr", "torr"),
}  # fmt: skip
_PREFIXES = {
    "T": 12, "G": 9, "M": 6, "k": 3, "d": -1, "c": -2, "m": -3, "µ": -6, "u": -6, "n": -9, "p": -12,
    "f": -15, "h": 2,
}  # fmt: skip
_PREFIX_NAMES = {
    "tera": 12, "giga": 9, "mega": 6, "kilo": 3, "hecto": 2, "deca": 1, "deka": 1, "deci": -1, "centi": -2,
    "milli": -3, "micro": -6, "nano": -9, "pico": -12, "femto": -15, "peta": 15,
}  # fmt: skip
_EVERYDAY = frozenset("dch")  # prefixes only of metres, grams and litres
_BINARY = {
    f"{prefix}{unit}": f"{2 ** (10 * place)}*{name}"
    for place, prefix in enumerate(("Ki", "Mi", "Gi", "Ti"), 1)
    for unit, name in (("B", "byte"), ("bit", "bit"), ("b", "bit"))
}
# Words without prefixes; each name of two letters or more may have a plural s.
_OTHERS = {
    "minute": "min minute minuten minuto minuti 分钟 分鐘 分 분 мин минут минуты",
    "hour": "h hr hour std stunde stunden heure hora ora ore uur 小时 小時 时间 時間 시간 ч час часа часов",
    "day": "d day tag tage tagen jour día 天 дней день дня", "week": "wk week woche wochen",
    "second": "sec sek sekunde sekunden seconde segundo secondi 秒 초 с сек секунд",
    "month": "mo mth month", "year": "yr year", "10*year": "decade", "100*year": "century centuries",
    "14*day": "fortnight", "foot": "ft foot feet", "inch": "in inch inches", "yard": "yd yard",
    "mile": "mi mile", "nautical_mile": "nmi", "660*foot": "furlong", "66*foot": "chain", "6*foot": "fathom",
    "16.5*foot": "rod", "pound": "lb pound", "ounce": "oz ounce", "stone": "stone", "grain": "gr grain",
    "carat": "carat", "short_ton": "ton short_ton", "long_ton": "long_ton", "slug": "slug",
    "force_pound": "lbf", "force_pound*foot": "foot_pound", "kilopound_force": "kip", "gallon": "gal gallon",
    "quart": "qt quart", "pint": "pt pint", "cup": "cup", "tablespoon": "tbsp tablespoon",
    "teaspoon": "tsp teaspoon", "fluid_ounce": "fluid_ounce", "bushel": "bushel", "peck": "peck",
    "oil_barrel": "bbl", "43560*foot**2": "ac acre", "hectare": "ha hectare", "mile/hour": "mph",
    "kilometer/hour": "kph kmh kmph", "meter/second": "mps", "foot/second": "fps", "knot": "kn kt knot",
    "mile/gallon": "mpg", "meter**2": "sqm", "foot**2": "sqft", "centimeter**3": "cc ccm",
    "force_pound/inch**2": "psi", "standard_atmosphere": "atm atmosphere", "torr": "mmHg",
    "inch_Hg": "inHg", "horsepower": "hp horsepower", "Btu": "Btu btu", "kilocalorie": "Cal food_calorie",
    "light_year": "ly lightyear", "astronomical_unit": "au AU", "angstrom": "Å angstrom Angstrom",
    "micrometer": "micron µ", "thou": "mil thou", "dyne": "dyn dyne", "erg": "erg", "poise": "poise",
    "oersted": "oersted oe Oe", "unified_atomic_mass_unit": "u amu dalton", "curie": "Ci curie",
    "baud": "baud", "pixel": "px pixel", "newton*meter": "Nm", "watt*second": "Ws", "kilogram": "kilo kgs",
    "kilogram_force": "kgf", "1000*ohm": "kilohm kohm", "10**6*ohm": "megohm",
    "gram": "gm 克 г", "meter": "米 м метра метров", "centimeter": "厘米 см cms", "millimeter": "мм mms",
    "kilometer": "公里 千米 км kms", "kilogram ": "公斤 千克 кг", "liter": "升 л", "milliliter": "mls",
    "tesla/10000": "G gauss", "1/meter": "diopter dioptre",
}  # fmt: skip
# Symbols that are often written in capitals, or begin with one.
_ANY_CASE = frozenset(
    [
        "kg", "km", "cm", "mm", "lb", "lbs", "oz", "ft", "yd", "mph", "kph", "rpm", "rps", "psi", "ml", "hr",
        "hrs", "min", "mins", "sec", "secs", "kwh", "gm", "hz", "khz", "mhz", "ghz", "kb", "qt", "tsp",
        "tbsp", "sqm", "sqft", "mpg", "atm", "gal", "kgs", "kms", "mi",
    ]
)  # fmt: skip
_AS_WRITTEN = {"kwh": "kWh", "hz": "Hz", "khz": "kHz", "mhz": "MHz", "ghz": "GHz", "kb": "kB"}
_TURNS = frozenset(
    ["turn", "turns", "rev", "revs", "revolution", "revolutions", "rotation", "rotations", "r"]
)
# Units with the dimension of another quantity, but with a different meaning.
_APART = {"sievert": "sievert", "becquerel": "becquerel"}


@lru_cache(maxsize=1 << 12)
def measured_word(word: str) -> Unit | None:
    """One word as a unit of measurement, in base units: km, kilometres, Hz, psi; None for any other word."""
    special = _special(word)
    if special is not None:
        return special
    name, power = _listed(word)
    if name is None:
        return None
    return _in_base_units(name, Fraction(10) ** power)


def _special(word: str) -> Unit | None:
    """Units that are not a multiple of base units, and angles, because π is not rational."""
    lower = word.lower()
    if word in ("°C", "degC") or lower == "celsius":
        return Unit("kelvin", Fraction(1), Fraction(27315, 100))
    if word in ("°F", "degF") or lower == "fahrenheit":
        return Unit("kelvin", Fraction(5, 9), Fraction(45967, 180))
    if word == "°" or lower in ("deg", "degree", "degrees"):
        return DEGREE
    if lower in ("arcmin", "arcminute", "arcminutes", "arcsec", "arcsecond", "arcseconds"):
        return Unit("degree", Fraction(1, 60 if "min" in lower else 3600))
    if lower in ("rad", "radian", "radians"):
        return Unit("radian")
    if lower in _TURNS and word != "R":
        return Unit("turn")
    if lower in ("rpm", "rps"):
        return Unit("second^-1·turn", Fraction(1, 60 if lower == "rpm" else 1))
    if word in ("dB", "dBm", "dBA") or lower in ("decibel", "decibels"):
        return Unit("decibel" if lower[-1] in "bls" else word)
    if lower in ("steradian", "steradians", "sr"):
        return Unit("steradian")
    return None


@cache
def _tables() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Maps to pint's names: symbols with prefixes, names with prefixes, and words without prefixes."""
    symbols = {symbol: name for name, (written, _) in _PREFIXED.items() for symbol in written.split()}
    names = {word: name for name, (_, written) in _PREFIXED.items() for word in written.split()}
    others = {word: name.strip() for name, written in _OTHERS.items() for word in written.split()} | _BINARY
    return symbols, names, others


def _listed(word: str) -> tuple[str | None, int]:
    """pint's name for a word of the tables, and the power of ten before it."""
    symbols, names, others = _tables()
    lower = word.lower()
    if lower in _ANY_CASE:
        word = _AS_WRITTEN.get(lower, lower)
    if word in others:
        return others[word], 0
    if word in symbols:
        return symbols[word], 0
    prefix, symbol = word[:1], word[1:]
    if prefix in _PREFIXES and (symbol in symbols or symbol == "b"):
        name = symbols.get(symbol, "bit")
        if prefix not in _EVERYDAY or name in ("meter", "gram", "liter", "pascal"):
            return name, _PREFIXES[prefix]
    for singular in (
        lower,
        lower.removesuffix("s"),
        lower.removesuffix("ies") + "y",
        lower.removesuffix("es"),
    ):
        if len(singular) < 2:
            continue
        if singular in others:
            return others[singular], 0
        if singular in names and len(lower) > 2:
            return names[singular], 0
        spelled = next((prefix for prefix in _PREFIX_NAMES if singular.startswith(prefix)), None)
        if spelled is not None and singular.removeprefix(spelled) in names:
            return names[singular.removeprefix(spelled)], _PREFIX_NAMES[spelled]
    return None, 0


def measure_words() -> set[str]:
    """Units of two letters or more, as they may follow a number in a sentence."""
    _, names, others = _tables()
    words = {word for word in (*names, *others) if len(word) > 1 or word > "\x7f"}
    symbols = {"cm", "mm", "km", "kg", "mg", "ml"}
    return (
        words
        | symbols
        | {f"{word}s" for word in words if len(word) > 2 and word.isascii()}
        | {
            f"{prefix}{name}{plural}"
            for prefix in ("kilo", "centi", "milli")
            for name in ("meter", "metre", "gram", "liter", "litre")
            for plural in ("", "s")
        }
    )


@cache
def _registry() -> Any:
    import pint  # takes a fifth of the verifier's import time

    return pint.UnitRegistry(non_int_type=Fraction, cache_folder=None)


@cache
def _of_pint(name: str) -> tuple[str, Fraction]:
    """The base units of pint's unit `name`, and its factor."""
    if name in _APART:
        return name, Fraction(1)
    quantity = _registry().Quantity(name).to_base_units()
    dimensions = Counter({str(part): int(power) for part, power in quantity._units.items()})
    return named(dimensions), Fraction(quantity.magnitude)


def _in_base_units(name: str, factor: Fraction) -> Unit:
    base, scale = _of_pint(name)
    return Unit(base, scale * factor)


def named(dimensions: Mapping[str, int]) -> str:
    """The product of powers of base units as one name, in alphabetical order."""
    return "·".join(
        name if power == 1 else f"{name}^{power}" for name, power in sorted(dimensions.items()) if power
    )
