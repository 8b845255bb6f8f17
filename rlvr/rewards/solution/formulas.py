"""Chains of relations in LaTeX, or in a line that is only a formula."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rlvr.rewards.solution.chains import Chain, Side

MAX_FORMULA = 5_000  # characters
MAX_SIDES = 40  # per chain

ROWS = "align|aligned|alignat|gather|gathered|equation|eqnarray|split|multline|flalign"

_ROW_TAGS = re.compile(rf"\\(?:begin|end)\{{(?:{ROWS})\*?\}}(?:\{{\d\}})?")
_BLOCK = re.compile(r"\\begin\{(\w{1,20}\*?)\}.{0,2000}?\\end\{\1\}", re.DOTALL)
_NEW_ROW = re.compile(r"\\\\(?:\s*\[[^\]]{0,20}\])?")
_RELATION = (
    r"(?P<relation>\\(?:leqslant|geqslant|leq|geq|le|ge|neq|ne|approx|lt|gt)(?![A-Za-z])|<=|>=|==|[=<>≈≤≥≠])"
)
_RELATED = re.compile(_RELATION)
_CONTINUED = re.compile(
    rf"(?:[&\s]|\\q?quad(?![A-Za-z]))*(?:{_RELATION})|\s*&(?:[&\s~]|\\q?quad(?![A-Za-z]))*(?:[-+]|\\cdot|\\times)|\s*\+"
)
_OPEN_END = re.compile(r"(?:[-+*/=]|\\(?:cdot|times|div))[\s&]*$")
_INDENT = re.compile(r"(?:[&\s~]|\\q?quad(?![A-Za-z]))*")
_NAMES = {
    "\\leq": "le", "\\geq": "ge", "\\leqslant": "le", "\\geqslant": "ge", "\\le": "le", "\\ge": "ge",
    "\\neq": "ne", "\\ne": "ne", "\\approx": "approx", "\\lt": "<", "\\gt": ">", "<=": "le", ">=": "ge",
    "==": "=", "≈": "approx", "≤": "le", "≥": "ge", "≠": "ne",
}  # fmt: skip
_STOP = (
    r"(?P<stop>\\q?quad(?![A-Za-z])|\\(?:Long|long)?(?:[lL]eft)?[rR]ightarrow(?![A-Za-z])"
    r"|\\(?:implies|iff|to|mapsto|because|therefore)(?![A-Za-z])|=>|->|[⇒→;]|(?<!\d),|,(?!\d{3}(?!\d)))"
)
_SCAN = re.compile(
    rf"(?P<open>\\?[{{(\[])|(?P<close>\\?[)}}\]])|{_STOP}|{_RELATION}|\\[A-Za-z]+|\\.|.", re.DOTALL
)
_TEXT = re.compile(r"\\(?:text|textrm|textbf|textit|mathrm|mbox|rm)\s*\{([^{}]*)\}(?:\s*\^\s*(?:\{\d\}|\d))?")
_UNIT = re.compile(rf"(?<=[\d)}}%.])\s*(?:\\[ ,;~]|~)*\s*{_TEXT.pattern}(?!\s*\d)")
_NOT_NUMBERS = re.compile(
    r"\\(?:equiv|p?mod|bmod|cong|sim|propto|not|star|ast|oplus|otimes|circledast|diamond|pm|mp)(?![A-Za-z])|:=|[≡±]"
)
_NOT_WHOLE = re.compile(
    r"\\(?:[lcvd]?dots\w*|(?:under|over)(?:brace|set)|stackrel|unknown)(?![A-Za-z])|\.\.|…|\?|_\s*\{?\s*\d+\s*\}?\s*$|\\_"
)
_DRESSING = re.compile(
    r"\\(?:boxed|fbox|framebox|[bx]?cancel|displaystyle|nonumber|hfill|[bB]igg?[lr]?|left|right)(?![A-Za-z])\.?"
    r"|\\tag\s*\{[^{}]*\}|\*\*|(?<!\\)&"
)
_CURRENCY = re.compile(r"\\?\$|[€£¥]")
_DEGREE = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|°")
_ANGLE_FUNCTION = re.compile(r"sin|cos|tan|cot|sec|csc")
_BELONGS = re.compile(
    r"(?:[-+*/=^<>(]|\s\.|\b(?:than|times|plus|minus|over|by)"
    r"|(?:%|\b(?:half|percent|third|quarter|fourth|fifth|thirds|quarters|fourths|fifths|tenths?))\s+of)\s*$"
)


def formula_chains(formula: str, before: str = "") -> Iterator[Chain]:
    """The chains of one formula, row by row; `before` is the text in front of it."""
    text = _ROW_TAGS.sub(" ", formula[:MAX_FORMULA]).replace("\\!", "")  # thousands: 10,\!000
    text = _BLOCK.sub(r" \\unknown ", text)
    if not _RELATED.search(text):
        return
    rows: list[str] = []
    for row in _NEW_ROW.split(text):
        if rows and (_CONTINUED.match(row) or _OPEN_END.search(rows[-1][-40:])):
            rows[-1] += f" {row[_INDENT.match(row).end() :]}"  # type: ignore[union-attr]
        else:
            rows.append(row)
    cut = _BELONGS.search(before[-40:]) is not None
    for row in rows:
        for sides, relations in _split(_TEXT.sub(_separated, row)):
            if relations and len(sides) <= MAX_SIDES and not any(map(_NOT_NUMBERS.search, sides)):
                yield Chain(tuple(read_side(side) for side in sides), tuple(relations), cut)
            cut = False


def read_side(text: str) -> Side | None:
    """One side without formatting and unit; None if it is not a complete expression."""
    if _NOT_WHOLE.search(text):
        return None
    units: list[str] = []
    text = _DRESSING.sub(" ", text)
    for match in _UNIT.finditer(text):
        units.append(match.group(1).strip().lower().removesuffix("s"))
    text = _UNIT.sub(" ", text)
    if _CURRENCY.search(text):
        units, text = [*units, "dollar"], _CURRENCY.sub("", text)
    if not _ANGLE_FUNCTION.search(text) and _DEGREE.search(text):
        units, text = [*units, "degree"], _DEGREE.sub("", text)
    text = " ".join(text.split()).rstrip(".,:; ")
    whole = text and text[0] not in "*/^!,)" and text[-1] not in "+-*/^(,="
    whole = whole and not text.startswith(("\\cdot", "\\times", "\\div"))
    whole = whole and not text.endswith(("\\cdot", "\\times", "\\div")) and "\\text" not in text
    balanced = all(text.count(a) == text.count(b) for a, b in ("()", "[]", "{}"))
    return Side(text, frozenset(units)) if whole and balanced else None


def _separated(match: re.Match[str]) -> str:
    """Words between formulas separate them; one word after a number is its unit."""
    words = match.group(1).split()
    joining = len(words) != 1 or words[0].strip(".,").lower() in (
        "and",
        "or",
        "so",
        "if",
        "for",
        "when",
        "since",
    )
    return " ; " if joining else match.group()


def _split(row: str) -> Iterator[tuple[list[str], list[str]]]:
    """Split the row at stops, and each part at its relations, outside of brackets."""
    sides, depth = [""], 0
    relations: list[str] = []
    for match in _SCAN.finditer(row):
        token = match.group()
        depth = max(0, depth + (match["open"] is not None) - (match["close"] is not None))
        if match["stop"] and depth == 0:
            yield sides, relations
            sides, relations = [""], []
        elif match["relation"] and depth == 0:
            relations.append(_NAMES.get(token, token))
            sides.append("")
        else:
            sides[-1] += token
    yield sides, relations
