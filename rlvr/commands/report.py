"""`rlvr report`: a run as one HTML file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rlvr.commands.exit_codes import failed
from rlvr.record.layout import REPORT
from rlvr.record.runs import open_run
from rlvr.report.write import write_report
from rlvr.types import DataError


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(
        "rlvr report",
        description="Write a run's settings, results, diagnostics and notable rollouts as one HTML file.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "run", metavar="RUN", help="folder of a run, finished or not, or of one of its stages"
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="file to write (RUN/report.html)")
    given = parser.parse_args(arguments)
    try:
        run = open_run(given.run)
        print(write_report(run, given.out or run.folder / REPORT))
    except DataError as error:
        return failed(error)
    return 0
