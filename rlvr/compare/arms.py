"""Grouping of runs into arms (the same settings but for the seed), and the settings in which arms differ."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.base.identity import flattened, that_matter
from rlvr.compare.runs import Found
from rlvr.pipeline.config import RunConfig
from rlvr.record.layout import CONTENTS
from rlvr.record.runs import read_mapping
from rlvr.types import ConfigError

# A run's name, where it is kept and where it runs do not make it a different experiment.
NOT_SETTINGS = ("name", "seed", "record", "cluster", "artefacts", "defaults")
UNSET = "—"
MOST_SETTINGS = 3  # in a label; arms that differ in more are labelled by their command lines
LONGEST = 60  # characters of a value in a label


@dataclass(frozen=True)
class Arm:
    """Runs whose settings are the same but for the seed, in the order they were given."""

    label: str
    runs: list[Found]
    settings: str = ""  # all settings in which the arms differ; the label may have fewer


def arms_of(runs: Sequence[Found]) -> tuple[list[Arm], list[str]]:
    """Group runs into arms, in order of first appearance. Returns them and the settings in which they differ.

    A setting that equals the seed in every run, where seeds differ, counts as the seed. A label shows the
    differing settings. If there are more than three, it shows what the command line changed, and for arms
    with equal command lines also the first differing settings. A single arm is labelled by its run's name.
    """
    settings = [settings_of(run) for run in runs]
    following = _following([run.seed for run in runs], settings)
    grouped: dict[str, list[int]] = {}
    for index, flat in enumerate(settings):
        flat = {key: value for key, value in flat.items() if key not in following}
        grouped.setdefault(json.dumps(flat, sort_keys=True, default=str), []).append(index)
    members = list(grouped.values())
    if len(members) == 1:
        return [Arm(str(runs[0].config.get("name", runs[0].folder.name)), list(runs))], []
    firsts = [settings[indices[0]] for indices in members]
    keys = list(dict.fromkeys(key for flat in firsts for key in flat if key not in following))
    differing = [
        key for key in keys if any(flat.get(key, UNSET) != firsts[0].get(key, UNSET) for flat in firsts)
    ]
    names = (
        _unique([_named(flat, differing) for flat in firsts])
        if len(differing) <= MOST_SETTINGS
        else _by_overrides([runs[indices[0]] for indices in members], firsts)
    )
    arms = [
        Arm(name, [runs[index] for index in indices], _named(firsts[place], differing))
        for place, (name, indices) in enumerate(zip(names, members, strict=True))
    ]
    return arms, differing


def settings_of(run: Found) -> dict[str, Any]:
    """Dotted key → value, for the settings that the run's numbers depend on. Lists are values."""
    config = {key: value for key, value in run.config.items() if key not in NOT_SETTINGS}
    # an empty section counts as unset
    settings = {key: value for key, value in flattened(that_matter(config, RunConfig)) if value != {}}
    contents = run.folder / CONTENTS
    for name, fingerprint in (read_mapping(contents) if contents.exists() else {}).items():
        settings[f"content of {name}"] = str(fingerprint)[:8]
    return settings


def _following(seeds: Sequence[int], settings: Sequence[dict[str, Any]]) -> set[str]:
    """Settings that always equal the seed (`seed: ${seed}`)."""
    if len(set(seeds)) < 2:
        return set()
    shared = set(settings[0]).intersection(*settings)
    return {
        key
        for key in shared
        if all(
            type(flat[key]) is int and flat[key] == seed for flat, seed in zip(settings, seeds, strict=True)
        )
    }


def _shown(value: Any) -> str:
    """A value as on the command line, shortened to LONGEST characters."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, list):
        text = f"[{','.join(_shown(item) for item in value)}]"
    elif isinstance(value, str) and (not value or any(character.isspace() for character in value)):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _named(flat: Mapping[str, Any], keys: Sequence[str]) -> str:
    return " ".join(f"{key}={_shown(flat.get(key, UNSET))}" for key in keys)


def _by_overrides(firsts: Sequence[Found], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Labels made of the overrides of each arm's first run that are not common to all arms."""
    given = [
        [
            override.lstrip("+")
            for override in run.overrides
            if re.split(r"[.=@]", override.lstrip("+~"))[0] not in (*NOT_SETTINGS, "hydra")
        ]
        for run in firsts
    ]
    common = set(given[0]).intersection(*given)
    labels = [" ".join(_cut(line) for line in lines if line not in common) for lines in given]
    apart = []
    for label, flat in zip(labels, settings, strict=True):
        alike = [other for named, other in zip(labels, settings, strict=True) if named == label]
        keys = [key for key in flat if any(other.get(key) != flat[key] for other in alike)]
        more = "…" if len(keys) > MOST_SETTINGS else ""
        apart.append(" ".join(part for part in (label, _named(flat, keys[:MOST_SETTINGS]), more) if part))
    return _unique([label or UNSET for label in apart])


def _unique(labels: Sequence[str]) -> list[str]:
    """Number equal labels: shortened values may have become equal."""
    seen: dict[str, int] = {}
    named = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        named.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return named


def baseline_of(arms: Sequence[Arm], asked: str | None, valued: Sequence[bool] = ()) -> int:
    """Index of the baseline: the arm whose label is `asked`, or the only one whose label contains it.

    Without `asked` it is the first arm with a value. `valued` says which arms have one; empty: all.

    Raises:
        ConfigError: no label contains `asked`, or several do.
    """
    if asked is None:
        return next((index for index, has in enumerate(valued) if has), 0)
    exact = [index for index, arm in enumerate(arms) if arm.label == asked]
    matching = exact or [index for index, arm in enumerate(arms) if asked in arm.label]
    if len(matching) == 1:
        return matching[0]
    listed = "\n".join(f"  {arms[index].label}" for index in matching or range(len(arms)))
    if matching:
        raise ConfigError(f"--baseline {asked} matches several arms; give more of the label:\n{listed}")
    raise ConfigError(f"--baseline {asked} matches no arm; there are:\n{listed}")
