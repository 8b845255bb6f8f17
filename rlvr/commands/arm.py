"""An arm in a process of its own: `python -m rlvr.commands.arm COMMAND ARGUMENTS`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

from rlvr.base.stopping import StopRequest
from rlvr.commands.cli import main

PR_SET_PDEATHSIG = 1  # of prctl(2): the signal to get when the parent dies


def run_arm(arguments: Sequence[str], cores: Sequence[int]) -> int:
    """`rlvr COMMAND ARGUMENTS` in this process, on these of its cores (none: all); the exit code."""

    if os.getpgrp() != os.getpid():
        os.setsid()  # Ctrl-C in the terminal is for the sweep, which stops its arms itself
    if cores:
        os.sched_setaffinity(0, cores)
    # from now on, or a signal during the imports would be the end without a checkpoint
    return main(arguments, StopRequest())


if __name__ == "__main__":
    # an arm ends with what started it, or a sweep that was killed could not go on with it
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    sys.exit(run_arm(sys.argv[1:], []))
