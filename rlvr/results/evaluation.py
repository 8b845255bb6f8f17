"""results.json of an evaluation: read it, recompute it from the samples, compare it with a baseline."""

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
# Folder of the baseline's results. Hydra would read a folder with a setting's name as a config group.
OTHER = "baseline_results"
RECOUNTS = ("ks", "baseline")  # settings that need no sampling


def recount(folder: Path, ks: list[int] | None, baseline: str | None, overrides: Sequence[str]) -> None:
    """Recompute the results of an evaluation from its samples, with other `ks` or another baseline.

    Raises:
        ConfigError: `overrides` has settings that need new samples, or the baseline is not an evaluation.
        DataError: the folder has no samples.
    """
    if not (folder / SAMPLES).exists():
        raise DataError(
            f"{folder} has no {SAMPLES}, which is needed to recompute its results: run the evaluation's "
            "command again, which writes the file from the answers that are kept"
        )
    keys = [override.lstrip("+~").partition("=")[0] for override in overrides]
    if wrong := [key for key in keys if key not in RECOUNTS]:
        raise ConfigError(
            f"from={folder} samples nothing, so {wrong[0]} would have no effect: with it, only "
            f"{' and '.join(RECOUNTS)} can be set"
        )
    results = read_results(folder)
    most = results["settings"]["samples"]
    if bad := [k for k in ks or [] if not 1 <= k <= most]:
        raise ConfigError(f"ks names {bad[0]}, but must be 1 to samples={most}")
    ks = ks or default_ks(most)
    if BASELINE in keys and baseline:
        if not (Path(baseline) / RESULTS).exists():
            raise ConfigError(f"baseline={baseline} is not the folder of an evaluation: it has no {RESULTS}")
        in_common(read_results(Path(baseline)), fingerprints(results))
    with RunFolder(folder):
        if BASELINE in keys and (folder / OTHER).exists():
            shutil.rmtree(folder / OTHER)
        if BASELINE in keys and baseline:
            keep_baseline(Path(baseline), folder)
        for results_folder in (folder, folder / OTHER):
            if (results_folder / SAMPLES).exists():  # a baseline evaluated elsewhere has its samples there
                _count_again(results_folder, ks)
        finish(folder)


def _count_again(folder: Path, ks: list[int]) -> None:
    results = read_results(folder)
    samples = read_samples(folder / SAMPLES)
    for name, before in results["sets"].items():
        results["sets"][name] = before | summarize(samples[name], ks, before["split_by"])
    results["ks"] = ks
    write_json(folder / RESULTS, results)


def read_results(folder: Path) -> dict[str, Any]:
    """results.json of an evaluation. Raises DataError if there is none."""
    path = folder / RESULTS
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} has no results of an evaluation: {error}") from error
    if not isinstance(read, dict) or not {"sets", "settings", "model"} <= set(read):
        raise DataError(f"{path} was not written by rlvr evaluate")
    return read


def in_common(baseline: Mapping[str, Any], sets: Mapping[str, str]) -> list[str]:
    """The names in `sets` (name → fingerprint) on whose problems the baseline was evaluated as well.

    Raises ConfigError if there is none.
    """
    theirs = fingerprints(baseline)
    common = [name for name, fingerprint in sets.items() if theirs.get(name) == fingerprint]
    if not common:
        raise ConfigError(
            f"baseline: {baseline['model']} was evaluated on {', '.join(theirs)}, and none of these has the "
            f"problems of {', '.join(sets)}: use its sets, limit and seed, or give its checkpoint"
        )
    return common


def fingerprints(results: Mapping[str, Any]) -> dict[str, str]:
    return {name: result["fingerprint"] for name, result in results["sets"].items()}


def keep_baseline(of: Path, folder: Path) -> None:
    """Copy the baseline's results from `of` into `folder`, so that the comparison can be repeated."""
    with atomic_write(folder / OTHER / RESULTS) as path:
        shutil.copyfile(of / RESULTS, path)


def finish(folder: Path) -> None:
    """Add the comparison with the baseline, and write and print the table."""
    results = read_results(folder)
    results.pop(BASELINE, None)
    if (folder / OTHER / RESULTS).exists():
        results[BASELINE] = compared(read_results(folder / OTHER), results)
    write_json(folder / RESULTS, results)
    text = markdown(results)
    write_text(folder / TABLE, text)
    print(f"\n{text}\nresults: {folder}/{RESULTS}, {TABLE}, {SAMPLES}")


def compared(baseline: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    """The gains of a model over a baseline, paired by problem, on each set on which both were evaluated.

    `sets`: set → metric (avg, and each pass@k and maj@k that both have) → the gain: its mean, the ends of
    its interval, the number of problems, how many of them changed, p, and p corrected for all gains of all
    sets. `differs`: the settings in which the two evaluations differ.
    """
    ours, theirs = results["settings"], baseline["settings"]
    differs = [
        f"{name} {theirs.get(name)} → {ours.get(name)}"
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    ]
    gains: dict[tuple[str, str], Difference] = {}
    for name in (common := in_common(baseline, fingerprints(results))):
        before, after = _by_metric(baseline["sets"][name]), _by_metric(results["sets"][name])
        for metric in after:
            if metric in before and (gain := paired_difference(before[metric], after[metric])):
                gains[name, metric] = gain
    sets: dict[str, dict[str, dict[str, float]]] = {name: {} for name in common}
    for (name, metric), gain in corrected(gains).items():
        shown = {key: getattr(gain, key) for key in ("mean", "low", "high", "changed", "p", "p_holm")}
        sets[name][metric] = {"problems": gain.pairs, **shown}
    return {"model": baseline["model"], "differs": differs, "sets": sets}


def _by_metric(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Metric → problem → value, without None; avg@k is called avg for every k."""
    values = {"avg": result["values"]}
    values |= {name: metric["values"] for name, metric in result["metrics"].items() if name[:3] != "avg"}
    return {
        name: {
            problem: value
            for problem, value in zip(result["problems"], per_problem, strict=True)
            if value is not None
        }
        for name, per_problem in values.items()
    }
