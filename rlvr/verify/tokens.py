"""Tokenizes an expression: numbers, LaTeX commands, one-letter names, functions, signs."""

from __future__ import annotations

import itertools
import re

TRIG = frozenset(["sin", "cos", "tan", "cot", "sec", "csc"])
INVERSES = {word: f"a{word}" for word in TRIG} | {f"{word}h": f"a{word}h" for word in TRIG}
FUNCTIONS = (
    {word: word for word in (*TRIG, *INVERSES.values(), *(f"{word}h" for word in TRIG))}
    | {f"arc{word}": f"a{word}" for word in TRIG}
    | {f"{arc}{word}h": f"a{word}h" for arc in ("ar", "arc") for word in TRIG}
    | {"tg": "tan", "ctg": "cot", "arctg": "atan", "sh": "sinh", "ch": "cosh", "th": "tanh"}
    | {"ln": "ln", "log": "log", "lg": "lg", "exp": "exp", "sqrt": "sqrt", "cbrt": "cbrt", "abs": "abs"}
    | {"floor": "floor", "ceil": "ceil", "ceiling": "ceil", "sgn": "sgn", "sign": "sgn"}
    | {"gcd": "gcd", "lcm": "lcm", "max": "max", "min": "min", "binom": "binom", "binomial": "binom"}
    | {
        "re": "re",
        "Re": "re",
        "im": "im",
        "Im": "im",
        "arg": "arg",
        "factorial": "factorial",
        "cis": "cis",
        "cosec": "csc",
    }
)
_PLAIN = frozenset(FUNCTIONS) - {"re", "im", "Re", "Im", "arg", "sh", "ch", "th", "tg"}
_GLUED = sorted((word for word in _PLAIN if len(word) > 2), key=len, reverse=True)
GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "varepsilon",
        "zeta",
        "eta",
        "theta",
        "vartheta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "omicron",
        "rho",
        "varrho",
        "sigma",
        "varsigma",
        "tau",
        "upsilon",
        "phi",
        "varphi",
        "chi",
        "psi",
        "omega",
        "Gamma",
        "Delta",
        "Theta",
        "Lambda",
        "Xi",
        "Pi",
        "Sigma",
        "Upsilon",
        "Phi",
        "Psi",
        "Omega",
        "ell",
        "hbar",
    ]
)
CONSTANTS = {"pi": "pi", "infty": "infinity", "exponentialE": "e", "imaginaryI": "i", "imaginaryJ": "i"}
PLAIN_CONSTANTS = {"I": "i", "pi": "pi", "oo": "infinity", "inf": "infinity", "Infinity": "infinity"}
ROMAN = frozenset(
    [
        "text",
        "textbf",
        "textit",
        "textrm",
        "mathrm",
        "operatorname",
        "mathit",
        "mathbf",
        "mathsf",
        "mathop",
        "rm",
        "operatorname*",
    ]
)

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<repeating>\d*\.\d*\\(?:overline|dot|bar)\s*\{?\d+\}?)"
    r"|(?P<based>[A-F][\dA-F]+_\s*\{?16\}?(?![\w])|\d[\dA-F]*(?:\.\d+)?_\s*\{?\d{1,2}\}?)"
    r"|(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+(?![\d.]*[A-Za-z^_]))?)"
    r"|(?P<vector>[A-Za-z]\u20d7)"  # a letter below an arrow
    r"|(?P<command>\\[A-Za-z]+\*?)"
    r"|(?P<escaped>\\[{}|%$])"
    r"|(?P<letters>[A-Za-z]+(?<!\u20d7)(?!\u20d7)|[A-Za-z]+?(?=[A-Za-z]\u20d7))"
    r"|(?P<sign>[-+*/^_!()\[\]{}|,:'%=])"
)


_INDEX = re.compile(r"\d{1,2}(?![\d.^_])")  # x1 is a name of its own, and K2 not twice K


MAX_LETTERS = 4  # of a product that is written as one word


class NotAnExpression(Exception):
    """The text is not one expression of this grammar."""


class Tokens:
    """Tokens, read from the left. A space between factors is a token, too, and usually skipped."""

    def __init__(self, text: str, letters: bool = False) -> None:
        """With `letters`, runs of letters that are not functions are products of names: mgh."""
        self.tokens = _tokens(text, letters)
        self.position = 0

    def peek(self, ahead: int = 0) -> str:
        """The next token that is not a space; "" at the end."""
        position = self.position
        while position < len(self.tokens):
            if self.tokens[position] != " ":
                if ahead == 0:
                    return self.tokens[position]
                ahead -= 1
            position += 1
        return ""

    def next(self) -> str:
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            self.position += 1
            if token != " ":
                return token
        raise NotAnExpression("it ends too early")

    def spaced(self) -> bool:
        """Whether a space comes before the next token."""
        return self.tokens[self.position : self.position + 1] == [" "]

    def expect(self, token: str) -> None:
        if (found := self.next()) != token:
            raise NotAnExpression(f"{token!r} is missing before {found!r}")

    def accept(self, *tokens: str) -> bool:
        if self.peek() in tokens and self.peek():
            self.next()
            return True
        return False


def _tokens(text: str, letters: bool) -> list[str]:
    """The tokens; a space that separates factors stays as one."""
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise NotAnExpression(f"unexpected {text[position]!r}")
        position = match.end()
        kind, token = match.lastgroup, match.group()
        if kind == "space":
            tokens.append(" ")
        elif kind == "vector":
            tokens += [r"\vec", "{", token[0], "}"]
        elif kind == "letters":
            tokens.extend(_words(token, text[position : position + 1], tokens, letters))
            if len(token) == 1 and token not in "ei" and (index := _INDEX.match(text, position)):
                position = index.end()
                tokens += ["_", "{", index.group(), "}"]
        else:
            tokens.append(token)
    return tokens


def _words(run: str, following: str, before: list[str], letters: bool) -> list[str]:
    """A run of letters: a function, a constant, or one-letter names that are multiplied.

    A longer run is a product only if its letters are in alphabetical order, as is usual for variables
    (abc, xyz), or if `letters` says that it is not a word. Otherwise two words with the same letters would
    be equal.
    """
    if before[-1:] == ["_"]:
        return [run]
    if run in _PLAIN or run in PLAIN_CONSTANTS or (run in FUNCTIONS and following == "("):
        return [run]
    for known in _GLUED:  # "xsin", "2cosx"
        if known in run:
            head, _, tail = run.partition(known)
            if len(head) <= 1 and len(tail) <= 1:
                return [*head, known, *tail]
    if run[-2:] == "pi" and len(run) == 3:
        return [run[0], "pi"]
    if len(run) == 3 and set(run) <= set("abcxyz"):
        return list(run)
    if r"\int" in before and run[-2:-1] == "d" and len(run) <= 3:  # "xdx"
        return list(run)
    unsorted = len(run) > 2 and any(a >= b for a, b in itertools.pairwise(run))
    if unsorted and not (letters and len(run) <= MAX_LETTERS):
        raise NotAnExpression(f"{run!r} is a word")
    return list(run)
