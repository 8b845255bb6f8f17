"""Is this answer right? Extraction, reading and comparison: pure functions, no Ray, no processes."""

from rlvr.verify.check import check_answer
from rlvr.verify.extract import Extracted, extract_answer

__all__ = ["Extracted", "check_answer", "extract_answer"]
