"""The runs that are compared: where they are, what they were run with, and how far they came."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rlvr.pipeline.status import State, read_outcome, run_state
from rlvr.record.layout import ARM, MANIFEST
from rlvr.record.runs import RunRecord, open_run, read_mapping
from rlvr.types import DataError

HYDRA_CONFIG = Path(".hydra") / "config.yaml"  # there before the run has been checked
HYDRA_OVERRIDES = Path(".hydra") / "overrides.yaml"


@dataclass(frozen=True)
class Found:
    """A run's folder with what it was asked to do."""

    record: RunRecord
    overrides: list[str]  # what the command line changed; empty if that is not known

    @property
    def folder(self) -> Path:
        return self.record.folder

    @property
    def config(self) -> dict[str, Any]:
        return self.record.config

    @property
    def seed(self) -> int:
        return int(self.config.get("seed", 0))

    @property
    def is_evaluation(self) -> bool:
        """Of `rlvr evaluate`, finished or not: only its `problems` name sets."""
        return isinstance(self.config.get("problems"), dict) and "sets" in self.config["problems"]

    def shares_stages(self) -> bool:
        """Whether some of its work lies where other runs may use it."""
        return any(self.folder not in (stage.folder, *stage.folder.parents) for stage in self.record.stages)

    def state(self) -> State:
        return run_state(self.record)

    def reason(self) -> str:
        """Why a sweep's arm failed; empty if that is not known."""
        outcome = read_outcome(self.folder)
        return " ".join(outcome.reason.split()) if outcome is not None else ""


def find_runs(paths: Sequence[str | Path], evaluations: list[Path] | None = None) -> list[Found]:
    """The runs in `paths`, each once: folders of runs, or of stages, or folders that hold runs, however deep.

    Plain files are passed over, so that `runs/NAME/*` may hold an earlier comparison, and so are the
    folders in which recipes keep their stages. Evaluations are put on the end of `evaluations`: they have
    no course that could be compared.

    Raises:
        DataError: a path does not exist, or there is no run in any of them.
    """
    found: dict[Path, Found] = {}
    passed: list[Path] = [] if evaluations is None else evaluations
    for given in paths:
        path = Path(given)
        if not path.exists():
            raise DataError(f"{given} does not exist; give folders of runs, or one that holds runs")
        stage = (path / "metrics.jsonl").exists() and not (path / MANIFEST).exists()
        for folder in [path] if stage else _runs_in(path):
            if folder.resolve() in found or folder.resolve() in passed:
                continue
            run = _open(folder)
            if run.is_evaluation:
                passed.append(folder.resolve())
            else:
                found[folder.resolve()] = run
    if passed and not found:
        raise DataError(
            f"there is no run in {', '.join(map(str, paths))}, only evaluations ({len(passed)}); these are "
            "compared by rlvr evaluate from=FOLDER baseline=FOLDER"
        )
    if not found:
        raise DataError(
            f"there is no run in {', '.join(map(str, paths))}; a run is a folder with config.yaml, "
            "as runs/NAME/DATE or an arm of a sweep"
        )
    return list(found.values())


def _runs_in(folder: Path) -> Iterator[Path]:
    if not folder.is_dir() or (folder / MANIFEST).exists():
        return
    if any((folder / name).exists() for name in ("config.yaml", HYDRA_CONFIG, ARM)):
        yield folder
        return
    for inside in sorted(folder.iterdir(), key=_natural):
        if not inside.name.startswith("."):
            yield from _runs_in(inside)


def _natural(path: Path) -> list[tuple[int, str]]:
    """2 before 10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)]


def _open(folder: Path) -> Found:
    home = folder if not (folder / "metrics.jsonl").exists() else folder.parent
    try:
        record = open_run(folder) if (home / "config.yaml").exists() else _never_begun(folder)
        overrides = _overrides(home)
    except yaml.YAMLError as error:
        raise DataError(f"{folder}: its configuration is not YAML: {error}") from error
    return Found(record, overrides)


def _overrides(folder: Path) -> list[str]:
    if (folder / HYDRA_OVERRIDES).exists():
        return [str(line) for line in yaml.safe_load((folder / HYDRA_OVERRIDES).read_text()) or []]
    if (folder / ARM).exists():
        return list(read_mapping(folder / ARM)["overrides"])
    return []


def _never_begun(folder: Path) -> RunRecord:
    """A run that was refused, or whose process died, before it wrote its configuration."""
    if (folder / ARM).exists():
        return RunRecord(folder.absolute(), read_mapping(folder / ARM)["settings"], {}, [])
    path = folder / HYDRA_CONFIG
    if not path.exists():
        return open_run(folder)  # a stage's folder without a run around it
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    tree = OmegaConf.load(path)
    try:
        config = OmegaConf.to_container(tree, resolve=True)
    except OmegaConfBaseException:  # what it names may be what was wrong with it
        config = OmegaConf.to_container(tree)
    assert isinstance(config, dict)
    return RunRecord(folder.absolute(), {str(key): value for key, value in config.items()}, {}, [])
