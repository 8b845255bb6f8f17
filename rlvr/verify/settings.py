"""Settings for the strictness of comparing answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rlvr.verify.kinds import Kind

Extraction = Literal["strict", "normal", "lenient"]


@dataclass(frozen=True)
class VerifySettings:
    """The defaults read an answer as a mathematician would: exactly, but not pedantically.

    `rounding_digits`: a decimal with at least this many significant digits equals every value that it
    is a rounding of (0.333333 is 1/3, 0.33 is not); 0 requires exact equality.
    `relative_tolerance`: additional tolerance between two real numbers, relative to the reference.
    `require_units`: the answer must have the reference's unit.
    `evaluated`: if the reference is a number, the answer must be a number, and not an operation with
    that value: 3 + 4 is not an answer to 3 + 4, nor sin 60° if the reference is √3/2. Rewards set this.
    `kind`: the kind of the reference, a value of `rlvr.verify.kinds.Kind`; None: from its text.
    `extraction`: where to look for an answer. "strict": only in explicit marks (a box, an answer tag, a JSON
    object, a line after '#', "the answer is"). "normal": also in the last sentence, and in a text that is
    only an answer. "lenient": also the last number, which rewards mentioning numbers.
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
