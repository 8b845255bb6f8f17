"""Reading a run: its stages, the folders of their records, its configuration and versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rlvr.record.journal import KINDS
from rlvr.record.layout import MANIFEST, STAGES
from rlvr.types import DataError

MEND = "put back a whole copy of it, or leave this folder out"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the faster one in C, if available


@dataclass(frozen=True)
class StageRecord:
    """A stage that has recorded something."""

    name: str  # sft, rl, …; for a recipe's evaluation the stage's name and `-evaluation`
    folder: Path  # with metrics.jsonl, or journal/, or both

    def journals(self) -> list[str]:
        """The kinds of rollouts that were recorded: train, heldout."""
        kept = self.folder / "journal"
        return [kind for kind in KINDS if any((kept / kind).glob("step_*.parquet"))]


@dataclass(frozen=True)
class RunRecord:
    """The folder of a run, of a recipe's run, or of a single stage."""

    folder: Path
    config: dict[str, Any]  # resolved; empty if there is none
    versions: dict[str, Any]
    stages: list[StageRecord]  # in the order they ran

    @property
    def name(self) -> str:
        """The last two parts of the folder: `arithmetic/2026-01-31_12-00-00`."""
        return "/".join(self.folder.parts[-2:])

    @property
    def home(self) -> Path:
        """The run's folder, with config.yaml, also if only one of its stages was opened."""
        return self.folder if _is(self.folder, "config.yaml") else self.folder.parent

    @property
    def is_recipe(self) -> bool:
        """Whether its stages are in a folder that other runs share."""
        return bool(self.config.get("artefacts"))

    @property
    def is_evaluation(self) -> bool:
        """Whether it was made by `rlvr evaluate`, which trains nothing."""
        problems = self.config.get("problems")
        return "answers" in self.config and isinstance(problems, dict) and "sets" in problems

    def stage(self, name: str) -> StageRecord | None:
        return next((stage for stage in self.stages if stage.name == name), None)


def open_run(path: str | Path) -> RunRecord:
    """Open the run or stage in `path`, finished or not.

    Raises:
        DataError: it is not the folder of a run or stage, or one of its files is damaged.
    """
    folder = Path(path).absolute()
    if not folder.is_dir():
        raise DataError(f"{path} is no folder; give that of a run, as in runs/NAME/DATE")
    home = folder if (folder / "config.yaml").exists() else folder.parent
    config = read_mapping(home / "config.yaml") if _is(home, "config.yaml") else {}
    config.pop("defaults", None)  # for Hydra only
    asked = config.get("stages", [])
    if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked):
        raise DataError(f"{home}/config.yaml is damaged (its stages are no list of names); {MEND}")
    stages = list(_stages(folder, asked))
    if not stages and not _is(folder, "config.yaml"):
        refuse_several(folder)
        raise DataError(
            f"{path} is no run: it has no config.yaml, metrics.jsonl or journal; give a folder like "
            "runs/NAME/DATE"
        )
    if _is(folder, MANIFEST):
        versions = read_mapping(folder / MANIFEST).get("versions") or {}
    else:
        versions = read_mapping(home / "versions.json") if _is(home, "versions.json") else {}
    return RunRecord(folder, config, versions, stages)


def refuse_several(folder: Path) -> None:
    """Raises DataError, naming the newest run, if `folder` contains runs, like a sweep's folder."""
    if runs := [path.parent for path in folder.glob("*/config.yaml")]:
        newest = max(runs, key=lambda run: run.stat().st_mtime)
        raise DataError(f"{folder} holds {len(runs)} runs; give one of them, such as the newest: {newest}")


def stage_folder(run_path: Path, stage: str) -> Path | None:
    """The folder with the metrics of `stage`; `run_path` is the folder of the run, or of any of its stages.

    It may be outside the run's folder, if several arms of a sweep share it.

    Raises:
        DataError: stages.json is damaged.
    """
    homes = [run_path, run_path.parent] if _is(run_path, "metrics.jsonl") else [run_path]
    for home in homes:
        folder = named_stages(home).get(stage, home / stage)
        if _is(folder, "metrics.jsonl"):
            return folder
    return None


def named_stages(folder: Path) -> dict[str, Path]:
    """Stage → folder according to stages.json; empty without that file."""
    there = read_mapping(folder / STAGES) if _is(folder, STAGES) else {}
    if not all(isinstance(path, str) for path in there.values()):
        raise DataError(f"{folder / STAGES} is damaged (a folder is not a text); {MEND}")
    return {name: folder / path for name, path in there.items()}


def _is(folder: Path, name: str) -> bool:
    return (folder / name).exists()


def _stages(folder: Path, order: list[str]) -> Iterator[StageRecord]:
    if _is(folder, STAGES):
        named = named_stages(folder)
    elif _has_records(folder):
        named = {folder.name.partition("-")[0]: folder}
    else:
        named = {name: folder / name for name in order}
    for name, there in named.items():
        if _has_records(there):
            yield StageRecord(name, there)


def _has_records(folder: Path) -> bool:
    return _is(folder, "metrics.jsonl") or _is(folder, "journal")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in a stage's folder: how it was made. Empty before the stage has begun.

    Raises:
        DataError: the manifest is damaged.
    """
    return read_mapping(folder / MANIFEST) if _is(folder, MANIFEST) else {}


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file.

    Raises:
        DataError: the file cannot be read, or contains something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.load(text, LOADER)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is damaged ({reason}); {MEND}") from error
    if not isinstance(found, dict):
        what = "empty" if found is None else f"a {type(found).__name__}"
        raise DataError(f"{path} is damaged (it is {what}, not names with values); {MEND}")
    return found
