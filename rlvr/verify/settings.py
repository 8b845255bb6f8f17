"""How strict a comparison of answers is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rlvr.verify.kinds import Kind

Extraction = Literal["strict", "normal", "lenient"]


@dataclass(frozen=True)
class VerifySettings:
    """The defaults take an answer as a mathematician reads it: exact, but not pedantic.

    `rounding_digits`: a decimal written with at least so many significant digits equals every
    value that it is a rounding of (0.333333 is 1/3, 0.33 is not); 0 asks for exact equality.
    `relative_tolerance`: further slack between two real numbers, relative to the reference.
    `require_units`: the answer must name the unit that the reference names.
    `evaluated`: where the reference is a number, the answer must be one too, and not an operation
    that gives it: 3 + 4 is no answer to 3 + 4, nor sin 60° where the reference is √3/2. Rewards ask
    for that; a comparison need not.
    `kind`: what the reference is, as `rlvr.verify.kinds.Kind` names it; None: what its text shows.
    `extraction`: how far an answer is looked for. "strict": only where a mark names it (a box, an answer tag,
    a JSON object, a line after '#', "the answer is"). "normal": also in the last sentence, and in a text that
    is nothing but an answer. "lenient": also the last number, which pays for mentioning numbers.
    """

    rounding_digits: int = 6
    relative_tolerance: float = 0.0
    require_units: bool = False
    evaluated: bool = False
    kind: str | None = None
    extraction: Extraction = "normal"

    @property
    def stated(self) -> Kind | None:
        return None if self.kind is None else Kind(self.kind)

    def __post_init__(self) -> None:
        if self.rounding_digits < 0:
            raise ValueError(f"rounding_digits is {self.rounding_digits}, but must be ≥ 0")
        if not 0 <= self.relative_tolerance < 1:
            raise ValueError(f"relative_tolerance is {self.relative_tolerance}, but must be in [0, 1)")
        if self.kind is not None and self.kind not in list(Kind):
            raise ValueError(f"kind is {self.kind!r}, but must be one of {', '.join(Kind)}")
        if self.extraction not in get_args(Extraction):
            raise ValueError(f"extraction is {self.extraction!r}, but must be one of {get_args(Extraction)}")


DEFAULT = VerifySettings()
