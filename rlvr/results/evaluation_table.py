"""The results of an evaluation as Markdown: results.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rlvr.base.identity import flattened
from rlvr.base.text import aligned
from rlvr.evaluation.metrics import TRUE_STEPS
from rlvr.statistics.change import TESTS, findings, p_text
from rlvr.statistics.intervals import FEWEST, tells

NONE = "–"
NO_INTERVAL = f"({NONE})"
WHY_NONE = (
    f"{NO_INTERVAL}: no interval, as fewer than {FEWEST} problems have a value or all values are equal; a "
    "bootstrap over these says nothing of other problems."
)
Result = Mapping[str, Any]


def markdown(results: Result) -> str:
    """The content of results.json as tables."""
    sets: Mapping[str, Result] = results["sets"]
    parts = [f"# {_plain(results['model'])}", _settings(results), _overview(sets)]
    if any(result["samples"] > 1 for result in sets.values()):
        parts.append(_by_k(sets, results["ks"]))
    if "baseline" in results:
        parts += _comparison(results["baseline"])
    for name, result in sets.items():
        parts += [_split(name, column, split) for column, split in result["by"].items()]
    if any(NO_INTERVAL in part for part in parts):
        parts.append(WHY_NONE)
    parts += _sampled_by(results)
    return "\n\n".join([*parts, *_notes(sets)]) + "\n"


def _sampled_by(results: Result) -> Iterator[str]:
    """A note for each set whose answers were reused, and sampled with other versions."""
    now = _by_name(results.get("versions") or {})
    for name, versions in (results.get("sampled_by") or {}).items():
        then = _by_name(versions)
        changed = [key for key in dict.fromkeys([*then, *now]) if then.get(key) != now.get(key)]
        if changed:
            listed = ", ".join(f"{key} {then.get(key)} → {now.get(key)}" for key in changed)
            yield f"{_plain(name)} was sampled with other versions than the current ones: {_plain(listed)}."


def _by_name(versions: Mapping[str, Any]) -> dict[str, Any]:
    """Versions by name: `vllm`, `git commit`, `cpu model`."""
    return {key.removeprefix("packages.").replace(".", " "): value for key, value in flattened(versions)}


def _plain(text: object) -> str:
    """Untrusted text as one line of Markdown: without markup and control characters."""
    line = "".join(character if character.isprintable() else " " for character in str(text))
    return " ".join(line.split()).replace("<", "&lt;").replace("`", "&#96;")


def _settings(results: Result) -> str:
    settings = results["settings"]
    names = ("samples", "temperature", "top_p", "max_tokens", "seed", "dtype")
    return ", ".join(f"{name} {settings[name]}" for name in names) + "."


def _overview(sets: Mapping[str, Result]) -> str:
    steps = any(TRUE_STEPS in result["metrics"] for result in sets.values())
    head = ["set", "problems", "avg@k (95% interval)", *["right, all steps true"] * steps]
    rows = [[*head, "k", "mean tokens", "cut off", "no answer", "no verdict"]]
    for name, result in sets.items():
        samples = sum(result["samples_by_status"].values())
        unread = result["samples_by_status"]["unparseable"]
        tokens, cut = result["mean_tokens"], result["truncated"]
        rows.append(
            [
                _plain(name),
                f"{len(result['problems']):,}",
                _estimate(result["metrics"][f"avg@{result['samples']}"]),
                *[_estimate(result["metrics"].get(TRUE_STEPS))] * steps,
                f"{result['samples']:3}",
                NONE if tokens is None else f"{tokens:,.1f}",
                NONE if cut is None else f"{cut:.1%}",
                f"{unread / samples:.1%}" if samples else NONE,
                f"{result['unreached']:,}",
            ]
        )
    return aligned(rows)


def _by_k(sets: Mapping[str, Result], ks: list[int]) -> str:
    """pass@k and maj@k, a row for each set and metric."""
    rows = [["", *(f"k = {k}" for k in ks)]]
    for name, result in sets.items():
        metrics = result["metrics"]
        rows.append([f"{_plain(name)} pass@k", *(_estimate(metrics.get(f"pass@{k}")) for k in ks)])
        # one vote is one answer
        votes = ["" if k == 1 else _estimate(metrics.get(f"maj@{k}")) for k in ks]
        rows.append([f"{_plain(name)} maj@k", *votes])
    return aligned(rows)


def _comparison(baseline: Result) -> Iterator[str]:
    """Gains over the baseline, in points."""
    rows = [("", "gain, points", "95% interval", "problems", "of these changed", "p", "p (Holm)")]
    p_holm = {}
    for name, gains in baseline["sets"].items():
        for metric, gain in gains.items():
            low, high = gain["low"], gain["high"]
            known = tells(low, high, gain["problems"])
            p_holm[f"{_plain(name)} {metric}"] = gain["p_holm"]
            rows.append(
                (
                    f"{_plain(name)} {metric}",
                    f"{100 * gain['mean']:+.1f}",
                    f"{100 * low:+.1f} to {100 * high:+.1f}" if known else NO_INTERVAL,
                    f"{gain['problems']:,}",
                    f"{gain['changed']:,}",
                    p_text(gain["p"]),
                    p_text(gain["p_holm"]),
                )
            )
    yield f"Compared with {_plain(baseline['model'])}, problem by problem:\n\n{aligned(rows)}"
    yield f"p values are from the {TESTS['problems']}. {findings(p_holm)}"
    if baseline["differs"]:
        yield f"The two evaluations have different settings: {_plain('; '.join(baseline['differs']))}."


def _split(name: str, column: str, split: Mapping[str, Result]) -> str:
    rows = [("", "problems", "avg@k (95% interval)")]
    rows += [(_plain(value), f"{found['over']:,}", _estimate(found)) for value, found in split.items()]
    return f"{_plain(name)} by {_plain(column)}:\n\n{aligned(rows)}"


def _notes(sets: Mapping[str, Result]) -> Iterator[str]:
    yield (
        "Intervals are bootstrap intervals over problems. pass@k and maj@k are exact means over all choices "
        "of k of a problem's samples."
    )
    if any(result["samples"] > 1 for result in sets.values()):
        yield (
            "Equal answers are votes for the same answer, whatever their form. In a tie, the right "
            "answer counts by its share; a sample without a readable answer has no vote."
        )
    if any(TRUE_STEPS in result["metrics"] for result in sets.values()):
        yield (
            "Right, all steps true: the share of answers that are right, have a checkable step, and whose "
            "checkable steps are all true and lead to the answer."
        )
    for name, result in sets.items():
        counts = result["samples_by_status"]
        if result["unreached"]:
            yield (
                f"{_plain(name)}: {counts['timeout']:,} checks ran past their deadline and "
                f"{counts['crashed']:,} crashed; their samples are left out."
            )
        if left_out := result.get("too_long"):
            yield f"{_plain(name)}: {left_out:,} problems were too long and are left out."
        if result["undecided_votes"]:
            yield f"{_plain(name)}: {result['undecided_votes']:,} comparisons of answers did not finish."


def _estimate(found: Result | None) -> str:
    if found is None or found["value"] is None:
        return NONE
    known = tells(found["low"], found["high"], found["over"])
    interval = f"({found['low']:.1%} to {found['high']:.1%})" if known else NO_INTERVAL
    return f"{found['value']:.1%} {interval}"
