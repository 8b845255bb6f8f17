"""Dates, times of day and durations."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from random import Random

from rlvr.audit.catalogue.entry import WORDS, Entry, Writer
from rlvr.audit.catalogue.spelled import decimal_text, in_words, latex_number, ordinal
from rlvr.verify.kinds import Kind

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_GERMAN = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
]
_SPANISH = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
]
_FRENCH = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
]


@dataclass(frozen=True)
class Date:
    """`form`: 0 is 2024-03-05, 1 is March 5, 2024, 2 is 5 March 2024."""

    day: date
    form: int = 0

    @property
    def text(self) -> str:
        return (self.day.isoformat(), _american(self, None), _british(self, None))[self.form]

    @property
    def value(self) -> date:
        return self.day

    @property
    def month(self) -> str:
        return MONTHS[self.day.month - 1]


def _american(gold: Date, rng: Random | None) -> str:
    return f"{gold.month} {gold.day.day}, {gold.day.year}"


def _british(gold: Date, rng: Random | None) -> str:
    return f"{gold.day.day} {gold.month} {gold.day.year}"


def draw_date(rng: Random) -> Date:
    return Date(date(1800, 1, 1) + timedelta(days=rng.randrange(90_000)), rng.choice([0, 0, 1, 2]))


def make_date(year: int, month: int, day: int, form: int = 0) -> Date | None:
    try:
        return Date(date(year, month, day), form)
    except ValueError:
        return None


_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_SLASHES = re.compile(r"(\d\d?)/(\d\d?)/(\d{4})")
_DOTS = re.compile(r"(\d\d?)\.(\d\d?)\.(\d{4})")
_MONTH_FIRST = re.compile(r"([A-Z][a-z]{2,8})\.? (\d\d?)(?:st|nd|rd|th)?,? (\d{4})")
_DAY_FIRST = re.compile(r"(\d\d?)(?:st|nd|rd|th)?(?: of)? ([A-Z][a-z]{2,8})\.?,? (\d{4})")
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textbf)\s*\{([^{}]*)\}")


def read_date(text: str) -> Date | None:
    """2024-03-05, March 5, 2024, 5 March 2024, 5.3.2024; 25/3/2024, but not 5/3/2024."""
    plain = _TEXT.sub(r"\1", text).strip()
    if match := _ISO.fullmatch(plain):
        return make_date(int(match[1]), int(match[2]), int(match[3]))
    if match := _DOTS.fullmatch(plain):
        return make_date(int(match[3]), int(match[2]), int(match[1]))
    if match := _SLASHES.fullmatch(plain):
        first, second, year = map(int, match.groups())
        if first <= 12 and second <= 12 and first != second:
            return None  # the day may be either
        return make_date(year, min(first, second), max(first, second))
    if match := _MONTH_FIRST.fullmatch(plain):
        name, day_said, year_said, form = match[1], match[2], match[3], 1
    elif match := _DAY_FIRST.fullmatch(plain):
        day_said, name, year_said, form = match[1], match[2], match[3], 2
    else:
        return None
    months = [place for place, month in enumerate(MONTHS, 1) if month == name or month[:3] == name]
    return make_date(int(year_said), months[0], int(day_said), form) if months else None


def _only_one_order(template: str) -> Writer:
    """Numbers with slashes, where the day is too large to be a month."""
    return lambda gold, rng: (
        template.format(d=gold.day.day, m=gold.day.month, y=gold.day.year) if gold.day.day > 12 else None
    )


def _pattern(template: str) -> Writer:
    return lambda gold, rng: template.format(
        d=gold.day.day,
        m=gold.day.month,
        y=gold.day.year,
        name=gold.month,
        short=gold.month[:3],
        th=ordinal(gold.day.day),
        weekday=_WEEKDAYS[gold.day.weekday()],
        german=_GERMAN[gold.day.month - 1],
        spanish=_SPANISH[gold.day.month - 1],
        french=_FRENCH[gold.day.month - 1],
    )


def _days_later(days: int) -> Writer:
    return lambda gold, rng: replace(gold, day=gold.day + timedelta(days=days))


def _parts(year: int = 0, month: int = 0, day: int = 0) -> Writer:
    return lambda gold, rng: make_date(
        gold.day.year + year, gold.day.month + month, gold.day.day + day, gold.form
    )


def _day_and_month_swapped(gold: Date, rng: Random) -> Date | None:
    return make_date(gold.day.year, gold.day.day, gold.day.month, gold.form)


def _same_difference(gold: Date, rng: Random) -> Date | None:
    """What is equal where the parts are subtracted."""
    step = rng.choice([1, -1])
    return make_date(gold.day.year, gold.day.month + step, gold.day.day - step, gold.form)


def _year_digits_swapped(gold: Date, rng: Random) -> Date | None:
    year = str(gold.day.year)
    return make_date(int(year[:2] + year[3] + year[2]), gold.day.month, gold.day.day, gold.form)


def _day_digits_swapped(gold: Date, rng: Random) -> Date | None:
    return make_date(gold.day.year, gold.day.month, int(f"{gold.day.day:02}"[::-1]), gold.form)


DATE = Entry(
    Kind.DATE,
    draw_date,
    read_date,
    keeps={
        **WORDS,
        "ISO 8601": lambda gold, rng: gold.day.isoformat(),
        "month, day, year": _american,
        "day, month, year": _british,
        "short month first": _pattern("{short} {d}, {y}"),
        "day before a short month": _pattern("{d} {short} {y}"),
        "ordinal after the month": _pattern("{name} {th}, {y}"),
        "ordinal before the month": _pattern("{th} {name} {y}"),
        "ordinal of the month": _pattern("the {th} of {name}, {y}"),
        "no comma": _pattern("{name} {d} {y}"),
        "weekday before": _pattern("{weekday}, {name} {d}, {y}"),
        "year first": _pattern("{y} {name} {d}"),
        "day first with dots": _pattern("{d}.{m}.{y}"),
        "day first with dots and zeros": _pattern("{d:02}.{m:02}.{y}"),
        "year first with slashes": _pattern("{y}/{m:02}/{d:02}"),
        "day first with slashes": _only_one_order("{d:02}/{m:02}/{y}"),
        "month first with slashes": _only_one_order("{m}/{d}/{y}"),
        "day, short month, year with hyphens": _pattern("{d:02}-{short}-{y}"),
        "Chinese": _pattern("{y}年{m}月{d}日"),
        "German": _pattern("{d}. {german} {y}"),
        "Spanish": _pattern("{d} de {spanish} de {y}"),
        "French": _pattern("{d} {french} {y}"),
        "month in capitals": lambda gold, rng: _british(gold, rng).upper(),
    },
    changes={
        "next day": _days_later(1),
        "day before": _days_later(-1),
        "a week later": _days_later(7),
        "next month": _parts(month=1),
        "month before": _parts(month=-1),
        "next year": _parts(year=1),
        "a decade before": _parts(year=-10),
        "another century": _parts(year=100),
        "day and month swapped": _day_and_month_swapped,
        "same difference of the parts": _same_difference,
        "digits of the year swapped": _year_digits_swapped,
        "digits of the day swapped": _day_digits_swapped,
        "day ten later": _parts(day=10),
        "day dropped": _pattern("{name} {y}"),
        "year alone": _pattern("{y}"),
        "parts subtracted": lambda gold, rng: str(gold.day.year - gold.day.month - gold.day.day),
        "parts divided": lambda gold, rng: latex_number(
            Fraction(gold.day.year, gold.day.month * gold.day.day)
        ),
        "two days": lambda gold, rng: f"{gold.text} or {(gold.day + timedelta(days=1)).isoformat()}",
        "until the next day": lambda gold, rng: (
            f"{gold.text} to {(gold.day + timedelta(days=1)).isoformat()}"
        ),
        "next day in words": lambda gold, rng: _british(Date(gold.day + timedelta(days=1)), rng),
        "next month in words": lambda gold, rng: (
            _american(found, rng)
            if (found := make_date(gold.day.year, gold.day.month % 12 + 1, gold.day.day))
            else None
        ),
    },
)


# --- times of day ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Time:
    """`form`: 0 is 14:30, 1 is 2:30 PM, 2 is 2:30 p.m. From 1 to 12 a text says AM or PM."""

    hour: int
    minute: int
    form: int = 0

    @property
    def text(self) -> str:
        if self.form == 0 and self.of_24:
            return f"{self.hour:02}:{self.minute:02}"
        return f"{self.twelve}:{self.minute:02} {self.dotted if self.form == 2 else self.half}"

    @property
    def value(self) -> tuple[int, int]:
        return self.hour, self.minute

    @property
    def of_24(self) -> bool:
        """Whether no clock of 12 hours shows this hour."""
        return not 1 <= self.hour <= 12

    @property
    def twelve(self) -> int:
        return (self.hour - 1) % 12 + 1

    @property
    def half(self) -> str:
        return "PM" if self.hour >= 12 else "AM"

    @property
    def dotted(self) -> str:
        return "p.m." if self.hour >= 12 else "a.m."


def draw_time(rng: Random) -> Time:
    minute = rng.choice([0, 15, 30, 45, rng.randrange(60), rng.randrange(60), rng.randrange(60)])
    return Time(rng.choice([0, 12, *range(24), *range(24)]), minute, rng.choice([0, 0, 1, 2]))


_CLOCK = re.compile(r"(\d\d?):(\d\d)(?:\s*([AaPp])\.?[Mm]\.?)?")


def read_time(text: str) -> Time | None:
    """14:30, 2:30 PM, 2:30 p.m."""
    match = _CLOCK.fullmatch(_TEXT.sub(r"\1", text).strip())
    if match is None:
        return None
    hour, minute, half = int(match[1]), int(match[2]), (match[3] or "").lower()
    if minute > 59 or hour > 23 or (half and not 1 <= hour <= 12):
        return None
    if half:
        return Time(hour % 12 + (12 if half == "p" else 0), minute, 1 if "." not in text else 2)
    return Time(hour, minute)


def _clock_of_24(template: str) -> Writer:
    return lambda gold, rng: _clock(template)(gold, rng) if gold.of_24 else None


def _clock(template: str) -> Writer:
    return lambda gold, rng: template.format(
        h=gold.hour, m=gold.minute, t=gold.twelve, half=gold.half, dotted=gold.dotted, low=gold.half.lower()
    )


def _minutes_later(minutes: int) -> Writer:
    def written(gold: Time, rng: Random) -> Time:
        hour, minute = divmod((gold.hour * 60 + gold.minute + minutes) % 1440, 60)
        return replace(gold, hour=hour, minute=minute)

    return written


def _full_hour(template: str) -> Writer:
    return lambda gold, rng: _clock(template)(gold, rng) if gold.minute == 0 and gold.hour % 12 else None


def _noon(gold: Time, rng: Random) -> str | None:
    return {(12, 0): "noon", (0, 0): "midnight"}.get((gold.hour, gold.minute))


def _spoken(minute: int, phrase: str, later: int = 0) -> Writer:
    def written(gold: Time, rng: Random) -> str | None:
        hour = (gold.hour + later) % 24
        if gold.minute != minute or hour % 12 == 0 or (gold.hour >= 12) != (hour >= 12):
            return None
        return f"{phrase} {in_words(Time(hour, 0).twelve)} {gold.half}"

    return written


def _parts_swapped(gold: Time, rng: Random) -> Time | None:
    return replace(gold, hour=gold.minute, minute=gold.hour) if gold.minute < 24 else None


def _same_quotient(gold: Time, rng: Random) -> Time | None:
    """What is equal where the parts are divided."""
    if gold.hour % 2 == 0 and gold.minute % 2 == 0:
        return replace(gold, hour=gold.hour // 2, minute=gold.minute // 2)
    return (
        replace(gold, hour=2 * gold.hour, minute=2 * gold.minute)
        if gold.hour < 12 and gold.minute < 30
        else None
    )


def _time_digits_swapped(gold: Time, rng: Random) -> Time | None:
    minute = int(f"{gold.minute:02}"[::-1])
    return replace(gold, minute=minute) if minute < 60 else None


TIME = Entry(
    Kind.TIME,
    draw_time,
    read_time,
    keeps={
        **WORDS,
        "24 hours": _clock_of_24("{h:02}:{m:02}"),
        "24 hours, no zero before": _clock_of_24("{h}:{m:02}"),
        "PM": _clock("{t}:{m:02} {half}"),
        "PM without a space": _clock("{t}:{m:02}{half}"),
        "pm": _clock("{t}:{m:02} {low}"),
        "p.m.": _clock("{t}:{m:02} {dotted}"),
        "P.M.": lambda gold, rng: f"{gold.twelve}:{gold.minute:02} {gold.dotted.upper()}",
        "zero before the hour": _clock("{t:02}:{m:02} {half}"),
        "pm in \\text": _clock(r"{t}:{m:02} \text{{ {dotted}}}"),
        "pm in \\mathrm": _clock(r"{t}:{m:02}\,\mathrm{{{low}}}"),
        "dot and pm": _clock("{t}.{m:02} {low}"),
        "seconds of zero": _clock_of_24("{h:02}:{m:02}:00"),
        "colon in braces": _clock_of_24("{h:02}{{:}}{m:02}"),
        "full-width colon": _clock_of_24("{h:02}\uff1a{m:02}"),
        "German": _clock_of_24("{h}:{m:02} Uhr"),
        "Chinese": _clock_of_24("{h}点{m:02}分"),
        "hour alone": _full_hour("{t} {half}"),
        "o'clock": _full_hour("{t} o'clock {half}"),
        "noon or midnight": _noon,
        "half past": _spoken(30, "half past"),
        "quarter past": _spoken(15, "quarter past"),
        "quarter to": _spoken(45, "quarter to", later=1),
    },
    changes={
        "an hour later": _minutes_later(60),
        "an hour before": _minutes_later(-60),
        "a minute later": _minutes_later(1),
        "a minute before": _minutes_later(-1),
        "ten minutes later": _minutes_later(10),
        "half an hour later": _minutes_later(30),
        "the other half of the day": _minutes_later(720),
        "the other half of the day with pm": lambda gold, rng: Time((gold.hour + 12) % 24, gold.minute, 1),
        "hour and minute swapped": _parts_swapped,
        "same quotient of the parts": _same_quotient,
        "digits of the minute swapped": _time_digits_swapped,
        "decimal hours": lambda gold, rng: (
            f"{gold.hour}.{5 if gold.minute == 30 else 25}" if gold.minute in (15, 30) else None
        ),
        "minutes of the day": lambda gold, rng: str(gold.hour * 60 + gold.minute),
        "quotient": lambda gold, rng: (
            latex_number(Fraction(gold.hour, gold.minute)) if gold.minute and gold.hour else None
        ),
        "range of an hour": lambda gold, rng: (
            f"{gold.text}–{Time((gold.hour + 1) % 24, gold.minute, gold.form).text}"
        ),
        "one of two": lambda gold, rng: (
            f"{gold.text} or {Time((gold.hour + 1) % 24, gold.minute, gold.form).text}"
        ),
        "quarter to for quarter past": lambda gold, rng: (
            f"quarter to {in_words(gold.twelve)} {gold.half}"
            if gold.minute == 15 and gold.hour % 12
            else None
        ),
        "30 seconds later": _clock_of_24("{h:02}:{m:02}:30"),
    },
)


# --- durations ------------------------------------------------------------------------------------------

_SECONDS = {"week": 604_800, "day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_SHORT = {"week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s"}


@dataclass(frozen=True)
class Duration:
    """Whole seconds. `form`: 0 is 1 hour 30 minutes, 1 is 1 h 30 min, 2 is in the smallest unit it needs."""

    seconds: int
    form: int = 0

    @property
    def parts(self) -> list[tuple[int, str]]:
        """Days, hours, minutes and seconds, without those that are 0."""
        found, rest = [], abs(self.seconds)
        for unit in ("day", "hour", "minute", "second"):
            number, rest = divmod(rest, _SECONDS[unit])
            if number:
                found.append((number, unit))
        return found

    @property
    def text(self) -> str:
        minus = "-" if self.seconds < 0 else ""
        if self.form == 0:
            return minus + " ".join(_long(number, unit) for number, unit in self.parts)
        if self.form == 1:
            return minus + " ".join(f"{number} {_SHORT[unit]}" for number, unit in self.parts)
        unit = self.parts[-1][1]
        return minus + _long(abs(self.seconds) // _SECONDS[unit], unit)

    @property
    def value(self) -> int:
        return self.seconds


def _long(number: int | str, unit: str) -> str:
    return f"{number} {unit}{'' if str(number) == '1' else 's'}"


def draw_duration(rng: Random) -> Duration:
    kind = rng.randrange(6)
    if kind == 0:
        return Duration(_SECONDS["day"] * rng.randrange(1, 30), 0)
    if kind == 1:
        return Duration(rng.randrange(1, 60) * 60 + rng.randrange(60), rng.randrange(2))
    if kind == 2:
        return Duration(_SECONDS["hour"] * rng.randrange(1, 24), rng.randrange(2))
    minutes = rng.choice([30, 90, 15, 45, 75, 150, rng.randrange(61, 900), rng.randrange(61, 900)])
    return Duration(60 * minutes, rng.randrange(3))


_DURATION_PART = re.compile(
    r"(\d+(?:\.\d+)?)\s*(weeks?|wk|days?|d|hours?|hrs?|h|minutes?|mins?|min|m|seconds?|secs?|s)(?![a-z])\.?(?:,|\s|and)*"
)
_LETTERS = {"w": "week", "d": "day", "h": "hour", "m": "minute", "s": "second"}


def read_duration(text: str) -> Duration | None:
    """1 hour 30 minutes, 90 min, 2 days; two units or a spelled one at least, since 5 m is a length."""
    plain = _TEXT.sub(r" \1", text).strip()
    place, seconds, units = 0, Fraction(0), []
    while match := _DURATION_PART.match(plain, place):
        unit = _LETTERS[match[2][0]]
        seconds, place = seconds + Fraction(match[1]) * _SECONDS[unit], match.end()
        units.append(match[2])
    if place != len(plain) or not units or seconds.denominator > 1 or not seconds:
        return None
    if len(units) == 1 and units[0] in ("m", "s", "d", "h"):
        return None
    return Duration(int(seconds), 2 if len(units) == 1 else 1 if units[0] in ("h", "min") else 0)


def _in_unit(unit: str, short: bool = False) -> Writer:
    def written(gold: Duration, rng: Random) -> str | None:
        number = decimal_text(Fraction(gold.seconds, _SECONDS[unit]))
        if number is None or len(number) > 6 or number.startswith("0.0"):
            return None
        return f"{number} {_SHORT[unit]}" if short else _long(number, unit)

    return written


def _joined(joint: str, template: str) -> Writer:
    def written(gold: Duration, rng: Random) -> str | None:
        parts = [
            template.format(n=number, long=_long(number, unit), short=_SHORT[unit], letter=unit[0])
            for number, unit in gold.parts
        ]
        return joint.join(parts) if gold.seconds > 0 else None

    return written


def _iso(gold: Duration, rng: Random) -> str | None:
    if gold.seconds <= 0:
        return None
    days = "".join(f"{number}D" for number, unit in gold.parts if unit == "day")
    clock = "".join(f"{number}{unit[0].upper()}" for number, unit in gold.parts if unit != "day")
    return f"P{days}{'T' + clock if clock else ''}"


def _colons(gold: Duration, rng: Random) -> str | None:
    hours, rest = divmod(gold.seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if 0 < hours < 24 and rest else None


def _duration_in_words(gold: Duration, rng: Random) -> str | None:
    parts = [
        _long("one" if number == 1 else in_words(number), unit).replace("one " + unit + "s", "one " + unit)
        for number, unit in gold.parts
        if number < 1000
    ]
    return " ".join(parts) if len(parts) == len(gold.parts) and gold.seconds > 0 else None


def _and_a_half(gold: Duration, rng: Random) -> str | None:
    hours, rest = divmod(gold.seconds, 3600)
    if rest != 1800 or hours < 1:
        return None
    return "an hour and a half" if hours == 1 else f"{hours}½ hours"


def _mixed_hours(gold: Duration, rng: Random) -> str | None:
    hours, rest = divmod(gold.seconds, 3600)
    if not rest or rest % 60 or not 1 <= hours < 24:
        return None
    part = Fraction(rest, 3600)
    return rf"{hours}\frac{{{part.numerator}}}{{{part.denominator}}} \text{{ hours}}"


def _longer(seconds: int) -> Writer:
    return lambda gold, rng: (
        replace(gold, seconds=gold.seconds + seconds) if gold.seconds + seconds > 0 else None
    )


def _numbers_swapped(gold: Duration, rng: Random) -> Duration | None:
    if len(gold.parts) < 2:
        return None
    (first, one), (second, other), *rest = gold.parts
    seconds = second * _SECONDS[one] + first * _SECONDS[other] + sum(n * _SECONDS[unit] for n, unit in rest)
    return replace(gold, seconds=seconds)


def _unit_changed(gold: Duration, rng: Random) -> str:
    number, unit = gold.parts[-1]
    units = list(_SECONDS)
    other = units[units.index(unit) + (1 if unit != "second" else -1)]
    parts = [_long(n, u) for n, u in gold.parts[:-1] if u != other]
    return " ".join([*parts, _long(number, other)])


DURATION = Entry(
    Kind.DURATION,
    draw_duration,
    read_duration,
    keeps={
        **WORDS,
        "in hours": _in_unit("hour"),
        "in minutes": _in_unit("minute"),
        "in seconds": _in_unit("second"),
        "in days": _in_unit("day"),
        "in h": _in_unit("hour", short=True),
        "in min": _in_unit("minute", short=True),
        "long parts": _joined(" ", "{long}"),
        "long parts with and": _joined(" and ", "{long}"),
        "long parts with commas": _joined(", ", "{long}"),
        "short parts": _joined(" ", "{n} {short}"),
        "short parts without spaces": _joined(" ", "{n}{short}"),
        "letters": lambda gold, rng: _joined("", "{n}{letter}")(gold, rng) if len(gold.parts) > 1 else None,
        "parts in \\text": _joined(r"\ ", r"{n}\text{{ {short}}}"),
        "parts in \\mathrm": _joined(r"\ ", r"{n}\,\mathrm{{{short}}}"),
        "ISO 8601": _iso,
        "hours, minutes and seconds with colons": _colons,
        "in words": _duration_in_words,
        "and a half": _and_a_half,
        "mixed number of hours": _mixed_hours,
    },
    changes={
        "an hour more": _longer(3600),
        "a minute more": _longer(60),
        "a minute less": _longer(-60),
        "ten minutes more": _longer(600),
        "a second more": _longer(1),
        "a day more": _longer(86_400),
        "doubled": lambda gold, rng: replace(gold, seconds=2 * gold.seconds),
        "sixty times": lambda gold, rng: replace(gold, seconds=60 * gold.seconds),
        "numbers swapped": _numbers_swapped,
        "last part dropped": lambda gold, rng: (
            replace(gold, seconds=gold.seconds - gold.parts[-1][0] * _SECONDS[gold.parts[-1][1]])
            if len(gold.parts) > 1
            else None
        ),
        "first part alone": lambda gold, rng: _long(*gold.parts[-1]) if len(gold.parts) > 1 else None,
        "unit of the last part changed": _unit_changed,
        "minutes after the point": lambda gold, rng: (
            f"{hours}.{minutes:02} hours"
            if (hours := gold.seconds // 3600) and (minutes := gold.seconds % 3600 // 60)
            else None
        ),
        "seconds for minutes": lambda gold, rng: (
            f"{gold.seconds // 60} seconds" if gold.seconds % 60 == 0 else None
        ),
        "negative": lambda gold, rng: replace(gold, seconds=-gold.seconds),
        "per day": lambda gold, rng: f"{gold.text} per day" if gold.parts[0][1] != "day" else None,
        "time of the day": lambda gold, rng: (
            f"{gold.seconds // 3600}:{gold.seconds % 3600 // 60:02} pm"
            if 3600 <= gold.seconds < 43200
            else None
        ),
        "range": lambda gold, rng: f"{gold.text} to {replace(gold, seconds=gold.seconds + 3600).text}",
        "one of two": lambda gold, rng: f"{gold.text} or {replace(gold, seconds=gold.seconds + 3600).text}",
        "length": lambda gold, rng: f"{gold.seconds // 60} meters" if gold.seconds >= 60 else None,
    },
)

ENTRIES = (DATE, TIME, DURATION)
