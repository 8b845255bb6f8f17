"""The verifier: extracts, parses and compares answers. Pure functions, without Ray and processes.

Each name is imported on first use, so that code which needs only a part does not import everything. The
package itself can be called: `rlvr.verify(completion, gold)` is `check_answer`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlvr.verify.check import (
        check_answer,
        check_reference,
        equal_answers,
        forget_answers,
        prepare,
        remembered_answers,
    )
    from rlvr.verify.extract import Extracted, extract_answer
    from rlvr.verify.settings import VerifySettings

__all__ = [
    "Extracted",
    "VerifySettings",
    "check_answer",
    "check_reference",
    "equal_answers",
    "extract_answer",
    "forget_answers",
    "prepare",
    "remembered_answers",
]
_HOMES = {"Extracted": "extract", "VerifySettings": "settings", "extract_answer": "extract"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'check')}"), name)
    globals()[name] = found
    return found


class _Callable(ModuleType):
    """Makes the package callable: `rlvr.verify(…)`."""

    def __call__(self, completion: str, gold: str, **settings: Any) -> Any:
        """The `Verdict` on a completion; `settings` are those of `check_answer`.

        Raises TypeError unless completion and reference are texts.
        """
        for name, value in (("completion", completion), ("gold", gold)):
            if not isinstance(value, str):
                raise TypeError(f"{name} is {value!r:.80}, a {type(value).__name__}: give it as a str")
        return self.check_answer(completion, gold, **settings)


sys.modules[__name__].__class__ = _Callable
