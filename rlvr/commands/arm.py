"""An arm in a process of its own: `python -m rlvr.commands.arm ARGUMENTS` is `rlvr train ARGUMENTS`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # of prctl(2): the signal to get when the parent dies


def run_arm(arguments: Sequence[str], cores: Sequence[int]) -> int:
    """`rlvr train ARGUMENTS` in this process, on these of its cores (none: all); the exit code."""
    from rlvr.commands.cli import main
    from rlvr.stages.stage import StopRequest

    if os.getpgrp() != os.getpid():
        os.setsid()  # Ctrl-C in the terminal is for the sweep, which stops its arms itself
    if cores:
        os.sched_setaffinity(0, cores)
    StopRequest()  # from now on, or a signal during the imports would be the end without a checkpoint
    try:
        return main(["train", *arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


if __name__ == "__main__":
    # an arm ends with what started it, or a sweep that was killed could not go on with it
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    sys.exit(run_arm(sys.argv[1:], []))
