"""Disks that take no more, or nothing at all: one error that names the file and says what to do."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rlvr.types import RlvrError

UNFINISHED = ".tmp"  # how the name of a file ends that is being written
_ROOM = "make room there"
MEND = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "allow larger files (ulimit -f), or make room there",
    errno.EROFS: "make it writable",
    errno.EACCES: "give this user the permission",
    errno.EPERM: "give this user the permission",
    errno.EIO: "look at the disk",
}
# PyTorch's and NumPy's words where they know no more than how much was written.
_CUT_OFF = re.compile(r"inline_container\.cc|\d requested and \d+ written")
# What writes files in Rust has the number in its message alone.
_NUMBERED = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]", re.IGNORECASE)


class DiskError(RlvrError, OSError):
    """A file cannot be written; also an OSError, for those who can do without the file."""


def disk_error(path: Path, error: Exception, what: str = "cannot be written") -> DiskError | None:
    """What to say of an `error` of writing `path`, or under it; None if the disk has no part in it."""
    number = _number(error)
    if number is not None:
        reason, mend = os.strerror(number), MEND[number]
    elif _CUT_OFF.search(str(error)):
        reason, mend = "not the whole of it was taken", "see whether the disk is full"
    else:
        return None
    named = getattr(error, "filename", None)
    file = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else path
    file = path if file.name.endswith(UNFINISHED) else file
    made = DiskError(f"{file} {what} ({reason}{_free(file)}): {mend}")
    made.strerror = reason
    return made


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raises DiskError in place of whatever a library raises when it cannot write `path`, or under it."""
    try:
        yield
    except DiskError:
        raise
    # tokenizers raises a plain Exception, safetensors and PyTorch errors of their own
    except Exception as error:
        if (made := disk_error(path, error)) is None:
            raise
        raise made from error


def _number(error: Exception) -> int | None:
    """The errno of a disk's failure, from the error or from its words."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := _NUMBERED.search(str(error))):
        number = int(found[1] or found[2])
    if number is None:  # PyTorch's older format has only the words
        number = next(
            (n for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.strerror(n) in str(error)), None
        )
    return number if number in MEND else None


def _free(file: Path) -> str:
    """How much room there is where `file` was to be, for a message."""
    there = next((folder for folder in file.absolute().parents if folder.is_dir()), Path("/"))
    try:
        return f"; {shutil.disk_usage(there).free / 2**30:.2f} GiB are free"
    except OSError:  # a disk that is in trouble need not tell
        return ""
