"""What `rlvr recipe` says to a recipe that is wrong, before anything is started or written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rlvr.commands.cli import main

SMALL = ["problems.train.n=40", "problems.heldout.n=10", "sampling.max_tokens=16"]
OWN = ["recipe=own_data", "model=scratch", "problems.prompt.chat=false", "sampling.max_tokens=16"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own folder, and what the command changes in the process put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    Path("other.jsonl").write_text('{"problem": "1 + 1 = ?", "answer": "2"}\n')


CASES = {
    "no such stage": (["stages=[sftt]"], ["stages names 'sftt'", "did you mean 'sft'"]),
    "a stage twice": (["stages=[sft,sft]"], ["name each stage at most once"]),
    "data of a stage that comes later": (
        ["stages=[midtrain,distill]"],
        ["midtrain.data names 'distill'", "stages must name distill before midtrain"],
    ),
    "a teacher that comes later": (
        ["stages=[distill,sft]", "distill.teacher=sft"],
        ["distill.teacher=sft is a stage", "not one before distill"],
    ),
    "settings of a stage that does not run": (
        ["stages=[sft]", "rl.steps=3"],
        ["rl.steps is not used by the stages sft"],
    ),
    "steps and epochs": (["stages=[sft]", "sft.epochs=2"], ["sft.steps and sft.epochs: both are given"]),
    "neither steps nor epochs": (["stages=[sft]", "sft.steps=null"], ["neither is given"]),
    "two warm-ups": (
        ["stages=[sft]", "sft.optimizer.warmup_steps=2", "sft.optimizer.warmup_ratio=0.1"],
        ["sft.optimizer.warmup_steps and warmup_ratio are both given"],
    ),
    "a trainer that is none": (
        ["stages=[sft]", "sft.trainer._target_=rlvr.stages.sft.Sftt"],
        ["sft.trainer", "did you mean 'Sft'"],
    ),
    "an argument that the trainer does not take": (
        ["stages=[sft]", "+sft.trainer.beta=1"],
        ["sft.trainer.beta", "does not take 'beta'"],
    ),
    "a loss of pairs that is none": (
        ["stages=[distill,dpo]", "dpo.trainer.loss=hinge", "dpo.trainer.beta=-1"],
        ["dpo.trainer.loss is 'hinge'", "sigmoid, ipo", "dpo.trainer.beta is -1"],
    ),
    "filters that contradict one another": (
        ["stages=[sft]", "sft.choose.min_pass_rate=0.9", "sft.choose.max_pass_rate=0.1"],
        ["sft.choose.min_pass_rate is 0.9, above"],
    ),
    "validation without a share": (
        ["stages=[sft]", "sft.validation.patience=5"],
        ["sft.validation has settings", "share 0"],
    ),
    "an own stage with a setting that is none": (
        ["stages=[mine]", "+trainers.mine={stepz: 3}"],
        ["trainers.mine", "stepz"],
    ),
    "an own stage out of range": (
        ["stages=[mine]", "+trainers.mine={batch_size: 0}"],
        ["trainers.mine.batch_size is 0", "≥ 1"],
    ),
    "on-policy distillation of nobody": (["stages=[opd]"], ["opd.teacher must be given"]),
    "on-policy distillation of itself": (
        ["stages=[opd]", "opd.teacher=previous"],
        ["other than the student"],
    ),
    "more problems a step than there are": (
        ["stages=[opd]", "opd.teacher=x/y", "opd.loop.problems_per_step=999"],
        ["opd.loop.problems_per_step=999 is more than the 40 problems of problems.train"],
    ),
    "an endpoint and a teacher": (
        ["stages=[distill]", "distill={teacher: x, endpoint: {base_url: 'http://h/v1', model: m}}"],
        ["distill.teacher=x has no effect"],
    ),
    "an endpoint without a model": (
        ["stages=[distill]", "distill={endpoint: {base_url: 'http://h/v1'}}"],
        ["distill.endpoint.model must be given"],
    ),
    "settings of a chat template that is the endpoint's": (
        [
            "stages=[distill]",
            "distill={endpoint: {base_url: 'http://h/v1', model: m}, "
            "prompt: {chat: true, chat_template_kwargs: {a: 1}}}",
        ],
        ["distill.prompt.chat_template_kwargs has no effect: the endpoint has the chat template"],
    ),
    "settings of a chat template without chat": (
        ["problems.prompt.chat_template_kwargs={enable_thinking: false}"],
        ["prompt.chat_template_kwargs has no effect without a chat template"],
    ),
    "answers longer than the context": (
        ["stages=[distill]", "distill.max_tokens=999"],
        ["distill: answers of 999 tokens leave no room"],
    ),
    "synthesis of nothing": (["stages=[synthesize]"], ["synthesize has nothing to do"]),
    "a set that is measured and not": (
        ["stages=[sft]", "+unseen.heldout={_target_: rlvr.problems.files.from_file, path: other.jsonl}"],
        ["unseen.heldout has the name of an evaluation set"],
    ),
    "a set that shares problems with those that are trained on": (
        [
            "stages=[sft]",
            "problems=file",
            "problems.train.path=other.jsonl",
            "+benchmarks.twin={_target_: rlvr.problems.files.from_file, path: other.jsonl}",
        ],
        ["twin shares 1 problems with problems.train"],
    ),
    "problems without solutions": (
        ["stages=[sft]", "problems=file", "problems.train.path=other.jsonl"],
        ["stages names sft, but 1 problems have no worked solution"],
    ),
}


@pytest.mark.parametrize(("arguments", "said"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("plan", [[], ["--plan"]], ids=["run", "plan"])
def test_a_wrong_recipe_stops_before_it_begins(
    arguments: list[str],
    said: list[str],
    plan: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def begins(*given: object) -> None:
        raise AssertionError("the recipe began")

    monkeypatch.setattr("rlvr.pipeline.run.Pipeline.begin", begins)
    changes_source = any(argument.startswith("problems=") for argument in arguments)
    small = SMALL[2:] if changes_source else SMALL
    assert main(["recipe", *small, *arguments, *plan]) == 2
    message = capsys.readouterr().err
    for words in said:
        assert words in message
    assert "Traceback" not in message
    assert not list(tmp_path.rglob("run.lock"))


def test_a_file_that_a_recipe_needs_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", *OWN]) == 2
    assert "problems.path must be given" in capsys.readouterr().err


def test_a_file_that_no_source_reads_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", *SMALL, "stages=[sft]", "problems.path=other.jsonl"]) == 2
    assert "problems.path=other.jsonl is read by no source" in capsys.readouterr().err


def test_a_plan_of_what_is_not_here_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "recipe=qwen2.5_0.5b_gsm8k", "--plan"]) == 0
    said = capsys.readouterr().out
    assert "problems not downloaded yet" in said
    assert "openai/gsm8k" in said
    assert "distill.teacher: Qwen/Qwen2.5-Math-1.5B-Instruct" in said
    assert not list(Path.cwd().glob("runs*"))


@pytest.mark.parametrize("recipe", ["quickstart", "leave_one_out", "phi4_mini_reasoning"])
def test_every_recipe_can_be_planned(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", f"recipe={recipe}", "--plan"]) == 0
    assert "| rl" in capsys.readouterr().out
