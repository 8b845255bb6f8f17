"""results.json of an evaluation: read, compared with another's, counted again from the samples, shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr.base.files import atomic_write, write_json, write_text
from rlvr.evaluation.summary import default_ks, summarize
from rlvr.record.layout import RESULTS
from rlvr.record.run_folder import RunFolder
from rlvr.results.evaluation_table import markdown
from rlvr.results.samples import SAMPLES, read_samples
from rlvr.statistics.change import Difference, corrected, paired_difference
from rlvr.types import ConfigError, DataError

TABLE = "results.md"
BASELINE = "baseline"  # in results.json, and the setting
# Folder of the baseline's results. Hydra would take one of the name of a setting for a group of options.
OTHER = "baseline_results"
RECOUNTS = ("ks", "baseline")  # settings that need no sampling


def recount(folder: Path, ks: list[int] | None, baseline: str | None, overrides: Sequence[str]) -> None:
    """The results of an evaluation again, from its samples: with other `ks`, or against another baseline.

    Raises:
        ConfigError: `overrides` change what the samples were drawn with, or the baseline is no evaluation.
        DataError: the folder holds no samples.
    """
    if not (folder / SAMPLES).exists():
        raise DataError(
            f"{folder} has no {SAMPLES}, from which its results are counted: the command that made it "
            "writes the file again from the answers that are kept"
        )
    keys = [override.lstrip("+~").partition("=")[0] for override in overrides]
    if wrong := [key for key in keys if key not in RECOUNTS]:
        raise ConfigError(
            f"from={folder} samples nothing, so {wrong[0]} would have no effect: beside it only "
            f"{' and '.join(RECOUNTS)} can be given"
        )
    results = read_results(folder)
    most = results["settings"]["samples"]
    if bad := [k for k in ks or [] if not 1 <= k <= most]:
        raise ConfigError(f"ks names {bad[0]}, but must be 1 to samples={most}")
    ks = ks or default_ks(most)
    if BASELINE in keys and baseline:
        if not (Path(baseline) / RESULTS).exists():
            raise ConfigError(f"baseline={baseline} is no folder of an evaluation: it has no {RESULTS}")
        in_common(read_results(Path(baseline)), fingerprints(results))
    with RunFolder(folder):
        if BASELINE in keys and (folder / OTHER).exists():
            shutil.rmtree(folder / OTHER)
        if BASELINE in keys and baseline:
            keep_baseline(Path(baseline), folder)
        for of in (folder, folder / OTHER):
            if (of / SAMPLES).exists():  # a baseline that was evaluated elsewhere keeps its own there
                _count_again(of, ks)
        finish(folder)


def _count_again(folder: Path, ks: list[int]) -> None:
    results = read_results(folder)
    found = read_samples(folder / SAMPLES)
    for name, before in results["sets"].items():
        results["sets"][name] = before | summarize(found[name], ks, before["split_by"])
    results["ks"] = ks
    write_json(folder / RESULTS, results)


def read_results(folder: Path) -> dict[str, Any]:
    """results.json of an evaluation. Raises DataError if there is none."""
    path = folder / RESULTS
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no results of an evaluation: {error}") from error
    if not isinstance(read, dict) or not {"sets", "settings", "model"} <= set(read):
        raise DataError(f"{path} is not what rlvr evaluate writes")
    return read


def in_common(baseline: Mapping[str, Any], sets: Mapping[str, str]) -> list[str]:
    """The sets (name → fingerprint) that a baseline was evaluated on as well.

    Raises ConfigError if there is none.
    """
    theirs = fingerprints(baseline)
    common = [name for name, made_of in sets.items() if theirs.get(name) == made_of]
    if not common:
        raise ConfigError(
            f"baseline: {baseline['model']} was evaluated on {', '.join(theirs)}, and none of these has the "
            f"problems of {', '.join(sets)}: name its sets, with its limit and seed, or give its checkpoint"
        )
    return common


def fingerprints(results: Mapping[str, Any]) -> dict[str, str]:
    return {name: of["fingerprint"] for name, of in results["sets"].items()}


def keep_baseline(of: Path, folder: Path) -> None:
    """A copy of what an evaluation is compared with, so that the comparison can be made again."""
    with atomic_write(folder / OTHER / RESULTS) as path:
        shutil.copyfile(of / RESULTS, path)


def finish(folder: Path) -> None:
    """Add the comparison with the baseline, write the table, print it."""
    results = read_results(folder)
    results.pop(BASELINE, None)
    if (folder / OTHER / RESULTS).exists():
        results[BASELINE] = compared(read_results(folder / OTHER), results)
    write_json(folder / RESULTS, results)
    text = markdown(results)
    write_text(folder / TABLE, text)
    print(f"\n{text}\nresults: {folder}/{RESULTS}, {TABLE}, {SAMPLES}")


def compared(baseline: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    """How much better a model is than a baseline, problem by problem, on each set that both were tried on.

    `sets`: set → avg, and each pass@k and maj@k that both have, → the gain: its mean, the ends of its
    interval, problems, how many of them changed, p, and p corrected for all gains of all sets. `differs`:
    settings of theirs that were other.
    """
    ours, theirs = results["settings"], baseline["settings"]
    differs = [
        f"{name} {theirs.get(name)} → {value}" for name, value in ours.items() if theirs.get(name) != value
    ]
    gains: dict[tuple[str, str], Difference] = {}
    for name in (common := in_common(baseline, fingerprints(results))):
        before, after = _by_metric(baseline["sets"][name]), _by_metric(results["sets"][name])
        for metric in after:
            if metric in before and (found := paired_difference(before[metric], after[metric])):
                gains[name, metric] = found
    sets: dict[str, dict[str, dict[str, float]]] = {name: {} for name in common}
    for (name, metric), gain in corrected(gains).items():
        shown = {key: getattr(gain, key) for key in ("mean", "low", "high", "changed", "p", "p_holm")}
        sets[name][metric] = {"problems": gain.pairs, **shown}
    return {"model": baseline["model"], "differs": differs, "sets": sets}


def _by_metric(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Metric → problem → value, of those that have one; avg@k is called avg, whatever k."""
    values = {"avg": result["values"]}
    values |= {name: found["values"] for name, found in result["metrics"].items() if name[:3] != "avg"}
    return {
        name: {
            problem: value
            for problem, value in zip(result["problems"], found, strict=True)
            if value is not None
        }
        for name, found in values.items()
    }
