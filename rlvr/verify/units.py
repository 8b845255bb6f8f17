"""Units of measurement: parses their names in text and LaTeX, and converts them to base units.

`rlvr.verify.measures` lists the words that are units. An unknown word is a noun that is counted
("12 screws"), and a unit of its own. Text is split into words here, so that pint gets only single
words of a model's text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache, lru_cache

from babel import Locale

from rlvr.verify.measures import Unit, measure_words, measured_word, named

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
# Nouns that do not say what is counted.
_COUNTS = frozenset(
    [
        "unit", "piece", "pc", "pcs", "item", "piece(s)", "stück", "stücke", "stk", "pièce", "pieza", "pezzo",
        "pezzi", "sztuk", "sztuki", "ks", "kus", "шт", "штук", "штуки", "adet", "tane", "個", "个", "개",
        "つ",         "buah", "chiếc", "cái", "count", "ea", "each", "nos", "time", "stuk", "stuks", "peça",
        "pz", "uds",
    ]
)  # fmt: skip
# Words that add to the meaning: then the number alone is not the answer.
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
    "canadian dollar": "CAD", "australian dollar": "AUD", "american dollar": "USD", "u.s. dollar": "USD",
    "hong kong dollar": "HKD", "new zealand dollar": "NZD", "singapore dollar": "SGD", "swiss franc": "CHF",
    "british pound": "GBP", "pound sterling": "GBP", "pounds sterling": "GBP", "japanese yen": "JPY",
    "chinese yuan": "CNY", "indian rupee": "INR", "mexican peso": "MXN",
    "lira": "TRY", "real": "BRL", "reais": "BRL", "dólar": "USD", "dólare": "USD", "usd": "USD", "eur": "EUR",
    "gbp": "GBP", "us dollar": "USD", "rs": "INR", "krone": "DKK", "krona": "SEK", "baht": "THB",
}  # fmt: skip
_HUNDREDTHS = {
    "cent": "USD", "ct": "USD", "¢": "USD", "cts": "USD", "pence": "GBP", "penny": "GBP", "centime": "EUR",
    "céntimo": "EUR", "centesimo": "EUR", "eurocent": "EUR", "paise": "INR", "kopeck": "RUB", "копеек": "RUB",
}  # fmt: skip
_VARIABLES = re.compile(r"[abcd]{2,3}|[xyzt]{2,3}|[kmnpq]{2,3}|[abcxyz]{3}|[pqrst]{3}")
_FRACTION = re.compile(r"\\frac\s?\{([^{}]+)\}\s?\{([^{}]+)\}")
_WORD = re.compile(
    r"(?:fluid_ounce|foot_pound|short_ton|long_ton|food_calorie)(?![^\W\d_])|[^\W\d_]+(?:['’.-][^\W\d_]+)*\.?|[%‰€£¥₹₽₩₺₫₴₪฿¢$]|°\s?[CFR]?(?![A-Za-z])|['\"′″]"
)
_POWER = re.compile(r"(?:\^\s?\{?|\{)([-+]?\d)\}?|(\d)")
_SPACE = re.compile(r"[\s·*⋅×]+|\.(?=[A-Za-z])")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")


NO_UNIT = Unit("")


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
    word = text.lower().rstrip(".")
    return _MONEY_WORDS.get(word) or (_MONEY_WORDS.get(word.removesuffix("s")) if len(word) > 4 else None)


CURRENCY_SIGN = re.compile(
    "|".join(re.escape(sign) for sign in sorted(_SYMBOLS, key=len, reverse=True)) + r"|[A-Z]{3}(?![A-Za-z])"
)


# Units of several words, as one word or as a product; and what divides in words.
_PHRASES = [
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"\bfl(?:uid|\.)? ?(?:oz|ounces?)\b\.?", "fluid_ounce"),
        (r"\bnautical miles?\b", "nmi"),
        (r"\bmetric ton(?:ne)?s?\b", "tonne"),
        (r"\b(short|long) tons?\b", r"\1_ton"),
        (r"\belectron[ -]volts?\b", "eV"),
        (r"\blight[ -]years?\b", "lightyear"),
        (r"\bastronomical units?\b", "AU"),
        (r"\bfood calories?\b", "food_calorie"),
        (r"\bpounds?[ -]force\b", "lbf"),
        (r"\b(?:ft|foot|feet)[ ·-](?:lbs?|pounds?|lbf)\b", "foot_pound"),
        (r"\b(?:lbs?|pounds?|lbf)[ ·-](?:ft|foot|feet)\b", "foot_pound"),
        (r"\b(?:lbs?|pounds?) ?(?:per|/) ?(?:square inch|sq\.? ?in|in\^\{?2\}?)(?:\b|$)", "psi"),
        (r"\bcycles? ?(?:per|/) ?s(?:ec(?:ond)?)?\b", "Hz"),
        (r"\b(?:degrees?|deg\.?) ?(?:celsius|centigrade|C)\b|\bcentigrade\b|℃", "°C"),
        (r"\b(?:degrees?|deg\.?) ?(?:fahrenheit|F)\b|℉", "°F"),
        (r"\b(?:degrees? |deg )kelvin\b", "kelvin"),
        (
            r"(?<=\w) (?:an?|each|every) (?=(?:sec|min|h(?:ou)?r|day|week|month|year|night|mile|pound|kilo"
            r"|gallon|lit(?:er|re)|person|piece|head)[a-z]*\b)",
            "/",
        ),
        (r"\s*\b(?:per|pro|par|por|je)\b\s*", "/"),
    )
]  # fmt: skip
_FIRST = re.compile(
    r"^(?:an?|of an?|of the|more|additional|extra|full|whole|total) (?!than\b)(?=[^\W\d_])", re.IGNORECASE
)
# Words after a unit that do not contradict any other unit.
_FILLERS = frozenset(
    [
        "of", "the", "an", "in", "all", "total", "altogether", "overall", "left", "remaining", "away",
        "apart", "long", "tall", "high", "wide", "deep", "thick", "old", "time", "together", "age",
        "distance", "length", "height", "his", "her", "their", "each", "off", "de", "von", "di", "van", "per",
    ]
)  # fmt: skip
# Full names of units that form a compound with the noun after them: day trips, second graders.
_SHORT_NAMES = frozenset(["day", "cup", "bar", "ton"])
_OF = re.compile(r"\s+(?:of|de|von|di|van|in|per|left|remaining|altogether|total)\b")


@lru_cache(maxsize=1 << 12)
def read_unit(text: str) -> tuple[Fraction, Unit] | None:
    """The factor and the unit of plain `text` after a number; None if it is not a unit.

    >>> factor, unit = read_unit("million dollars")
    >>> int(factor), unit.base
    (1000000, 'USD')
    """
    text = _FRACTION.sub(r"(\1)/(\2)", " ".join(text.translate(_SUPERSCRIPTS).strip().split()))
    if not text or len(text) > MAX_LENGTH:
        return None
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    factor = Fraction(1)
    words = text.split()
    while words and (word := words[0].lower().rstrip(".")) in (_FACTORS | _PARTS):
        factor *= Fraction(_FACTORS.get(word) or _PARTS[word])
        words.pop(0)
    if words[:1] == ["of"]:
        words.pop(0)
    rest = _FIRST.sub("", " ".join(words))
    if not rest:
        return factor, NO_UNIT
    said = [word.strip(".,") for word in re.split(r"[\s/]+", rest)]
    if any(
        word.lower() in _NOT_UNITS and word != "A" and not (place and word in ("squared", "cubed"))
        for place, word in enumerate(said)
    ):
        return None
    unit = _money(rest) or _measured(rest) or _quotient(rest) or _described(rest) or _counted(rest)
    return None if unit is None else (factor, unit)


def read_details(text: str) -> frozenset[str] | None:
    """The words after a unit that say what is measured; None unless they are only plain words.

    >>> sorted(read_details("of whole milk"))
    ['milk', 'whole']
    """
    words = text.split()
    if len(words) > MAX_WORDS or not all(
        re.fullmatch(r"[^\W\d_]+(?:['-][^\W\d_]+)*\.?", word) for word in words
    ):
        return None
    lower = [word.lower().rstrip(".") for word in words]
    if any(
        word in _NOT_UNITS or (len(word) < 3 and word not in _FILLERS and word < "\u2e80") for word in lower
    ):
        return None
    return frozenset(_singular(word) for word in lower if word not in _FILLERS)


def _money(text: str) -> Unit | None:
    bare = text.rstrip(".,-–")
    if (code := currency(bare)) is not None:
        return Unit(code)
    whole = _HUNDREDTHS.get(bare.lower()) or _HUNDREDTHS.get(bare.lower().rstrip("s"))
    return None if whole is None else Unit(whole, Fraction(1, 100))


def _described(text: str) -> Unit | None:
    """A unit and what is measured in it: gallons of milk, feet tall, years old, km north."""
    words = text.split()
    for cut in range(len(words) - 1, 0, -1):
        head, rest = words[:cut], words[cut:]
        if len(head[-1]) == 1 and head[-1].isupper() and head[-1] != "L" and rest[0] != "of":
            continue  # D cells
        if (
            (len(head[-1]) > 3 or head[-1].lower() in _SHORT_NAMES)
            and not head[-1].endswith("s")
            and head[-1].lower() != "feet"
            and rest[-1].endswith("s")
            and rest[0].lower() not in _FILLERS
        ):
            continue
        unit, details = _measured(" ".join(head)), read_details(" ".join(rest))
        if unit is not None and unit.base and details is not None:
            return replace(unit, details=details)
    return None


def _quotient(text: str) -> Unit | None:
    """A count or an amount of money per unit or piece: words per minute, dollars per box, 3 per day."""
    upper, slash, lower = text.partition("/")
    if not slash or "/" in lower:
        return None
    above = (_money(upper) or _measured(upper) or _counted(upper)) if upper.strip() else NO_UNIT
    below = _measured(lower) or _counted(lower)
    if above is None or below is None or above.offset:
        return None
    if above.base == "" and not below.counted:
        return _measured(f"/{lower}")
    return Unit(
        f"{above.base}/{below.base}", above.scale / below.scale, counted=above.counted or below.counted
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
            if last is None and scale != 1:
                return None
            sign, last = -1, None
        elif token[0].isdigit():
            scale /= int(token)  # liters per 100 km
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
    return Unit("1" if cancelled else named(total), scale, offset)


def _unit_tokens(text: str) -> Iterator[str]:
    text = re.sub(r"\bsq\.?\s|\bsquare\s", "square ", text)
    text = re.sub(r"\bcu\.?\s|\bcubic\s", "cubic ", text)
    text = re.sub(r"/([A-Za-z]+)-([A-Za-z]+)", r"/(\1 \2)", text)  # J/mol-K
    text = re.sub(r"(?<=[A-Za-z])-(?=[A-Za-z])", " ", text)  # kilowatt-hours
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
            if character == "/" and (
                times := re.compile(r"\s?([1-9]\d{0,3})\s?(?=[A-Za-z])").match(text, position)
            ):
                yield times.group(1)
                position = times.end()
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
            yield f"{name.rstrip('.')}^{int(power.group(1) or power.group(2))}"
        else:
            yield name if name in ("square", "cubic") else name.rstrip(".")


def _word_unit(word: str) -> Unit | None:
    if not _COUNTS.isdisjoint((word.lower(), word.lower().rstrip("s"))):
        return NO_UNIT
    if (code := currency(word)) is not None:
        return Unit(code)
    return measured_word(word)


def _counted(text: str) -> Unit | None:
    """A counted noun, by its head: steel screws are screws, boxes of screws are boxes."""
    head = _OF.split(text.strip())[0]
    words = head.split()
    if not words or len(words) > MAX_WORDS or not all(_WORD.fullmatch(word) for word in words):
        return None
    if not words[-1][0].isalpha() or (
        words[-1] < "\u2e80" and (len(words[-1]) < 3 or _VARIABLES.fullmatch(words[-1]))
    ):
        return None  # 5 x is a product, and so is 5 π
    noun = _singular(words[-1])
    if noun in _COUNTS or words[-1].lower() in _COUNTS:
        return NO_UNIT
    before, behind = read_details(" ".join(words[:-1])), read_details(text.strip()[len(head) :])
    return Unit(noun, counted=True, details=(before or frozenset()) | (behind or frozenset()))


_IRREGULAR = {
    "children": "child", "mice": "mouse", "men": "man", "women": "woman", "people": "person",
    "persons": "person",
    "teeth": "tooth", "geese": "goose", "oxen": "ox", "dice": "die", "knives": "knife", "wives": "wife",
    "lives": "life", "leaves": "leaf", "wolves": "wolf", "loaves": "loaf", "shelves": "shelf",
    "halves": "half",
    "thieves": "thief", "scarves": "scarf", "calves": "calf", "vertices": "vertex", "indices": "index",
    "matrices": "matrix", "points": "point", "pts": "point",
}  # fmt: skip


def _singular(word: str) -> str:
    """A noun without plural ending: the same for box and boxes, bus and buses; not always a word."""
    word = word.rstrip(".")
    if len(word) < 3:
        return word
    lower = word.lower()
    lower = _IRREGULAR.get(lower, lower)
    if lower.endswith("ies") and len(lower) > 4:
        return lower[:-3] + "y"
    stem = (
        lower if lower.endswith(("ss", "us", "is")) or lower in ("gas", "lens") else lower.removesuffix("s")
    )
    return stem.removesuffix("e") if stem.endswith(("se", "xe", "ze", "che", "she", "oe")) else stem


# Words of units that may follow a number in a sentence.
UNIT_WORDS = sorted(
    {word for word in (*measure_words(), *_MONEY_WORDS, *_COUNTS) if word != "in"}
    | {"dollars", "euros", "cents", "m", "g", "s", "h", "l", "L"},
    key=len,
    reverse=True,
)
