"""Units of measurement: their names in text and LaTeX, and what they are in base units.

pint knows the units, their prefixes and their exact factors. A word that it does not know counts
something ("12 screws"), and is a unit of its own. Text is taken apart here, so that no text of a
model reaches pint but single words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import pint
from babel import Locale

MAX_WORDS = 6
MAX_LENGTH = 80  # characters of a unit
MAX_POWER = 9

_FACTORS = {
    "hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "mio": 10**6, "mrd": 10**9, "lakh": 10**5, "crore": 10**7, "millionen": 10**6, "millions": 10**6,
    "thousands": 1_000, "billions": 10**9, "dozens": 12,
}  # fmt: skip
_PARTS = {
    part + plural: Fraction(1, number)
    for number, part in enumerate(
        ["third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], 3
    )
    for plural in ("", "s")
} | {"halves": Fraction(1, 2), "hundredths": Fraction(1, 100), "thousandths": Fraction(1, 1000)}
# What people write and pint has under another name.
_ALIASES = {
    "sec": "s", "secs": "s", "min": "minute", "mins": "minute", "hr": "hour", "hrs": "hour", "hs": "hour",
    "lbs": "lb", "yds": "yd", "ins": "inch", "in": "inch", "mph": "mi/h", "kph": "km/h", "kmh": "km/h",
    "kmph": "km/h", "sqm": "m^2", "sqft": "ft^2", "cc": "cm^3", "rev": "turn", "revs": "turn",
    "revolution": "turn", "rotation": "turn", "rpm": "turn/minute", "rps": "turn/s", "Torr": "torr",
    "ohms": "ohm", "Ohm": "ohm", "Ω": "ohm", "ω": "ohm", "Å": "angstrom", "amps": "A", "amp": "A",
    "fps": "ft/s", "Wh": "W*hour", "ha": "hectare", "gal": "gallon", "tsp": "teaspoon", "l": "liter",
    "L": "liter", "µ": "micron", "Kg": "kg", "KG": "kg", "gm": "g", "gms": "g", "Km": "km", "KM": "km",
    "Sek": "s", "Sekunde": "s", "Sekunden": "s", "Minute": "minute", "Minuten": "minute", "Stunde": "hour",
    "Stunden": "hour", "Std": "hour", "Tag": "day", "Tage": "day", "Tagen": "day", "Woche": "week",
    "Wochen": "week", "heure": "hour", "heures": "hour", "jour": "day", "jours": "day", "hora": "hour",
    "horas": "hour", "minuto": "minute", "minutos": "minute", "segundo": "s", "segundos": "s",
    "seconde": "s", "secondes": "s", "día": "day", "días": "day", "ora": "hour", "ore": "hour",
    "minuti": "minute", "secondi": "s", "uur": "hour", "metro": "m", "metros": "m", "metri": "m",
    "mètre": "m", "mètres": "m", "Meter": "m", "litro": "liter", "litros": "liter", "Gramm": "g",
    "Kilogramm": "kg", "小时": "hour", "小時": "hour", "时间": "hour", "時間": "hour", "시간": "hour",
    "分钟": "minute", "分鐘": "minute", "分": "minute", "분": "minute", "秒": "s", "초": "s", "天": "day",
    "米": "m", "厘米": "cm", "公里": "km", "千米": "km", "公斤": "kg", "千克": "kg", "克": "g", "升": "liter",
    "метр": "m", "метра": "m", "метров": "m", "м": "m", "см": "cm", "мм": "mm", "км": "km", "кг": "kg",
    "г": "g", "ч": "hour", "час": "hour", "часа": "hour", "часов": "hour", "мин": "minute", "минут": "minute",
    "минуты": "minute", "с": "s", "сек": "s", "секунд": "s", "л": "liter",
    "Nm": "N*m", "oe": "oersted", "dioptre": "dioptre", "fortnight": "fortnight", "sq": "square",
}  # fmt: skip
# pint reads constants and rare units into single letters; these alone are units in an answer.
_LETTERS = frozenset("msghlLNJWVAKCFTHSPdt")
# Short words that pint has as something nobody means in an answer.
_NOT_PINT = frozenset(["at", "as", "are", "bats", "cats", "hats", "mats", "pats", "rats", "pi", "cs", "ms2"])
# Counted without saying what.
_COUNTS = frozenset(
    [
        "unit", "piece", "pc", "pcs", "item", "piece(s)", "stück", "stücke", "stk", "pièce", "pieza", "pezzo",
        "pezzi", "sztuk", "sztuki", "ks", "kus", "шт", "штук", "штуки", "adet", "tane", "個", "个", "개",
        "つ",         "buah", "chiếc", "cái", "count", "ea", "each", "nos", "time", "stuk", "stuks", "peça",
        "pz", "uds",
    ]
)  # fmt: skip
# Words that say more than what is counted: then the number alone is not the answer.
_NOT_UNITS = frozenset(
    [
        "or", "and", "not", "no", "is", "isn't", "are", "aren't", "was", "were", "be", "being", "been",
        "has", "have", "had", "wrong", "false", "incorrect", "right", "true", "but", "maybe", "perhaps",
        "possibly", "about", "approximately", "roughly", "nearly", "almost", "more", "less", "fewer",
        "greater", "smaller", "larger", "at", "than", "least", "most", "minus", "plus", "times", "squared",
        "cubed", "half", "twice", "double", "triple", "if", "unless", "except", "without", "over", "under",
        "divided", "multiplied", "added", "subtracted", "equals", "equal", "root", "power", "factorial",
        "either", "neither", "nor", "another", "other", "different", "only", "also", "could", "would",
        "should", "might", "may", "can", "cannot", "can't", "does", "do", "did", "doesn't", "don't",
        "didn't", "n't", "pi", "mod", "modulo", "base", "to", "through", "from", "between", "am", "pm", "a",
        "choose", "e", "i", "infinity", "because", "since", "wait", "hmm", "so", "then", "too", "ago",
    ]
)  # fmt: skip
_SYMBOLS = {
    "$": "USD", "US$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "￥": "JPY", "₹": "INR", "₽": "RUB",
    "₩": "KRW", "₺": "TRY", "₫": "VND", "₴": "UAH", "₪": "ILS", "฿": "THB", "R$": "BRL", "A$": "AUD",
    "C$": "CAD", "CA$": "CAD", "AU$": "AUD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD", "₿": "BTC", "zł": "PLN",
    "Kč": "CZK", "Rs": "INR", "Rs.": "INR", "RMB": "CNY", "Fr.": "CHF", "元": "CNY", "円": "JPY", "원": "KRW",
}  # fmt: skip
_MONEY_WORDS = {
    "dollar": "USD", "buck": "USD", "euro": "EUR", "yen": "JPY", "yuan": "CNY", "rupee": "INR",
    "ruble": "RUB",     "rouble": "RUB", "рублей": "RUB", "рубля": "RUB", "рубль": "RUB", "руб": "RUB",
    "won": "KRW",
    "franc": "CHF", "franken": "CHF", "peso": "MXN", "złoty": "PLN", "zloty": "PLN", "złotych": "PLN",
    "lira": "TRY", "real": "BRL", "reais": "BRL", "dólar": "USD", "dólare": "USD", "usd": "USD", "eur": "EUR",
    "gbp": "GBP", "us dollar": "USD", "rs": "INR", "krone": "DKK", "krona": "SEK", "baht": "THB",
}  # fmt: skip
_HUNDREDTHS = {
    "cent": "USD", "ct": "USD", "¢": "USD", "cts": "USD", "pence": "GBP", "penny": "GBP", "centime": "EUR",
    "céntimo": "EUR", "centesimo": "EUR", "eurocent": "EUR", "paise": "INR", "kopeck": "RUB", "копеек": "RUB",
}  # fmt: skip
_VARIABLES = re.compile(r"[abcd]{2,3}|[xyzt]{2,3}|[kmnpq]{2,3}|[abcxyz]{3}|[pqrst]{3}")
_PRODUCT = re.compile(r"[abcd]{2,3}|[xyzt]{2,3}")
_FRACTION = re.compile(r"\\frac\s?\{([^{}]+)\}\s?\{([^{}]+)\}")
_WORD = re.compile(
    r"fluid_ounce|[^\W\d_]+(?:['’.-][^\W\d_]+)*\.?|[%‰€£¥₹₽₩₺₫₴₪฿¢$]|°\s?[CFR]?(?![A-Za-z])|['\"′″]"
)
_POWER = re.compile(r"\^?\{?([-+]?\d)\}?")
_SPACE = re.compile(r"[\s·*⋅×]+|\.(?=[A-Za-z])")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")


@dataclass(frozen=True)
class Unit:
    """`value` of it are `value · scale + offset` of `base`: base units, money, or what is counted."""

    base: str
    scale: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    counted: bool = False  # a noun that is no unit of measurement


NO_UNIT = Unit("")
DEGREE = Unit("degree")


@cache
def currency_codes() -> frozenset[str]:
    """The ISO 4217 codes."""
    return frozenset(Locale("en").currencies)


def currency(text: str) -> str | None:
    """The ISO code of a currency's sign, code or name in the singular: "€", "EUR", "euro"."""
    if text in _SYMBOLS:
        return _SYMBOLS[text]
    if len(text) == 3 and text.isupper() and text in currency_codes():
        return text
    return _MONEY_WORDS.get(text.lower()) or _MONEY_WORDS.get(text.lower().rstrip("s."))


