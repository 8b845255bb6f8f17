"""What each kind of answer is read as, and which kind a reference shows: values known beforehand."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.types import DataError, Status
from rlvr.verify.calendar import read_clock, read_date
from rlvr.verify.check import check_answer, equal_answers
from rlvr.verify.codes import read_code, read_formula
from rlvr.verify.exact import read_quantity, read_rational
from rlvr.verify.kinds import Kind
from rlvr.verify.plain import plain
from rlvr.verify.reference import read_as, read_reference
from rlvr.verify.settings import VerifySettings
from rlvr.verify.spans import read_compound, read_congruence, read_span
from rlvr.verify.units import read_unit
from rlvr.verify.words import in_digits, number_in_words

NUMBERS = {
    "1,234.5": Fraction(2469, 2), "1.234,5": Fraction(2469, 2), "1 234,5": Fraction(2469, 2),
    "1'234.5": Fraction(2469, 2), "1_000_000": 10**6, "1.234.567": 1234567, "1,00,000": 10**5,
    ".5": Fraction(1, 2),
    "12,34,567.5": Fraction(2469135, 2), "3{,}5": Fraction(7, 2), r"1{,}200{,}000": 1_200_000, "0x2A": 42,
    "0b101": 5,
    "0o17": 15, "6.02e23": 602 * 10**21, "6.02×10²³": 602 * 10**21, r"2.4\times10^{3}": 2400, "10^6": 10**6,
    "0.333…": Fraction(1, 3), r"0.1666\ldots": Fraction(1, 6), "0.(27)": Fraction(3, 11),
    "0.3\u0305": Fraction(1, 3),
    "1 3/4": Fraction(7, 4), r"3\tfrac12": Fraction(7, 2), r"\frac{3}{4}": Fraction(3, 4),
    "-1/2": Fraction(-1, 2),
    "250 ppm": Fraction(1, 4000), "250 parts per million": Fraction(1, 4000), "2 and 3/4": Fraction(11, 4),
    "2 out of 5": Fraction(2, 5), "1 in 6": Fraction(1, 6), "minus 40": -40,
    "≈ 3.14": Fraction(157, 50),
}  # fmt: skip
AMOUNTS = {  # → value and currency
    "1.234,50 €": (Fraction(2469, 2), "EUR"), "€1,234.50": (Fraction(2469, 2), "EUR"), "1.234 €": (1234,
    "EUR"),
    "CHF 1'250.-": (1250, "CHF"), "12 500 €": (12500, "EUR"), "₹1,00,000": (10**5, "INR"),
    "$1.2M": (1_200_000, "USD"),
    "3k USD": (3000, "USD"), "$1.2 million": (1_200_000, "USD"), "-$50": (-50, "USD"), "R$ 10": (10, "BRL"),
    "1500円": (1500, "JPY"), "12,50 €": (Fraction(25, 2), "EUR"), "$1.234": (Fraction(617, 500), "USD"),
    "5 euros": (5, "EUR"), "USD 10": (10, "USD"), "12 zł": (12, "PLN"),
}  # fmt: skip
SAME_UNIT = [
    ("5 kg", "5000 g"), ("1.5 h", "90 min"), ("25 m/s", "90 km/h"), ("9.8 m/s^2", r"9.8\,\mathrm{m\,s^{-2}}"),
    ("12 L/min", "12 liters per minute"), ("10 Ω", "10 ohms"), ("3 µm", "3 μm"), ("3 µm", "0.003 mm"),
    ("12 pcs", "12 pieces"), ("72 in^2", "72 square inches"), ("25 °C", "77 °F"), ("25 °C", "298.15 K"),
    ("1200 rpm", "20 rev/s"), ("2 kWh", "7.2 MJ"), ("1 m^3", "1000 liters"), ("5 N·m", "5 kg m^2/s^2"),
    ("3 J/(kg K)", "3 J/kg/K"), ("5'8\"", "68 inches"), ("3 h 20 min", "200 minutes"), ("75 cents", "$0.75"),
    ("2 days", "48 hours"), ("6 dozen", "72"), ("100 mL", "0.1 l"), ("45°30'", "45.5°"),
    ("1 mile", "5280 ft"),
    ("5 kg", "5 kilos"), ("5 kg", r"\SI{5}{\kilo\gram}"), ("5 kg", r"\qty{5}{kg}"), ("1 acre", "43560 ft^2"),
    ("9.8 m/s^2", r"\qty{9.8}{\meter\per\second\squared}"), ("90 km/h", r"90 \frac{\text{km}}{\text{h}}"),
    ("5 gallons", "5 gallons of milk"), ("6 feet", "6 feet tall"), ("2 hours", "2 hours total"),
    ("5 years", "5 years old"), ("20 minutes", "20 more minutes"), ("5 km north", "5000 m north"),
    ("5 nautical miles", "9260 m"), ("5 metric tons", "5000 kg"), ("5 eV", "5 electron-volts"),
    ("8 fl oz", "8 fluid ounces"), ("5 Canadian dollars", "C$5"), ("30 psi", "30 pounds per square inch"),
    ("100 lbf·ft", "100 foot-pounds"), ("60 rpm", "60 RPM"), ("440 Hz", "440 cycles per second"),
    ("3 mol/L", "3 M"), ("2 T", "20000 G"), ("8 A", "8 amps"), ("5 mA", "0.005 A"), ("3 H", "3 henries"),
    ("$3.50 per hour", "3.5 dollars an hour"), ("$3 per pound", "$3/lb"), ("3/day", "3 per day"),
    ("90 km/h", "90 kilometres an hour"), ("40 words per minute", "40 words a minute"),
    ("6 L/100 km", "6 liters per 100 km"), ("25 mpg", "25 miles per gallon"),
    ("8.3 J/mol-K", "8.3 J/(mol K)"),
    ("20 °C", "20 degrees Celsius"), ("20 °C", "20 deg C"), ("-40 °C", "minus 40 degrees Fahrenheit"),
    ("12 red marbles", "12 marbles"), ("12 steel screws", "12 screws"), ("4 children", "4 child"),
    ("2 buses", "2 bus"), ("5 dresses", "5 dress"), ("2 knives", "2 knife"), ("3 Gbps", "3 Gbit/s"),
    ("25%", "25% of the total"), ("10%", "10% off"), ("1 atm", "760 mmHg"), ("20%", "20 out of 100"),
    ("3 kΩ", "3000 ohm"), ("2 GiB", "2048 MiB"), ("4 mol/L", "4000 mol/m^3"), ("1 atm", "101325 Pa"),
]  # fmt: skip
OTHER_UNIT = [
    ("5 kg", "5 g"), ("5 mW", "5 MW"), ("3 kWh", "3 kW"), ("25 °C", "25 °F"), ("10 m", "10 cm"),
    ("5 m", "5 m^2"),
    ("5 m/s", "5 m/s^2"), ("12 apples", "12 pears"), ("5 $", "5 €"), ("5 N", "5 kg"), ("90 km/h", "90 m/s"),
    ("5 s", "5 s per hour"), ("3 screws per box", "3 screws"), ("1 ft", "1 m"), ("50", "50%"),
    ("8", "8 or 9"), ("5 kg flour", "5 lb flour"), ("5 kg of flour", "5 g of flour"), ("10% off", "10 off"),
    ("10 years old", "10 months old"), ("5 km east", "5 mi east"), ("2 cups sugar", "2 tsp sugar"),
    ("2 short tons", "2 long tons"), ("25%", "0.25 kg"), ("25%", "$0.25"), ("50%", "half an hour"),
    ("2 Sv", "2 Gy"), ("5 Hz", "5 Bq"), ("3 H", "3 hours"), ("3 circles", "3 turns"),
    ("3 hares", "3 hectares"),
    ("10 candles", "10 candelas"), ("10 CDs", "10 candelas"), ("5 camps", "0.05 amps"), ("20 °C", "20 K"),
    ("4 second graders", "4 s"), ("2 D cells", "2 cm"), ("$3 per pound", "$3 per kg"),
    ("$3 per hour", "$3 per day"),
    ("$5-$7", "€5-€7"), ("$200-$300", "200-300 km"), ("2 in 5", "5 in 2"), ("-3.25", "-3+1/4"),
]  # fmt: skip
DATES = {
    "2024-05-31": (2024, 5, 31), "31.5.2024": (2024, 5, 31), "31 May 2024": (2024, 5, 31),
    "May 31, 2024": (2024, 5, 31),
    "May 31st, 2024": (2024, 5, 31), "Friday, 31 May 2024": (2024, 5, 31), "31. Mai 2024": (2024, 5, 31),
    "le 31 mai 2024": (2024, 5, 31), "31 de mayo de 2024": (2024, 5, 31), "31 мая 2024": (2024, 5, 31),
    "2024年5月31日": (2024, 5, 31), "2024/05/31": (2024, 5, 31), "5/31/2024": (2024, 5, 31),
    "31/5/2024": (2024, 5, 31),
    "31. Mai": (None, 5, 31), "le 31 mai": (None, 5, 31), "05/2024": (2024, 5, None),
    "2024-05": (2024, 5, None),
    "Mar 2024": (2024, 3, None), "2024-05-31T14:00:00Z": (2024, 5, 31), "2 PM on May 31, 2024": (2024, 5, 31),
    "May 31": (None, 5, 31), "May 2024": (2024, 5, None), "Sept. 3, '24": (2024, 9, 3),
}  # fmt: skip
NO_DATES = [
    "2024-13-05",
    "31.4.2024",
    "172.16.0.1",
    "1.2.10",
    "3-1",
    "42",
    "May",
    "2024",
    "10-15",
    "1/2",
    "Mars 5 kg",
    "2 out of 5",
    "1 set",
    "3 mars",
    "4 out",
    "5 lip",
    "3 ago",
    "12 mag",
]
CLOCKS = {
    "14:05": 14 * 60 + 5, "19h30": 19 * 60 + 30, "8 o'clock": 8 * 60, "7 Uhr": 7 * 60,
    "half past seven": 7 * 60 + 30,
    "quarter to nine": 8 * 60 + 45, "ten past five": 5 * 60 + 10, "0930 hours": 9 * 60 + 30,
    "14.05 Uhr": 14 * 60 + 5,
}  # fmt: skip
KINDS = {
    "42": Kind.INTEGER, "1,234": Kind.INTEGER, "-7": Kind.INTEGER, "3.50": Kind.DECIMAL,
    r"\frac{3}{4}": Kind.FRACTION,
    "1 1/2": Kind.FRACTION, "12.5%": Kind.PERCENT, r"\$5": Kind.MONEY, "12,50 €": Kind.MONEY,
    "5 kg": Kind.QUANTITY,
    r"25\pi \text{ cm}^2": Kind.QUANTITY, "2024-05-31": Kind.DATE, "31 May": Kind.DATE, "2:05 PM": Kind.TIME,
    "14:05": Kind.TIME, "3 h 20 min": Kind.DURATION, "PT2H": Kind.DURATION, "90 min": Kind.DURATION,
    "10 to 15 kg": Kind.RANGE, "10-15": Kind.RANGE, "20 ± 2 mm": Kind.RANGE, "3-1": Kind.RATIO,
    "3:2:5": Kind.RATIO,
    "6-4, 6-3": Kind.RATIO, "v1.23": Kind.IDENTIFIER, "172.16.0.1": Kind.IDENTIFIER,
    "#FF0000": Kind.IDENTIFIER,
    "M8x40": Kind.IDENTIFIER, "A-12": Kind.IDENTIFIER, "7732-18-5": Kind.IDENTIFIER,
    "Bin #7": Kind.IDENTIFIER,
    "K2": Kind.IDENTIFIER, "978-3-16-148410-0": Kind.IDENTIFIER, "H2O": Kind.FORMULA,
    "SO_4^{2-}": Kind.FORMULA,
    "NaCl": Kind.FORMULA, "B": Kind.CHOICE, "(C)": Kind.CHOICE, "Yes": Kind.YES_NO, "false": Kind.YES_NO,
    "no solution": Kind.SPECIAL, r"\infty": Kind.SPECIAL, r"\emptyset": Kind.SPECIAL, "1, 2, 3": Kind.LIST,
    r"\{1, 2\}": Kind.SET, "(1, 2)": Kind.TUPLE, r"\langle 1, 2\rangle": Kind.TUPLE, "[1, 2)": Kind.INTERVAL,
    "x > 3": Kind.INTERVAL, r"(0,1)\cup(2,3)": Kind.INTERVAL,
    r"\begin{pmatrix}1&2\\3&4\end{pmatrix}": Kind.MATRIX,
    "y = 2x + 1": Kind.EQUATION, "f(x) = x^2": Kind.FUNCTION, "2x + 1": Kind.EXPRESSION,
    r"\sqrt{2}": Kind.EXPRESSION,
    r"x \equiv 3 \pmod 7": Kind.CONGRUENCE, "2A_{16}": Kind.BASE, "101_2": Kind.BASE,
    "parallelogram": Kind.TEXT, "10 cm × 5 cm": Kind.DIMENSIONS, "1920x1080": Kind.DIMENSIONS,
    "8.5 by 11 inches": Kind.DIMENSIONS, r"2 \times 3": Kind.EXPRESSION, "3x10^8": Kind.INTEGER,
    "0x2A": Kind.BASE, "5 × 10^-3 m": Kind.QUANTITY, "at least 5": Kind.INTERVAL, "5 or more": Kind.INTERVAL,
    "2H2 + O2 → 2H2O": Kind.FORMULA, "P = I + V": Kind.EQUATION, "pages 12-27": Kind.RANGE,
}  # fmt: skip
UNSURE = ["3-1", "10-15", "6/10/2024", "14:05", "20 ± 2 mm", "K2", "20 C", "3 × 5 cm"]
MIXED = [  # nothing here is a sum, a product or a difference
    ("2024-05-05", "2024-04-06"), ("3-1", "4-2"), ("3-1", "2"), ("10-15", "20-25"), ("10-15", "-5"),
    ("6/10/2024", "3/5/2024"), ("K2", "2K"), ("0x2A", "0x3B"), ("172.16.0.1", "192.168.0.7"),
    ("O^{2-}", "O^{2}"),
    ("1.2.1", "1.2.10"), ("2:05 PM", "2:05 AM"), ("02:45", "14:45"), ("3:2", "2:3"), ("555-1234", "-679"),
    ("7732-18-5", "7709"), ("#FF0000", "#FF0001"), ("v1.23", "v12.3"), ("CO", "Co"), ("14:05", "14.05"),
    ("2014", "2024-05-05"), ("1/3", "1/3/2024"), ("978-3-16-148410-0", "978-3-16-148410-1"),
    ("6-4 6-3", "6-3 6-4"),
    (r"x \equiv 3 \pmod 7", r"x \equiv 4 \pmod 7"), (r"x \equiv 3 \pmod 7", r"x \equiv 3 \pmod 8"),
    ("10 ± 2", "10 ± 3"), ("Na^{+}", "Na^{-}"), ("H2O", "H2O2"), ("May 31", "June 31"), ("1-2-3", "3-2-1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_numbers_of_every_notation(text: str, value: Fraction) -> None:
    found = read_quantity(text)
    assert found is not None
    assert (found.value, found.unit) == (value, "")


@given(
    st.integers(0, 10**15),
    st.integers(0, 99),
    st.sampled_from([(",", "."), (".", ","), (" ", ","), ("'", ".")]),
)
def test_a_number_is_the_same_in_every_locale(whole: int, cents: int, marks: tuple[str, str]) -> None:
    group, point = marks
    written = f"{whole:,}".replace(",", group) + f"{point}{cents:02d}"
    read = read_quantity(written, decimal_comma=True)
    assert read is not None
    assert read.value == Fraction(f"{whole}.{cents:02d}")


@given(st.fractions())
def test_a_fraction_is_read_as_itself(value: Fraction) -> None:
    assert read_rational(str(value)) == value
    assert read_rational(rf"\frac{{{value.numerator}}}{{{value.denominator}}}") == value


@given(st.integers(0, 999_999_999))
def test_a_number_in_words_is_that_number(number: int) -> None:
    assert number_in_words(_in_english(number)) == number
    assert equal_answers(_in_english(number), str(number)).equal


_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def _in_english(number: int) -> str:
    for scale, word in ((10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= scale:
            rest = f" {_in_english(number % scale)}" if number % scale else ""
            return f"{_in_english(number // scale)} {word}{rest}"
    if number < 20:
        return _ONES[number]
    return _TENS[number // 10 - 2] + (f"-{_ONES[number % 10]}" if number % 10 else "")


@pytest.mark.parametrize(("text", "amount"), AMOUNTS.items())
def test_amounts_of_money(text: str, amount: tuple[Fraction, str]) -> None:
    found = read_quantity(text)
    assert found is not None
    assert (found.value * found.scale, found.unit) == amount


@pytest.mark.parametrize(("left", "right"), SAME_UNIT)
def test_units_are_converted(left: str, right: str) -> None:
    assert equal_answers(right, left).equal
    assert equal_answers(left, right).equal


@pytest.mark.parametrize(("left", "right"), OTHER_UNIT)
def test_another_unit_is_another_answer(left: str, right: str) -> None:
    assert not equal_answers(right, left).equal
    assert not equal_answers(left, right).equal


@pytest.mark.parametrize(
    ("left", "right", "clash"),
    [
        ("5 red marbles", "5 blue marbles", True), ("5 red marbles", "5 marbles", False),
        ("5 boxes of screws", "5 boxes of nails", True), ("30° north of east", "30° north of west", True),
        ("2 kg of flour", "2 kg wheat flour", False), ("2 kg of flour", "2 kg of sugar", True),
        ("5", "5 blue marbles", False), ("6 feet tall", "6 feet", False),
    ],
)  # fmt: skip
def test_what_is_counted_or_measured_may_clash(left: str, right: str, clash: bool) -> None:
    one, other = read_quantity(left), read_quantity(right)
    assert one is not None
    assert other is not None
    assert one.clashes(other) is other.clashes(one) is clash


def test_a_percentage_has_a_unit_of_its_own() -> None:
    for text in ("12.5%", "12.5 percent", r"12.5\%"):
        found = read_quantity(text)
        assert found is not None
        assert (found.value, found.unit, found.percent) == (Fraction(1, 8), "%", True)
    assert equal_answers("0.125", "12.5%").equal


@pytest.mark.parametrize(
    ("gold", "answer"), [("5 kg", "5"), ("5", "5 kg"), ("5 m", "5"), ("5", "5 m"), ("8", "8 h")]
)
def test_a_missing_unit_is_forgiven_unless_it_is_asked_for(gold: str, answer: str) -> None:
    assert equal_answers(answer, gold).equal
    strict = VerifySettings(require_units=True)
    assert equal_answers(answer, gold, strict).equal == (" " not in gold)


def test_a_variable_is_no_unit() -> None:
    for answer in ("5x", "5 x", "5n", "5 ab", "5 xyz", "5 π"):
        assert not equal_answers(answer, "5").equal


@pytest.mark.parametrize(
    "text", ["", "or 5", "wrong", "squared", "m^99", "x", "(", "m/", "/", "5", "AB", "kg" * 60]
)
def test_what_is_no_unit(text: str) -> None:
    assert read_unit(text) is None


@pytest.mark.parametrize(("text", "date"), DATES.items())
def test_dates(text: str, date: tuple[int | None, int, int | None]) -> None:
    found = read_date(text)
    assert found is not None
    assert (found.year, found.month, found.day) == date
    assert equal_answers(text, "2024-05-31").equal == (date == (2024, 5, 31))


@pytest.mark.parametrize("text", NO_DATES)
def test_what_is_no_date(text: str) -> None:
    assert read_date(text) is None


def test_every_date_is_itself_and_no_neighbour() -> None:
    draw = random.Random(3)
    for _ in range(60):
        year, month, day = draw.randint(1900, 2099), draw.randint(1, 12), draw.randint(1, 28)
        gold = f"{year}-{month:02d}-{day:02d}"
        assert equal_answers(f"{day}.{month}.{year}", gold).equal
        assert not equal_answers(f"{day % 28 + 1}.{month}.{year}", gold).equal
        assert not equal_answers(f"{day}.{month % 12 + 1}.{year}", gold).equal
        assert equal_answers(f"{month}.{day}.{year}", gold).equal == (month == day)


@pytest.mark.parametrize(("text", "minutes"), CLOCKS.items())
def test_times_of_day(text: str, minutes: int) -> None:
    found = read_clock(text)
    assert found is not None
    assert found.seconds == 60 * minutes


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("14:05", "2:05 PM", True), ("noon", "12:00", True), ("midnight", "0:00", True),
        ("00:15", "12:15 AM", True),
        ("7:30 PM", "19:30", True), ("7:30 PM", "7:30", True), ("7:30 PM", "7:30 AM", False),
        ("02:45", "2:45 PM", False),
        ("14:05", "2:05", False), ("10:45 PM", "22{:}45", True), ("14:05:00", "14:05", True),
        ("14:05:30", "14:05", False), ("2:05 PM", "2:05 in the afternoon", True), ("2:05 PM", "02:05", False),
        ("1:30:00", "1:30:00 PM", False), ("14:00 UTC", "2 PM UTC", True), ("14:00 UTC", "15:00 CET", True),
        ("14:00 UTC", "14:00 EST", False), ("14:00 UTC", "15:00 UTC", False), ("14:00 UTC", "14:00", True),
        ("14:00", "14:00 EST", False),
        ("2024-05-31T14:00", "2024-05-31T14:00Z", False),
        ("2024-05-31 14:00", "31 May 2024, 2 PM", True), ("2024-05-31 14:00", "2024-05-31T14:00:00", True),
        ("2024-05-31 14:00", "2024-05-31 15:00", False), ("2024-05-31 14:00", "2024-05-31", False),
        ("2024-05-31T14:00:00Z", "2024-05-31T16:00:00+02:00", True),
        ("2024-05-31T23:00:00Z", "2024-06-01T01:00:00+02:00", True),
        ("2024-05-31T14:00:00Z", "2024-05-31T14:00:00+05:00", False),
    ],
)  # fmt: skip
def test_halves_of_the_day(gold: str, answer: str, equal: bool) -> None:
    assert equal_answers(answer, gold).equal is equal


def test_quantities_in_several_units() -> None:
    assert read_compound("3 h 20 min").in_base == 12_000  # type: ignore[union-attr]
    assert read_compound("2 hours and 5 minutes").in_base == 7_500  # type: ignore[union-attr]
    assert read_compound("3 h 80 min") is None
    assert read_compound("3 h 20 kg") is None
    assert equal_answers("2:05:00", "2 h 5 min").equal
    assert equal_answers("PT2H5M", "125 min").equal
    assert not equal_answers("2 h 6 min", "125 min").equal


@pytest.mark.parametrize(
    "text",
    [
        "10-15",
        "10–15",
        "10 to 15",
        "from 10 to 15",
        "between 10 and 15",
        "10…15",
        "[10, 15]",
        r"10 \le x \le 15",
    ],
)
def test_ranges_in_every_spelling(text: str) -> None:
    assert equal_answers(text, "10-15").equal
    assert not equal_answers(text, "10-16").equal
    assert not equal_answers(text, "9-15").equal


def test_a_difference_is_no_range() -> None:
    for difference, value in (
        ("5 - 1/2", "4.5"),
        ("20 - 1.5", "18.5"),
        ("-5 - 3", "-8"),
        ("3/4 - 1/2", "1/4"),
    ):
        assert read_span(difference) is None
        assert equal_answers(value, difference).equal


def test_tolerances_in_every_spelling() -> None:
    for same in ("(20 ± 2) mm", "20 mm ± 10%", "20 plus or minus 2 mm", "[18, 22] mm", "2 ± 0.2 cm"):
        assert read_span(plain(same)).same(read_span("20 ± 2 mm")), same
    for other in ("(20 ± 3) mm", "20 mm ± 5%", "[18, 22] cm"):
        assert not read_span(plain(other)).same(read_span("20 ± 2 mm")), other


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("Si", "yes", False), ("Ne", "no", False), ("Non", "no", False), ("Tak", "yes", False),
        ("yes", "sí", True), ("no", "Nein", True), ("True", "True, False", False), ("yes", "Yes, no", False),
        ("yes", "Yes, it is", True), ("no maximum", "no minimum", False),
        ("no maximum", "no upper bound", True),
        ("no solution", "has no solution", True), ("undefined", "is undefined", True),
        ("1/3", "one third", True), ("1/3", "a third", True), ("1/3", "third", False),
        ("4", "twenty-fifth", False),
        ("B", "The answer is B", True), ("B", "The wrong answer is B", False), ("B", "not option B", False),
        ("C", "C Minor", False), ("90 min", "an hour and a half", True), ("30 min", "half an hour", True),
        ("310 s", "5m10s", True),
        ("n \\equiv 0 \\pmod 4", "n is divisible by 4", True),
        ("n \\equiv 0 \\pmod 4", "n is divisible by 8", False),
        ("x \\equiv 1, 5 \\pmod 6", "x \\equiv \\pm 1 \\pmod 6", True), ("Na+", "Na^{+}", True),
        ("Fe^{3+}", "Fe3+", True), ("Fe^{3+}", "Fe2+", False), ("E10", "E-10", False),
        ("file_2.txt", "file2.txt", False), ("7732-18-5", "CAS 7732-18-5", True), ("Bin #7", "Bin # 7", True),
        ("555-123-4567", "555.123.4567", True), ("555-123-4567", "555.123.4568", False),
    ],
)  # fmt: skip
def test_words_letters_and_codes(gold: str, answer: str, equal: bool) -> None:
    assert equal_answers(answer, gold).equal is equal


def test_the_unit_of_a_range_belongs_to_both_ends() -> None:
    assert read_span("10-15 kg") == read_span("10 kg to 15 kg")
    assert equal_answers("from 10000 g to 15 kg", "10-15 kg").equal
    assert equal_answers("18 mm to 22 mm", "20 ± 2 mm").equal
    assert not equal_answers("(10, 15)", "10-15").equal


def test_congruences() -> None:
    assert read_congruence("x ≡ -1 (mod 5)") == read_congruence("4 mod 5")
    for same in ("x ≡ 10 (mod 7)", "3 mod 7", "x = 7k + 3", "x is congruent to 3 modulo 7"):
        assert equal_answers(same, r"x \equiv 3 \pmod 7").equal


def test_identifiers_and_formulas() -> None:
    for left, right in [("M8×40", "m8x40"), ("A-12", "A12"), ("#F00", "#ff0000"), ("v1.2.10", "1.2.10")]:
        assert read_code(plain(left)).same(read_code(plain(right)))
    for left, right in [("1-12", "112"), ("A1-2", "A12"), ("K2", "2K"), ("1.2.1", "1.2.10")]:
        assert not read_code(left).same(read_code(right))
    for text in (
        "SO4^2-",
        "SO_4^{2-}",
        r"\mathrm{SO_4^{2-}}",
        r"\ce{SO4^{2-}}",
        "SO₄²⁻",
        "SO<sub>4</sub><sup>2-</sup>",
    ):
        assert equal_answers(text, "SO_4^{2-}").equal
    assert read_formula("Xy2") is None


@pytest.mark.parametrize(("gold", "kind"), KINDS.items())
def test_the_kind_of_a_reference(gold: str, kind: Kind) -> None:
    reference = read_reference(gold)
    assert reference.kind is kind
    assert bool(reference.doubt) == (gold in UNSURE)
    assert equal_answers(gold, gold).equal


@pytest.mark.parametrize(("gold", "answer"), MIXED)
def test_kinds_are_not_mixed(gold: str, answer: str) -> None:
    assert not equal_answers(answer, gold).equal


def test_a_stated_kind_decides() -> None:
    as_range, as_score = VerifySettings(kind="range"), VerifySettings(kind="ratio")
    assert equal_answers("between 3 and 5", "3-5", as_range).equal
    assert not equal_answers("between 3 and 5", "3-5", as_score).equal
    assert equal_answers("3:5", "3-5", as_score).equal
    assert equal_answers("5 June 2024", "6/5/2024", VerifySettings(kind="date")).equal
    assert equal_answers("(b)", "B", VerifySettings(kind="choice")).equal


@pytest.mark.parametrize(
    ("kind", "gold"), [("date", "soon"), ("time", "5 kg"), ("range", "7"), ("congruence", "x > 3")]
)
def test_a_reference_that_is_not_of_the_stated_kind_is_refused(kind: str, gold: str) -> None:
    with pytest.raises(DataError, match=f"cannot be read as {kind}; write "):
        check_answer(r"\boxed{42}", gold, settings=VerifySettings(kind=kind))


def test_an_unknown_kind_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"kind is 'dates', but must be one of integer, .*date"):
        VerifySettings(kind="dates")


def test_any_of_several_accepted_answers_is_right() -> None:
    for text, status in (("Bonn", Status.CORRECT), ("Berlin", Status.CORRECT), ("Rome", Status.WRONG)):
        verdict = check_answer(rf"\boxed{{\text{{{text}}}}}", "Berlin", accepted=["Bonn", "Frankfurt"])
        assert verdict.status is status


def test_numbers_in_words_within_other_words() -> None:
    assert in_digits("twenty-three to eleven") == "23 to 11"
    assert in_digits("two hours and five minutes") == "2 hours and 5 minutes"
    assert read_as(Kind.RANGE, "between ten and fifteen") == read_span("10-15")
