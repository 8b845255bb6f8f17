"""The plain form of an answer: without LaTeX and Markdown formatting, and with one character per sign.

Only LaTeX commands with a meaning remain (\\frac, \\sqrt …). Dates, units, codes and words are read from
this form, expressions from that of `rlvr.verify.normalize`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_SIGNS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "―": "-", "﹣": "-", "－": "-", "’": "'",
    "‘": "'", "′": "'", "″": '"', "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "º": "°", "˚": "°",
    "⁄": "/", "∕": "/", "÷": "/", "μ": "µ", "Ω": "Ω", "⋅": "·", "•": "·", "∙": "·", "⨯": "×", "✕": "×",
    "、": ", ", "，": ", ", "。": ".", "：": ":", "∶": ":", "꞉": ":", "；": ";", "（": "(", "）": ")",
    "％": "%",     "∼": "~", "～": "~",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-")
_SUBSCRIPT_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋]+")
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|textup|mathrm|mathbf|mathit|mathsf|mathtt|mbox|hbox"
    r"|operatorname\*?|boxed|fbox|ce|emph|underline|bm|boldsymbol|rm|url)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_COMMANDS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\s*", ""),
        (r"(?<=\d)\{,\}(?=\d{3}(?!\d))|(?<=\d),\s?\\!(?=\d{3})", ","),
        (r"(?<=\d)\{,\}(?=\d)", "."),
        (r"(?<=\d)(?:\\,|\\ |\\thinspace\s?|~)\s?(?=\d{3}(?!\d))", ","),
        (r"\\!", ""),
        (r"\{\s*\\(?:rm|bf|it|sf|tt)(?![A-Za-z])\s*((?:[^{}]|\{[^{}]*\})*)\}", r"\1"),
        (r"\{\}\s*\^\s*\{?(\d+)\}?\s*(?:/|\\!)+\s*_\s*\{?(\d+)\}?", r"\\frac{\1}{\2}"),
        (r"(?<![A-Za-z])\{([:;])\}", r"\1"),
        (r"\\[,;:> ]|\\q?quad(?![A-Za-z])|\\(?:thin|med|thick)space(?![A-Za-z])|~(?=\S)(?!\d)", " "),
        (r"\^\s*\{?\s*\\(?:circ|degree)(?![A-Za-z])\s*\}?|\\(?:degree|degrees|celsius)(?![A-Za-z])", "°"),
        (r"\^\s*\{?\s*\\prime\s*\\prime\s*\}?", '"'),
        (r"\^\s*\{?\s*\\prime\s*\}?", "'"),
        (r"\\times(?![A-Za-z])\s*", "×"),
        (r"\\cdot(?![A-Za-z])\s*", "·"),
        (r"\\(?:ldots|dots|cdots|dotsc)(?![A-Za-z])", "…"),
        (r"\\mu(?![A-Za-z])\s*|\\micro(?![A-Za-z])\s*", "µ"),
        (r"\\(?:Omega|ohm)(?![A-Za-z])", "Ω"),
        (r"\\pm(?![A-Za-z])\s*", "±"),
        (r"\\(?:infty|infin)(?![A-Za-z])", "∞"),
        (r"\\(?:emptyset|varnothing)(?![A-Za-z])", "∅"),
        (r"\\(?:approx|simeq|sim)(?![A-Za-z])", "≈"),
        (r"\\(?:rightarrow|to)(?![A-Za-z])", "→"),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:equiv)(?![A-Za-z])", "≡"),
        (r"\\([%#_&€£])", r"\1"),
        (r"\\euro(?![A-Za-z])", "€"),
        (r"\\pounds(?![A-Za-z])", "£"),
        (r"\\hyp(?![A-Za-z])|\\textendash(?![A-Za-z])", "-"),
    )
]
_DOLLARS = re.compile(r"(?<!\\)\$")
_HTML = re.compile(r"<(sub|sup)>([^<>{}]{1,20})</\1>")
_ELLIPSIS = re.compile(r"\.{3,}")
_TRAILING = re.compile(r"[\s.,;:]+$")
_WRAPPERS = (
    ("**", "**"),
    ("__", "__"),
    ("`", "`"),
    ('"', '"'),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("*", "*"),
    ("'", "'"),
)


# \SI{5}{\kilo\gram}, \qty{9.8}{\meter\per\second\squared}, \unit{\newton\meter}
_SIUNITX = re.compile(r"\\(?:(?:SI|qty)\s*\{([^{}]*)\}|si|unit)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_UNIT_MACRO = re.compile(r"\\([A-Za-z]+)(?:\{(-?\d)\})?")
_MACROS = {
    "per": "/", "squared": "^2 ", "cubed": "^3 ", "square": "square ", "cubic": "cubic ", "percent": "%",
    "celsius": "°C", "degreeCelsius": "°C", "degree": "°", "times": " × ", "cdot": "·",
}  # fmt: skip
_PREFIX = re.compile(r"tera|giga|mega|kilo|hecto|deca|deci|centi|milli|micro|nano|pico|femto")


def _in_words(number: str, unit: str) -> str:
    """A number and a unit in the macros of siunitx: 5, \\kilo\\gram as 5 kilogram."""

    def word(macro: re.Match[str]) -> str:
        name, power = macro.groups()
        if name == "tothe":
            return f"^{power} "
        if name in _MACROS:
            return _MACROS[name]
        return name if _PREFIX.fullmatch(name) else f"{name} "

    written = _UNIT_MACRO.sub(word, unit)
    return f"{number} {re.sub(r' +(?=[/^])', '', written).strip()}".strip()


@lru_cache(maxsize=1 << 12)
def plain(text: str) -> str:
    """The answer `text` without formatting. Takes time linear in its length."""
    text = "".join(_SIGNS.get(character, character) for character in text)
    text = _SUPERSCRIPT_RUN.sub(lambda run: f"^{{{run.group().translate(_SUPERSCRIPTS)}}}", text)
    text = _SUBSCRIPT_RUN.sub(lambda run: f"_{{{run.group().translate(_SUBSCRIPTS)}}}", text)
    text = "".join(_compatible(character) for character in text)
    if "$" in text and not dollars_are_money(text):
        text = _DOLLARS.sub(" ", text)
    text = text.replace(r"\$", "$")
    if "<su" in text:
        text = _HTML.sub(lambda tag: f"{'_' if tag.group(1) == 'sub' else '^'}{{{tag.group(2)}}}", text)
    text = _ELLIPSIS.sub("…", text)
    if "\\" in text:
        text = _SIUNITX.sub(lambda found: _in_words(found.group(1) or "", found.group(2)), text)
    if "\\" in text or "{" in text:
        for pattern, replacement in _COMMANDS:
            text = pattern.sub(replacement, text)
        for _ in range(4):
            text, count = _WRAPPED.subn(r"\1", text)
            if not count:
                break
    text = " ".join(text.split())
    for opening, closing in _WRAPPERS:
        inside = text[len(opening) : -len(closing)]
        if (
            len(text) > len(opening + closing)
            and text.startswith(opening)
            and text.endswith(closing)
            and opening not in inside
        ):
            text = inside.strip()
    return _TRAILING.sub("", text) or text


def dollars_are_money(text: str) -> bool:
    """Whether the dollar signs are currency signs, $5 to $7, and not delimiters of a formula, $5$.

    A single one is a currency sign, and so are several that are all before a number and none after one.
    """
    signs = [match.start() for match in _DOLLARS.finditer(text)]
    return len(signs) % 2 == 1 or (
        len(signs) > 0
        and all(re.match(r"\s?\.?\d", text[at + 1 : at + 4]) is not None for at in signs)
        and not any(text[at - 1 : at].isdigit() for at in signs)
    )


def _compatible(character: str) -> str:
    """Wide, mathematical and no-break characters as plain ones; invisible ones go."""
    if character < "\x7f":
        return character
    if unicodedata.category(character) in ("Cf", "Cc", "Cs", "Co"):
        return ""
    if unicodedata.decomposition(character).startswith(
        ("<font>", "<wide>", "<narrow>", "<noBreak>", "<compat> 0020")
    ):
        return unicodedata.normalize("NFKC", character)
    return character
