"""Dates, times of day and durations. dateutil reads dates, with the names of months in many languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from functools import cache

from babel import Locale
from dateutil import parser

MAX_DATE = 60  # characters

LANGUAGES = (
    "en",
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "nl",
    "pl",
    "cs",
    "ru",
    "uk",
    "tr",
    "sv",
    "da",
    "nb",
    "fi",
    "hu",
    "ro",
    "id",
    "vi",
)
_FILLERS = [
    "of",
    "the",
    "de",
    "del",
    "den",
    "der",
    "le",
    "la",
    "el",
    "do",
    "da",
    "di",
    "dne",
    "on",
    "am",
    "um",
    "a",
    "г",
    "года",
    "ngày",
]
_ISO = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
_DAY_FIRST = re.compile(
    r"(?=\d{1,2}\.\s?\d{1,2}\.\s?\d{4}|\d\d\.\d\d\.\d\d$)(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4}|\d{2})"
)
_EITHER = re.compile(r"(\d{1,2})([/-])(\d{1,2})\2(\d{4}|\d{2})")
_CHINESE = re.compile(r"(?:(\d{4})\s?[年년]\s?)?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日号號일]")
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th|er|º|ª|°|e|\.)(?=[\s,]|$)", re.IGNORECASE)
_YEAR_SHORT = re.compile(r"'(\d\d)$")
_CLOCK = re.compile(
    r"(?:at |um |à |a las |alle )?(\d{1,2})(?:[:h.]|\s?Uhr\s?)([0-5]\d)(?:[:.]([0-5]\d))?"
    r"\s?(?:([ap])\.?\s?m\b\.?|uhr|hours|hrs|h)?",
    re.IGNORECASE,
)
_CLOCK_DOT = re.compile(r"\d{1,2}\.\d")
_HOUR = re.compile(
    r"(?:at )?(\d{1,2})\s?(?:([ap])\.?\s?m\b\.?|o'?clock(?:\s([ap])\.?m\b\.?)?|Uhr|h|heures|時|点|时)",
    re.IGNORECASE,
)
_MILITARY = re.compile(r"([01]\d|2[0-3])([0-5]\d)\s?(?:hours|hrs|h|uhr)", re.IGNORECASE)
_CHINESE_CLOCK = re.compile(r"(上午|下午|午前|午後)?\s?(\d{1,2})\s?[点點时時]\s?(\d{1,2})\s?分?")
_SPOKEN = re.compile(
    r"(?:(half|quarter|a quarter|[a-z]+(?:-[a-z]+)?|\d{1,2})(?: minutes?)? (past|to|after|before|till) )?"
    r"([a-z]+|\d{1,2})"
    r"(?: o'?clock)?(?: (in the morning|in the afternoon|in the evening|at night|[ap]\.?\s?m\.?))?",
    re.IGNORECASE,
)
_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_MINUTES = {"half": 30, "quarter": 15, "a quarter": 15, "five": 5, "ten": 10, "twenty": 20, "twenty-five": 25}
_ISO_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE)
_HMS = re.compile(r"(\d{1,3}):([0-5]\d)(?::([0-5]\d))?(?:\s?(?:h|hours?|hrs?|min|minutes?))?")


_ZONES = {
    "Z": 0, "UTC": 0, "GMT": 0, "EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360,
    "PST": -480, "PDT": -420, "CET": 60, "CEST": 120, "MEZ": 60, "MESZ": 120, "BST": 60, "IST": 330,
    "JST": 540,
}  # fmt: skip
_ZONE = re.compile(rf"\s?({'|'.join(_ZONES)})?(?:(?<=UTC|GMT)|(?<=[\d:.]))?([+-]\d{{1,2}}(?::?\d\d)?)?$")
_DAY_TIME = r"(?:\d{1,2}:\d\d(?::\d\d(?:\.0+)?)?(?:\s?[ap]\.?\s?m\b\.?)?|\d{1,2}\s?[ap]\.?\s?m\b\.?)"
_WITH_TIME = re.compile(
    rf"(?P<date>.*\d.*?)(?:T|,?\s(?:at\s|um\s)?)(?P<time>{_DAY_TIME}(?:\s?[A-Z]{{1,4}})?(?:[+-]\d\d:?\d\d)?)"
    rf"|(?P<before>{_DAY_TIME}(?:\s[A-Z]{{3,4}})?)(?:,| on)\s(?P<behind>.*\d.*)",
    re.IGNORECASE,
)
_HAS_TIME = re.compile(r"\d:\d\d|\d\s?[ap]\.?\s?m\b", re.IGNORECASE)
_MONTH_OF_YEAR = re.compile(r"(0[1-9]|1[0-2])/((?:19|20)\d\d)|((?:19|20)\d\d)-(0[1-9]|1[0-2])")
_PART_OF_DAY = re.compile(r"(?<=\d) in the (?:(morning)|afternoon|evening)$", re.IGNORECASE)
# Next to these, a short word of another language is a month: le 3 mars, 3. Mai.
_IN_A_DATE = re.compile(r"\b(?:le|de|del|am|den|der|el|di|vom|ngày)\b|\d\.|\b\d{4}\b", re.IGNORECASE)


@dataclass(frozen=True)
class Date:
    """A date, as far as its parts were given, and optionally a time of day.

    `swapped` is the other reading of an ambiguous date such as 6/10/2024: month and day exchanged.
    """

    year: int | None
    month: int
    day: int | None
    swapped: tuple[int, int] | None = None
    written: str = ""  # the separator of such a date
    clock: Clock | None = None

    def same(self, gold: Date) -> bool:
        """Whether this date contains all that `gold` says. Ambiguous dates are read as month/day."""
        if gold.clock is not None:
            guessed = self.clock is not None and self.clock.zone is not None and gold.clock.zone is None
            at = None if self.clock is None or guessed else self._at(self.clock, gold)
            return at == gold._at(gold.clock, self)
        if self.swapped and gold.swapped and self.written == gold.written:
            return (self.year, self.month, self.day) == (gold.year, gold.month, gold.day)
        wanted = [
            (mine, theirs)
            for mine, theirs in zip(self._parts, gold._parts, strict=True)
            if theirs is not None
        ]
        return all(mine == theirs for mine, theirs in wanted)

    def _at(self, clock: Clock, other: Date) -> tuple[object, ...]:
        """The date and time; in UTC if both have a time zone."""
        zoned = clock.zone is not None and other.clock is not None and other.clock.zone is not None
        seconds = clock.since_midnight - (60 * (clock.zone or 0) if zoned else 0)
        if self.year is None or self.day is None:
            return (*self._parts, seconds)
        return (datetime(self.year, self.month, self.day).toordinal() * 86_400 + seconds,)

    @property
    def _parts(self) -> tuple[int | None, int, int | None]:
        return self.year, self.month, self.day


@dataclass(frozen=True)
class Clock:
    """A time of day in seconds since midnight; an hour up to 12 without a.m. or p.m. is ambiguous."""

    seconds: int
    half: str = ""  # "a" or "p" where it was said
    colon: bool = False  # written as 6:10, which may be a ratio
    whole_day: bool = False  # written as 02:45 or 14:05, on a clock of 24 hours
    zone: int | None = None  # minutes before UTC, where a zone was said

    def same(self, gold: Clock) -> bool:
        """Whether both are the same time: 7:45 p.m. equals 19:45, and 7:45 if the reference is ambiguous."""
        if self.zone is not None and gold.zone is None:
            return False  # a zone that the reference does not have is a different time, or a guess
        if self.zone is not None and gold.zone is not None and self.zone != gold.zone:
            mine, theirs = (clock.since_midnight - 60 * (clock.zone or 0) for clock in (self, gold))
            return (mine - theirs) % 86_400 == 0
        if self.half and gold.half:
            return self.since_midnight == gold.since_midnight
        if self.since_midnight == gold.since_midnight:
            return True
        if self.whole_day or gold.whole_day:
            return False
        if gold.half and not self.half:  # 7:45 is accepted for 7:45 p.m.
            return self.seconds == gold.seconds
        return bool(self.half) and self.seconds == gold.seconds

    @property
    def since_midnight(self) -> int:
        """In seconds."""
        noon = 12 * 3600
        return self.seconds % noon + (noon if self.half == "p" else 0) if self.half else self.seconds


class _Names(parser.parserinfo):
    """dateutil's tables with the months and days of other languages."""

    def __init__(self) -> None:
        months: list[list[str]] = [[] for _ in range(12)]
        days: list[list[str]] = [[] for _ in range(7)]
        for language in LANGUAGES:
            locale = Locale(language)
            for context in ("format", "stand-alone"):
                for width in ("wide", "abbreviated"):
                    for month, name in locale.months[context][width].items():
                        months[month - 1].append(name.lower().rstrip("."))
                    for day, name in locale.days[context][width].items():
                        days[day].append(name.lower().rstrip("."))
        months[8].append("sept")
        self.MONTHS = [
            tuple(dict.fromkeys(name for name in names if not name[0].isdigit() and " " not in name))
            for names in months
        ]
        self.WEEKDAYS = [
            tuple(
                dict.fromkeys(
                    name for name in names if " " not in name and len(name) > 1 and name not in ("mar", "dec")
                )
            )  # "mar" is a Tuesday in Spanish, and March
            for names in days
        ]
        self.JUMP = [" ", ".", ",", ";", "-", "/", "'", *_FILLERS]
        super().__init__()


