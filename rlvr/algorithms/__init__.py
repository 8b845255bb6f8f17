"""Advantages and policy losses: pure functions."""
