"""Notable rollouts: best, worst and strangest, each picked by a rule that is stated beside it.

Each rule picks from the rollouts that no earlier rule has picked; a rule that nothing matches is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from rlvr.record.latex import to_html
from rlvr.report.journal import Journal, Key
from rlvr.report.measures import Metrics
from rlvr.rewards.repetition import repeated_share, words_of

SHOWN_CHARACTERS = 6000  # length limit of a text; the middle of a longer one is left out
LONGEST = 100  # rewarded rollouts that are searched for repetition
REPEATED = 0.3  # share of words in repeated 8-grams from which a text counts as repetitive

STEPS = {
    True: "all true, and lead to the answer",
    False: "not all true, or do not lead to the answer",
    None: None,
}

# title → (the rule in words; the rule in SQL, best match first). Ties go to the later step.
_BEST_AND_WORST = {
    "Best": (
        "the largest reward, and among equals the largest advantage",
        "WHERE reward IS NOT NULL ORDER BY reward DESC, advantage DESC NULLS LAST",
    ),
    "Worst": (
        "the smallest reward, and among equals the smallest advantage",
        "WHERE reward IS NOT NULL ORDER BY reward, advantage NULLS LAST",
    ),
}
_STRANGE = {
    "Rewarded, but not correct": (
        "the largest reward of an answer that is not correct, if it is above the mean reward",
        "WHERE status <> 'correct' AND reward > (SELECT avg(reward) FROM rollouts) ORDER BY reward DESC",
    ),
    "Correct, but not rewarded": (
        "the smallest reward of a correct answer, if it is below the mean reward",
        "WHERE status = 'correct' AND reward < (SELECT avg(reward) FROM rollouts) ORDER BY reward",
    ),
    "Right, but not by true steps": (
        "the largest reward of a right answer with a false step, or with steps that do not lead to it",
        "WHERE status = 'correct' AND NOT true_steps ORDER BY reward DESC",
    ),
    "Longest correct": (
        "most tokens of all correct answers",
        "WHERE status = 'correct' ORDER BY length DESC",
    ),
    "Shortest correct": (
        "fewest tokens of all correct answers",
        "WHERE status = 'correct' ORDER BY length",
    ),
    "Cut off, but correct": (
        "a correct answer that reached the token limit",
        "WHERE status = 'correct' AND truncated ORDER BY reward DESC",
    ),
    "Timeout": ("the check ran past its deadline", "WHERE status = 'timeout' ORDER BY seconds DESC"),
    "Crashed": ("the check died or returned no verdict", "WHERE status = 'crashed' ORDER BY seconds DESC"),
    "Slowest check": (
        "the longest check that was completed",
        "WHERE reward IS NOT NULL AND seconds > 0 ORDER BY seconds DESC",
    ),
}


@dataclass(frozen=True)
class Chosen:
    title: str
    why: str
    key: Key


@dataclass(frozen=True)
class Shown:
    """A chosen rollout as shown on the page."""

    chosen: Chosen
    problem_id: str
    problem: Markup
    text: Markup
    status: str
    verdict: list[tuple[str, str]]  # what the check found: label, value
    facts: list[tuple[str, str]]


def choose(journal: Journal, metrics: Metrics) -> list[Chosen]:
    """One rollout for each rule, best and worst first; no rollout twice."""
    taken: set[Key] = set()
    chosen = []
    for title, why, keys in _candidates(journal, metrics):
        key = next((key for key in keys if key not in taken), None)
        if key is not None:
            taken.add(key)
            chosen.append(Chosen(title, why, key))
    return chosen


def _candidates(journal: Journal, metrics: Metrics) -> Iterator[tuple[str, str, Iterable[Key]]]:
    for title, (why, rule) in _BEST_AND_WORST.items():
        yield title, why, _keys(journal, rule)
    yield from _widest_gap(journal, metrics)
    yield from _repetitive(journal)
    for title, (why, rule) in _STRANGE.items():
        yield title, why, _keys(journal, rule)


def _keys(journal: Journal, rule: str, most: int = 40) -> list[Key]:
    return [
        (step, row)
        for step, row in journal.query(f"SELECT step, row FROM rollouts {rule}, step DESC, row LIMIT {most}")
    ]


def _widest_gap(journal: Journal, metrics: Metrics) -> Iterator[tuple[str, str, Iterable[Key]]]:
    """The widest gap in the step with the largest mean gap, so that no other step's tokens are read."""
    steps, gaps = metrics.series("learner/logprob_gap")
    if not steps:
        return
    step = steps[int(np.argmax(gaps))]
    found = []
    for key, row in journal.all_rows(step, ("learner_logprobs", "logprobs", "sampled")).items():
        if row["learner_logprobs"] is None:
            continue
        # 0 where nothing was trained on
        learner, sampler = np.array(row["learner_logprobs"]), np.array(row["logprobs"])
        trained = np.array(row["sampled"]) & (learner != 0)
        found.append((float(np.abs(learner - sampler)[trained].max(initial=0.0)), key))
    found.sort(key=lambda pair: (-pair[0], pair[1]))
    if found and found[0][0] > 0:
        why = (
            f"a token with |log π − log π_sampler| = {found[0][0]:.3g}, the largest of step {step}, whose "
            "mean gap is the largest of all steps"
        )
        yield "Widest gap between learner and sampler", why, [found[0][1]]


