r"""Converts text with LaTeX to HTML with MathML, for the pages that show a model's answers.

The text is untrusted. The output has only the elements and attributes listed here, whatever the converter
returns. A formula that is too long, too deeply nested, broken or not allowed is shown as its source.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from latex2mathml import exceptions
from latex2mathml.converter import Converter

MAX_LENGTH = 2_000  # characters of one formula
MAX_TOTAL = 20_000  # characters of all formulas of one text
MAX_DEPTH = 40  # of braces in the source, and of elements in the output

_DELIMITER = re.compile(r"\\\\|\\[()\[\]$]|\$\$|\$")
_CLOSERS = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}

# Macros and \sideset repeat their arguments, so that a short source could have an output of any size; the
# others make links or set attributes.
_REFUSED = re.compile(
    r"\\(sideset|def|[a-z]*newcommand|(re)?newenvironment|DeclareMathOperator|let|href|url|style|class)"
    r"(?![a-zA-Z])"
)
_ELEMENTS = frozenset({
    "math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot", "mstyle",
    "mpadded", "mphantom", "menclose", "msub", "msup", "msubsup", "munder", "mover", "munderover",
    "mmultiscripts", "mprescripts", "mtable", "mtr", "mtd",
})  # fmt: skip
_WORDS = frozenset({
    "display", "displaystyle", "scriptlevel", "mathvariant", "stretchy", "fence", "form", "separator",
    "symmetric", "largeop", "movablelimits", "accent", "accentunder", "columnalign", "columnlines",
    "rowlines", "rowspan", "columnspan",
})  # fmt: skip
_LENGTHS = frozenset({
    "width", "height", "depth", "lspace", "rspace", "voffset", "minsize", "maxsize", "linethickness",
    "columnspacing", "rowspacing",
})  # fmt: skip
_WORD = re.compile(r"[a-z0-9 -]{1,60}")
# Below 10 em, so that nothing can be moved far from its place.
_LENGTH = re.compile(r"([+-]?(\d(\.\d{1,4})?|\.\d{1,4})(em|ex|px|pt)?( |$)){1,20}")

_FAILURES: tuple[type[Exception], ...] = (
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    StopIteration,
    RuntimeError,  # a RecursionError, too
    *(error for error in vars(exceptions).values() if isinstance(error, type)),
)


def to_html(text: str) -> str:
    r"""`text` escaped for HTML, with `$…$`, `\(…\)`, `$$…$$` and `\[…\]` as MathML; line breaks are kept.

    An opening `$` must not be followed by white space, and a closing one neither be preceded by white space
    nor followed by a digit, so that prices are no formulas (Pandoc's rule). `\boxed` becomes
    `<mrow class="boxed">`, since browsers do not support `menclose`. No input raises, and the limits above
    bound the time.
    """
    done: list[str] = []
    written = converted = 0
    for start, end, source, display in _formulas(text):
        converted += len(source)
        math = _to_mathml(source, display) if converted <= MAX_TOTAL else None
        done.append(html.escape(text[written:start]))
        done.append(html.escape(text[start:end]) if math is None else math)
        written = end
    return "".join([*done, html.escape(text[written:])])


def _formulas(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """(start, end, source, whether displayed) of each delimited formula; in linear time."""
    opened: re.Match[str] | None = None
    for mark in _DELIMITER.finditer(text):
        if opened and mark[0] == _CLOSERS[opened[0]]:
            source = text[opened.end() : mark.start()]
            price = mark[0] == "$" and (
                source != source.strip() or text[mark.end() : mark.end() + 1].isdigit()
            )
            if source.strip() and "\n\n" not in source and not price:
                yield opened.start(), mark.end(), source, mark[0] in ("$$", r"\]")
                opened = None
                continue
        if mark[0] in _CLOSERS:
            opened = mark


def _to_mathml(source: str, display: bool) -> str | None:
    """The formula as MathML; None if its source should be shown instead."""
    if len(source) > MAX_LENGTH or _REFUSED.search(source) or _too_deep(source):
        return None
    try:
        return _write(Converter(display="block" if display else "inline").convert_to_element(source))
    except _FAILURES:
        return None


def _too_deep(source: str) -> bool:
    depth = deepest = 0
    for character in source:
        depth += (character == "{") - (character == "}")
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH


def _write(element: Element, depth: int = 0) -> str:
    """Serialize an element, without attributes that are not allowed.

    Raises:
        ValueError: an element is not allowed, or nested too deeply.
    """
    if element.tag not in _ELEMENTS or depth > MAX_DEPTH:
        raise ValueError(f"{element.tag} at depth {depth}")
    tag, attributes = str(element.tag), dict(element.items())
    if tag == "menclose":
        tag = "mrow"
        if attributes.get("notation") == "box":
            tag += ' class="boxed"'
    for name, value in attributes.items():
        if (name in _WORDS and _WORD.fullmatch(value)) or (name in _LENGTHS and _LENGTH.fullmatch(value)):
            tag += f' {name}="{value}"'
    inside = [_text(element.text)]
    for child in element:
        inside += [_write(child, depth + 1), _text(child.tail)]
    return f"<{tag}>{''.join(inside)}</{tag.partition(' ')[0]}>"


def _text(text: str | None) -> str:
    # The converter writes symbols as character references, but does not escape text.
    return html.escape(html.unescape(text or ""))
