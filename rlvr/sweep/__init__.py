"""Sweeps: many runs of `rlvr train` from one command, that go on where they stopped."""