@cache
def _reader() -> tuple[parser.parser, re.Pattern[str], frozenset[str]]:
    """dateutil's parser, a pattern for the names of months, and the names that are unambiguous.

    Unambiguous are English and long names; "out", "set" and "mars" are also ordinary words.
    """
    names = _Names()
    months = sorted(
        {name for forms in names.MONTHS for name in forms if len(name) > 2}, key=len, reverse=True
    )
    english = Locale("en").months["format"]
    sure = {name.lower() for width in ("wide", "abbreviated") for name in english[width].values()} | {"sept"}
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, months))})(?!\w)", re.IGNORECASE)
    return parser.parser(names), pattern, frozenset(sure | {name for name in months if len(name) > 4})


def read_date(text: str) -> Date | None:
    """Plain `text` as a date with at least a month and a day, or a month and a year; else None."""
    if len(text) > MAX_DATE or not any(character.isdigit() for character in text):
        return None
    text = text.strip()
    if _HAS_TIME.search(text):
        match = _WITH_TIME.fullmatch(text)
        clock = read_clock(match.group("time") or match.group("before")) if match else None
        date = read_date(match.group("date") or match.group("behind")) if match and clock else None
        if date is not None:
            return replace(date, clock=clock)
    if match := _ISO.fullmatch(text):
        return _date(match.group(1), match.group(3), match.group(4))
    if match := _DAY_FIRST.fullmatch(text):
        return _date(match.group(3), match.group(2), match.group(1))
    if match := _CHINESE.fullmatch(text):
        return _date(*match.groups())
    if match := _MONTH_OF_YEAR.fullmatch(text):
        return Date(int(match.group(2) or match.group(3)), int(match.group(1) or match.group(4)), None)
    if match := _EITHER.fullmatch(text):
        first, separator, second, year = match.groups()
        month_first, day_first = _date(year, first, second), _date(year, second, first)
        if month_first and day_first and first != second:
            return Date(
                month_first.year,
                month_first.month,
                month_first.day,
                (day_first.month, day_first.day or 0),
                separator,
            )
        return month_first or day_first
    reader, months, sure = _reader()
    month_name = months.search(text)
    if month_name is None or re.search(r"[^\w\s.,'/\-°º]", text):
        return None
    if month_name.group().lower() not in sure and not _IN_A_DATE.search(text):
        return None
    text = _YEAR_SHORT.sub(r"20\1", _ORDINAL.sub("", re.sub(r"(?<=[^\W\d])\.", "", text)))
    if not re.search(r"\d", text) or len(re.findall(r"\d+", text)) > 2:
        return None
    found = []
    for default in (datetime(2000, 1, 1), datetime(1996, 12, 31)):
        try:
            found.append(reader.parse(text, default=default, dayfirst=True))
        except (ValueError, OverflowError, TypeError, AttributeError):
            return None
    year, month, day = (
        getattr(found[0], part) if getattr(found[0], part) == getattr(found[1], part) else None
        for part in ("year", "month", "day")
    )
    return Date(year, month, day) if month and (day or year) else None