def _repetitive(journal: Journal) -> Iterator[tuple[str, str, Iterable[Key]]]:
    above = "WHERE reward > (SELECT avg(reward) FROM rollouts) ORDER BY length DESC"
    read = journal.rows(_keys(journal, above, LONGEST), ("text",))
    shares = [(repeated_share(words_of(row["text"]), 8), key) for key, row in read.items()]
    share, key = max(shares, key=lambda pair: (pair[0], pair[1]), default=(0.0, (0, 0)))
    if share >= REPEATED:
        why = (
            f"{share:.0%} of its words are in a repeated 8-gram, the most among the {len(shares)} longest "
            "answers with a reward above the mean"
        )
        yield "Rewarded and repetitive", why, [key]


def show(journal: Journal, chosen: list[Chosen]) -> list[Shown]:
    """The content of the page for each chosen rollout; everything a model wrote is escaped."""
    rows = journal.rows(each.key for each in chosen)
    return [_shown(each, rows[each.key], _length(journal, each.key)) for each in chosen]


def _length(journal: Journal, key: Key) -> int:
    [(length,)] = journal.query(
        "SELECT length FROM rollouts WHERE step = $step AND row = $row", {"step": key[0], "row": key[1]}
    )
    return length or 0


def _shown(chosen: Chosen, row: dict[str, Any], length: int) -> Shown:
    finish = "cut off" if row["finish_reason"] == "length" else "ended by itself"
    verdict = [
        ("gold answer", row["answer"]),
        ("extracted", row["extracted"]),
        ("reason", row["reason"]),
        ("rule", row["rule"]),
        ("steps", STEPS[row.get("true_steps")]),
        ("parts", ", ".join(f"{name} {value:g}" for name, value in (row["parts"] or {}).items())),
    ]
    facts = [
        ("reward", _number(row["reward"])),
        ("advantage", _number(row["advantage"])),
        ("not learned from", row.get("left_out")),
        ("length", f"{length:,} tokens, {finish}"),
        ("step", str(chosen.key[0])),
        ("sample", str(row["sample"])),
        ("seed", str(row["seed"])),
        ("temperature", _number(row["temperature"])),
        ("check", None if row["check_seconds"] is None else f"{1000 * row['check_seconds']:.3g} ms"),
        ("columns", None if row["columns"] in ("{}", None) else _columns(row["columns"])),
    ]
    return Shown(
        chosen,
        row["problem_id"] or "",
        Markup(to_html(shortened(row["problem"] or ""))),
        Markup(to_html(shortened(row["text"] or ""))),
        row["status"] or "not judged",
        [(label, shortened(str(value), 600)) for label, value in verdict if value not in (None, "")],
        [(label, shortened(str(value), 300)) for label, value in facts if value is not None],
    )


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def _columns(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return ", ".join(f"{name}: {value}" for name, value in found.items()) if isinstance(found, dict) else text


def shortened(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """The text, or its head and tail with a note of how much was left out."""
    if len(text) <= most:
        return text
    head, tail = most * 3 // 4, most // 4
    return f"{text[:head]}\n[… {len(text) - head - tail:,} characters left out …]\n{text[-tail:]}"
