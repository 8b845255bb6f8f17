"""Is this answer right? Extraction, reading and comparison: pure functions, no Ray, no processes."""

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
