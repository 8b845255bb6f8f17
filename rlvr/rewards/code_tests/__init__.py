"""Unit tests of a program, evaluated where the program cannot reach.

A test is parsed and never executed: `compiler` makes of it what evaluates a small part of Python over plain
values, in the caller's process. `link` has the program's process make the calls, and rebuilds what it returns
from data; `pure` are the functions that a test may apply to that. `forms` are the ways to write tests down.
"""
