"""The rest of LaTeX: what `rlvr.verify.expression` does not know, by latex2sympy2_extended.

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
from rlvr.verify.expression import parse
from rlvr.verify.piecewise import read_piecewise
from rlvr.verify.tokens import GREEK, TRIG, NotAnExpression
from rlvr.verify.tree import Node, add, call, mul, name, number, power

MAX_LENGTH = 200  # characters; the grammar of the library is large, and slow
MAX_DEPTH = 8
MAX_LITERAL = 60  # digits of one number
MAX_POWERS = 10  # signs ^ in one expression

_FUNCTIONS = {
    getattr(sympy, word): word
    for word in [
        "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "asin", "acos", "atan",
    ]
} | {sympy.Abs: "abs", sympy.floor: "floor", sympy.ceiling: "ceil", sympy.factorial: "factorial"}  # fmt: skip
_BINDING = {"Integral": "int", "Sum": "sum", "Product": "prod", "Limit": "lim", "Derivative": "diff"}
_COMMANDS = GREEK.union(
    [
        "frac",
        "sqrt",
        "cdot",
        "times",
        "div",
        "infty",
        "int",
        "sum",
        "prod",
        "lim",
        "to",
        "rightarrow",
        "partial",
    ],
    ["pi", "ln", "log", "lfloor", "rfloor", "lceil", "rceil", *TRIG],
)
_NEEDED = re.compile(r"\\(?:int|sum|prod|lim|partial|frac)(?![A-Za-z])")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_FORBIDDEN = re.compile(r"[^\x20-\x7e]|[,;:<>#&@\"`~?$%]|\d\s*_|\|\s*[_^]|!\s*!|\\sqrt\s*\[")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4,}")


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


def read_expression(text: str) -> Node | None:
    """Normalized `text` as a tree, or None when it is no expression or out of bounds."""
    text = text.strip().removeprefix("+")
    if r"\begin" in text:
        return read_piecewise(text)
    try:
        return parse(text)
    except NotAnExpression:
        pass
    if not _within_bounds(text):
        return None
    try:
        return _node(_Parser(config=ConversionConfig(lowercase_symbols=False)).parse(text))
    # The library signals every syntax error with a bare Exception.
    except Exception:  # noqa: BLE001
        return None


def _within_bounds(text: str) -> bool:
    if len(text) > MAX_LENGTH or not _NEEDED.search(text) or _FORBIDDEN.search(text) or _WORD.search(text):
        return False
    if not _COMMANDS.issuperset(_COMMAND.findall(text)) or text.count("^") > MAX_POWERS:
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


def _node(tree: Any) -> Node:
    """A sympy tree, which nothing has evaluated, as a tree of ours."""
    kind = type(tree).__name__
    if tree.is_Rational:
        return number(Fraction(int(tree.p), int(tree.q)))
    if tree.is_Symbol:
        return name(tree.name.strip("{}"))
    if tree in (sympy.pi, sympy.E, sympy.I, sympy.oo):
        return name({sympy.pi: "pi", sympy.E: "e", sympy.I: "i", sympy.oo: "infinity"}[tree])
    if kind == "Limit":
        body, variable, target, _ = tree.args
        return Node("bind", (_node(variable), _node(body), _node(target)), "lim")
    if kind in _BINDING and len(tree.args) == 2:
        body, (variable, *limits) = tree.args
        bounds = [] if kind == "Derivative" else [_node(limit) for limit in limits]
        return Node("bind", (_node(variable), _node(body), *bounds), _BINDING[kind])
    args = [_node(arg) for arg in tree.args]
    if tree.is_Add or tree.is_Mul:
        return (add if tree.is_Add else mul)(*args)
    if isinstance(tree, sympy.exp):
        return power(name("e"), args[0])
    if tree.is_Pow:
        return power(*args)
    if isinstance(tree, sympy.log):
        return call("log" if len(args) == 2 else "ln", *args)
    if type(tree) in _FUNCTIONS:
        return call(_FUNCTIONS[type(tree)], *args)
    raise NotAnExpression(f"no rule for {kind}")
