"""Measures the error rates of a reward, on completions whose correct verdict is known."""
