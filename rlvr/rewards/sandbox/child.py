"""What the sandboxed processes do, started by `run` with a fresh interpreter each.

script   runs a program whose standard input follows it on descriptor 0, as `python program.py` would
program  holds a program for a checker, over descriptors 0 and 1
checker  runs tests against a program whose process is at the other end of two pipes
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from rlvr.rewards.sandbox.jail import JailError, enter

READY = b"\x06"  # the first byte of every process, sent when it is confined and nothing hostile has run
LENGTH_BYTES = 4  # big-endian, before what the caller sends first


def main(role: str, parent: int, cpu_seconds: int, memory_mib: int, confine: int, *pipes: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if role != "script":  # they are imported while they can be read
        from rlvr.rewards.sandbox import checker, program, wire
    sys.path.pop()
    try:
        enter(parent, cpu_seconds, memory_mib, bool(confine))
    except (JailError, OSError, ValueError) as error:
        os.write(2, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    if role == "script":
        os.close(null)
        os.write(1, READY)
        _run_script(_first().decode())
    elif role == "program":
        channel = wire.Pipes(os.dup(0), os.dup(1))
        for descriptor in range(3):
            os.dup2(null, descriptor)
        program.Program(channel).live()
    else:
        reports = os.dup(1)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.write(reports, READY)
        checker.check(_first(), wire.Pipes(*pipes), reports)


def _first() -> bytes:
    """What the caller sends first, read unbuffered: the rest of descriptor 0 is for the program."""
    return _read(int.from_bytes(_read(LENGTH_BYTES)))


def _read(size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _run_script(source: str) -> None:
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["solution.py"]
    try:
        exec(compile(source, "solution.py", "exec"), module.__dict__)  # what the jail is for
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001 - as an interpreter reports what a script raises
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
