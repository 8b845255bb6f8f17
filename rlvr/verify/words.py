"""Answers in words: numbers, yes and no, no solution, infinitely many solutions."""

from __future__ import annotations

import re
from fractions import Fraction

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * ten for ten, word in enumerate(_TENS, 2)
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "hundredth": 100,
}  # fmt: skip
_PARTS |= {f"{part}s": value for part, value in _PARTS.items() if not part.startswith("hal")}
_SPLIT = re.compile(r"[\s-]+")
_CHINESE_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {
    "〇": 0,
    "两": 2,
    "兩": 2,
}
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1000}

YES = frozenset(
    [
        "yes",
        "affirmative",
        "right",
        "true",
        "correct",
        "ja",
        "wahr",
        "oui",
        "vrai",
        "sí",
        "si",
        "verdadero",
        "sì",
        "vero",
        "sim",
        "verdadeiro",
        "waar",
        "tak",
        "prawda",
        "ano",
        "pravda",
        "да",
        "верно",
        "истина",
        "так",
        "evet",
        "doğru",
        "是",
        "是的",
        "对",
        "正确",
        "はい",
        "正しい",
        "예",
        "네",
        "참",
        "نعم",
        "صحيح",
        "हाँ",
        "हां",
        "có",
        "đúng",
        "ya",
        "benar",
        "yep",
        "yeah",
        "y",
        "t",
    ]
)
NO = frozenset(
    [
        "no",
        "negative",
        "wrong",
        "untrue",
        "false",
        "incorrect",
        "nein",
        "falsch",
        "non",
        "faux",
        "falso",
        "não",
        "nao",
        "nee",
        "onwaar",
        "nie",
        "fałsz",
        "ne",
        "nepravda",
        "нет",
        "неверно",
        "ложь",
        "ні",
        "hayır",
        "yanlış",
        "否",
        "不",
        "不是",
        "错",
        "错误",
        "いいえ",
        "아니요",
        "아니오",
        "거짓",
        "لا",
        "خطأ",
        "नहीं",
        "không",
        "sai",
        "tidak",
        "salah",
        "nope",
        "n",
        "f",
    ]
)
_NO_ANSWER = [
    r"(?:there (?:is|are|exists?) )?no (?:real |integer |valid |such |possible )*"
    r"(?:solutions?|roots?|answers?|values?|numbers?|integers?)(?: exists?| of x)?",
    r"(?:(?:the )?(?:equation|system) )?has no (?:real )?solutions?",
    r"(?:the )?(?:empty|null) set|∅|\\\{\s*\\\}|\{\s*\}|none|no such.*|inconsistent|unsolvable|impossible",
    r"keine l[öo]sung(?:en)?|pas de solution|aucune solution|sin solución|no hay solución|nessuna soluzione",
    r"sem solução|geen oplossing(?:en)?|нет решени[йя]|"
    r"(?:所以|因此|故|于是)?(?:该|此|原|这个|這個)?(?:方程组?|不等式)?(?:没有|無|无)(?:实数?|整数)?(?:解|根)|"
    r"解なし|해가? 없음",
]
_UNDEFINED = [
    r"(?:it |the limit |limit )?(?:does not|doesn't|do not) exist|d\.?n\.?e\.?",
    r"(?:is )?(?:undefined|not defined|indeterminate)",
    r"existiert nicht|nicht definiert|n'existe pas|no existe|не существует|不存在",
]
_INFINITE = r"∞|infinity|infinite|infty|inf"
_SPECIAL = {
    "no solution": _NO_ANSWER,
    "undefined": _UNDEFINED,
    "infinity": [
        rf"\+?\s?(?:{_INFINITE})|(?:it )?diverges(?: to)? (?:\+\s?)?(?:{_INFINITE})",
        r"unendlich|infini|infinito|бесконечность|无穷(?:大)?",
    ],
    "negative infinity": [
        rf"(?:diverges to )?(?:-\s?|negative |minus )(?:{_INFINITE})",
    ],
    "infinitely many": [
        r"(?:there are )?(?:infinitely many|an infinite number(?: of)?|infinite)"
        r"(?: solutions?| values?| roots?| answers?)|(?:there are )?infinitely many",
        r"(?:an )?infinite (?:number|amount) of (?:solutions|values|roots|answers)",
        r"unendlich viele(?: lösungen)?|infinitas soluciones|une infinité(?: de solutions)?",
        r"无穷多(?:个)?解?|无数(?:个)?解?",
    ],
    "all real numbers": [
        r"(?:all|every|any)(?: the)? real(?: number| value)?s?(?: x)?|(?:x is )?any real number",
        r"(?:the set of (?:all )?|the )(?:real numbers|reals)",
        r"ℝ|\\mathbb\s?\{?\s?r\s?\}?|\(-∞,\s?\+?∞\)",
        r"alle reellen zahlen|tous les (?:nombres )?réels|todos los (?:números )?reales",
    ],
    "diverges": [r"(?:the (?:series|integral|sequence) |it )?(?:diverges|is divergent)|divergent"],
    "converges": [r"(?:the (?:series|integral|sequence) |it )?(?:converges|is convergent)|convergent"],
    "unbounded": [r"(?:is )?unbounded"],
    "unbounded above": [
        r"(?:is )?unbounded (?:from )?above|(?:there is )?no (?:maximum|upper bound)(?: value)?"
    ],
    "unbounded below": [
        r"(?:is )?unbounded (?:from )?below|(?:there is )?no (?:minimum|lower bound)(?: value)?"
    ],
}
_SPECIAL_PATTERNS = {name: re.compile("|".join(forms), re.IGNORECASE) for name, forms in _SPECIAL.items()}


