"""Files written once a run has ended: its report, its curves, its table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rlvr.base.text import one_line
from rlvr.record.layout import REPORT
from rlvr.record.runs import open_run
from rlvr.report.write import write_report
from rlvr.results.curves import plot_curves
from rlvr.results.summary import summary_table
from rlvr.types import DataError


def print_records(run_path: Path, curves: bool) -> None:
    """Write the report, curves and table of a finished run, and print their paths, or why one is missing.

    A file that cannot be written does not make the run fail.
    """
    records: list[tuple[str, Callable[[], object]]] = [
        ("report:  ", lambda: write_report(open_run(run_path), run_path / REPORT))
    ]
    if curves:
        records += [("curves:  ", lambda: plot_curves(run_path)), ("\n", lambda: summary_table(run_path))]
    for label, make in records:
        try:
            print(f"{label}{make()}")
        except (DataError, OSError) as error:
            print(f"{label}could not be written: {one_line(str(error))}")
