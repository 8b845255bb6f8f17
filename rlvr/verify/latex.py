"""A LaTeX expression → a sympy tree that nothing has evaluated.

What latex2sympy2_extended 1.11.0 and sympy 1.14 do with strings, read in their sources:
- sympy's `sympify` and `parse_expr` build Python source from the text and `eval` it. They are
  never called here with text that a model wrote.
- `sympy.Number(text)` is `sympify(text)` for a string. latex2sympy calls it for number tokens,
  so `_Parser.parse_number` replaces that with an exact rational built from the digits.
- latex2sympy passes `parse_expr` only the values of `variable_values`, which are not used here.
- Symbols and functions are made by name, without evaluation.
- Most nodes are built with `evaluate=False`, but \\det, \\operatorname{rref, eig, SVD, …}, \\binom,
  \\gcd, matrices of given size, \\exp, roots by an expression and "evaluated at" bars compute
  while parsing. Only the commands in `_COMMANDS` get that far, and they do not include those.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, _Latex2Sympy

from rlvr.verify.exact import read_rational

MAX_LENGTH = 300  # characters of one expression
MAX_DEPTH = 12  # nested brackets
MAX_LITERAL = 100  # digits of one number
MAX_POWERS = 25  # signs ^ in one expression

_FUNCTIONS = frozenset(
    [
        "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "arcsin", "arccos",
        "arctan", "ln", "log",
    ]
)  # fmt: skip
_GREEK = frozenset(
    [
        "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta",
        "vartheta", "iota", "kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau",
        "upsilon", "phi", "varphi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda",
        "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega",
    ]
)  # fmt: skip
_COMMANDS = (
    _FUNCTIONS
    | _GREEK
    | frozenset(["frac", "sqrt", "cdot", "times", "div", "infty", "lfloor", "rfloor", "lceil", "rceil"])
)
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_ALLOWED = re.compile(r"[\x20-\x7e]+")
_FORBIDDEN = re.compile(r"[,;:=<>#&@\"`~?$%]|\d\s*_|\|\s*[_^]|!\s*!|\\sqrt\s*\[(?!\s*(?:\d{1,2}|[a-z])\s*\])")
_PLAIN_CALL = re.compile(r"(?<![\\A-Za-z])(sqrt|exp|abs)\s*\(([^()]*)\)")
_PLAIN_NAME = re.compile(
    r"(?<![\\A-Za-z])(arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|pi|theta)(?![A-Za-z])"
)
_PLAIN_FORM = {"sqrt": r"\sqrt{{{}}}", "exp": "e^{{{}}}", "abs": "|{}|"}
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\s*\{\\circ\}")
_SYMBOL_TEXT = re.compile(r"\\(?:text|mathrm|textbf|textit|rm)\s*\{\s*([A-Za-z])\s*\}")


class _Parser(_Latex2Sympy):
    """latex2sympy without its two ways of computing while it parses."""

    def parse_number(self, text: str) -> sympy.Rational:
        value = read_rational(text)
        if value is None:
            raise ValueError(f"not a number within bounds: {text[:40]}")
        return sympy.Rational(value.numerator, value.denominator)

    def handle_exp(self, func: Any) -> sympy.Expr:
        raised = func.supexpr()
        if not raised:
            return sympy.E
        exponent = self.convert_expr(raised.expr()) if raised.expr() else self.convert_atom(raised.atom())
        return sympy.exp(exponent, evaluate=False)


def parse_expression(text: str) -> sympy.Expr | None:
    """Normalized `text` as an unevaluated expression, or None when it is none or out of bounds."""
    text = _plain_to_latex(text).removeprefix("+")
    if not _within_bounds(text):
        return None
    parser = _Parser(config=ConversionConfig(lowercase_symbols=False))
    try:
        tree = parser.parse(text)
    # The library signals every syntax error with a bare Exception.
    except Exception:  # noqa: BLE001
        return None
    return tree if isinstance(tree, sympy.Expr) else None


def rational(value: Fraction) -> sympy.Rational:
    return sympy.Rational(value.numerator, value.denominator)


def _plain_to_latex(text: str) -> str:
    text = _SYMBOL_TEXT.sub(r"\1", text)
    for _ in range(3):  # nested calls, from the inside
        text = _PLAIN_CALL.sub(lambda match: _PLAIN_FORM[match.group(1)].format(match.group(2)), text)
    text = _PLAIN_NAME.sub(r"\\\1 ", text)
    return _DEGREES.sub(r"(\\frac{\1 \\pi}{180})", text)


def _within_bounds(text: str) -> bool:
    if not text or len(text) > MAX_LENGTH or not _ALLOWED.fullmatch(text) or _FORBIDDEN.search(text):
        return False
    if any(command not in _COMMANDS for command in _COMMAND.findall(text)):
        return False
    if _WORD.search(text) or text.count("^") > MAX_POWERS:  # a word is not a product of its letters
        return False
    if any(len(digits) > MAX_LITERAL for digits in re.findall(r"\d+", text)):
        return False
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
        if depth < 0:
            return False
    return depth == 0 and deepest <= MAX_DEPTH