# Words of other languages that are also names, elements or English words: not yes or no with a capital.
_AMBIGUOUS = frozenset(["si", "ne", "non", "ano", "ya", "tak", "nie", "y", "t", "n", "f", "sai"])
_SUBJECT = re.compile(
    r"^(?:(?:therefore|so|thus|hence),? )?(?:it|this|that|the (?:[a-z]+ ){0,3}?[a-z]+) (?:is|has) (?=\S)",
    re.IGNORECASE,
)
_MORE, _LESS = r"(?:greater|larger|more|bigger)", r"(?:less|smaller|fewer)"
_IN_SIGNS = [
    (re.compile(rf"\s*\b(?:is |are )?(?:strictly )?{pattern}\b\s*", re.IGNORECASE), sign)
    for pattern, sign in (
        (rf"(?:{_MORE} than or equal to|at least|(?:no|not) less than)", r" \\ge "),
        (rf"(?:{_LESS} than or equal to|at most|(?:no|not) more than)", r" \\le "),
        (rf"{_MORE} than", " > "),
        (rf"{_LESS} than", " < "),
        (r"(?:not equal to|different from)", r" \\ne "),
    )
]
_EVERY = re.compile(r"^(?:all|every|any)(?: real)?(?: numbers?| values? of)? (?=[a-z]\b)", re.IGNORECASE)


def relations_in_signs(text: str) -> str:
    """`text` with relations in words replaced by signs: x is at least 2 becomes x ≥ 2."""
    text = _EVERY.sub("", text)
    for pattern, sign in _IN_SIGNS:
        text = pattern.sub(sign, text)
    return text


_AMOUNT = r"([-+]?(?:[$€£¥₹]\s?)?\d[^<>=≤≥]*?)"
_NO = r"(?:no|not)"
_UPWARDS = r"(?:more|greater|higher|larger|above|over|up|older|longer)(?: (?!than).*)?"
_DOWNWARDS = r"(?:less|fewer|lower|smaller|below|under|younger|shorter)(?: (?!than).*)?"
_BOUNDS = [
    (re.compile(pattern, re.IGNORECASE), sign)
    for pattern, sign in (
        (
            rf"(?:at least|{_NO} (?:less|fewer) than|(?:a )?minimum(?: of)?|≥|>=|\\geq?) ?{_AMOUNT}",
            r"\ge",
        ),
        (rf"{_AMOUNT},? (?:or|and) {_UPWARDS}", r"\ge"),
        (rf"(?:{_MORE} than|over|above|exceed(?:s|ing)?|>|\\gt) ?{_AMOUNT}", ">"),
        (rf"(?:at most|{_NO} more than|up to|(?:a )?maximum(?: of)?|≤|<=|\\leq?) ?{_AMOUNT}", r"\le"),
        (rf"{_AMOUNT},? (?:or|and) {_DOWNWARDS}", r"\le"),
        (rf"(?:{_LESS} than|under|below|<|\\lt) ?{_AMOUNT}", "<"),
    )
]


def bound_in_signs(text: str, name: str = "x") -> str | None:
    """Plain `text` of a bound as a relation of `name`: at least 5 kg and 5 kg or more are x ≥ 5 kg."""
    if len(text) > 80:
        return None
    for pattern, sign in _BOUNDS:
        if match := pattern.fullmatch(text):
            return f"{name} {sign} {match.group(1)}"
    return None


def yes_or_no(text: str, wanted: bool = False) -> bool | None:
    """Whether plain `text` says yes (True) or no (False), in one word; "yes, it is" says yes.

    "Si" and "Non" are silicon and a prefix as well: with a capital they count only where yes or no is
    `wanted`. "True, False" is a list.
    """
    text = _SUBJECT.sub("", text.strip())
    word = re.split(r"[,.;:!]\s+|[.!]$|[,:]", text.strip().casefold(), maxsplit=1)[0].strip()
    listed = [part.strip(" .") for part in re.split(r"[,;:/]|\band\b|\bor\b", text.casefold())]
    if len(listed) > 1 and all(part in YES or part in NO for part in listed) and len(set(listed)) > 1:
        return None
    if not wanted and word in _AMBIGUOUS and not text[0].islower():
        return None
    if len(word) == 1 and word.isascii() and word != text.strip().casefold():
        return None
    return True if word in YES else False if word in NO else None


