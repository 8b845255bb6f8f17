"""What a command says, and the code that it ends with, where it cannot do what was asked."""

from __future__ import annotations

import sys

from rlvr.types import ConfigError, DataError, RlvrError


def failed(error: RlvrError) -> int:
    """Print the error for the user; 2 for wrong settings or data, 3 for what failed later."""
    print(f"rlvr: {error}", file=sys.stderr)
    return 2 if isinstance(error, ConfigError | DataError) else 3
