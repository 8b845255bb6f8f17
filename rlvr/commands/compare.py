"""`rlvr compare`: the arms of a sweep side by side."""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.commands.exit_codes import failed
from rlvr.types import ConfigError, DataError, RlvrError

if TYPE_CHECKING:
    from rlvr.compare.arms import Arm
    from rlvr.compare.results import ArmResult

DESCRIPTION = """\
Compares runs. Runs whose settings differ only in the seed form one arm; each arm is compared with the
baseline, seed by seed. Writes compare.md, compare.csv, runs.csv and compare.png, and prints compare.md.
"""
METRIC = "heldout/pass@1"


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(
        "rlvr compare",
        description=DESCRIPTION,
        epilog="exit codes: 0 compared, 2 wrong usage or data",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="folders of runs, or folders that hold runs")
    parser.add_argument("--metric", default=METRIC, help="the metric to compare (%(default)s)")
    parser.add_argument(
        "--baseline",
        metavar="ARM",
        help="label of the baseline, or a part of it (default: the first arm that has the metric)",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="folder for the files (default: the sweep's folder, or else the current one)",
    )
    try:
        given = parser.parse_args(list(arguments))
    except SystemExit as stop:  # argparse has printed the reason
        return int(stop.code or 0)
    try:
        text, files = run(given.runs, given.metric, given.baseline, given.out)
    except RlvrError as error:
        return failed(error)
    print(f"{text}\nwritten: {', '.join(map(str, files))}")
    return 0


def run(
    paths: Sequence[str | Path], metric: str = METRIC, baseline: str | None = None, out: str | None = None
) -> tuple[str, list[Path]]:
    """Compare the runs in `paths` and write the four files. Returns the Markdown and the files' paths.

    Raises:
        ConfigError: `baseline` does not name exactly one arm, or no run has `metric`.
        DataError: there are no runs, their files are broken, or `out` cannot be written to.
    """
    from rlvr.base.files import write_text
    from rlvr.compare.arms import arms_of, baseline_of
    from rlvr.compare.curves import read_curve
    from rlvr.compare.results import compare
    from rlvr.compare.runs import find_runs
    from rlvr.compare.tables import arms_csv, runs_csv
    from rlvr.compare.text import markdown

    evaluations: list[Path] = []
    runs = find_runs(paths, evaluations)
    arms, differing = arms_of(runs)
    curves = {arm.label: [read_curve(found, metric) for found in arm.runs] for arm in arms}
    if not any(curve.points for of_arm in curves.values() for curve in of_arm):
        known = sorted({name for of_arm in curves.values() for curve in of_arm for name in curve.metrics})
        near = difflib.get_close_matches(metric, known, n=1)
        raise ConfigError(
            f"no run has the metric {metric}{f': did you mean {near[0]}?' if near else ''}; there are: "
            f"{', '.join(known) or 'none, as no run has begun'}"
        )
    valued = [any(not math.isnan(curve.final) for curve in curves[arm.label]) for arm in arms]
    base = baseline_of(arms, baseline, valued)
    results = compare(arms, curves, base, metric)
    folder = Path(out) if out is not None else _folder([found.folder for found in runs])
    files = [folder / name for name in ("compare.md", "compare.csv", "runs.csv", "compare.png")]
    remarks = list(_remarks(arms, None if baseline else base, len(evaluations)))
    text = markdown(results, base, metric, differing, files[-1].name, remarks, _beside(arms, base, metric))
    contents = (text, arms_csv(results, base, metric), runs_csv(results, metric))
    try:
        for path, content in zip(files, contents, strict=False):
            write_text(path, content)
        from rlvr.compare.picture import draw

        draw(
            results,
            metric,
            files[-1],
            "step of the chain" if any(r.record.is_recipe for r in runs) else "step",
        )
    except OSError as error:
        raise DataError(f"--out {folder}: {error.strerror}; name a folder that can be written to") from error
    return text, files


def _beside(arms: Sequence[Arm], base: int, metric: str) -> Sequence[ArmResult] | None:
    """The same comparison for answers that are right with all steps true; None if no run has measured it."""
    from rlvr.compare.curves import companion, read_curve
    from rlvr.compare.results import compare

    other = companion(metric)
    if other is None:
        return None
    curves = {arm.label: [read_curve(found, other) for found in arm.runs] for arm in arms}
    measured = any(curve.points for of_arm in curves.values() for curve in of_arm)
    return compare(arms, curves, base, other) if measured else None


def _remarks(arms: Sequence[Arm], chosen: int | None, evaluations: int) -> Iterator[str]:
    """Notes on a `chosen` baseline that is not the first arm, and on skipped evaluations."""
    if chosen:
        yield f"The baseline is `{arms[chosen].label}`, the first arm that has a value."
    if evaluations:
        which = "1 evaluation is" if evaluations == 1 else f"{evaluations} evaluations are"
        yield f"{which} left out: `rlvr evaluate from=FOLDER baseline=FOLDER` compares evaluations."


def _folder(runs: Sequence[Path]) -> Path:
    """The folder of the sweep that all runs belong to, or else the current folder."""
    from rlvr.record.layout import ARM

    sweep = runs[0].parent
    if any(run.parent != sweep for run in runs):
        return Path()
    swept = all((run / ARM).exists() for run in runs)
    numbered = all(run.name.isdigit() for run in runs)  # as Hydra numbers its jobs
    return sweep if swept or numbered else Path()
