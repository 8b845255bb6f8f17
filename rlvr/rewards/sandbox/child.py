"""The main function of sandboxed processes, each a new interpreter that `run` starts. Roles:

script   runs a program like `python program.py`; its standard input follows its source on descriptor 0
program  loads a program and calls its functions on request, over descriptors 0 and 1
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from rlvr.rewards.sandbox.jail import JailError, enter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

READY = b"\x06"  # first byte that every process sends, once it is confined and before untrusted code runs
_LENGTH_BYTES = 4  # as in `wire`, which scripts do not import


def main(role: str, settings: list[str]) -> None:
    """`settings`: the arguments of `jail.enter`, then "name=folder" for each further allowed module."""
    numbers, modules = settings[:4], [setting.partition("=") for setting in settings[4:]]
    null = os.open(os.devnull, os.O_RDWR)
    if role == "program":  # imported while its file is readable
        from rlvr.rewards.sandbox.program import Program
    sys.path.pop()
    try:
        roots = [f"{folder}/{name}{end}" for name, _, folder in modules for end in ("", ".libs", ".py")]
        if modules:
            sys.meta_path.append(_Allowed({name: folder for name, _, folder in modules}))
        parent, cpu_seconds, memory_mib, confine = map(int, numbers)
        enter(parent, cpu_seconds, memory_mib, bool(confine), roots)
    except (JailError, OSError, ValueError) as error:
        os.write(2, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    if role == "script":
        os.close(null)
        os.write(1, READY)
        _run_script(_first().decode())
    else:
        requests, replies = os.dup(0), os.dup(1)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        os.write(replies, READY)
        Program(requests, replies).live()


class _Allowed:
    """Finds the allowed modules besides the standard library, whose folders cannot be listed."""

    def __init__(self, folders: dict[str, str]) -> None:
        from importlib.machinery import PathFinder

        self.specs = {name: PathFinder.find_spec(name, [folder]) for name, folder in folders.items()}

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        return self.specs.get(name)


def _first() -> bytes:
    """The first message, read unbuffered: the rest of descriptor 0 is the program's input."""
    return _read(int.from_bytes(_read(_LENGTH_BYTES)))


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
        exec(
            compile(source, "solution.py", "exec", dont_inherit=True), module.__dict__
        )  # untrusted code, hence the jail
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001 - reported like an interpreter does
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
