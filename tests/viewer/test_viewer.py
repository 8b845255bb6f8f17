"""The viewer's API over small real journals: what is found, what is shown, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.record.journal import LEARNED, journal_path, write_journal
from rlvr.types import Status
from rlvr.viewer import journal
from rlvr.viewer.library import Library
from rlvr.viewer.rollout import finite, numbers, roles
from tests.viewer_runs import ALPHABET, ANSWERS, SOURCE, Made, Viewed, make_run, wait_until, write_step


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewed]:
    folder = tmp_path_factory.mktemp("name") / "date"
    made = make_run(folder)
    with Library([folder]) as library:
        yield Viewed(folder, made, library)


def _place(one: Made) -> tuple[int, int]:
    return (-one.step, one.row)


def _found(answer: dict[str, Any]) -> list[tuple[int, int]]:
    return [(-row["step"], row["row"]) for row in answer["rollouts"]]


# ---------------------------------------------------------------- filters and tables


def _passes(one: Made, wanted: dict[str, Any]) -> bool:
    verdict = one.verdict
    status = "none" if verdict is None else str(verdict.status)
    name = wanted.get("part")
    value = None if verdict is None else (verdict.parts.get(name) if name else verdict.reward)
    return all(
        [
            one.step >= wanted.get("step_min", -math.inf),
            one.step <= wanted.get("step_max", math.inf),
            wanted.get("group") in (None, one.group),
            wanted.get("problem_id") in (None, one.rollout.problem_id),
            wanted.get("problem", "").lower()
            in f"{one.rollout.problem_id}|What is {one.rollout.problem_id[2:]} + 5?".lower(),
            wanted.get("status") in (None, status),
            wanted.get("finish") in (None, str(one.rollout.finish_reason)),
            wanted.get("left_out") in (None, one.learned.left_out or "none"),
            wanted.get("text", "").lower() in one.rollout.text.lower(),
            "part_min" not in wanted or (value is not None and value >= wanted["part_min"]),
            "part_max" not in wanted or (value is not None and value <= wanted["part_max"]),
        ]
    )


WANTED = st.fixed_dictionaries(
    {},
    optional={
        "step_min": st.integers(0, 6),
        "step_max": st.integers(0, 6),
        "group": st.integers(0, 4),
        "problem_id": st.sampled_from(["p-1", "p-4", "p"]),
        "problem": st.sampled_from(["P-1", "is 4", "what", "% 5", "'"]),
        "status": st.sampled_from([*map(str, Status), "none", "'"]),
        "finish": st.sampled_from(["stop", "length"]),
        "left_out": st.sampled_from(["none", "no verdict", "filter no_signal", "else"]),
        "part": st.sampled_from(["math", "brief"]),
        "part_min": st.sampled_from([-1.0, 0.5, 1.5]),
        "part_max": st.sampled_from([-0.5, 0.5, 2.0]),
        "text": st.sampled_from(["#", "TWELVE", "3+4", "%", "_", "\\", "'quoted'", "\n", "zebra"]),
    },
)


@settings(max_examples=60)
@given(wanted=WANTED)
def test_filters_find_what_a_walk_over_all_rollouts_finds(viewed: Viewed, wanted: dict[str, Any]) -> None:
    expected = [one for one in viewed.made if _passes(one, wanted)]
    answer = viewed.get("rollouts", **wanted, limit=200)
    assert answer["count"] == len(expected)
    assert _found(answer) == sorted(map(_place, expected))
    rewards = [one.verdict.reward for one in expected if one.verdict and one.verdict.reward is not None]
    assert answer["reward"] == pytest.approx(np.mean(rewards) if rewards else None)


SORTED_BY: dict[str, Any] = {
    "reward": lambda one: one.verdict and one.verdict.reward,
    "length": lambda one: one.rollout.num_sampled,
    "gap": lambda one: one.gap,
    "seconds": lambda one: one.verdict and one.verdict.seconds,
    "step": lambda one: one.step,
}


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", SORTED_BY)
def test_pages_in_order_are_the_whole(viewed: Viewed, sort: str, descending: bool) -> None:
    pages = [
        viewed.get("rollouts", sort=sort, descending=descending, limit=7, offset=offset)
        for offset in range(0, 70, 7)
    ]
    found = [place for page in pages for place in _found(page)]
    sign = -1 if descending else 1

    def key(one: Made) -> tuple[Any, ...]:
        value = SORTED_BY[sort](one)
        return (value is None, 0 if value is None else sign * np.float32(value), *_place(one))

    assert found == [_place(one) for one in sorted(viewed.made, key=key)]
    assert len(pages[-2]["rollouts"]) == 4
    assert pages[-1]["rollouts"] == []


def test_a_row_has_the_numbers_of_its_rollout(viewed: Viewed) -> None:
    rows = {(row["step"], row["row"]): row for row in viewed.get("rollouts", limit=200)["rollouts"]}
    for one in viewed.made:
        row = rows[one.step, one.row]
        assert row["text"] == one.rollout.text
        assert row["problem"] == f"What is {one.rollout.problem_id[2:]} + 5?"
        assert row["length"] == one.rollout.num_sampled
        assert row["gap"] == (None if one.gap is None else pytest.approx(one.gap))
        assert row["parts"] == {
            name: None if one.verdict is None else one.verdict.parts.get(name) for name in ("brief", "math")
        }


def test_groups_keep_their_members_together(viewed: Viewed) -> None:
    answer = viewed.get("groups", status="correct", limit=200)
    having = {(one.step, one.group) for one in viewed.made if one.verdict and one.verdict.status == "correct"}
    assert answer["count"] == len(having)
    assert {(group["step"], group["group"]) for group in answer["groups"]} == having
    for group in answer["groups"]:
        members = [one for one in viewed.made if (one.step, one.group) == (group["step"], group["group"])]
        assert [row["row"] for row in group["rollouts"]] == [one.row for one in members]
        assert group["problem_id"] == members[0].rollout.problem_id


def test_curves_come_from_the_metrics_and_from_the_journal(viewed: Viewed) -> None:
    curve = viewed.get("curve")
    assert curve["metric"] == "train/reward"
    assert curve["steps"] == [1, 2, 3, 4, 5]
    assert curve["values"] == [0.1, 0.2, 0.3, 0.4, 0.5]
    lengths = viewed.get("curve", metric="journal/length")["values"]
    mean = np.mean([one.rollout.num_sampled for one in viewed.made if one.step == 2])
    assert lengths[1] == pytest.approx(mean)


def test_what_there_is_to_choose_from(viewed: Viewed) -> None:
    answer = viewed.get("journal")
    assert (answer["files"], answer["gathered"], answer["broken"]) == (5, 5, {})
    assert answer["parts"] == ["brief", "math"]
    assert None in answer["status"]
    assert set(answer["left_out"]) == {None, "no verdict", "filter no_signal"}


# ---------------------------------------------------------------- one rollout


def test_every_token_has_its_numbers(viewed: Viewed) -> None:
    one = next(one for one in viewed.made if one.learned.left_out is None and one.rollout.sample == 1)
    found = viewed.get("rollout", step=one.step, row=one.row)
    tokens = found["tokens"]
    assert tokens["id"] == one.rollout.tokens.tolist()
    assert tokens["text"] == [ALPHABET[i] for i in one.rollout.tokens]
    own, drawn = one.learned, one.rollout
    assert own.logprobs is not None
    assert own.corrections is not None
    for place, sampled in enumerate(drawn.sampled):
        if not sampled:
            assert {tokens[name][place] for name in ("logprob", "gap", "weight", "entropy", "version")} == {
                None
            }
            assert tokens["role"][place] == "prompt"
            continue
        gap = float(own.logprobs[place]) - float(drawn.logprobs[place])
        assert tokens["gap"][place] == pytest.approx(gap)
        assert tokens["weight"][place] == pytest.approx(math.exp(gap))
        assert tokens["entropy"][place] == pytest.approx(0.7)
        assert tokens["staleness"][place] == 1  # an odd sample's version is one behind
        masked = own.corrections[place] == 0
        assert tokens["role"][place] == ("masked by the correction" if masked else "trained")
    assert found["seed"] == str(2**62 + 1)
    assert [mate["row"] for mate in found["mates"]] == [one.row - 1, one.row, one.row + 1]


def test_a_rollout_that_was_left_out_says_why(viewed: Viewed) -> None:
    one = next(one for one in viewed.made if one.learned.left_out == "filter no_signal")
    roles = viewed.get("rollout", step=one.step, row=one.row)["tokens"]["role"]
    assert set(roles) == {"prompt", "left out: filter no_signal"}


def test_latex_of_an_answer_is_rendered(viewed: Viewed) -> None:
    one = next(one for one in viewed.made if "frac" in one.rollout.text)
    assert "<mfrac>" in viewed.get("rollout", step=one.step, row=one.row)["html"]


def test_infinities_reach_the_page_as_text(viewed: Viewed) -> None:
    assert finite({"a": [1.0, -math.inf, (math.nan,)]}) == {"a": [1.0, "-inf", ["nan"]]}
    row = {"sampled": [True, True], "logprobs": [-math.inf, -900.0], "learner_logprobs": [-1.0, -1.0]}
    row |= {"versions": [0, 0], "entropies": None, "advantages": None, "corrections": None}
    assert numbers(row, "train", 1)["weight"] == [math.inf, math.inf]
    assert numbers(row, "heldout", 1)["staleness"] == [None, None]


def test_inserted_tokens_are_no_prompt() -> None:
    row = {
        "sampled": [False, True, False, True],
        "corrections": None,
        "left_out": None,
        "learner_logprobs": [0.0],
    }
    assert roles(row, "train") == ["prompt", "trained", "inserted", "trained"]
    assert roles(row, "heldout")[1] == "held out: not trained on"


def test_a_tokenizer_that_does_not_make_the_text_is_not_used(tmp_path: Path) -> None:
    make_run(tmp_path / "run", [1])
    stage = tmp_path / "run" / "rl"
    table = pq.read_table(journal_path(stage, "train", 1))
    column = table.schema.get_field_index("text")
    pq.write_table(
        table.set_column(column, "text", pa.array(["other"] * len(table))), journal_path(stage, "train", 1)
    )
    with Library([tmp_path / "run"]) as library:
        assert library.rollout(0, "rl", "train", 1, 0)["tokens"]["text"] is None


# ---------------------------------------------------------------- journals as they come


def test_texts_that_are_not_in_memory_are_searched_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "TEXT_BYTES", 1)
    monkeypatch.setattr(journal, "FIRST", 1)
    monkeypatch.setattr(journal, "BATCH", 2)
    long = tuple("x" * journal.EXCERPT + text for text in ANSWERS)
    made = make_run(tmp_path / "run", range(1, 6), long)
    with Library([tmp_path / "run"]) as library:
        viewed = Viewed(tmp_path / "run", made, library)
        wait_until(lambda: viewed.get("journal")["gathered"] == 5)
        for text in ("TWELVE", "3+4", "xx", "zebra"):
            wanted = {"text": text, "step_max": 4}
            expected = [one for one in made if _passes(one, wanted)]
            assert sorted(_found(viewed.get("rollouts", **wanted, limit=200))) == sorted(
                map(_place, expected)
            )


def test_older_journals_lack_columns(tmp_path: Path) -> None:
    make_run(tmp_path / "run", [1, 2, 3])
    for step in (1, 2):  # a run that went on with a newer version
        path = journal_path(tmp_path / "run" / "rl", "train", step)
        pq.write_table(pq.read_table(path).drop_columns(list(LEARNED)), path)
    with Library([tmp_path / "run"]) as library:
        viewed = Viewed(tmp_path / "run", [], library)
        rows = viewed.get("rollouts", limit=200)["rollouts"]
        assert len(rows) == 36
        assert {row["gap"] for row in rows if row["step"] < 3} == {None}
        assert any(row["gap"] for row in rows if row["step"] == 3)
        assert set(viewed.get("rollout", step=1, row=0)["tokens"]["role"]) == {"prompt", "not recorded"}


def test_steps_that_come_change_and_go_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PAUSE", 0.01)
    folder = tmp_path / "run"
    make_run(folder, [1, 2])
    with Library([folder]) as library:
        viewed = Viewed(folder, [], library)
        assert viewed.get("journal")["changes"] == 1
        write_step(folder / "rl", 3)
        wait_until(lambda: viewed.get("rollouts", step_min=3)["count"] == 12)
        write_step(folder / "rl", 2, ["other"])
        wait_until(lambda: viewed.get("rollouts", text="other")["count"] == 12)
        assert viewed.get("rollouts")["count"] == 36
        journal_path(folder / "rl", "train", 3).unlink()
        wait_until(lambda: viewed.get("rollouts")["count"] == 24)


def test_a_broken_file_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    make_run(tmp_path / "run", [1, 2, 3])
    path = journal_path(tmp_path / "run" / "rl", "train", 2)
    path.write_bytes(b"PAR1 and no more")
    with Library([tmp_path / "run"]) as library:
        viewed = Viewed(tmp_path / "run", [], library)
        assert list(viewed.get("journal")["broken"]) == [str(path)]
        assert viewed.get("rollouts")["count"] == 24
        answer = viewed.client.get("/api/rollout", params={**SOURCE, "step": 2, "row": 0})
        assert answer.status_code == 404
        assert "step_000002" in answer.json()["error"]


def test_names_of_folders_are_no_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "lr=[1],a=*?{b}"
    make_run(folder, [1])
    make_run(tmp_path / "lr=1,a=xyz", [1])
    with Library([folder]) as library:
        viewed = Viewed(folder, [], library)
        assert viewed.get("rollouts")["count"] == 12
        assert viewed.get("rollout", step=1, row=0)["tokens"]["text"] is not None


def test_a_step_without_rollouts(tmp_path: Path) -> None:
    write_journal(journal_path(tmp_path / "rl", "train", 1), [])
    with Library([tmp_path / "rl"]) as library:
        viewed = Viewed(tmp_path, [], library)
        assert viewed.get("rollouts") == {"count": 0, "reward": None, "correct": None, "rollouts": []}
        assert viewed.get("groups")["count"] == 0
        assert viewed.get("curve") == {
            "names": ["journal/reward", "journal/correct", "journal/length", "journal/gap"],
            "metric": "journal/reward",
            "steps": [],
            "values": [],
        }


def test_nothing_is_written_to_a_run(viewed: Viewed) -> None:
    viewed.get("rollouts", text="7")
    written = {path.relative_to(viewed.folder).parts[0] for path in viewed.folder.rglob("*")}
    assert written == {"config.yaml", "rl", "scratch_model"}
    assert {path.name for path in (viewed.folder / "rl").iterdir()} == {"journal", "metrics.jsonl"}


# ---------------------------------------------------------------- two runs


def test_problems_of_both(tmp_path: Path) -> None:
    made = [make_run(tmp_path / "a", [1]), make_run(tmp_path / "b", [2])]
    with Library([tmp_path / "a", tmp_path / "b"]) as library:
        viewed = Viewed(tmp_path, [], library)
        other = {"other_run": 1, "other_stage": "rl", "other_kind": "train"}
        answer = viewed.get("problems", **other)
        both = set.intersection(*({one.rollout.problem_id for one in run} for run in made))
        assert {row["problem_id"] for row in answer["problems"]} == both
        assert answer["count"] == len(both) == 1
        assert answer["problems"][0]["right"]["steps"] == [2]
        assert viewed.get("problems", **other, search="nowhere") == {"count": 0, "problems": []}