def _date(year: str | None, month: str, day: str) -> Date | None:
    full = None if year is None else int(year) + (2000 if len(year) == 2 else 0)
    try:
        datetime(full or 2000, int(month), int(day))
    except ValueError:
        return None
    return Date(full, int(month), int(day))


def read_clock(text: str) -> Clock | None:
    """Plain `text` as a time of day: 14:05, 2:05 PM, 19h30, 8 o'clock, noon, half past seven."""
    if len(text) > MAX_DATE:
        return None
    text = _PART_OF_DAY.sub(lambda part: " am" if part.group(1) else " pm", " ".join(text.strip().split()))
    zone = _ZONE.search(text)
    if zone and any(zone.groups()) and re.search(r"\d:\d\d|[ap]\.?m\b", text[: zone.start()], re.IGNORECASE):
        clock = read_clock(text[: zone.start()])
        return None if clock is None else replace(clock, zone=_offset(*zone.groups()), colon=False)
    lower = text.lower().removeprefix("12:00 ")
    if lower in ("noon", "midday", "12 noon", "mittag", "midi", "mediodía", "正午"):
        return Clock(12 * 3600, "p")
    if lower in ("midnight", "12 midnight", "mitternacht", "minuit", "medianoche"):
        return Clock(0, "a")
    if match := _CHINESE_CLOCK.fullmatch(text):
        half = {"上午": "a", "午前": "a", "下午": "p", "午後": "p"}.get(match.group(1) or "", "")
        return _clock(match.group(2), match.group(3), None, half)
    if (match := _CLOCK.fullmatch(text)) and not (
        _CLOCK_DOT.match(text) and not (match.group(4) or "uhr" in lower)
    ):
        return _clock(
            match.group(1), match.group(2), match.group(3), (match.group(4) or "").lower(), ":" in text
        )
    if (match := _HOUR.fullmatch(text)) and not text.endswith("H"):  # henries
        return _clock(match.group(1), "0", None, (match.group(2) or match.group(3) or "").lower())
    if match := _MILITARY.fullmatch(text):
        return _clock(match.group(1), match.group(2), None, "")
    return _spoken(lower)


