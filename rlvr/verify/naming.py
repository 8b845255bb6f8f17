"""Names with their accents, subscripts and primes, and unknown functions with their arguments."""

from __future__ import annotations

from abc import abstractmethod

from rlvr.verify.binding import BindingForms
from rlvr.verify.tokens import NotAnExpression
from rlvr.verify.tree import Node, add, call, divide, name, negative

_COUNTED = frozenset("nkmr")  # usual names in binomial coefficients
_UNKNOWN_FUNCTIONS = frozenset("fghFGH")
VARIANTS = {
    "varphi": "phi",
    "varepsilon": "epsilon",
    "vartheta": "theta",
    "varrho": "rho",
    "varsigma": "sigma",
    "bar": "overline",
    "overrightarrow": "vec",
}


class NamedForms(BindingForms):
    """The part of the parser that reads names."""

    @abstractmethod
    def arguments(self, closing: str) -> list[Node]: ...

    @abstractmethod
    def exponent(self) -> Node: ...

    def is_sum(self) -> bool:
        """Whether the braces that come next contain a sum or a power, which is not a name under a bar."""
        braced = self.tokens[self.position :]
        end = braced.index("}") if "}" in braced else 0
        return bool({"+", "-", "^"} & set(braced[:end])) and "_" not in braced[:end]

    def letters(self) -> str:
        """The letters under an accent."""
        if not self.accept("{"):
            return self.next()
        letters = ""
        while (token := self.next()) != "}":
            if not token.isalnum():
                raise NotAnExpression("more than letters under an accent")
            letters += token
        return letters

    def named(self, word: str) -> Node:
        """A name with its subscript and primes, or an unknown function of what is in brackets."""
        word = VARIANTS.get(word, word)
        if self.peek() == "_":
            self.next()
            start = self.position
            index = self.argument()
            if word == "C" and (chosen := self.chosen(index)):
                return chosen
            if (index.head == "name" and index.name in "ijklmn") or index.head not in ("name", "number"):
                return call(f"unknown {word}_", index)  # a sequence
            word += "_" + "".join(self.tokens[start : self.position]).strip("{} ")
        while self.accept("'"):
            word += "'"
        if word.rstrip("'") in _UNKNOWN_FUNCTIONS and self.peek() in ("(", "{") and not self.spaced():
            braced = self.peek(1) == "(" and self.accept("{")  # f{(x, y)}
            if self.accept("("):
                args = self.arguments(")")
                if braced:
                    self.expect("}")
                return call(f"unknown {word}", *args)
        if word in ("C", "P") and self.peek() == "(":
            return self.combinations(word)
        if word == "y'":
            return name("dy/dx")
        return name(word)

    def chosen(self, total: Node) -> Node | None:
        """C_n^k, the number of combinations, if an exponent comes next; C_1^2 is only a square."""
        start = self.position
        if not self.accept("^"):
            return None
        picked = self.exponent()
        numbers = total.head == picked.head == "number"
        if (numbers and total.value >= picked.value) or total.head == picked.head == "name":
            return call("binom", total, picked)
        self.position = start
        return None

    def combinations(self, word: str) -> Node:
        """C(n, k), combinations, and P(n, k), arrangements; C(x) or C (x + 1) is a product."""
        start = self.position
        self.next()
        args = self.arguments(")")
        if len(args) == 2 and word == "C":
            return call("binom", *args)
        if len(args) == 2 and args[0] != args[1] and all(map(_may_be_count, args)):
            total, chosen = args
            if chosen.head != "number" or total.head != "number" or chosen.value <= total.value:
                left = call("factorial", add(total, negative(chosen)))
                return divide(call("factorial", total), left)
        self.position = start
        return name(word)


def _may_be_count(node: Node) -> bool:
    if node.head == "number":
        return node.value.denominator == 1 and node.value >= 0 and not node.digits
    return node.name in _COUNTED