CURRENCY_SIGN = re.compile(
    "|".join(re.escape(sign) for sign in sorted(_SYMBOLS, key=len, reverse=True)) + r"|[A-Z]{3}(?![A-Za-z])"
)


@lru_cache(maxsize=1 << 12)
def read_unit(text: str) -> tuple[Fraction, Unit] | None:
    """The factor and the unit that plain `text` behind a number stands for; None if it is no unit.

    >>> read_unit("million dollars")
    (Fraction(1000000, 1), Unit(base='USD', scale=Fraction(1, 1), offset=Fraction(0, 1)))
    """
    text = _FRACTION.sub(r"(\1)/(\2)", " ".join(text.translate(_SUPERSCRIPTS).strip().split()))
    text = re.sub(r"\s*\b(?:per|pro|par|por|je)\b\s*", "/", re.sub(r"\bfl\.? ?oz\b\.?", "fluid_ounce", text))
    if not text or len(text) > MAX_LENGTH:
        return None
    factor = Fraction(1)
    words = text.split()
    while words and (word := words[0].lower().rstrip(".")) in (_FACTORS | _PARTS):
        factor *= Fraction(_FACTORS.get(word) or _PARTS[word])
        words.pop(0)
    if words[:1] == ["of"]:
        words.pop(0)
    rest = " ".join(words)
    if not rest:
        return factor, NO_UNIT
    said = [word.lower().strip(".,") for word in re.split(r"[\s/]+", rest)]
    if any(
        word in _NOT_UNITS and not (place and word in ("squared", "cubed")) for place, word in enumerate(said)
    ):
        return None
    unit = _money(rest) or _measured(rest) or _counted(rest)
    return None if unit is None else (factor, unit)


