"""An arm of a sweep: a run in a folder named by its swept values.

`arm.json` in its folder records its settings and the content of its data files. A folder that holds an arm
with others is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from rlvr.base.files import write_json
from rlvr.base.identity import changes, contents, digest, that_matter
from rlvr.pipeline.status import NotOurs, Outcome, read_outcome
from rlvr.record.layout import ARM
from rlvr.record.runs import read_mapping

SHARED = "shared"  # folder beside the arms: the stages that several of them share
LONGEST = 100  # characters of a folder's name; file systems allow 255 bytes
# Settings that do not make a run a different one: its name, where its work is kept and where it runs.
NOT_SETTINGS = ("name", "artefacts", "answers", "record", "cluster")


@dataclass(frozen=True)
class Identity:
    """Everything that an arm's numbers depend on."""

    settings: dict[str, Any]  # as read back from JSON
    contents: dict[str, str]  # file, or code of the user's, that the settings name → its fingerprint

    @classmethod
    def of(cls, config: Any) -> Identity:
        """`config` is the settings of a command, a dataclass."""
        assert is_dataclass(config)
        assert not isinstance(config, type)
        mattering, tree = (
            {key: value for key, value in each.items() if key not in NOT_SETTINGS}
            for each in (that_matter(config), asdict(config))
        )
        return cls(json.loads(json.dumps(mattering, default=str)), contents(tree))


@dataclass(frozen=True)
class Arm:
    name: str
    folder: Path
    arguments: list[str]  # arguments of the command that runs or continues it

    def outcome(self) -> Outcome | None:
        return read_outcome(self.folder)


def arm_name(swept: Sequence[str]) -> str:
    """A folder name that shows the arm's swept values, and is unique to them.

    `swept` are overrides, `key=value`. If the name has to be shortened or characters replaced, a hash of the
    whole is appended.
    """
    plain = ",".join(override.lstrip("+") for override in swept) or "arm"
    safe = re.sub(r"[^\w.=,+-]", "_", plain, flags=re.ASCII)
    return plain if plain == safe and len(plain) <= LONGEST else f"{safe[:LONGEST]}-{digest(plain)}"


def is_arm(folder: Path) -> bool:
    return (folder / ARM).exists()


def read_arm(folder: Path) -> Identity:
    read = read_mapping(folder / ARM)
    return Identity(read["settings"], read.get("contents", {}))


def check_same(folder: Path, identity: Identity) -> None:
    """Raises NotOurs if `folder` holds anything other than this arm."""
    if is_arm(folder):
        existing = read_arm(folder)
        if changed := changes(existing.settings, identity.settings):
            raise NotOurs(
                f"{folder} holds an arm with other settings ({', '.join(changed)}): give the old values, or "
                "another folder for the sweep with hydra.sweep.dir=…"
            )
        if existing.contents != identity.contents:
            raise NotOurs(
                f"{folder} holds an arm made with other content of {other_contents(existing, identity)}: "
                "restore the old content, or give another folder for the sweep with hydra.sweep.dir=…"
            )
    elif (folder / "config.yaml").exists():
        raise NotOurs(f"{folder} holds a run that is not an arm of a sweep: give another hydra.sweep.dir=…")


def other_contents(one: Identity, other: Identity) -> str:
    """The names of files and code whose content differs between two arms."""
    names = {*one.contents, *other.contents}
    return ", ".join(sorted(n for n in names if one.contents.get(n) != other.contents.get(n)))


def write_arm(folder: Path, swept: Sequence[str], identity: Identity) -> None:
    """Record in `folder` which arm it holds.

    Raises NotOurs if it holds something else.
    """
    check_same(folder, identity)
    if not is_arm(folder):
        write_json(folder / ARM, {"overrides": list(swept), **asdict(identity)}, indent=2)
