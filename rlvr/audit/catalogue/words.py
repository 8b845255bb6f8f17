"""Letters of options, yes and no, words for special results, and other text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from random import Random

from rlvr.audit.catalogue.entry import WORDS, Entry, Writer
from rlvr.verify.kinds import Kind

_LETTERS = "ABCDEFGHIJ"
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textbf|textit)\s*\{([^{}]*)\}")


@dataclass(frozen=True)
class Choice:
    letter: str
    brackets: bool = False

    @property
    def text(self) -> str:
        return f"({self.letter})" if self.brackets else self.letter

    @property
    def value(self) -> str:
        return self.letter


def draw_choice(rng: Random) -> Choice:
    return Choice(rng.choice("ABCDE"), rng.random() < 0.3)


def read_choice(text: str) -> Choice | None:
    match = re.fullmatch(r"(\()?([A-J])(?(1)\))", _TEXT.sub(r"\1", text).strip())
    return Choice(match[2], bool(match[1])) if match else None


def _letter(template: str) -> Writer:
    return lambda gold, rng: template.replace("@", gold.letter)


def _other_letter(step: int) -> Writer:
    def written(gold: Choice, rng: Random) -> Choice | None:
        place = _LETTERS.index(gold.letter) + step
        return replace(gold, letter=_LETTERS[place]) if 0 <= place < len(_LETTERS) else None

    return written


def _next_letter(template: str) -> Writer:
    """`template` with @ for the letter and & for the one after it."""

    def written(gold: Choice, rng: Random) -> str:
        after = _LETTERS[(_LETTERS.index(gold.letter) + 1) % 5]
        return template.replace("@", gold.letter).replace("&", after)

    return written


CHOICE = Entry(
    Kind.CHOICE,
    draw_choice,
    read_choice,
    keeps={
        **WORDS,
        "in dollars": _letter("$@$"),
        "letter alone": _letter("@"),
        "in brackets": _letter("(@)"),
        "closing bracket": _letter("@)"),
        "in brackets and \\text": _letter(r"\text{(@)}"),
        "in brackets and \\textbf": _letter(r"\textbf{(@)}"),
        "\\mathbf": _letter(r"\mathbf{@}"),
        "word option before": _letter("Option @"),
        "word option before, lower case": _letter("option (@)"),
        "word choice before": _letter("Choice @"),
        "in \\( \\)": _letter(r"\(@\)"),
    },
    changes={
        "next letter": _other_letter(1),
        "letter before": _other_letter(-1),
        "two letters later": _other_letter(2),
        "next letter in \\text": _next_letter(r"\text{(&)}"),
        "next letter with option": _next_letter("Option &"),
        "next letter in bold": _next_letter("**&**"),
        "both": _next_letter("@ and &"),
        "one of two": _next_letter("@ or &"),
        "two in a list": _next_letter("@, &"),
        "two without a space": _next_letter("@&"),
        "denied": _next_letter("not @"),
        "all of the above": _letter("All of the above"),
        "none of the above": _letter("None of the above"),
        "all letters": _letter("A, B, C, D, E"),
        "prime": _letter("@'"),
        "squared": _letter("@^2"),
        "doubled": _letter("2@"),
        "letter in a word": lambda gold, rng: {
            "A": "Apple",
            "B": "Banana",
            "C": "Cherry",
            "D": "Date",
            "E": "Elderberry",
        }.get(gold.letter),
    },
)


# --- yes and no -----------------------------------------------------------------------------------------

_OPPOSITE = {"Yes": "No", "No": "Yes", "True": "False", "False": "True"}
_ABROAD = {
    "Yes": ("Ja", "Oui", "Sí", "是"), "No": ("Nein", "Non", "No", "否"),
    "True": ("Wahr", "Vrai", "Verdadero"), "False": ("Falsch", "Faux", "Falso"),
}  # fmt: skip


@dataclass(frozen=True)
class YesNo:
    word: str
    lower: bool = False

    @property
    def text(self) -> str:
        return self.word.lower() if self.lower else self.word

    @property
    def value(self) -> str:
        return self.word

    @property
    def opposite(self) -> str:
        return _OPPOSITE[self.word]


def draw_yes_no(rng: Random) -> YesNo:
    return YesNo(rng.choice(list(_OPPOSITE)), rng.random() < 0.3)


def read_yes_no(text: str) -> YesNo | None:
    word = _TEXT.sub(r"\1", text).strip()
    return YesNo(word.capitalize(), word.islower()) if word.capitalize() in _OPPOSITE else None


def _word(template: str) -> Writer:
    """`template` with @ for the word and & for its opposite."""
    return lambda gold, rng: template.replace("@", gold.word).replace("&", gold.opposite)


YES_NO = Entry(
    Kind.YES_NO,
    draw_yes_no,
    read_yes_no,
    keeps={
        **WORDS,
        "lower case": lambda gold, rng: gold.word.lower(),
        "upper case": lambda gold, rng: gold.word.upper(),
        "first letter large": lambda gold, rng: gold.word,
        "in quotes": _word('"@"'),
        "in backquotes": _word("`@`"),
        "\\texttt": _word(r"\texttt{@}"),
        "\\textit": _word(r"\textit{@}"),
        "italics of Markdown": _word("*@*"),
        "\\mathbf": _word(r"\mathbf{@}"),
        "exclamation mark": _word("@!"),
    },
    changes={
        "opposite": lambda gold, rng: replace(gold, word=gold.opposite),
        "opposite in upper case": lambda gold, rng: gold.opposite.upper(),
        "opposite in lower case": lambda gold, rng: gold.opposite.lower(),
        "opposite in \\text": _word(r"\text{&}"),
        "opposite in bold": _word("**&**"),
        "opposite with a period": _word("&."),
        "opposite of another language": lambda gold, rng: (
            word
            if (word := rng.choice(_ABROAD[gold.opposite])) not in _ABROAD[gold.word] and word != gold.word
            else None
        ),
        "both": _word("@ and &"),
        "one of two": _word("@ or &"),
        "slash between both": _word("@/&"),
        "denied": _word("not @"),
        "maybe": _word("Maybe"),
        "unknown": _word("Cannot be determined"),
        "neither": _word("Neither @ nor &"),
        "sometimes": _word("Sometimes"),
        "longer word": lambda gold, rng: {
            "Yes": "Yesterday",
            "No": "Norway",
            "True": "Truelove",
            "False": "Falsetto",
        }[gold.word],
        "question": _word("@?"),
    },
)


# --- words for special results --------------------------------------------------------------------------

_SPECIAL: dict[str, tuple[str, ...]] = {
    "no solution": (
        "no solution", r"\text{no solution}", r"\text{No solution}", "No solutions", r"\text{no solutions}",
        "There is no solution", "There are no solutions.", r"\emptyset", r"\varnothing", "∅", r"\{\}",
        "NO SOLUTION", "**No solution**", r"\textbf{no solution}",
        r"$\emptyset$", "the empty set", r"\text{the empty set}",
    ),
    "infinity": (
        r"\infty", "∞", "infinity", r"+\infty", r"\text{infinity}", "Infinity", "+∞", r"$\infty$",
        r"\(\infty\)",
        "positive infinity", r"{\infty}", r"\boxed{\infty}", "infinity.", "**∞**", r"\mathrm{infinity}",
    ),
    "minus infinity": (
        r"-\infty", "-∞", "−∞", "negative infinity", r"\text{negative infinity}", "minus infinity",
        r"$-\infty$",
        "-infinity", r"-\,\infty", r"\(-\infty\)", r"{-\infty}", r"\boxed{-\infty}", "**-∞**",
        "Negative infinity",
    ),
    "undefined": (
        "undefined", r"\text{undefined}", "Undefined", "UNDEFINED", "not defined", r"\text{not defined}",
        "is undefined", "It is undefined.", "**undefined**", r"\textbf{undefined}", r"$\text{undefined}$",
        r"\mathrm{undefined}", "undefined.", "The value is undefined",
    ),
    "does not exist": (
        "does not exist", r"\text{does not exist}", "Does not exist", "DOES NOT EXIST", "doesn't exist",
        "doesn’t exist", "It does not exist.", "The limit does not exist", r"\text{The limit does not exist}",
        "**does not exist**", r"\textbf{does not exist}", r"$\text{does not exist}$", "does not exist.",
    ),
    "infinitely many solutions": (
        "infinitely many solutions", r"\text{infinitely many solutions}", "Infinitely many solutions",
        "infinitely many solutions.", "There are infinitely many solutions", "INFINITELY MANY SOLUTIONS",
        "an infinite number of solutions", r"\textbf{infinitely many solutions}",
        "**infinitely many solutions**",
        r"$\text{infinitely many solutions}$", r"\boxed{\text{infinitely many solutions}}",
        "There are infinitely many solutions.", r"\text{Infinitely many solutions}",
    ),
}  # fmt: skip
_NAMES_OF_WRITINGS = (
    "second writing", "third writing", "fourth writing", "fifth writing", "sixth writing", "seventh writing",
    "eighth writing", "ninth writing", "tenth writing", "eleventh writing", "twelfth writing",
    "thirteenth writing",
    "fourteenth writing", "fifteenth writing", "sixteenth writing", "seventeenth writing",
)  # fmt: skip


@dataclass(frozen=True)
class Special:
    concept: str
    writing: int = 0

    @property
    def text(self) -> str:
        return _SPECIAL[self.concept][self.writing]

    @property
    def value(self) -> str:
        return self.concept


def draw_special(rng: Random) -> Special:
    concept = rng.choice(list(_SPECIAL))
    return Special(concept, rng.choice([0, 0, 1]))


def read_special(text: str) -> Special | None:
    plain = _TEXT.sub(r"\1", text).strip().removesuffix(".").lower()
    for concept, writings in _SPECIAL.items():
        for place, writing in enumerate(writings):
            if _TEXT.sub(r"\1", writing).strip().removesuffix(".").lower() == plain:
                return Special(concept, place)
    return None


def _writing(place: int) -> Writer:
    return lambda gold, rng: _SPECIAL[gold.concept][place] if place < len(_SPECIAL[gold.concept]) else None


def _another_concept(gold: Special, rng: Random) -> Special:
    return Special(rng.choice([concept for concept in _SPECIAL if concept != gold.concept]))


def _infinite(template: str) -> Writer:
    return lambda gold, rng: template if "infinity" in gold.concept else None


def _constant(text: str, *but: str) -> Writer:
    return lambda gold, rng: text if gold.concept not in but else None


SPECIAL = Entry(
    Kind.SPECIAL,
    draw_special,
    read_special,
    keeps={name: _writing(place) for place, name in enumerate(_NAMES_OF_WRITINGS, 1)},
    changes={
        "another of them": _another_concept,
        "another of them, written otherwise": lambda gold, rng: _SPECIAL[_another_concept(gold, rng).concept][
            rng.randrange(2, 10)
        ],
        "sign of infinity flipped": lambda gold, rng: {
            "infinity": r"-\infty",
            "minus infinity": r"\infty",
        }.get(gold.concept),
        "sign of infinity flipped in words": lambda gold, rng: {
            "infinity": "negative infinity",
            "minus infinity": "positive infinity",
        }.get(gold.concept),
        "both infinities": _infinite(r"\pm\infty"),
        "line of the reals": _infinite(r"(-\infty, \infty)"),
        "zero": _constant("0"),
        "one": _constant("1"),
        "large number": _constant("10^{100}"),
        "one solution": _constant("exactly one solution"),
        "two solutions": _constant(r"\text{two solutions}"),
        "set of zero": _constant(r"\{0\}"),
        "set of the empty set": _constant(r"\{\emptyset\}"),
        "denied": lambda gold, rng: (
            f"not {_SPECIAL[gold.concept][0]}" if gold.concept in ("infinity", "undefined") else None
        ),
        "it exists": lambda gold, rng: "exists" if gold.concept == "does not exist" else None,
        "it is defined": lambda gold, rng: "defined" if gold.concept == "undefined" else None,
        "all real numbers": _constant(r"\text{all real numbers}", "infinitely many solutions"),
        "unknown": _constant(r"\text{unknown}"),
        "one of two": lambda gold, rng: f"{gold.text} or {_another_concept(gold, rng).text}",
        "x": _constant("x"),
    },
)


# --- other text -----------------------------------------------------------------------------------------

_PHRASES = (
    ("Paris", "London", "Madrid", "Berlin", "Vienna", "Lisbon", "Prague"),
    ("Evelyn", "Samuel", "Miriam", "Daniel", "Sophia", "Joseph"),
    ("Tuesday", "Monday", "Friday", "Saturday", "Wednesday"),
    ("isosceles triangle", "right triangle", "regular hexagon", "parallelogram", "rhombus"),
    ("mitochondria", "ribosome", "nucleus", "chloroplast"),
    ("ellipse", "hyperbola", "parabola", "circle"),
    ("dark red", "light blue", "pale green", "deep purple"),
    ("listen", "silent", "enlist", "tinsel"),
    ("Second law of motion", "First law of motion", "Law of sines", "Law of cosines"),
    ("increasing", "decreasing", "constant"),
    ("even", "odd", "prime"),
    ("Buenos Aires", "Los Angeles", "San Francisco"),
)
_GROUP_OF = {phrase: group for group in _PHRASES for phrase in group}


@dataclass(frozen=True)
class Phrase:
    text: str

    @property
    def words(self) -> str:
        return _TEXT.sub(r"\1", self.text).strip()

    @property
    def value(self) -> str:
        return self.words.lower()


def draw_text(rng: Random) -> Phrase:
    phrase = rng.choice(list(_GROUP_OF))
    return Phrase(rf"\text{{{phrase}}}" if rng.random() < 0.4 else phrase)


def read_text(text: str) -> Phrase | None:
    plain = _TEXT.sub(r"\1", text).strip()
    return Phrase(text) if re.fullmatch(r"[A-Za-z][A-Za-z '-]*", plain) else None


def _phrase(template: str) -> Writer:
    return lambda gold, rng: template.replace("@", gold.words)


def _changed_words(change: Writer) -> Writer:
    def written(gold: Phrase, rng: Random) -> Phrase | None:
        found = change(gold, rng)
        return Phrase(found) if isinstance(found, str) else None

    return written


def _another_phrase(gold: Phrase, rng: Random) -> str:
    others = [phrase for phrase in _GROUP_OF.get(gold.words, ("Neptune", "Jupiter")) if phrase != gold.words]
    return rng.choice(others)


def _letters_swapped(gold: Phrase, rng: Random) -> str | None:
    places = [
        p
        for p in range(len(gold.words) - 1)
        if gold.words[p : p + 2].isalpha() and gold.words[p].lower() != gold.words[p + 1].lower()
    ]
    if not places:
        return None
    place = rng.choice(places)
    return gold.words[:place] + gold.words[place + 1] + gold.words[place] + gold.words[place + 2 :]


def _several(gold: Phrase) -> list[str] | None:
    found = gold.words.split()
    return found if len(found) > 1 else None


TEXT = Entry(
    Kind.TEXT,
    draw_text,
    read_text,
    keeps={
        "\\text": _phrase(r"\text{@}"),
        "\\textbf": _phrase(r"\textbf{@}"),
        "\\textit": _phrase(r"\textit{@}"),
        "\\mbox": _phrase(r"\mbox{@}"),
        "\\text in dollars": _phrase(r"$\text{@}$"),
        "\\text in \\( \\)": _phrase(r"\(\text{@}\)"),
        "in a box": lambda gold, rng: rf"\boxed{{{gold.text}}}",
        "bold of Markdown": _phrase("**@**"),
        "italics of Markdown": _phrase("*@*"),
        "trailing period": lambda gold, rng: f"{gold.text}.",
        "white space around": lambda gold, rng: f"  {gold.text}\n",
        "plain": _phrase("@"),
        "in quotes": _phrase('"@"'),
        "in quotes of print": _phrase("“@”"),
        "lower case": lambda gold, rng: gold.words.lower() if not gold.words.isupper() else None,
        "first letter large": lambda gold, rng: gold.words[:1].upper() + gold.words[1:],
        "upper case": lambda gold, rng: gold.words.upper(),
        "two spaces": lambda gold, rng: gold.words.replace(" ", "  "),
        "ties for spaces": lambda gold, rng: (
            rf"\text{{{gold.words.replace(' ', '~')}}}" if " " in gold.words else None
        ),
        "\\mathrm and escaped spaces": lambda gold, rng: (
            rf"\mathrm{{{gold.words.replace(' ', chr(92) + ' ')}}}"
        ),
        "period in \\text": _phrase(r"\text{@.}"),
    },
    changes={
        "another of its sort": _changed_words(_another_phrase),
        "another of its sort in \\text": lambda gold, rng: rf"\text{{{_another_phrase(gold, rng)}}}",
        "another of its sort in upper case": lambda gold, rng: _another_phrase(gold, rng).upper(),
        "denied": _phrase("not @"),
        "one of two": lambda gold, rng: f"{gold.words} or {_another_phrase(gold, rng)}",
        "both": lambda gold, rng: f"{gold.words} and {_another_phrase(gold, rng)}",
        "neither": lambda gold, rng: f"neither {gold.words} nor {_another_phrase(gold, rng)}",
        "letters swapped": _changed_words(_letters_swapped),
        "letters reversed": _changed_words(lambda gold, rng: gold.words[::-1]),
        "letters sorted": _changed_words(lambda gold, rng: "".join(sorted(gold.words.replace(" ", "")))),
        "last word dropped": _changed_words(
            lambda gold, rng: " ".join(words[:-1]) if (words := _several(gold)) else None
        ),
        "first word dropped": _changed_words(
            lambda gold, rng: " ".join(words[1:]) if (words := _several(gold)) else None
        ),
        "words reversed": _changed_words(
            lambda gold, rng: " ".join(words[::-1]) if (words := _several(gold)) else None
        ),
        "first letter alone": lambda gold, rng: gold.words[0],
        "last letters dropped": _changed_words(
            lambda gold, rng: gold.words[:-2] if len(gold.words) > 3 else None
        ),
        "word before": _phrase("anti-@"),
        "number of letters": lambda gold, rng: str(len(gold.words)),
        "unknown": _phrase("unknown"),
        "yes": _phrase("Yes"),
    },
)

ENTRIES = (CHOICE, YES_NO, SPECIAL, TEXT)
