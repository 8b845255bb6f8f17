"""Write the report of a run."""

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
FEW = 25  # up to this many changed settings are shown unfolded


def write_report(run: RunRecord, path: Path) -> Path:
    """Write the report of `run` to `path` as one HTML file, atomically; an existing file is replaced.

    The page makes no network requests, has no script, and escapes the text of models and configurations. It
    lists what is missing of the run. Returns `path`.

    Raises:
        DataError: it is an evaluation, which has results of its own; or the file cannot be written.
    """
    if run.is_evaluation:
        raise DataError(
            f"{run.folder} is an evaluation, and reports are for training; read {run.folder / RESULTS_TABLE}"
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
            # a metric's name may contain a lone surrogate, which JSON can hold and UTF-8 cannot
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
    """The run's own table, as Markdown; empty if there is none yet."""
    if run.is_recipe:
        path = run.folder / "table.md"
        return path.read_text(errors="replace") if path.is_file() else ""
    try:
        return summary_table(run.folder) if run.stage("rl") else ""
    except DataError:  # its metrics cannot be read; the stage's chapter reports that
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
