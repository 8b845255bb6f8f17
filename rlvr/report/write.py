"""From a run to its report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from rlvr.base.files import atomic_write
from rlvr.record.layout import RESULTS_TABLE
from rlvr.record.runs import RunRecord
from rlvr.report import overview, reproduce
from rlvr.report.chapters import chapters
from rlvr.report.result import NOTE
from rlvr.results.summary import summary_table
from rlvr.types import DataError

TEMPLATES = Path(__file__).parent / "templates"
FEW = 25  # changed settings are shown at once; more are folded


def write_report(run: RunRecord, path: Path) -> Path:
    """Write the report of `run` as one HTML file, whole or not at all, over what was there.

    It asks nothing of any network, has no script, and shows what models and configurations wrote as text.
    What is missing of the run is named in it. Returns `path`.

    Raises:
        DataError: it is an evaluation, which has results of its own; or the file cannot be written.
    """
    if run.is_evaluation:
        raise DataError(
            f"{run.folder} is an evaluation, and a report is of training; read {run.folder / RESULTS_TABLE}"
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html").render(_content(run))
    try:
        with atomic_write(path) as temporary:
            # a name of a metric may hold half a surrogate pair, which JSON knows and UTF-8 does not
            temporary.write_bytes(page.encode("utf-8", errors="replace"))
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); name another file") from error
    return path


def _content(run: RunRecord) -> dict[str, Any]:
    found, overall = chapters(run)
    begun = [chapter.state for chapter in found]
    states = [*begun, *overview.waiting(run, [each.stage for each in begun])]
    hydra = reproduce.read_hydra(run)
    table, notes = markdown_table(_table(run))
    return {
        "run": run,
        "written": f"{datetime.now():%Y-%m-%d %H:%M}",
        "finished": bool(states) and all(each.finished for each in states),
        "states": states,
        "facts": overview.facts(run, hydra.choices),
        "settings": overview.changed_settings(run.config),
        "few": FEW,
        "table": table,
        "notes": notes,
        "overall": overall,
        "note": NOTE,
        "chapters": found,
        "commands": reproduce.commands(run, hydra),
        "commit": reproduce.commit(run),
        "versions": reproduce.versions(run),
        "resumes": list(reproduce.resumes(run)),
        "fingerprints": list(reproduce.fingerprints(run)),
        "config": reproduce.resolved(run),
        "warnings": sum(chapter.warnings for chapter in found),
    }


def _table(run: RunRecord) -> str:
    """The run's own table, as Markdown; empty where there is none yet."""
    if run.is_recipe:
        path = run.folder / "table.md"
        return path.read_text(errors="replace") if path.is_file() else ""
    try:
        return summary_table(run.folder) if run.stage("rl") else ""
    except DataError:  # its metrics cannot be read, which the stage's chapter says
        return ""


def markdown_table(text: str) -> tuple[list[list[str]], list[str]]:
    """The rows of the table in `text`, head first and without its rule; and the other lines as notes."""
    rows: list[list[str]] = []
    notes: list[str] = []
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not _is_rule(cells):
                rows.append(cells)
        elif line.strip():
            notes.append(line.removeprefix("- "))
    return rows, notes


def _is_rule(cells: Sequence[str]) -> bool:
    return all(cell and not cell.strip(":-") for cell in cells)
