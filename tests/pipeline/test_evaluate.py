"""`rlvr evaluate`: its numbers, and the command with real engines, stopped, continued and counted again."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from groups import rollout
from hypothesis import given, settings
from hypothesis import strategies as st
from run_command import Run, complete

from rlvr.commands.cli import main
from rlvr.evaluation.config import EvaluationConfig
from rlvr.evaluation.summary import Outcome, default_ks, outcomes, summarize
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.evaluate import Prepared
from rlvr.pipeline.evaluate_config import EvaluateConfig, EvaluatedModelConfig
from rlvr.pipeline.status import is_done
from rlvr.problems.benchmarks import ProblemSet
from rlvr.problems.encoder import PromptEncoder
from rlvr.problems.files import as_row
from rlvr.problems.generated import ALPHABET, arithmetic
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.record.config import RecordConfig
from rlvr.record.journal import read_journal
from rlvr.record.runs import open_run
from rlvr.record.sinks import MetricLog, read_metrics
from rlvr.results.evaluation import compared
from rlvr.results.evaluation_table import markdown
from rlvr.results.samples import read_samples, write_samples
from rlvr.stages.config import ModelConfig, ScratchModelConfig
from rlvr.stages.scratch import make_scratch
from rlvr.statistics.change import paired_difference
from rlvr.types import DataError, FinishReason, Group, Problem, Status, Verdict

RIGHT, WRONG, UNREAD, LATE = Status.CORRECT, Status.WRONG, Status.UNPARSEABLE, Status.TIMEOUT
VOTES = {RIGHT: 0, WRONG: 1}


def outcome(name: str, *statuses: Status, **columns: Any) -> Outcome:
    votes = [VOTES.get(status) for status in statuses]
    lengths = list(range(1, len(statuses) + 1))
    unknown = [None] * len(statuses)
    return Outcome(name, columns, statuses, unknown, votes, lengths, [length == 3 for length in lengths])


# --- numbers -----------------------------------------------------------------------------------------

SET = [
    outcome("a", RIGHT, WRONG, WRONG, level=10),
    outcome("b", RIGHT, RIGHT, UNREAD, level=9),
    outcome("c", LATE, RIGHT, RIGHT, level=9),
    outcome("d", LATE, LATE, LATE),
]


def test_a_summary_by_hand() -> None:
    found = summarize(SET, [1, 2, 3], by=["level", "subject"])
    assert found["problems"] == ["a", "b", "c", "d"]
    assert found["values"] == [1 / 3, 2 / 3, 1.0, None]
    metrics = found["metrics"]
    assert metrics["avg@3"]["value"] == pytest.approx(2 / 3)
    assert metrics["pass@2"]["values"] == [2 / 3, 1.0, 1.0, None]
    assert metrics["maj@3"]["values"] == [0.0, 1.0, None, None]  # c has two verdicts only
    assert (metrics["pass@3"]["value"], metrics["pass@3"]["over"]) == (1.0, 2)
    assert metrics["avg@3"]["low"] <= metrics["avg@3"]["value"] <= metrics["avg@3"]["high"]
    assert list(found["by"]) == ["level"]
    assert list(found["by"]["level"]) == ["9", "10"]  # by size; d has no level
    assert found["by"]["level"]["9"]["value"] == pytest.approx(5 / 6)
    assert found["samples_by_status"] == {
        "correct": 5, "wrong": 2, "unparseable": 1, "timeout": 4, "crashed": 0
    }  # fmt: skip
    assert (found["unreached"], found["mean_tokens"], found["truncated"]) == (4, 2.0, 1 / 3)


@settings(max_examples=30)
@given(st.randoms(use_true_random=False))
def test_the_order_of_problems_and_of_samples_changes_no_number(random: Any) -> None:
    def shuffled(problem: Outcome) -> Outcome:
        order = list(range(len(problem.statuses)))
        random.shuffle(order)
        lists = (problem.statuses, problem.true_steps, problem.votes, problem.lengths, problem.cut)
        return Outcome(problem.id, problem.columns, *([each[i] for i in order] for each in lists))  # type: ignore[arg-type, index]

    def numbers(found: dict[str, Any]) -> Any:
        metrics = {name: {**of, "values": None} for name, of in found["metrics"].items()}
        return metrics, found["by"], found["samples_by_status"], found["mean_tokens"], found["truncated"]

    problems = [shuffled(problem) for problem in SET]
    random.shuffle(problems)
    by = ["level"]
    assert numbers(summarize(problems, [1, 2, 3], by)) == numbers(summarize(SET, [1, 2, 3], by))


def test_a_reward_that_does_not_say_what_it_read_has_no_majority() -> None:
    silent = [Outcome("a", {}, [RIGHT, WRONG], [None, None], [None, None], [1, 1], [False, False])]
    assert not any(name.startswith("maj") for name in summarize(silent, [1, 2])["metrics"])
    assert summarize([outcome("a", UNREAD, UNREAD)], [2])["metrics"]["maj@2"]["value"] == 0


def test_a_set_has_its_own_stops_unless_the_evaluation_names_some() -> None:
    own, plain = (ProblemSet(name, [], "", "", [], stop) for name, stop in (("a", ["Q:"]), ("b", None)))
    for given_, expected in ((None, [["Q:"], None]), (["#"], [["#"], ["#"]]), ([], [[], []])):
        config = EvaluateConfig(answers="", model=EvaluatedModelConfig(""), stop=given_)
        prepared = Prepared(config, [own, plain], [1])
        assert [prepared.stop(each) for each in (own, plain)] == expected
        assert prepared.settings().get("stop") == given_


@pytest.mark.parametrize(("samples", "ks"), [(1, [1]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])])
def test_default_ks(samples: int, ks: list[int]) -> None:
    assert default_ks(samples) == ks


def judged(name: str, *statuses: Status, **columns: Any) -> Group:
    rollouts = [
        rollout(i, drawn=i + 1, name=name, finish=FinishReason.LENGTH if i else FinishReason.STOP)
        for i in range(len(statuses))
    ]
    verdicts = [
        Verdict(status, 0.0 if status.reached else None, "", extracted=str(i))
        for i, status in enumerate(statuses)
    ]
    return Group(Problem(name, "1+1?", "2", columns=columns), rollouts, verdicts)


def test_samples_that_are_written_give_the_same_numbers_again(tmp_path: Path) -> None:
    sets = {
        "one": [judged("a", RIGHT, WRONG, level=1.5), judged("b", LATE, UNREAD)],
        "two": [judged("a", WRONG)],
    }
    votes = {"one": [[0, 1], [None, None]], "two": [[1]]}
    write_samples(tmp_path / "samples.parquet", sets, votes)
    again = read_samples(tmp_path / "samples.parquet")
    assert list(again) == ["one", "two"]
    for name, groups in sets.items():
        made = summarize(outcomes(groups, votes[name]), [1, 2], ["level"])
        assert summarize(again[name], [1, 2], ["level"]) == made
    (tmp_path / "other.parquet").write_text("no")
    with pytest.raises(DataError, match="cannot be read"):
        read_samples(tmp_path / "other.parquet")


def results(model: str, *problems: Outcome, samples: int = 3) -> dict[str, Any]:
    found = summarize(problems, [1, 2]) | {"fingerprint": "f", "undecided_votes": 2}
    names = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 8, "seed": 0, "dtype": "float32"}
    return {"model": model, "settings": {"samples": samples, **names}, "ks": [1, 2], "sets": {"s": found}}


def test_a_comparison_is_paired_by_problem_and_says_what_was_asked_otherwise() -> None:
    before = results("old", outcome("a", RIGHT, WRONG, WRONG), outcome("b", WRONG, WRONG, WRONG))
    after = results("new", outcome("b", RIGHT, WRONG, WRONG), outcome("a", RIGHT, RIGHT, WRONG), samples=4)
    found = compared(before, after)
    gain = paired_difference({"a": 1 / 3, "b": 0.0}, {"b": 1 / 3, "a": 2 / 3})
    assert gain is not None
    assert found["sets"]["s"]["avg"]["mean"] == gain.mean == pytest.approx(1 / 3)
    assert found["sets"]["s"]["avg"]["changed"] == 2
    assert set(found["sets"]["s"]) == {"avg", "pass@1", "pass@2", "maj@2"}
    assert found["differs"] == ["samples 3 → 4"]
    of_five = after | {"settings": after["settings"] | {"top_k": 5}}
    assert "top_k None → 5" in compared(before, of_five)["differs"]
    assert "top_k 5 → None" in compared(of_five, before)["differs"]
    text = markdown(after | {"baseline": found})
    assert "| s avg" in text
    assert "+33.3" in text
    assert "samples 3 → 4" in text
    assert "2 comparisons of answers did not finish" in text
    with pytest.raises(Exception, match="none of these has the problems of s"):
        compared(before | {"sets": {"s": {**before["sets"]["s"], "fingerprint": "g"}}}, after)


def test_the_evaluation_inside_of_training_has_pass_and_majority_at_its_ks(tmp_path: Path) -> None:
    from rlvr.stages.rl import ReinforcementLearning

    config = RunConfig(evaluation=EvaluationConfig(samples=3, ks=[2])).for_stages()
    config.record.journal = False
    heldout = [Problem("a", "1+1=?", "2")]
    made = Group(heldout[0], [], judged("a", RIGHT, WRONG, WRONG).verdicts)
    made.verdicts[2] = made.verdicts[1]
    prompts = PromptEncoder(config.prompt, character_tokenizer(ALPHABET))
    stage = SimpleNamespace(config=config, heldout=heldout, folder=tmp_path, prompts=prompts)
    buffer = SimpleNamespace(submit=lambda *_: None, take=lambda *_, **__: SimpleNamespace(groups=[made]))
    log = SimpleNamespace(samples=lambda *_: None)
    loop = SimpleNamespace(stage=stage, config=config, buffer=buffer, log=log)
    metrics = ReinforcementLearning.evaluate(cast(Any, loop), 0)
    assert metrics["heldout/pass@1"] == pytest.approx(1 / 3)
    assert metrics["heldout/pass@2"] == pytest.approx(2 / 3)
    assert metrics["heldout/maj@2"] == pytest.approx(1 / 3)  # two ties of three pairs


def test_an_interrupted_evaluation_of_training_is_made_again_and_the_steps_line_is_written_once(
    tmp_path: Path,
) -> None:
    """As the loop does it, and the run that goes on from its checkpoint."""
    from rlvr.stages.buffer import Interrupted
    from rlvr.stages.resume import take_unevaluated
    from rlvr.stages.rl import ReinforcementLearning

    def interrupted(version: int) -> dict[str, float]:
        raise Interrupted

    stage: Any = SimpleNamespace(folder=tmp_path)
    learned = {"train/loss": 0.5}
    with MetricLog(tmp_path, RecordConfig(trackers=[]), {}) as log:
        loop: Any = SimpleNamespace(stage=stage, version=4, log=log, evaluate=interrupted)
        loop.evaluates = lambda version: version % 2 == 0
        with pytest.raises(Interrupted):
            ReinforcementLearning.record(loop, learned)
        assert (tmp_path / "metrics.jsonl").read_bytes() == b""
        assert not is_done(tmp_path, 4)

        assert take_unevaluated(stage, 4) == learned
        loop.evaluate = lambda version: {"heldout/pass@1": 0.25}
        whole = learned | {"heldout/pass@1": 0.25}
        assert ReinforcementLearning.record(loop, learned) == whole
        loop.version = 5
        assert ReinforcementLearning.record(loop, learned) == learned
    assert read_metrics(tmp_path / "metrics.jsonl") == {4: whole, 5: learned}
    assert take_unevaluated(stage, 4) is None


# --- the command -------------------------------------------------------------------------------------

PROBLEMS, CHUNKS = 16, 8
# Half of what a new model writes is right, and its first character is its answer: numbers worth counting.
OWN = """
from rlvr.types import Status, Verdict

