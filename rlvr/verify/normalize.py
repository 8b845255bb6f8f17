"""Normalizes the notations of LaTeX, Unicode and plain text to one spelling, with the same meaning."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rlvr.verify.plain import dollars_are_money
from rlvr.verify.units import read_unit
from rlvr.verify.words import number_in_words

_UNICODE = {
    "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "∞": r"\infty ",
    "π": r"\pi ", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "°": r"^{\circ}", "⁄": "/", "′": "'",
    "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "λ": r"\lambda ", "ℝ": r"\mathbb{R}",
    "ℤ": r"\mathbb{Z}", "∅": r"\emptyset ", "∖": r"\setminus ", "∉": r"\notin ", "∧": r"\wedge ",
    "∨": r"\vee ", "∠": r"\angle ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ",
    "γ": r"\gamma ", "δ": r"\delta ", "ε": r"\epsilon ", "μ": r"\mu ", "ρ": r"\rho ", "σ": r"\sigma ",
    "τ": r"\tau ", "φ": r"\phi ", "ω": r"\omega ", "Δ": r"\Delta ", "Ω": r"\Omega ", "，": ", ", "；": "; ",
    "：": ": ", "∶": ":", "（": "(", "）": ")", "∫": r"\int ", "∑": r"\sum ", "∏": r"\prod ", "→": r"\to ",
    "≡": r"\equiv ", "↦": r"\mapsto ", "″": "''", "’": "'",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUBSCRIPT_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_VULGAR = re.compile("[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")
_CIRCLED = re.compile("[①-⑳]+")  # the statements that hold
_UNICODE_ROOT = re.compile(r"([√∛∜])\s*(\d+(?:\.\d+)?|[A-Za-z]|\([^()]*\))")
_DEGREE_OF_ROOT = {"√": "", "∛": "[3]", "∜": "[4]"}


_IN_TEXT = re.compile(r"\\(?:text|mbox|mathrm)\s*\{([^{}]*)\}")


def _in_words(text: str) -> str:
    """forty-two as 42, two thirds as 2/3, five hours as 5 hours."""
    bare = wrapped.group(1).strip() if (wrapped := _IN_TEXT.fullmatch(text)) else text
    if len(bare) > 120 or any(character.isdigit() for character in bare):
        return text
    value = number_in_words(bare)
    if value is not None:
        return str(value)
    words = bare.split()
    for cut in range(min(len(words) - 1, 20), 0, -1):
        value = number_in_words(" ".join(words[:cut]))
        if value is not None and number_in_words(words[cut]) is None and read_unit(" ".join(words[cut:])):
            return f"{value} {' '.join(words[cut:])}"
    return text


_ESCAPED_TWICE = re.compile(r"\\\\(?=[A-Za-z])")  # unless it ends rows
# The order matters: thousands separators are read before spaces are removed.
_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=\d)(?:\{,\}|,\s*\\!|\\,|\\ )\s*(?=\d{3}(?!\d))", ","),
        (r"(?<=\d)\{,\}(?=\d)", "."),
        (r"\\(?:left|right|mleft|mright)\s*\.", ""),
        (r"\\(?:left|right|mleft|mright)(?![A-Za-z])\s*([{}])", r"\\\1"),
        (r"\\(?:left|right|bigl|bigr|Bigl|Bigr|big|Big|mleft|mright)(?![A-Za-z])", ""),
        (r"\\[lr]?vert", "|"),
        (
            r"\\langle(?![A-Za-z])((?:[^,;|\\]|\\(?!rangle|langle|mid|vert)){1,40})\\rangle(?![A-Za-z])",
            r"\\overline{\1}",
        ),
        (r"\\langle(?![A-Za-z])|\\lgroup|\\lparen", "("),
        (r"\\rangle(?![A-Za-z])|\\rgroup|\\rparen", ")"),
        (r"\\lbrack", "["),
        (r"\\rbrack", "]"),
        (r"(?<!\\)\\(?:[,;:!>/]|q?quad|(?:displaystyle|textstyle|limits|thinspace)(?![A-Za-z]))", " "),
        (r"(?<!\\)\\[ \n]|~", " "),
        (r"\s{3,}", "  "),  # or patterns with several \s* take cubic time
        (r"\\(?:[dtcs]|nice)frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:ldots|dots|cdots|dotsc|dotsb)(?![A-Za-z])|\.{3,}", "…"),
        (r"(?<![\w\\}])d([A-Za-z])\s*/\s*d([a-z])(?!\w)", r"\\frac{d\1}{d\2}"),
        (r"^([A-Za-z])\s*:\s*([a-z])\s*\\mapsto(?![A-Za-z])", r"\1(\2)="),
        (r"^([a-z])\s*\\mapsto(?![A-Za-z])", r"f(\1)="),
        (r"\\mathcal\s*\{?\s*O\s*\}?(?=\s*\()", "O"),
        (r"(\\equiv.*?)(?:\(\s*\\?mod\s*(\w+)\s*\)|\\mod\s*(\w+)|\\pmod\s*(\w))$", r"\1\\pmod{\2\3\4}"),
        (r"(?<=\w)\s*=>\s*(?=-?[\d.]+$)", r"\\ge "),
        (r"\\(?:leq|leqslant|leqq)(?![A-Za-z])", r"\\le "),
        (r"\\(?:geq|geqslant|geqq)(?![A-Za-z])", r"\\ge "),
        (r"\\(?:neq)(?![A-Za-z])", r"\\ne "),
        (r"\\not\s*=", r"\\ne "),
        (r"<=|=<", r"\\le "),
        (r">=", r"\\ge "),
        (r"!=", r"\\ne "),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\lbrace", r"\\{"),
        (r"\\([pbBvV]?)matrix\s*\{((?:[^{}]|\{[^{}]*\})*)\}", r"\\begin{\1matrix}\2\\end{\1matrix}"),
        (r"\\rbrace", r"\\}"),
        (r"\^\s*\{?\s*\\(?:text|mathrm|textrm)\s*\{\s*(?:st|nd|rd|th)\s*\}\s*\}?", ""),
        (r"\\overline\s*\{\s*([A-Z]{2})\s*\}", r"\1"),
        (r"\b([Nn])o solutions?\b", r"\1o solution"),
        (r"\\(?:mid)(?![A-Za-z])", "|"),
        (r"\\(?:mathbf|mathit|boldsymbol|bm|mathsf)\s*\{([^{}]*)\}", r"\1"),
        (r"\\(?:textnormal|mbox|textup)(?![A-Za-z])", r"\\text"),
        (r"\\h?phantom\s*(?:\{[^{}]*\}|[^{\s])", ""),
        (r"\\textcolor\s*\{[^{}]*\}|\\color\s*\{[^{}]*\}", ""),
        (r"\\(?:arc(sin|cos|tan))(?![a-z])", r"\\arc\1 "),
        (r"\^\s*\\(?:circ|degree)(?![A-Za-z])|\\degree(?![A-Za-z])", r"^{\\circ}"),
        (r"\\frac\s*([0-9A-Za-z])\s*(?=[0-9A-Za-z{\\])", r"\\frac{\1}"),
        (r"(\\frac\s*\{[^{}]*\})\s*([0-9A-Za-z])", r"\1{\2}"),
        (r"\\([dt]?)binom\s*(\w)\s*(\w)(?!\w)", r"\\\1binom{\2}{\3}"),
        (r"\\sqrt\s*(\d+|[A-Za-z])", r"\\sqrt{\1}"),
        (r"(?<![\\A-Za-z])(?:infinity|infty)(?![A-Za-z])", r"\\infty "),
        (r"_\s*\{\s*(\w)\s*\}(?!\w)", r"_\1"),
        (r"\*\*", "^"),
        (r"\\mathrm\s*\{d\}", "d"),  # of a differential
        (r"_\s*\{?\s*\(\s*(\d{1,2})\s*\)\s*\}?", r"_{\1}"),
        (
            r"^([\dA-F.]+)\s*(?:_\s*\{)?[\s(]*(?:\\text\s*\{)?[\s(]*(?:in\s+)?base[\s-]*(\d{1,2})[\s)}]*$",
            r"\1_{\2}",
        ),
        (r"\{([:;])\}", r"\1"),
        (r"\{\}\s*\^\s*\{?(\d+)\}?\s*(?:/|\\!)+\s*_\s*\{?(\d+)\}?", r"\\frac{\1}{\2}"),
        (r"(?<=\d)\s*(?:\\text\s*\{\s*to\s*\}|\bto\b)\s*(?=\d+(?:\s|\\|$))", ":"),
        (r"\s+", " "),
    )
]
_BOLD = re.compile(r"\\(?:mathbf|boldsymbol|bm)\s*(?:\{\s*([A-Za-z])\s*\}|([A-Za-z])(?![A-Za-z]))")
_CROSS = re.compile(rf"{_BOLD.pattern}\)*\s*\\times")
_COMBINED = re.compile(
    r"^(?:(?:\{\s*\})?[_^]\s*\{?(\d+|[a-z])\}?|(\d+|n))\s*(?:\\mathrm\s*\{)?([CP])\}?\s*_?\s*\{?(\d+|[kmr])\}?$"
)
_WORD_SUBSCRIPT = re.compile(r"_\s*\{\s*(\\(?:text|mathrm)\s*\{\s*\w+\s*\})\s*\}")
_CONTINUED = re.compile(r"\d?\.\d+\.{3}$")  # 0.333...
_TRAILING_SPACE = re.compile(r"(?:\s|\\[,;:!> ]|\\q?quad|\\$|~)+$")
_WRAPPERS = (
    ("'", "'"),
    ('"', '"'),
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("**", "**"),
    ("`", "`"),
)
_DOLLAR = re.compile(r"(?<!\\)\$")
_BOX_ALL = re.compile(r"\\(?:boxed|fbox)\s*\{(.*)\}", re.DOTALL)


@lru_cache(maxsize=1 << 10)
def normalize(text: str) -> str:
    """The answer `text` without formatting: delimiters, sizes, spaces, trailing full stop."""
    text = _from_unicode(text)
    previous = None
    while previous != text:
        previous = text
        text = _TRAILING_SPACE.sub("", text.strip())
        text = text.replace("...", "…") if _CONTINUED.search(text) else text
        if len(text) > 1:
            text = text.rstrip(".,;:").rstrip()
        for opening, closing in _WRAPPERS:
            inside = text[len(opening) : -len(closing)]
            if text.startswith(opening) and text.endswith(closing) and opening not in inside:
                text = inside if len(text) >= len(opening + closing) else text
        if (match := _BOX_ALL.fullmatch(text)) and match.group(1).count("{") == match.group(1).count("}"):
            text = match.group(1)
    if "$" in text and not dollars_are_money(text):  # several formulas; one alone is currency
        text = _DOLLAR.sub(" ", text)
    if r"\begin" not in text:
        text = _ESCAPED_TWICE.sub(r"\\", text)
    if _CROSS.search(text):  # bold letters are vectors where a cross product shows it
        text = _BOLD.sub(lambda bold: rf"\{_mark(bold[1] or bold[2])}{{{bold[1] or bold[2]}}}", text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _WORD_SUBSCRIPT.sub(lambda match: f"_{_in_words(match.group(1))}", text)
    return _COMBINED.sub(_combined, _in_words(text.strip()))


def _mark(letter: str) -> str:
    return "hat" if letter in "ijk" else "vec"


def _combined(match: re.Match[str]) -> str:
    """\\binom for C, and for P the number of arrangements."""
    total, kind, chosen = (group for group in match.groups() if group)
    if kind == "C":
        return rf"\binom{{{total}}}{{{chosen}}}"
    return rf"\frac{{{total}!}}{{({total}-{chosen})!}}"


def _from_unicode(text: str) -> str:
    text = _CIRCLED.sub(
        lambda match: ", ".join(str(ord(digit) - 0x2460 + 1) for digit in match.group()), text
    )
    text = _VULGAR.sub(lambda match: _fraction(match.group()), text)
    text = _SUPERSCRIPT_RUN.sub(lambda match: f"^{{{match.group().translate(_SUPERSCRIPTS)}}}", text)
    text = _SUBSCRIPT_RUN.sub(lambda match: f"_{{{match.group().translate(_SUBSCRIPTS)}}}", text)
    text = _UNICODE_ROOT.sub(
        lambda match: rf"\sqrt{_DEGREE_OF_ROOT[match.group(1)]}{{{match.group(2)}}}", text
    )
    text = "".join(_UNICODE.get(character, character) for character in text)
    text = "".join(_compatible(character) for character in text)
    return "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc", "Cs", "Co") or c in "\n\t")


def _compatible(character: str) -> str:
    """Replaces wide and mathematical letters and digits by plain ones; circled digits are kept."""
    if unicodedata.decomposition(character).startswith(("<font>", "<wide>", "<narrow>", "<noBreak>")):
        return unicodedata.normalize("NFKC", character)
    return character


def _fraction(character: str) -> str:
    numerator, _, denominator = unicodedata.normalize("NFKD", character).partition("⁄")
    return rf"\frac{{{numerator}}}{{{denominator}}}"
