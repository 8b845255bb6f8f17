"""How to reproduce a run: commands, seed, versions, commit, fingerprints, the whole configuration."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rlvr.base.identity import flattened
from rlvr.record.layout import CHANGES, MANIFEST
from rlvr.record.runs import RunRecord, StageRecord
from rlvr.report.measures import lookup
from rlvr.report.overview import read_json


@dataclass(frozen=True)
class Hydra:
    """What Hydra has saved in the run's folder; empty if that is missing."""

    overrides: list[str]
    choices: Mapping[str, Any]  # configuration group → option
    folder: str | None  # the working directory of the command
    resumed: bool  # the overrides are those of a resume, not the whole command
    config_dirs: list[str]  # the user's own, from the command line

    @property
    def given(self) -> list[str]:
        """The command's arguments; empty if they are not known."""
        if self.resumed or not self.overrides:
            return []
        return [*(f"--config-dir={folder}" for folder in self.config_dirs), *self.overrides]


def read_hydra(run: RunRecord) -> Hydra:
    notes = run.home / ".hydra"
    overrides, settings = _yaml(notes / "overrides.yaml"), _yaml(notes / "hydra.yaml")
    known: Mapping[str, Any] = settings if isinstance(settings, Mapping) else {}
    sources = lookup(known, "hydra.runtime.config_sources", [])
    return Hydra(
        overrides=[str(each) for each in overrides] if isinstance(overrides, list) else [],
        choices=lookup(known, "hydra.runtime.choices", {}),
        folder=lookup(known, "hydra.runtime.cwd"),
        resumed=lookup(known, "hydra.job.config_name") == "config",
        config_dirs=[source["path"] for source in sources if source["provider"] == "command-line"],
    )


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return None


def commands(run: RunRecord, hydra: Hydra) -> list[tuple[str, str]]:
    """(purpose, command): the original command, a repetition with the saved settings, and the resume."""
    if not run.config:
        return []
    name, folder = ("recipe" if run.is_recipe else "train"), run.home
    saved = ["--config-path", str(folder), "--config-name", "config"]
    again = _command(name, *saved, "hydra.run.dir=runs/again")
    rows = [("repeat with exactly these settings", again)]
    if hydra.given:
        where = f", in {hydra.folder}" if hydra.folder else ""
        rows.insert(0, (f"original command{where}", _command(name, *hydra.given)))
    rows.append(("continue; completed stages are skipped", _command(name, f"resume={folder}")))
    return rows


def _command(*words: str) -> str:
    return shlex.join(["rlvr", *words])


def versions(run: RunRecord) -> list[tuple[str, str]]:
    """Name and version of the packages and the machine; packages that were not installed are left out."""
    rows = [
        (key.removeprefix("packages."), value) for key, value in flattened(run.versions) if value is not None
    ]
    return [(key, str(value)) for key, value in rows if not key.startswith("git.")]


def commit(run: RunRecord) -> str:
    git = run.versions.get("git")
    if not isinstance(git, Mapping):
        return "not known: not run from a git checkout"
    changed = "with uncommitted changes" if git.get("modified") else "without local changes"
    return f"{git.get('commit', '?')}, {changed}"


def fingerprints(run: RunRecord) -> Iterator[tuple[str, str]]:
    """Keys and hashes of stages, problems and files: equal hashes mean equal content."""
    for stage in run.stages:
        yield from _stage_fingerprints(stage)
    for path in [run.home / "config.yaml", *(stage.folder / "metrics.jsonl" for stage in run.stages)]:
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield f"{path.parent.name}/{path.name}, SHA-256", digest


def _stage_fingerprints(stage: StageRecord) -> Iterator[tuple[str, str]]:
    manifest = read_json(stage.folder / MANIFEST)
    if isinstance(manifest, dict) and manifest.get("key"):
        yield f"{stage.name}, key", str(manifest["key"])
        for name, made_from in lookup(manifest, "made_from", {}).items():
            yield f"{stage.name}, made from {name}", str(made_from)
    checkpoints = sorted((stage.folder / "checkpoints").glob("step_*/state.json"))
    if checkpoints:
        problems = lookup(read_json(checkpoints[-1]), "identity.problems")
        if problems:
            yield f"{stage.name}, problems at {checkpoints[-1].parent.name}", str(problems)


def resumes(run: RunRecord) -> Iterator[tuple[str, str]]:
    """Settings changed by a resume: (stage and step, old and new value)."""
    for stage in run.stages:
        path = stage.folder / CHANGES
        for line in path.read_text().splitlines() if path.is_file() else []:
            with suppress(ValueError, KeyError, TypeError):
                change = json.loads(line)
                old, new = json.dumps(change["old"]), json.dumps(change["new"])
                yield f"{stage.name}, after step {change['step']}", f"{change['key']}: {old} → {new}"


def resolved(run: RunRecord) -> str:
    """The whole configuration as YAML; empty where there is none."""
    return yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True) if run.config else ""