def parity(completion: str) -> Verdict:
    read = completion.strip()[:1]
    if not read:
        return Verdict(Status.UNPARSEABLE, 0.0, "nothing")
    right = sum(map(ord, completion)) % 2 == 0
    return Verdict(Status.CORRECT if right else Status.WRONG, float(right), "parity", extracted=read)
"""
COMMAND = [
    "samples=4",
    "max_tokens=16",
    f"chunk={PROBLEMS // CHUNKS}",
    "problems.by=[level]",
    "problems.template='{problem}'",
    "stop=['9']",
    "top_k=30",
    "~reward.functions.math",
    "+reward.functions.parity={_target_: mine.parity}",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    small = ScratchModelConfig(hidden_size=32, layers=1, heads=1, kv_heads=1, intermediate_size=32)
    make_scratch(ModelConfig(scratch=small, max_length=64), 0, path, ALPHABET)
    return path


def prepare(cwd: Path) -> None:
    (cwd / "mine.py").write_text(OWN)
    for name, level in (("mine", 1), ("other", 2)):
        rows = [json.dumps(as_row(problem)) for problem in arithmetic("heldout", PROBLEMS, level)]
        (cwd / f"{name}.jsonl").write_text("\n".join(rows) + "\n")


def read(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())


@dataclass
class Made:
    """A folder in which a model was evaluated, after it was killed once and stopped once."""

    cwd: Path
    kept: list[dict[Path, int]]  # the files of what was sampled, and when they were written, after each run
    codes: list[int]
    outputs: list[str]

    @property
    def folder(self) -> Path:
        (found,) = self.cwd.glob("runs/evaluate/*/results.json")
        return found.parent


def sampled(cwd: Path) -> dict[Path, int]:
    paths = cwd.glob("runs/evaluate/answers/*/journal/heldout/*.parquet")
    return {path: path.stat().st_mtime_ns for path in paths}


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """At last with another set beside, and as a baseline a copy of the model, which is never stopped.

    What is new then comes in one chunk; what has begun keeps its own.
    """
    cwd = tmp_path_factory.mktemp("whole")
    prepare(cwd)
    made = Made(cwd, [{}], [], [])
    for number in (signal.SIGKILL, signal.SIGTERM):
        run = Run.start(cwd, "evaluate", f"model={model}", "problems=[mine.jsonl]", *COMMAND)
        try:
            run.until(lambda: len(sampled(cwd)) > len(made.kept[-1]), "a chunk")
            if number is signal.SIGTERM:
                run.stop(number)
            else:
                run.process.send_signal(number)
            made.codes.append(run.wait())
        finally:
            run.kill()
        made.outputs.append(run.output.read_text())
        made.kept.append(sampled(cwd))
    other = shutil.copytree(model, cwd / "other")
    (other / "README.md").write_text("Nothing was evaluated of this folder.")
    sets = "problems=[other.jsonl,mine.jsonl]"
    code, output = complete(
        cwd, "evaluate", f"model={model}", f"baseline={other}", sets, *COMMAND, "chunk=99"
    )
    made.codes.append(code)
    made.outputs.append(output)
    made.kept.append(sampled(cwd))
    return made


@pytest.mark.slow
def test_killed_and_stopped_it_goes_on_and_samples_nothing_twice(whole: Made) -> None:
    assert whole.codes == [-signal.SIGKILL, 130, 0], whole.outputs
    assert "run the same command again to continue" in whole.outputs[1]
    _, killed, stopped, complete = whole.kept
    assert 0 < len(killed) < len(stopped) < CHUNKS
    assert killed.items() <= stopped.items() <= complete.items()
    assert len(complete) == CHUNKS + 3  # two sets, two models


@pytest.mark.slow
def test_how_answers_were_drawn_is_kept_with_them(whole: Made) -> None:
    found = read(whole.folder)
    assert (found["settings"]["stop"], found["settings"]["top_k"]) == (["9"], 30)
    assert not {"min_p", "repetition_penalty"} & {*found["settings"]}
    assert found["sets"]["mine"]["stop"] == ["9"]
    assert "top_k 30, stop ['9']" in (whole.folder / "results.md").read_text()
    answers = next(whole.folder.parent.glob("answers/mine-*"))
    rollouts = [rollout for group in read_journal(answers, "heldout") for rollout in group.rollouts]
    assert not any("9" in rollout.text for rollout in rollouts)
    ended = [r for r in rollouts if character_tokenizer(ALPHABET).decode(r.tokens[-1:].tolist()) == "9"]
    assert ended
    assert {r.finish_reason for r in ended} == {FinishReason.STOP}


@pytest.mark.slow
def test_its_numbers_are_those_of_an_evaluation_that_was_never_stopped(whole: Made) -> None:
    ours, theirs = read(whole.folder), read(whole.folder / "baseline_results")
    assert ours["model_fingerprint"] != theirs["model_fingerprint"]
    assert ours["sets"] == theirs["sets"]
    assert {gain["changed"] for of in ours["baseline"]["sets"].values() for gain in of.values()} == {0}


@pytest.mark.slow
def test_every_sample_is_there_and_its_numbers_are_those_of_the_results(whole: Made) -> None:
    found = read(whole.folder)
    result = found["sets"]["mine"]
    assert "| mine" in whole.outputs[-1]
    stage = open_run(whole.folder).stage("mine")
    assert stage is not None
    groups = read_journal(stage.folder, "heldout")
    assert [group.problem.id for group in groups] == result["problems"]
    right = [np.mean([v.status is RIGHT for v in g.verdicts if v.status.reached]) for g in groups]
    assert result["values"] == right
    assert 0 < np.mean(right) < 1
    assert len({rollout.seed for group in groups for rollout in group.rollouts}) == 4 * PROBLEMS
    expected = {"avg@4", "pass@1", "pass@2", "pass@4", "maj@2", "maj@4", "true_steps"}
    assert set(result["metrics"]) == expected
    judged = [[v for v in group.verdicts if v.status.reached] for group in groups]
    sound = [np.mean([v.status is RIGHT and v.true_steps is True for v in of]) for of in judged]
    assert result["metrics"]["true_steps"]["values"] == sound
    assert np.mean(sound) <= np.mean(right)
    assert "right, all steps true" in whole.outputs[-1]
    assert result["metrics"]["maj@4"]["value"] > 0
    assert list(result["by"]["level"]) == ["1"]
    assert found["settings"]["temperature"] == 1.0
    assert found["versions"]["packages"]["ray"]
    assert found["sampled_by"]["mine"]["packages"]["ray"]


@pytest.mark.slow
def test_the_numbers_come_again_from_the_samples_to_the_bit(
    whole: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = whole.folder
    monkeypatch.chdir(whole.cwd)
    texts = {name: (folder / name).read_bytes() for name in ("results.json", "results.md")}
    assert main(["evaluate", f"from={folder}", "ks=[3]"]) == 0
    other = read(folder)["sets"]["mine"]["metrics"]
    assert {"pass@3", "maj@3"} <= set(other)
    assert main(["evaluate", f"from={folder}"]) == 0
    assert {name: (folder / name).read_bytes() for name in texts} == texts
    assert main(["evaluate", f"from={folder}", "samples=8"]) == 2
    assert "samples nothing" in capsys.readouterr().err
    assert main(["evaluate", f"from={folder}", "ks=[5]"]) == 2
    assert main(["evaluate", "from=nowhere"]) == 2
    assert {name: (folder / name).read_bytes() for name in texts} == texts
    shutil.copytree(folder, whole.cwd / "copy")
    assert main(["evaluate", "from=copy", "baseline=null"]) == 0
    assert "baseline" not in read(whole.cwd / "copy")
    assert main(["evaluate", "from=copy", f"baseline={folder}"]) == 0
    gain = read(whole.cwd / "copy")["baseline"]["sets"]["mine"]["maj@4"]
    assert (gain["mean"], gain["problems"], gain["changed"]) == (0, PROBLEMS, 0)
    assert not (whole.cwd / "copy" / "baseline_results" / "samples.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["problems=arithmetic"], "model.path must be given"),
        (["model=x"], "problems is empty: name sets"),
        (["model=./nowhere", "problems=arithmetic"], "model=./nowhere: there is no such folder"),
        (["model=RUN", "problems=arithmetic"], "holds no model (no config.json); did you mean"),
        (["model=x", "problems=arithmtic"], "did you mean 'arithmetic'"),
        (["model=x", "problems=arithmetic", "temperature=0", "samples=2"], "no effect with temperature 0"),
        (["model=x", "problems=arithmetic", "ks=[2]"], "ks names 2, but must be 1 to samples=1"),
        (["model=x", "problems=arithmetic", "problems.by=[topic]"], "'topic', which no set has as a column"),
        (
            ["model=x", "problems=arithmetic", "baseline=/nowhere"],
            "baseline=/nowhere: there is no such folder",
        ),
        (["model=x", "problems=arithmetic", "sample=2"], "did you mean samples"),
        (
            ["model=MODEL", "problems=arithmetic", "max_tokens=64"],
            "are more than the model's own longest sequence=64",
        ),
        (["model=MODEL", "problems=arithmetic", "max_tokens=64", "problems.too_long=drop"], "none is left"),
        (["model=MODEL", "problems=arithmetic", "problems.chat=true"], "has no chat template"),
        (
            ["model=MODEL", "problems=arithmetic", "problems.chat_template_kwargs={a: 1}"],
            "prompt.chat_template_kwargs has no effect without a chat template",
        ),
        (["model=LONG", "problems=arithmetic"], "LongRoPE: up to model.max_length=16 it is one model"),
        (["model=IMAGES", "problems=arithmetic"], "gemma3 reads more than text"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    arguments: list[str],
    said: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    factors = {"short_factor": [1.0] * 16, "long_factor": [2.0] * 16}
    longrope = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 16, **factors}
    places = {"MODEL": str(model), "RUN": str(model.parent)}
    for place, changes in {
        "LONG": {"rope_parameters": longrope},
        "IMAGES": {"model_type": "gemma3", "text_config": {}, "vision_config": {}},
    }.items():
        config = json.loads((model / "config.json").read_text()) | changes
        shutil.copytree(model, tmp_path / place)
        (tmp_path / place / "config.json").write_text(json.dumps(config))
        places[place] = str(tmp_path / place)
    given = arguments
    for place, path in places.items():
        given = [argument.replace(f"={place}", f"={path}") for argument in given]
    assert main(["evaluate", *given]) == 2
    assert said in capsys.readouterr().err
