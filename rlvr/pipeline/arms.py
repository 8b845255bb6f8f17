"""An arm of a sweep: a run in a folder named by what it is.

`arm.json` in its folder says which settings and which data it has; a folder with other ones is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from rlvr.base.files import write_json
from rlvr.base.identity import changes, contents, digest, reward_deadline, that_matter
from rlvr.pipeline.status import NotOurs, Outcome, read_outcome
from rlvr.record.layout import ARM
from rlvr.record.runs import read_mapping

SHARED = "shared"  # beside the arms: the stages that several of them begin with
LONGEST = 100  # characters of a folder's name; file systems take 255 bytes
# What a run is called, where its work is kept and where it runs do not make it another one.
NOT_SETTINGS = ("name", "artefacts", "answers", "record", "cluster")


@dataclass(frozen=True)
class Identity:
    """What an arm's numbers depend on."""

    settings: dict[str, Any]  # as JSON gives them back
    contents: dict[str, str]  # file, or code of the user's, that the settings name → its fingerprint

    @classmethod
    def of(cls, config: Any) -> Identity:
        """`config` is the settings of a command, a dataclass."""
        assert is_dataclass(config)
        assert not isinstance(config, type)
        tree = {key: value for key, value in asdict(config).items() if key not in NOT_SETTINGS}
        settings: dict[str, Any] = json.loads(json.dumps(that_matter(tree), default=str))
        settings["reward"] |= reward_deadline(tree["reward"])
        return cls(settings, contents(tree))


@dataclass(frozen=True)
class Arm:
    name: str
    folder: Path
    arguments: list[str]  # what follows the command to run it, or to go on with it

    def outcome(self) -> Outcome | None:
        return read_outcome(self.folder)


def arm_name(swept: Sequence[str]) -> str:
    """A folder's name that says which values make the arm, and is another one for other values.

    `swept` are overrides, `key=value`. Where the name must be shortened, or characters be left out, a hash of
    the whole stands behind it.
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
    """Raises NotOurs if `folder` holds something else than this arm."""
    if is_arm(folder):
        there = read_arm(folder)
        if found := changes(there.settings, identity.settings):
            raise NotOurs(
                f"{folder} holds an arm with other settings ({', '.join(found)}): give the old ones, or the "
                "sweep another folder with hydra.sweep.dir=…"
            )
        if there.contents != identity.contents:
            raise NotOurs(
                f"{folder} holds an arm that was made with other content of {other_contents(there, identity)}"
            )
    elif (folder / "config.yaml").exists():
        raise NotOurs(f"{folder} holds a run that is no arm of a sweep: give another hydra.sweep.dir=…")


def other_contents(one: Identity, other: Identity) -> str:
    """The files, and code, that two arms name and that are not the same in them."""
    names = {*one.contents, *other.contents}
    return ", ".join(sorted(n for n in names if one.contents.get(n) != other.contents.get(n)))


def write_arm(folder: Path, swept: Sequence[str], identity: Identity) -> None:
    """Say in `folder` which arm it holds.

    Raises NotOurs if it holds something else.
    """
    check_same(folder, identity)
    if not is_arm(folder):
        write_json(folder / ARM, {"overrides": list(swept), **asdict(identity)}, indent=2)
