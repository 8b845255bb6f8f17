"""One spelling for what LaTeX, Unicode and plain text write in many ways; meaning is untouched."""

from __future__ import annotations

import re
import unicodedata

_UNICODE = {
    "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "∞": r"\infty ",
    "π": r"\pi ", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "°": r"^{\circ}", "⁄": "/", "′": "'",
    "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "λ": r"\lambda ", "ℝ": r"\mathbb{R}",
    "ℤ": r"\mathbb{Z}", "∅": r"\emptyset ",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_VULGAR = re.compile("[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")
_UNICODE_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-z]|\([^()]*\))")

# In this order: thousands separators are read before the spaces they are made of go.
_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=\d)(?:\{,\}|,\s*\\!|\\,|\\ )\s*(?=\d{3}(?!\d))", ","),
        (r"\\(?:left|right|bigl|bigr|Bigl|Bigr|big|Big|mleft|mright)(?![A-Za-z])\.?", ""),
        (r"(?<!\\)\\(?:[,;:!>/]|(?:q?quad|displaystyle|textstyle|limits|thinspace)(?![A-Za-z]))", " "),
        (r"(?<!\\)\\[ \n]|~", " "),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:leq|leqslant|leqq)(?![A-Za-z])", r"\\le "),
        (r"\\(?:geq|geqslant|geqq)(?![A-Za-z])", r"\\ge "),
        (r"\\(?:neq)(?![A-Za-z])", r"\\ne "),
        (r"<=|=<", r"\\le "),
        (r">=", r"\\ge "),
        (r"!=", r"\\ne "),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\(?:lbrace)(?![A-Za-z])", r"\\{"),
        (r"\\(?:rbrace)(?![A-Za-z])", r"\\}"),
        (r"\\(?:lvert|rvert|vert)(?![A-Za-z])", "|"),
        (r"\\(?:mid)(?![A-Za-z])", "|"),
        (r"\\(?:mathbf|mathit|boldsymbol|bm|mathsf)\s*\{([^{}]*)\}", r"\1"),
        (r"\\textcolor\s*\{[^{}]*\}|\\color\s*\{[^{}]*\}", ""),
        (r"\\(?:arc(sin|cos|tan))(?![a-z])", r"\\arc\1 "),
        (r"\^\s*\\(?:circ|degree)(?![A-Za-z])|\\degree(?![A-Za-z])", r"^{\\circ}"),
        (r"\\frac\s*([0-9A-Za-z])\s*(?=[0-9A-Za-z{\\])", r"\\frac{\1}"),
        (r"(\\frac\s*\{[^{}]*\})\s*([0-9A-Za-z])", r"\1{\2}"),
        (r"\\sqrt\s*([0-9A-Za-z])", r"\\sqrt{\1}"),
        (r"(?<![\\A-Za-z])(?:infinity|infty)(?![A-Za-z])", r"\\infty "),
        (r"_\s*\{\s*(\w)\s*\}", r"_\1"),
        (r"\*\*", "^"),
        (r"\s+", " "),
    )
]
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"))
_DOLLAR = re.compile(r"(?<!\\)\$")
_BOX_ALL = re.compile(r"\\(?:boxed|fbox)\s*\{(.*)\}", re.DOTALL)


def normalize(text: str) -> str:
    """The answer `text` without dressing: delimiters, sizes, spaces, trailing full stop."""
    text = _from_unicode(text)
    previous = None
    while previous != text:
        previous = text
        text = text.strip().removesuffix("\\").strip()
        if len(text) > 1:
            text = text.rstrip(".,;:").rstrip()
        for opening, closing in _WRAPPERS:
            inside = text[len(opening) : -len(closing)]
            if text.startswith(opening) and text.endswith(closing) and opening not in inside:
                text = inside if len(text) >= len(opening + closing) else text
        if (match := _BOX_ALL.fullmatch(text)) and match.group(1).count("{") == match.group(1).count("}"):
            text = match.group(1)
    if len(dollars := _DOLLAR.findall(text)) % 2 == 0 and dollars:  # several formulas; one alone is currency
        text = _DOLLAR.sub(" ", text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text.strip()


def _from_unicode(text: str) -> str:
    text = _VULGAR.sub(lambda match: _fraction(match.group()), text)
    text = _SUPERSCRIPT_RUN.sub(lambda match: f"^{{{match.group().translate(_SUPERSCRIPTS)}}}", text)
    text = _UNICODE_ROOT.sub(lambda match: rf"\sqrt{{{match.group(1)}}}", text)
    text = "".join(_UNICODE.get(character, character) for character in text)
    text = "".join(_compatible(character) for character in text)
    return "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc", "Cs", "Co") or c in "\n\t")


def _compatible(character: str) -> str:
    """Wide and mathematical letters and digits as plain ones; circled digits stay what they are."""
    if unicodedata.decomposition(character).startswith(("<font>", "<wide>", "<narrow>", "<noBreak>")):
        return unicodedata.normalize("NFKC", character)
    return character


def _fraction(character: str) -> str:
    numerator, _, denominator = unicodedata.normalize("NFKD", character).partition("⁄")
    return rf"\frac{{{numerator}}}{{{denominator}}}"
