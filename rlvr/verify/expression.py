"""An expression as text → a tree, without evaluating anything: a small operator-precedence parser.

It reads LaTeX and plain text: numbers, names, powers, fractions, roots, brackets, named functions, and
integrals, sums, products, limits and derivatives as forms that bind a variable. Trees are plain data: no
text becomes code, and nothing is computed here, so bounds on length and depth are sufficient.
"""

from __future__ import annotations

from collections.abc import Callable

from rlvr.verify.literals import based, literal, repeating
from rlvr.verify.naming import VARIANTS, NamedForms
from rlvr.verify.tokens import (
    CONSTANTS,
    FUNCTIONS,
    GREEK,
    INVERSES,
    PLAIN_CONSTANTS,
    ROMAN,
    TRIG,
    NotAnExpression,
)
from rlvr.verify.tree import (
    MINUS_ONE,
    Node,
    add,
    call,
    divide,
    in_radians,
    mixed_number,
    name,
    names,
    negative,
    number,
    power,
    product,
)
from rlvr.verify.vectors import is_vector

MAX_LENGTH = 1_500  # characters of one expression
MAX_DEPTH = 30  # levels of brackets, exponents and functions

_FENCES = {r"\lfloor": (r"\rfloor", "floor"), r"\lceil": (r"\rceil", "ceil")}
_TIMES = {"*", r"\cdot", r"\times", r"\ast"}
_CROSS = r"\times"
_OVER = {"/", r"\div", ":"}
_MODULO = {r"\mod", r"\bmod"}
_CLOSING = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", r"\langle": r"\rangle"}
_ACCENTS = frozenset(
    ["overline", "bar", "hat", "tilde", "vec", "overrightarrow", "overleftrightarrow", "mathcal", "mathbb"]
)


def parse(text: str, letters: bool = False) -> Node:
    """The tree of the normalized expression `text`; with `letters`, runs of letters are products.

    Raises NotAnExpression.
    """
    if len(text) > MAX_LENGTH:
        raise NotAnExpression("too long")
    parser = _Parser(text, letters)
    tree = parser.infix()
    if parser.peek():
        raise NotAnExpression(f"unexpected {parser.peek()!r}")
    return tree


