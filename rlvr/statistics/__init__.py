"""Confidence intervals, significance tests, and the rule for when a difference is significant."""
