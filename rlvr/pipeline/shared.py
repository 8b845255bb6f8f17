"""Warm starts that arms share: each is made once, in a folder named by what it depends on.

The key of a stage is that of `rlvr.pipeline.graph` together with the problems that are evaluated on:
what overlaps with them is not trained on. Arms that differ only in what SFT does not read begin from the
same SFT.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from rlvr.base.files import atomic_write
from rlvr.base.identity import digest
from rlvr.pipeline.arms import reward_deadline
from rlvr.pipeline.config import TrainConfig
from rlvr.pipeline.graph import Node, build
from rlvr.pipeline.recipe_config import RecipeConfig
from rlvr.problems.generated import ALPHABET
from rlvr.problems.order import fingerprint
from rlvr.record.layout import MANIFEST
from rlvr.record.run_folder import RunFolder, RunFolderError, versions
from rlvr.stages.stage import StopRequest
from rlvr.types import Problem, RunInterrupted, StallError

QUIET = 3600.0  # seconds without a sign of life of whoever has the folder, after which nobody waits on


def shared_stages(
    config: TrainConfig, problems: Sequence[Problem], heldout: Sequence[Problem], shared: Path
) -> dict[str, Path]:
    """Stage → its folder in `shared`, for the stages before GRPO. Their manifests are written there.

    A selection by a new model that no SFT has trained stays in the arm: it is told apart by where its model
    lies, and that is the arm's folder.
    """
    names = [name for name in config.stages if name != "rl"]
    if "sft" not in names and config.model.path is None:
        return {}
    settings = {item.name: getattr(config, item.name) for item in fields(TrainConfig)}
    alphabet = ALPHABET if config.model.scratch else None
    nodes = build(RecipeConfig(**settings), problems, heldout, alphabet)
    folders = {}
    for node in nodes:
        if node.name in names:
            deadline = reward_deadline(config) if node.name == "select" else {}
            key = digest([node.key, fingerprint(heldout), *deadline.values()])
            folders[node.name] = shared / f"{node.name}-{key}"
            _write_manifest(folders[node.name], node, key)
    return folders


def _write_manifest(folder: Path, node: Node, key: str) -> None:
    if (folder / MANIFEST).exists():
        return
    manifest = {
        "stage": node.name,
        "kind": node.kind,
        "key": key,
        "made_from": node.made_from,
        "settings": node.settings,
        "versions": versions(),
    }
    with atomic_write(folder / MANIFEST) as path:
        path.write_text(json.dumps(manifest, indent=2, default=str) + "\n")


@contextmanager
def claimed(folder: Path, stop: StopRequest, quiet: float = QUIET, every: float = 0.5) -> Iterator[RunFolder]:
    """The folder as this process's own, once no other one has it.

    Raises:
        RunInterrupted: the user asked to stop.
        StallError: nothing in the folder has changed for `quiet` seconds, and it is still not free.
    """
    said = False
    since = time.time()
    while (own := _claim(folder, said)) is None:
        said = True
        if stop:
            raise RunInterrupted(f"stopped while waiting for {folder}; the same command goes on")
        since = max(since, *(path.stat().st_mtime for path in (folder, *_signs(folder)) if path.exists()))
        if time.time() - since > quiet:
            raise StallError(
                f"{folder} is another process's, which has written nothing for {quiet:.0f} seconds: see "
                f"{folder / 'run.lock'} for which one it is, stop it, and give the command again"
            )
        time.sleep(every)
    with own:
        yield own


def _claim(folder: Path, said: bool) -> RunFolder | None:
    try:
        return RunFolder(folder)
    except RunFolderError as error:
        if not said:
            print(f"waiting: {str(error).partition(';')[0]}", flush=True)
        return None


def _signs(folder: Path) -> list[Path]:
    """What changes in a stage's folder, or a run's, while it goes on."""
    return [
        *folder.glob("metrics.jsonl"),
        *folder.glob("*/metrics.jsonl"),
        *folder.glob("checkpoints"),
        *folder.glob("journal/*"),
    ]