class _Parser(NamedForms):
    def __init__(self, text: str, letters: bool = False) -> None:
        super().__init__(text, letters)
        self.depth = 0
        self.bars = 0  # open absolute values

    def sum(self) -> Node:
        terms = [self.product()]
        while self.peek() in ("+", "-"):
            sign = self.next()
            term = self.product()
            terms.append(negative(term) if sign == "-" else term)
        return terms[0] if len(terms) == 1 else add(*terms)

    def signed(self, operand: Callable[[], Node]) -> Node:
        signs = 0
        while self.peek() in ("+", "-"):
            signs += self.next() == "-"
        node = operand()
        return negative(node) if signs % 2 else node

    def product(self) -> Node:
        """Factors with explicit operators, left to right; implicit multiplication binds tighter."""
        factors = [self.signed(self.adjacent)]
        while True:
            operator = self.peek()
            if operator in _TIMES:
                self.next()
                factor = self.signed(self.adjacent)
                if operator == _CROSS and is_vector(factor) and is_vector(product(factors)):
                    factors = [call("cross", product(factors), factor)]
                    self.nested()
                else:
                    factors.append(factor)
            elif operator in _OVER:
                self.next()
                factors.append(power(self.signed(self.denominator), MINUS_ONE))
            elif operator in _MODULO:
                self.next()
                factors = [Node("mod", (product(factors), self.signed(self.adjacent)))]
                self.nested()
            elif self.begins_factor():  # after "1/2 x"
                factors.append(self.adjacent())
            else:
                return product(factors)

    def nested(self) -> None:
        """Count one more level of the tree; too deep a tree is refused before it is traversed."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotAnExpression("nested too deeply")

    def denominator(self) -> Node:
        """After "/": a space ends it, so that 1/2 x is x/2 and 1/2x is 1/(2x)."""
        return self.adjacent(until_space=True)

    def adjacent(self, until_space: bool = False) -> Node:
        factors = [self.factor()]
        while self.begins_factor() and not (until_space and self.spaced()):
            if self.differential():
                continue
            if self.peek()[:1].isdigit() and factors[-1].head == "number" and self.peek(1) != r"\frac":
                raise NotAnExpression("two numbers side by side")
            bare = self.peek() == r"\frac"
            following = self.factor()
            mixed = mixed_number(factors[-1], following) if bare else None
            if mixed:
                factors[-1] = mixed
            else:
                factors.append(following)
            if len(factors) > 200:
                raise NotAnExpression("too many factors")
        return product(factors)

    def begins_factor(self) -> bool:
        token = self.peek()
        if not token or token in (")", "]", "}", r"\}", ",", "'", "%", "!", "^", "_", "+", "-", r"\rangle"):
            return False
        if token == "|":
            return self.bars == 0
        if token in _TIMES or token in _OVER or token in _MODULO or token in (r"\rfloor", r"\rceil"):
            return False
        return token not in (r"\choose", r"\over")

    def factor(self) -> Node:
        base = self.postfix(self.atom())
        if self.peek() == "^":
            self.next()
            exponent = self.exponent()
            base = self.postfix(power(base, exponent))
        return base

    def exponent(self) -> Node:
        self.nested()
        exponent = self.signed_power()
        self.depth -= 1
        return exponent

    def signed_power(self) -> Node:
        if self.accept("-"):
            return negative(self.exponent())
        self.accept("+")
        base = self.postfix(self.atom())
        if self.peek() == "^":
            self.next()
            return power(base, self.exponent())
        return base

    def postfix(self, node: Node) -> Node:
        while True:
            if self.accept("!"):
                self.nested()
                node = call("double factorial" if self.accept("!") else "factorial", node)
            elif self.accept("%", r"\%"):
                node = divide(node, number(100))
            elif self.peek() == "^" and self.degree():
                node = call("degrees", node)
            else:
                return node

    def degree(self) -> bool:
        """Accept "^\\circ" or "^{\\circ}" if it comes next."""
        if self.peek(1) == r"\circ":
            self.next()
            self.next()
            return True
        if self.peek(1) == "{" and self.peek(2) == r"\circ" and self.peek(3) == "}":
            for _ in range(4):
                self.next()
            return True
        return False

    def group(self, closing: str) -> Node:
        bars, self.bars = self.bars, 0
        node = self.infix() if closing == "}" else self.sum()
        self.expect(closing)
        self.bars = bars
        return node

    def infix(self) -> Node:
        """A sum, or two sums joined by "\\over" or "\\choose"."""
        node = self.sum()
        if self.accept(r"\choose"):
            return call("binom", node, self.sum())
        return divide(node, self.sum()) if self.accept(r"\over") else node

    def argument(self) -> Node:
        """A braced argument of a LaTeX command, or the one factor that follows."""
        if self.peek() == "{":
            return self.group(_CLOSING[self.next()])
        return self.atom()

    def atom(self) -> Node:
        self.nested()
        node = self.begun_with(self.next())
        self.depth -= 1
        return node

    def begun_with(self, token: str) -> Node:
        if token[0].isdigit() or token[0] == "." or "_" in token[1:]:  # FF_16
            return self.literal(token)
        if token in _CLOSING:
            return self.group(_CLOSING[token])
        if token in ("|", r"\|"):
            self.bars += 1
            node = self.sum()
            self.expect(token)
            self.bars -= 1
            return call("abs", node)
        if token in _FENCES:
            closing, function = _FENCES[token]
            node = self.sum()
            self.expect(closing)
            return call(function, node)
        if token[0] == "\\":
            return self.command(token.removeprefix("\\"))
        if token in FUNCTIONS and len(token) > 1:
            return self.function(FUNCTIONS[token])
        if token in PLAIN_CONSTANTS and self.peek() != "_":  # I_0 is a name
            return name(PLAIN_CONSTANTS[token])
        if token.isalpha():
            return self.named(token)
        raise NotAnExpression(f"{token!r} cannot begin a factor")

    def literal(self, token: str) -> Node:
        if "\\" in token:
            return number(repeating(token))
        if "_" in token:
            return number(based(token))
        return literal(token)

    def command(self, word: str) -> Node:
        if word in ROMAN:
            return self.roman()
        if word in FUNCTIONS and word not in ("binom", "sqrt"):
            return self.function(FUNCTIONS[word])
        if word == "int":
            return self.integral()
        if word in ("sum", "prod"):
            return self.repeated(word)
        if word == "lim":
            return self.limit()
        if word == "frac":
            if derivative := self.derivative():
                return derivative
            top = self.argument()
            return divide(top, self.argument())
        if word in ("binom", "dbinom", "tbinom"):
            upper = self.argument()
            return call("binom", upper, self.argument())
        if word == "sqrt":
            if not self.accept("["):
                return call("sqrt", self.argument())
            degree = self.group("]")
            return power(self.argument(), power(degree, MINUS_ONE))
        if word in CONSTANTS:
            return name(CONSTANTS[word])
        if word == "Delta" and len(self.peek()) == 1 and self.peek().isalpha():  # a change
            return self.named(f"Delta({self.next()})")
        if word in GREEK:
            return self.named(word)
        if word in ("overline", "bar") and self.is_sum():
            under = self.argument()
            # of what has names, NOT (A + B) and a mean are as likely
            return call("unknown overline" if names(under) else "conjugate", under)
        if word in _ACCENTS:
            return self.named(f"{VARIANTS.get(word, word)}({self.letters()})")
        raise NotAnExpression(f"\\{word} is not known")

    def roman(self) -> Node:
        """\\operatorname{lcm}, \\mathrm{i}, \\text{e}: a function or a letter in upright type."""
        braced = self.accept("{")
        word = ""
        while (token := self.peek()).isalpha() and token.isascii():
            word += self.next()
            if not braced:
                break
        if braced:
            self.expect("}")
        if word in FUNCTIONS:
            return self.function(FUNCTIONS[word])
        if len(word) != 1:
            raise NotAnExpression(f"{word!r} is a word")
        return self.named(word)

    def arguments(self, closing: str) -> list[Node]:
        bars, self.bars = self.bars, 0
        args = [self.sum()]
        while self.accept(","):
            args.append(self.sum())
        self.expect(closing)
        self.bars = bars
        return args

    def function(self, function: str) -> Node:
        base = exponent = None
        for _ in range(2):  # \\log_2^3 and \\log^3_2
            if base is None and self.accept("_"):
                base = self.argument()
            if exponent is None and self.peek() == "^":
                self.next()
                exponent = self.exponent()
        if exponent == MINUS_ONE and function in INVERSES:
            function, exponent = INVERSES[function], None
        if base is not None and function != "log":
            raise NotAnExpression(f"{function} has no base")
        args = self.function_arguments(function)
        if function in TRIG or function == "cis":
            args = [in_radians(arg) for arg in args]
        node = call(function, *args, *([base] if base is not None else []))
        return node if exponent is None else power(node, exponent)

    def function_arguments(self, function: str) -> list[Node]:
        opening = self.peek()
        if opening == "{" and self.peek(1) == "(":  # gcd{(a, b)}
            self.next()
            args = self.function_arguments(function)
            self.expect("}")
            return args
        if opening in _CLOSING:
            self.next()
            return self.arguments(_CLOSING[opening])
        if function in ("gcd", "lcm", "max", "min", "binom"):
            raise NotAnExpression(f"{function} without brackets")
        if self.peek() in ("-", "+"):
            return [self.signed(self.function_operand)]
        return [self.function_operand()]

    def function_operand(self) -> Node:
        """What follows a function without brackets: factors up to the next function or operator."""
        factors = [self.factor()]
        while self.begins_factor() and not self.begins_function() and self.peek() not in ("(", "[", "|"):
            factors.append(self.factor())
        return product(factors)

    def begins_function(self) -> bool:
        word = self.peek().removeprefix("\\")
        return word in ROMAN or (word in FUNCTIONS and len(word) > 1 and word != "sqrt")
