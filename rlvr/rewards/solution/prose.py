"""Chains of relations in a sentence: arithmetic between words, with units after the numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rlvr.rewards.solution.chains import Chain, Side

MAX_SENTENCE = 1_000  # characters
MAX_TOKENS = 60  # last tokens among which the first side is searched
FORMULA = "\ue000"  # stands for a formula that was taken out of the sentence

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_WORDED = [
    (re.compile(pattern, re.IGNORECASE), sign)
    for pattern, sign in (
        (r"(?:-+|=+)>|[⇒→]", " ; "),
        (r"\*\*(?=\S)|(?<=\S)\*\*(?!\d)", " "),
        (r"\b(?:times|multiplied by)\b(?=\s*[\d($])|(?<=[\d)%])\s*x\s*(?=[\d($.])", " * "),
        (r"\bplus\b", " + "),
        (r"\bminus\b", " - "),
        (r"\bdivided by\b", " / "),
        (r"\b(?:is equal to|equals)\b|==", " = "),
        (r"(?<=%)\s+of\s+(?=[\d$(])", " * "),
        (r"(?<=\d/\d)\s+of\s+(?=[\d$(])", " * "),
        (r"[×·∙•✕]", "*"),
        (r"÷", "/"),
        (r"[−–]", "-"),
        (r"\\?\$", "$"),
        (r"\\%", "%"),
    )
]
_TOKEN = re.compile(
    rf"(?P<mixed>\d+\s+\d+/\d+(?![\d/]))|(?P<number>{_NUMBER})|(?P<word>[A-Za-z_][\w']*\.?(?=\s|$)|[A-Za-z_][\w']*)"
    r"|(?P<relation><=|>=|[=<>≈≤≥≠])|(?P<sign>[-+*/^])|(?P<open>[(\[])|(?P<close>[)\]])|(?P<currency>[$€£¥])"
    r"|(?P<percent>%)|(?P<other>\S)"
)
_MAY_RELATE = re.compile(
    r"[=<>≈≤≥≠]|equal", re.IGNORECASE
)  # superset of the relations in `_WORDED` and `_TOKEN`
_RELATIONS = {"≈": "approx", "≤": "le", "≥": "ge", "≠": "ne", "<=": "le", ">=": "ge"}
_BELONGS = frozenset(["than", "by", "half", "twice", "double", "squared", "cubed"])
_PARTS = frozenset(
    [
        "half", "third", "quarter", "fourth", "fifth", "tenth", "thirds", "quarters", "fourths",
        "fifths", "tenths", "percent",
    ]
)  # fmt: skip
_SCALES = frozenset(
    [
        "hundred", "thousand", "million", "billion", "trillion", "k", "dozen", "dozens",
        "remainder", "r", "rem", "am", "pm",
    ]
)  # fmt: skip


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def prose_chains(sentence: str) -> Iterator[Chain]:
    """The chains of one sentence.

    The first side is the longest arithmetic expression that ends at the first relation, the last side
    the one that begins after the last relation; all tokens between two relations must be one
    expression. A single number is no first side: in "Day 1 = 5 * 3" it is a name.
    """
    text = sentence[:MAX_SENTENCE]
    if not _MAY_RELATE.search(text):
        return
    for pattern, sign in _WORDED:
        text = pattern.sub(sign, text)
    tokens = [_Token(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(text)]
    parts: list[list[_Token]] = [[]]
    relations: list[str] = []
    for token in tokens:
        if token.kind == "relation":
            relations.append(_RELATIONS.get(token.text, token.text))
            parts.append([])
        else:
            parts[-1].append(token)
    if not relations:
        return
    parts = [_without_stray_bracket(part) for part in parts]
    sides: list[Side | None] = [_ending(parts[0])]
    start = 0
    for place, part in enumerate(parts[1:], 1):
        side, used = _beginning(part)
        last = place == len(parts) - 1
        whole = used == len(part)
        if side is not None and not whole and not _may_end(part[used], part[used + 1 : used + 2]):
            side = None
        sides.append(side)
        if last or not whole:  # words between two relations: another chain begins after them
            yield Chain(tuple(sides), tuple(relations[start:place]))
            sides, start = [None if last else _ending(part)], place


def _may_end(following: _Token, after: list[_Token]) -> bool:
    """Whether an expression is complete, given the token that follows it."""
    if following.kind == "other":
        return following.text not in ("?", "!", FORMULA) and not (
            following.text in ":.," and after and after[0].kind in ("number", "mixed")
        )
    return following.kind in ("word", "close", "open")


def _ending(tokens: list[_Token]) -> Side | None:
    """The longest arithmetic expression at the end of `tokens`."""
    tokens = tokens[-MAX_TOKENS:]
    for start, token in enumerate(tokens):
        before = tokens[start - 1] if start else None
        signed = token.kind == "sign" and token.text in "+-" and before is None
        if not signed and token.kind not in ("number", "mixed", "currency", "open"):
            continue
        if before is not None and before.kind in ("number", "mixed", "currency", "percent", "close"):
            continue
        side, used = _beginning(tokens[start:])
        if side is None or used < len(tokens) - start:
            continue
        calculated = any(token.kind in ("sign", "mixed", "percent") for token in tokens[start + 1 :])
        return side if calculated and not _belongs(tokens[:start]) else None
    return None


def _belongs(before: list[_Token]) -> bool:
    """Whether the words before an expression are part of it, as in "half of 20"."""
    if not before:
        return False
    last = before[-1]
    if last.kind in ("sign", "open") or last.text == FORMULA:
        return True
    if last.text == ":" and len(before) > 1 and before[-2].kind == "number":  # the ratio 3:4
        return True
    word = last.text.lower()
    part_of = (
        word == "of" and len(before) > 1 and (before[-2].text.lower() in _PARTS or before[-2].kind != "word")
    )
    return word in _BELONGS or part_of


def _beginning(tokens: list[_Token]) -> tuple[Side | None, int]:
    """The arithmetic expression at the start of `tokens`, and its number of tokens."""
    written: list[str] = []
    units: set[str] = set()
    depth, place, wanted = 0, 0, True
    while place < len(tokens):
        token = tokens[place]
        if wanted:
            if token.kind in ("number", "mixed"):
                if len(token.text) > 1 and token.text[:2].isdigit() and token.text[0] == "0":
                    return None, place  # the end of a number that is cut: 16,0000
                written.append(
                    token.text if token.kind == "number" else f"({token.text.replace(' ', '+', 1)})"
                )
                wanted = False
            elif token.kind == "open":
                written.append("(")
                depth += 1
            elif token.kind == "currency":
                units.add("dollar")
            elif token.kind == "sign" and token.text in "+-" and (not written or written[-1] != token.text):
                written.append(token.text)
            else:
                return None, place
        elif token.kind == "sign":
            if token.text == "/" and tokens[place + 1 : place + 2] and tokens[place + 1].kind == "word":
                units.add(_unit(tokens[place + 1]))
                place += 2  # 10 miles/hour
                continue
            written.append(token.text)
            wanted = True
        elif token.kind == "percent":
            written.append("%")
        elif token.kind == "close" and depth:
            written.append(")")
            depth -= 1
        elif token.kind == "open" and written[-1] != "%" and _is_factor(tokens[place + 1 :]):
            written.append("(")
            depth, wanted = depth + 1, True
        elif token.kind == "word":
            words = _unit_words(tokens[place:])
            if words[0].text.lower().strip(".") in _SCALES or _is_name(words[0].text):
                return None, place
            following = tokens[place + len(words)] if place + len(words) < len(tokens) else None
            inside = (
                following is None or following.kind == "sign" or (following.kind == "close" and depth > 0)
            )
            units.update(map(_unit, words[:3]))
            if not inside or len(words) > 3:
                break
            place += len(words) - 1
        else:
            break
        place += 1
    if wanted or depth:
        return None, place
    return Side("".join(written), frozenset(units)), place


def _is_name(word: str) -> bool:
    """Whether `word` may be a variable: 5 x, but not 5 a day."""
    return len(word) == 1 and word not in "aAI"


def _is_factor(tokens: list[_Token]) -> bool:
    """Whether a bracket that opens before `tokens` contains arithmetic, not a remark."""
    return bool(tokens) and tokens[0].kind in ("number", "mixed", "currency", "open")


def _unit(word: _Token) -> str:
    return word.text.lower().strip(".").removesuffix("s")


def _unit_words(tokens: list[_Token]) -> list[_Token]:
    words: list[_Token] = []
    for token in tokens:
        if token.kind != "word":
            break
        words.append(token)
    return words


def _without_stray_bracket(tokens: list[_Token]) -> list[_Token]:
    """The tokens after an unclosed bracket: it belongs to a remark, not to the first side."""
    depth = 0
    for token in reversed(tokens):
        depth += (token.kind == "close") - (token.kind == "open")
        if depth < 0:
            break
    if depth >= 0:
        return tokens
    place = len(tokens)
    balance = 0
    while place and balance >= 0:
        place -= 1
        balance += (tokens[place].kind == "close") - (tokens[place].kind == "open")
    return tokens[place + 1 :]
