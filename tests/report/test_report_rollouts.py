"""Which rollouts a report shows, on journals whose best, worst and strangest are known."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from report_runs import learned, rollout, verdict, write_step

from rlvr.compare.curves import problem_values
from rlvr.record.journal import LEARNED, journal_path
from rlvr.report.journal import Journal
from rlvr.report.measures import Metrics
from rlvr.report.rollouts import SHOWN_CHARACTERS, choose, shortened, show
from rlvr.types import FinishReason, Rollout, Status, UpdateRecord, Verdict

Row = tuple[Rollout, Verdict, UpdateRecord]


def row(reward: float | None, advantage: float | None = 0.0, gap: float = 0.0, **further: object) -> Row:
    checks = {name: further.pop(name) for name in ("status", "seconds", "true_steps") if name in further}
    made = rollout(**further)  # type: ignore[arg-type]
    return made, verdict(reward, **checks), learned(made, advantage, gap)  # type: ignore[arg-type]


def chosen(folder: Path, rows: list[Row], metrics: Metrics | None = None) -> dict[str, int]:
    """Title of the rule → number of the row."""
    write_step(folder, rows)
    found = choose(Journal(folder, "train"), metrics or Metrics())
    return {each.title: each.key[1] for each in found}


def test_each_rule_finds_its_own(tmp_path: Path) -> None:
    again = "the sum of one and two is three and " * 6
    rows = [
        row(1.0, 0.5),
        row(1.0, 1.5),  # best: as large a reward, a larger advantage
        row(-1.0, -0.5),
        row(-1.0, -1.5),  # worst
        row(1.0, drawn=90, text=again),  # repetitive
        row(1.0, drawn=80),  # longest
        row(1.0, drawn=1),  # shortest
        row(0.9, status=Status.WRONG),  # rewarded, not correct
        row(-0.9, status=Status.CORRECT),  # correct, not rewarded
        row(1.0, finish=FinishReason.LENGTH),  # cut off
        row(None, None),  # timeout
        row(None, None, status=Status.CRASHED),  # crashed
        row(-1.0, seconds=4.0),  # slowest
    ]
    assert chosen(tmp_path, rows) == {
        "Best": 1,
        "Worst": 3,
        "Rewarded and repetitive": 4,
        "Longest correct": 5,
        "Shortest correct": 6,
        "Rewarded, but not correct": 7,
        "Correct, but not rewarded": 8,
        "Cut off, and correct all the same": 9,
        "Timeout": 10,
        "Crashed": 11,
        "Slowest check": 12,
    }


def test_no_rollout_is_shown_twice(tmp_path: Path) -> None:
    """The one rollout is best, worst, longest, shortest and slowest."""
    assert chosen(tmp_path, [row(1.0, seconds=1.0)]) == {"Best": 0}


def test_what_nothing_fits_is_not_shown(tmp_path: Path) -> None:
    found = chosen(tmp_path, [row(1.0), row(1.0), row(-1.0), row(-1.0)])
    assert set(found) == {"Best", "Worst", "Longest correct"}


def test_the_widest_gap_is_looked_for_in_the_step_of_the_largest_mean(tmp_path: Path) -> None:
    rows = [row(1.0, gap=0.1), row(1.0, gap=-0.7), row(1.0, gap=0.2), row(-1.0), row(None, None)]
    metrics = Metrics({1: {"learner/logprob_gap": 0.2}, 2: {"learner/logprob_gap": 0.1}})
    write_step(tmp_path, [row(1.0, gap=5.0)], step=2)
    found = chosen(tmp_path, rows, metrics)
    assert found["Widest gap between learner and sampler"] == 1


def test_a_gap_of_nothing_is_not_strange(tmp_path: Path) -> None:
    metrics = Metrics({1: {"learner/logprob_gap": 0.0}})
    assert "Widest gap between learner and sampler" not in chosen(tmp_path, [row(1.0), row(-1.0)], metrics)


def test_an_empty_journal_shows_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "train")
    assert journal.size == 0
    assert journal.reasons() == []
    assert journal.left_out() == []
    assert show(journal, choose(journal, Metrics())) == []


def test_what_is_shown_of_a_rollout(tmp_path: Path) -> None:
    made = rollout(r"so \(\frac{1}{2}\) <b>", drawn=5, finish=FinishReason.LENGTH)
    said = verdict(1.0, extracted="1/2", rule="same value", reason="1/2 = 0.5", seconds=0.002)
    write_step(tmp_path, [(made, said, learned(made, 0.25))])
    journal = Journal(tmp_path, "train")
    [shown] = show(journal, choose(journal, Metrics()))
    assert "<mfrac>" in shown.text
    assert "&lt;b&gt;" in shown.text
    assert dict(shown.verdict) == {
        "gold answer": "3",
        "extracted": "1/2",
        "reason": "1/2 = 0.5",
        "rule": "same value",
        "parts": "math 1",
    }
    facts = dict(shown.facts)
    assert facts["length"] == "5 tokens, cut off"
    assert (facts["reward"], facts["advantage"], facts["step"], facts["seed"]) == ("1", "0.25", "1", "1000")
    assert facts["check"] == "2 ms"
    assert "not learned from" not in facts


def test_why_a_rollout_was_not_learned_from_is_shown_and_counted(tmp_path: Path) -> None:
    write_step(tmp_path, [row(None, None), row(None, None), row(1.0)])
    journal = Journal(tmp_path, "train")
    assert journal.left_out() == [("no verdict", 2)]
    shown = {each.chosen.title: dict(each.facts) for each in show(journal, choose(journal, Metrics()))}
    assert shown["Timeout"]["not learned from"] == "no verdict"


def test_a_long_text_keeps_its_head_and_its_tail() -> None:
    text = "a" * SHOWN_CHARACTERS + "middle" + "z" * SHOWN_CHARACTERS
    short = shortened(text)
    assert short.startswith("aaa")
    assert short.endswith("zzz")
    assert "middle" not in short
    assert f"{SHOWN_CHARACTERS + 6:,} characters left out" in short
    assert shortened("a" * SHOWN_CHARACTERS) == "a" * SHOWN_CHARACTERS


def test_shares_of_correct_samples_leave_out_what_was_not_judged(tmp_path: Path) -> None:
    write_step(tmp_path, [row(1.0), row(-1.0), row(-1.0), row(None, None)])
    values, _ = problem_values(journal_path(tmp_path, "train", 1), "heldout/pass@1")
    assert values == pytest.approx({"p": 1 / 3})


def test_a_journal_of_two_versions_is_read_whole(tmp_path: Path) -> None:
    """A run that was begun before `left_out` and the like were recorded, and resumed after."""
    for step in (1, 2):
        write_step(tmp_path, [row(None, None), row(1.0), row(0.5, gap=0.5), row(-1.0)], step)
    old = journal_path(tmp_path, "train", 1)
    pq.write_table(pq.read_table(old).drop_columns(list(LEARNED)), old)
    journal = Journal(tmp_path, "train")
    assert journal.size == 8
    assert journal.broken == []
    assert journal.left_out() == [("no verdict", 1)]
    for step, titles in ((1, set()), (2, {"Widest gap between learner and sampler"})):
        found = {each.title for each in choose(journal, Metrics({step: {"learner/logprob_gap": 1.0}}))}
        assert {title for title in found if "gap" in title} == titles


def test_a_right_answer_without_true_steps_is_shown_and_counted(tmp_path: Path) -> None:
    rows = [row(1.0, 2.0, true_steps=True), row(-1.0), row(1.0, 0.1, true_steps=False), row(1.0, 0.1)]
    assert chosen(tmp_path, rows)["Right, but not by true steps"] == 2
    journal = Journal(tmp_path, "train")
    found = {each.chosen.key[1]: dict(each.verdict) for each in show(journal, choose(journal, Metrics()))}
    assert found[0]["steps"] == "all true, and lead to the answer"
    assert found[2]["steps"] == "not all true, or do not lead to the answer"
    assert "steps" not in found[1]
    path = journal_path(tmp_path, "train", 1)
    assert problem_values(path, "heldout/pass@1")[0] == {"p": 3 / 4}
    assert problem_values(path, "heldout/true_steps")[0] == {"p": 1 / 4}
    pq.write_table(pq.read_table(path).drop_columns(["true_steps"]), path)
    assert "Right, but not by true steps" not in {
        each.title for each in choose(Journal(tmp_path, "train"), Metrics())
    }
