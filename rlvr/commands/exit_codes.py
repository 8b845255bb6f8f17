"""The message and exit code of a command that failed."""

from __future__ import annotations

import sys

from rlvr.types import ConfigError, DataError, RlvrError


def failed(error: RlvrError) -> int:
    """Print the error for the user; the exit code: 2 for wrong settings or data, 3 for later failures."""
    print(f"rlvr: {error}", file=sys.stderr)
    return 2 if isinstance(error, ConfigError | DataError) else 3