def _offset(name: str | None, hours: str | None) -> int:
    """A zone's minutes before UTC: CET, +05:30, UTC-3."""
    minutes = _ZONES.get((name or "UTC").upper(), 0)
    if hours is None:
        return minutes
    digits = hours[1:].replace(":", "")
    whole, part = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    return minutes + (-1 if hours[0] == "-" else 1) * (60 * int(whole) + int(part))


def _spoken(text: str) -> Clock | None:
    match = _SPOKEN.fullmatch(text)
    if match is None or not (match.group(1) or "clock" in text):
        return None
    minutes, direction, hour, part = match.groups()
    if direction and minutes.isdigit() and "minute" not in text and "clock" not in text:
        return None  # 3 to 2 is a ratio
    hours = _WORDS.index(hour) if hour in _WORDS else int(hour) if hour.isdigit() else 0
    if not 1 <= hours <= 12:
        return None
    offset = _MINUTES.get(
        minutes or "", int(minutes) if (minutes or "").isdigit() else None if minutes else 0
    )
    if offset is None or offset > 59:
        return None
    half = "" if part is None else "a" if "morning" in part or (part[0] == "a" and part[1] in ".m") else "p"
    seconds = hours * 3600 + (-60 if direction in ("to", "before", "till") else 60) * offset
    return Clock(seconds % (12 * 3600) if hours == 12 and seconds >= 12 * 3600 and half else seconds, half)


def _clock(hour: str, minute: str, second: str | None, half: str, colon: bool = False) -> Clock | None:
    hours, minutes = int(hour), int(minute)
    if hours > 24 or minutes > 59 or (half and not 1 <= hours <= 23) or (hours == 24 and minutes):
        return None
    if half and hours > 12:
        half = ""  # 14:05 PM
    seconds = (hours % 24) * 3600 + minutes * 60 + int(second or 0)
    return Clock(
        seconds,
        half,
        colon and not half and not second,
        not half and (hour[0] == "0" or hours > 12 or bool(second)),
    )


def read_duration(text: str) -> Iterator[Fraction]:
    """The possible values of a duration in seconds: one for PT2H5M and 2:05:00, two for 2:05."""
    if len(text) > MAX_DATE:
        return
    if (match := _ISO_DURATION.fullmatch(text)) and any(match.groups()):
        days, hours, minutes, seconds = (Fraction(group or 0) for group in match.groups())
        yield ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    elif match := _HMS.fullmatch(text):
        first, second, third = (int(group or 0) for group in match.groups())
        if match.group(3):
            yield Fraction((first * 60 + second) * 60 + third)
        else:
            yield Fraction((first * 60 + second) * 60)
            yield Fraction(first * 60 + second)