def _money(text: str) -> Unit | None:
    bare = text.rstrip(".,-–")
    if (code := currency(bare)) is not None:
        return Unit(code)
    whole = _HUNDREDTHS.get(bare.lower()) or _HUNDREDTHS.get(bare.lower().rstrip("s"))
    return None if whole is None else Unit(whole, Fraction(1, 100))


@cache
def _registry() -> Any:
    return pint.UnitRegistry(non_int_type=Fraction, cache_folder=None)


@lru_cache(maxsize=1 << 12)
def _base(word: str) -> Unit | None:
    """One word as a unit of pint's, in its base units."""
    if word in ("°C", "degC", "celsius", "Celsius"):
        return Unit("kelvin", Fraction(1), Fraction(27315, 100))
    if word in ("°F", "degF", "fahrenheit", "Fahrenheit"):
        return Unit("kelvin", Fraction(5, 9), Fraction(45967, 180))
    if word in ("°", "deg", "degree", "degrees"):
        return DEGREE
    if (len(word) == 1 and word not in _LETTERS and word.isascii()) or _PRODUCT.fullmatch(word):
        return None
    registry = _registry()
    for name in dict.fromkeys((word, word.lower() if len(word) > 1 else word)):
        known = {symbol: unit for symbol, unit in [(name, _known(registry, name))] if unit}
        if known:
            return known[name]
    return None


