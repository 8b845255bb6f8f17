"""Sweeps: many runs from one command, which continue where they stopped."""
