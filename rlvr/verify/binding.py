"""Forms that bind a variable: integrals, sums, products, limits and derivatives."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable

from rlvr.verify.literals import literal
from rlvr.verify.tokens import GREEK, NotAnExpression, Tokens
from rlvr.verify.tree import Node, add, name, negative, number

_DERIVATIVE = re.compile(r"\{d([A-Za-z]?)\}\{d([A-Za-z])\}")


class BindingForms(Tokens):
    """The part of the parser that reads forms which bind a variable."""

    def __init__(self, text: str, letters: bool = False) -> None:
        super().__init__(text, letters)
        self.differentials: list[Node | None] = []  # of the open integrals; None until read

    @abstractmethod
    def sum(self) -> Node: ...

    @abstractmethod
    def product(self) -> Node: ...

    @abstractmethod
    def argument(self) -> Node: ...

    @abstractmethod
    def signed(self, operand: Callable[[], Node]) -> Node: ...

    def differential(self) -> bool:
        """Accept the "dx" of the innermost open integral if it comes next."""
        if not self.differentials or self.differentials[-1] is not None or self.peek() != "d":
            return False
        variable = self.peek(1).removeprefix("\\")
        if not ((len(variable) == 1 and variable.isalpha()) or variable in GREEK):
            return False
        self.next()
        self.next()
        self.differentials[-1] = name(variable)
        return True

    def integral(self) -> Node:
        limits = self.limits()
        self.differentials.append(None)
        body = number(1) if self.differential() else self.product()
        while self.differentials[-1] is None and self.peek() in ("+", "-"):
            sign = self.next()
            term = self.product()
            body = add(body, negative(term) if sign == "-" else term)
        variable = self.differentials.pop()
        return Node("bind", (variable or name("x"), body, *limits), "int")

    def limits(self) -> list[Node]:
        """The limits _{a}^{b}, in either order; empty limits are ignored."""
        found: dict[str, Node] = {}
        while self.peek() in ("_", "^"):
            which = self.next()
            if self.peek() == "{" and self.peek(1) == "}":
                self.next()
                self.next()
            else:
                found[which] = self.signed(self.bare)
        return [found[which] for which in "_^" if which in found]

    def bare(self) -> Node:
        """A limit: in braces, or one token without a subscript."""
        if self.peek() in ("{", r"\infty", r"\pi"):
            return self.argument()
        token = self.next()
        if not token.isalnum():
            raise NotAnExpression(f"{token!r} is not a limit")
        return literal(token) if token[0].isdigit() else name(token)

    def repeated(self, kind: str) -> Node:
        """\\sum and \\prod: the limits, then the product that follows."""
        upper = [self.bare()] if self.accept("^") else []
        self.expect("_")
        self.expect("{")
        variable = name(self.next().removeprefix("\\"))
        lower = [self.sum()] if self.accept("=") else []
        self.expect("}")
        if self.accept("^"):
            upper = [self.bare()]
        return Node("bind", (variable, self.product(), *lower, *upper), kind)

    def limit(self) -> Node:
        self.expect("_")
        self.expect("{")
        variable = name(self.next().removeprefix("\\"))
        if not self.accept(r"\to", r"\rightarrow"):
            raise NotAnExpression("a limit without \\to")
        target = self.product()
        self.expect("}")
        return Node("bind", (variable, self.product(), target), "lim")

    def derivative(self) -> Node | None:
        """\\frac{d}{dx} with the product that follows, or \\frac{dy}{dx}; None if neither comes next."""
        match = _DERIVATIVE.match("".join(self.tokens[self.position : self.position + 12]).replace(" ", ""))
        if match is None:
            return None
        self.expect("{")
        for _ in range(2):
            while not self.accept("}"):
                self.next()
            self.accept("{")
        function, variable = match.groups()
        if function:
            return name(f"d{function}/d{variable}")
        return Node("bind", (name(variable), self.product()), "diff")