def _known(registry: Any, name: str) -> Unit | None:
    if name in _NOT_PINT or not name.replace("_", "").isalpha():
        return None
    readings = registry.parse_unit_name(name)
    if not readings:
        return None
    _, unit, suffix = readings[0]
    if not registry._units[unit].is_multiplicative:
        return Unit(name)  # decibels, and what else has no zero of its own
    if suffix and len(name) < 4 and unit not in ("day",):  # "ms" is no plural
        readings = [reading for reading in readings if not reading[2]] or readings
    if len(name) > 4 and name not in registry and name.rstrip("s") not in registry:
        return None
    quantity = registry.Quantity(Fraction(1), registry.Unit(name)).to_base_units()
    dimensions = Counter({str(part): int(power) for part, power in quantity._units.items()})
    if not isinstance(quantity.magnitude, Fraction | int):
        return None
    dimensions["radian"] = 0  # angles are counted in turns and degrees: π is not rational
    if unit in ("turn", "revolution"):
        return Unit("turn")
    if unit in ("radian",):
        return Unit("radian")
    return Unit(_named(dimensions), Fraction(quantity.magnitude)) if any(dimensions.values()) else None


def _named(dimensions: Mapping[str, int]) -> str:
    return "·".join(
        name if power == 1 else f"{name}^{power}" for name, power in sorted(dimensions.items()) if power
    )


def _dimensions(base: str) -> Iterator[tuple[str, int]]:
    for part in base.split("·"):
        name, _, power = part.partition("^")
        if name:
            yield name, int(power or 1)


def _measured(text: str) -> Unit | None:
    """Units that are multiplied and divided: m/s^2, m s^-2, liters per minute, J/(kg K), square inches."""
    tokens = list(_unit_tokens(text))
    if not tokens or len(tokens) > 4 * MAX_WORDS:
        return None
    total: Counter[str] = Counter()
    measured = False
    scale, offset, sign, inside = Fraction(1), Fraction(0), 1, 1
    pending = 1  # the power that "square" asks for
    last: tuple[Unit, int] | None = None
    for token in tokens:
        if token == "/":
            if last is None:
                return None
            sign, last = -1, None
        elif token == "(":
            inside, sign = sign, 1
        elif token == ")":
            inside = 1
        elif token in ("square", "cubic"):
            pending = 2 if token == "square" else 3
        else:
            word, power = token.partition("^")[::2]
            unit = _word_unit(word)
            if unit is None:
                return None
            times = int(power or pending) * sign * inside
            if abs(times) > MAX_POWER:
                return None
            if unit.offset:
                if len(tokens) > 1:
                    unit = Unit(unit.base, unit.scale)  # per °C is per kelvin
                offset = unit.offset
            for name, own in _dimensions(unit.base):
                total[name] += own * times
                measured = True
            scale *= unit.scale**times
            last, pending = (unit, times), 1
            if sign == -1 and inside == 1:
                sign = 1
    if last is None or pending != 1:
        return None
    cancelled = measured and not any(total.values())  # seconds per hour
    return Unit("1" if cancelled else _named(total), scale, offset)


