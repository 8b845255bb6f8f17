"""Is this answer right? Extraction, parsing and comparison: pure functions."""
