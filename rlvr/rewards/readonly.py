"""Makes files read-only for reward functions, so that a mistake in one cannot destroy a user's files.

There are two mechanisms, since each has a gap. An audit hook of the interpreter refuses with the file's name
in the message, but C code and other programs bypass it. The kernel (Landlock, Linux ≥ 5.13) stops those too,
but its message is only "Permission denied", and it does not protect permissions and times of files. Files
that are already open stay open.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rlvr.rewards.sandbox.jail import JailError, confine_writes

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Audit events that change files, and the indices of the arguments with the changed paths.
_CHANGES = {
    "os.chmod": (0,), "os.chown": (0,), "os.link": (1,), "os.mkdir": (0,), "os.remove": (0,),
    "os.removexattr": (0,), "os.rename": (0, 1), "os.rmdir": (0,), "os.setxattr": (0,), "os.symlink": (1,),
    "os.truncate": (0,), "os.utime": (0,),
}  # fmt: skip


def confine_writing(folders: Sequence[str]) -> None:
    """Keep the calling process, which must have one thread, from changing files outside `folders`, for good.

    Devices such as /dev/null can be written to.
    """
    folders = [os.path.abspath(folder) for folder in folders]
    sys.dont_write_bytecode = True

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            # a descriptor is already open: a pipe to another process, say
            if isinstance(path, int) or not flags & _WRITING or _is_device(path):
                return
            changed = (path,)
            how = f"open {_name(path)!r} {f'with mode {mode!r}' if mode else 'for writing'}"
        elif event in _CHANGES:
            changed = tuple(arguments[place] for place in _CHANGES[event])
            how = f"{event.removeprefix('os.')} {' to '.join(repr(_name(path)) for path in changed)}"
        else:
            return
        if not all(_is_below(path, folders) for path in changed):
            raise PermissionError(f"a reward function may change no file, but tried to {how}")

    sys.addaudithook(refuse)
    with suppress(JailError):
        confine_writes(folders, _devices())


def _devices() -> list[str]:
    """The devices and folders of devices in /dev, without its folders of files in memory."""
    with os.scandir("/dev") as entries:
        return [
            entry.path
            for entry in entries
            if _is_device(entry.path) or (entry.is_dir() and entry.name not in ("shm", "mqueue"))
        ]


def _is_device(path: Any) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _is_below(path: Any, folders: Sequence[str]) -> bool:
    if isinstance(path, int):
        return False
    whole = os.path.abspath(os.fsdecode(path))
    return any(os.path.commonpath([whole, folder]) == folder for folder in folders)


def _name(path: Any) -> str:
    return f"descriptor {path}" if isinstance(path, int) else os.fsdecode(path)