def _unit_tokens(text: str) -> Iterator[str]:
    text = re.sub(r"\bsq\.?\s|\bsquare\s", "square ", text)
    text = re.sub(r"\bcu\.?\s|\bcubic\s", "cubic ", text)
    text = re.sub(r"(?<=[a-z])\s+squared\b", "^2", text)
    text = re.sub(r"(?<=[a-z])\s+cubed\b", "^3", text)
    position = 0
    while position < len(text):
        if space := _SPACE.match(text, position):
            position = space.end()
            continue
        character = text[position]
        if character in "/()":
            yield character
            position += 1
            continue
        word = _WORD.match(text, position)
        if word is None:
            yield "?"
            return
        position = word.end()
        name = word.group().replace(" ", "")
        power = _POWER.match(text, position)
        if power and (text[position] in "^{" or power.end() == len(text) or text[power.end()] in "/ )·*"):
            position = power.end()
            yield f"{name.rstrip('.')}^{int(power.group(1))}"
        else:
            yield name if name in ("square", "cubic") else name.rstrip(".")


def _word_unit(word: str) -> Unit | None:
    if not _COUNTS.isdisjoint((word.lower(), word.lower().rstrip("s"))):
        return NO_UNIT
    if "-" in word:  # kilowatt-hours
        return _measured(word.replace("-", " "))
    alias = _ALIASES.get(word)
    if alias is not None and alias != word:
        return _measured(alias) if any(sign in alias for sign in "/^*") else _base(alias)
    if (code := currency(word)) is not None:
        return Unit(code)
    return _base(word)


def _counted(text: str) -> Unit | None:
    """What is counted, by its head: steel screws are screws, boxes of screws are boxes."""
    head, _, rest = text.partition("/")
    words = re.split(r"\s+(?:of|de|von|di|van|in|per|left|remaining|altogether|total)\b", head.strip())[
        0
    ].split()
    if not words or len(words) > MAX_WORDS or not all(_WORD.fullmatch(word) for word in words):
        return None
    if not words[-1][0].isalpha() or (
        words[-1] < "\u2e80" and (len(words[-1]) < 3 or _VARIABLES.fullmatch(words[-1]))
    ):
        return None  # 5 x is a product, and so is 5 π
    noun = _singular(words[-1])
    if noun in _COUNTS:
        return NO_UNIT
    if rest:
        below = _measured(rest) or _counted(rest)
        return None if below is None else Unit(f"{noun}/{below.base}", 1 / below.scale, counted=True)
    return Unit(noun, counted=True)


def _singular(word: str) -> str:
    word = word.rstrip(".")
    if len(word) <= 3:
        return word  # mg is not Mg
    lower = word.lower()
    if lower.endswith("ies") and len(lower) > 4:
        return lower[:-3] + "y"
    return (
        lower.removesuffix("es")
        if lower.endswith(("ches", "shes", "xes", "sses"))
        else lower.removesuffix("s")
    )


# Words of units that may follow a number in a sentence.
UNIT_WORDS = sorted(
    {word for word in (*_ALIASES, *_MONEY_WORDS, *_COUNTS) if word != "in"}
    | {
        "meters",
        "metres",
        "centimeters",
        "kilometers",
        "miles",
        "yards",
        "feet",
        "inches",
        "grams",
        "kilograms",
    }
    | {"liters", "litres", "milliliters", "pounds", "ounces", "seconds", "minutes", "hours", "days", "weeks"}
    | {
        "months",
        "years",
        "dollars",
        "euros",
        "cents",
        "m",
        "cm",
        "mm",
        "km",
        "g",
        "kg",
        "mg",
        "ml",
        "s",
        "h",
    },
    key=len,
    reverse=True,
)