def special(text: str) -> str | None:
    """The name of the special answer in plain `text`: no solution, infinity, …"""
    text = _SUBJECT.sub("", " ".join(text.split()).strip(" ."))
    if len(text) > 80:
        return None
    return next((name for name, pattern in _SPECIAL_PATTERNS.items() if pattern.fullmatch(text)), None)


def number_in_words(text: str) -> Fraction | None:
    """forty-two, one hundred and five, three and a half, two thirds, 四十二; None if it is not a number."""
    text = text.strip().casefold()
    if not text or len(text) > 120 or any(character.isdigit() for character in text):
        return None
    if all(
        character in _CHINESE_DIGITS or character in _CHINESE_SCALES or character == "万"
        for character in text
    ):
        return _chinese(text)
    words = [word for word in _SPLIT.split(text) if word]
    sign = 1
    if not words:
        return None
    if words[0] in ("minus", "negative") and len(words) > 1:
        sign, words = -1, words[1:]
    value = _words(words)
    return None if value is None else sign * value


def in_digits(text: str) -> str:
    """`text` with numbers in words replaced by digits: two hours and five minutes → 2 hours and 5 minutes."""
    words = text.split()
    found: list[str] = []
    place = 0
    while place < len(words) and len(words) <= 40:
        for end in range(min(len(words), place + 12), place, -1):
            value = number_in_words(" ".join(words[place:end]).rstrip(",."))
            if value is not None:
                found.append(str(value) + ("," if words[end - 1].endswith(",") else ""))
                place = end
                break
        else:
            article = place == 0 and words[0].lower() in ("a", "an") and len(words) > 1
            found.append("1" if article else words[place])
            place += 1
    return " ".join(found)


def _words(words: list[str]) -> Fraction | None:
    if words[-1] in _PARTS:
        return _with_part(words)
    if "point" in words:
        place = words.index("point")
        whole, decimals = (
            _whole(words[:place] or ["zero"]),
            [_VALUES.get(word, 10) for word in words[place + 1 :]],
        )
        if whole is None or not decimals or max(decimals) > 9:
            return None
        return whole + Fraction(int("".join(map(str, decimals))), 10 ** len(decimals))
    whole = _whole(words)
    return None if whole is None else Fraction(whole)


def _with_part(words: list[str]) -> Fraction | None:
    """two thirds, a half, three and a half; third and twenty-fifth are ordinals."""
    part = Fraction(1, _PARTS[words[-1]])
    rest = words[:-1]
    if (
        words[-1] not in ("half", "quarter")
        and not words[-1].endswith("s")
        and rest[-1:]
        not in (
            ["a"],
            ["one"],
            ["an"],
        )
    ):
        return None
    if words[-1].endswith("s") and not rest:
        return None
    whole: int | None = 0
    if "and" in rest:
        place = len(rest) - 1 - rest[::-1].index("and")
        whole, rest = _whole(rest[:place]), rest[place + 1 :]
    times = 1 if rest in ([], ["a"], ["an"]) else _whole(rest)
    return None if whole is None or times is None else whole + times * part


def _whole(words: list[str]) -> int | None:
    total, group, last = 0, 0, 10**15
    if not words or words[-1] == "and":
        return None
    if words[0] in ("a", "an") and len(words) > 1 and words[1] in ("hundred", *_SCALES):
        words = ["one", *words[1:]]
    previous = ""
    for word in words:
        if word == "and":
            if previous not in ("hundred", *_SCALES):
                return None
        elif word == "hundred":
            if not 0 < group < 100:
                return None
            group *= 100
        elif word in _SCALES:
            if not group or _SCALES[word] >= last:
                return None
            last = _SCALES[word]
            total, group = total + group * last, 0
        elif word in _VALUES:
            value = _VALUES[word]
            room = (
                100
                if group % 1000 and group % 100 == 0
                else 10
                if group % 10 == 0 and group % 100 >= 20
                else 0
            )
            if (group and value >= room) or (group and value == 0):
                return None
            group += value
        else:
            return None
        previous = word
    return total + group


def _chinese(text: str) -> Fraction | None:
    total, group, digit = 0, 0, 0
    if len(text) > 1 and all(character in _CHINESE_DIGITS for character in text):
        return Fraction(int("".join(str(_CHINESE_DIGITS[character]) for character in text)))
    for character in text:
        if character in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[character]
        elif character == "万":
            total, group, digit = (group + digit) * 10_000, 0, 0
        else:
            group, digit = group + (digit or 1) * _CHINESE_SCALES[character], 0
    return Fraction(total + group + digit)
