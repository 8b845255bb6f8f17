"""Run one arm of a sweep in its own process: `python -m rlvr.commands.arm COMMAND ARGUMENTS`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

from rlvr.base.stopping import StopRequest
from rlvr.commands.cli import main

PR_SET_PDEATHSIG = 1  # option of prctl(2): the signal to receive when the parent dies


def run_arm(arguments: Sequence[str], cores: Sequence[int]) -> int:
    """Run `rlvr COMMAND ARGUMENTS` in this process, on these CPU cores (empty: all); the exit code."""

    if os.getpgrp() != os.getpid():
        os.setsid()  # Ctrl-C in the terminal is for the sweep, which stops its arms itself
    if cores:
        os.sched_setaffinity(0, cores)
    # Listen from here on: a signal during the imports would otherwise kill the process.
    return main(arguments, StopRequest())


if __name__ == "__main__":
    # An arm ends with its parent: otherwise, after the sweep was killed, it would still hold its folder.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    sys.exit(run_arm(sys.argv[1:], []))
