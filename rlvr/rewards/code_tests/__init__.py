"""Unit tests of a program, evaluated out of the program's reach.

Tests are parsed, but never executed: `compiler` translates them to an evaluator of a subset of Python over
plain values, in the caller's process. `link` lets the program's process make the calls, and rebuilds return
values from data; `pure` has the functions that tests may apply to them. `forms` reads the formats of tests.
"""
