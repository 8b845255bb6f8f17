"""`import rlvr`: what a notebook has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import rlvr
from rlvr.pipeline.status import Outcome, State, write_outcome
from rlvr.record.journal import journal_path, write_journal
from rlvr.record.sinks import JsonLines
from rlvr.types import ConfigError, DataError
from tests.groups import group


def test_it_is_light_to_import_and_has_all_that_it_names() -> None:
    code = "import sys, rlvr; print(sorted({'torch', 'ray', 'hydra', 'pandas', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    for name in rlvr.__all__:
        assert getattr(rlvr, name) is not None
    with pytest.raises(AttributeError, match="trian"):
        rlvr.trian  # type: ignore[attr-defined]  # noqa: B018


def test_an_answer_is_verified_by_the_package_of_that_name() -> None:
    import rlvr.verify

    assert rlvr.verify(r"so it is \boxed{\frac12}", "0.5").status is rlvr.Status.CORRECT
    assert rlvr.verify("The answer is 3.", "4").status is rlvr.Status.WRONG
    assert rlvr.verify("1/2", "0.5", correct=2.0).reward == 2.0
    assert rlvr.verify.check_answer("1/2", "0.5").status is rlvr.Status.CORRECT


def a_run(folder: Path) -> Path:
    """With a warm start of two steps, and a step of RL with two rollouts."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"stages": ["sft", "rl"], "seed": 3}))
    (folder / "stages.json").write_text(json.dumps({"base": "base", "sft": "../stages/sft-1", "rl": "rl"}))
    for stage, steps in (("../stages/sft-1", 2), ("rl", 1)):
        log = JsonLines(folder / stage / "metrics.jsonl")
        for step in range(1, steps + 1):
            log.log(step, {"train/loss": 1 / step})
        log.close()
        made = {"path": f"checkpoints/step_00000{steps}/model", "outside": None}
        (folder / stage / "manifest.json").write_text(
            json.dumps({"kind": "rl" if stage == "rl" else "warm_start", "made": made})
        )
    (folder / "base").mkdir()
    (folder / "base" / "manifest.json").write_text('{"kind": "base", "made": {"path": null, "outside": "m"}}')
    write_journal(journal_path(folder / "rl", "train", 1), [group([1.0, 0.0], "p")])
    return folder


def test_a_run_is_read_as_data_frames(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    run = rlvr.Run(folder)
    assert run.config["seed"] == 3
    assert run.metrics[["stage", "step", "train/loss"]].to_numpy().tolist() == [
        ["sft", 1, 1.0],
        ["sft", 2, 0.5],
        ["rl", 1, 1.0],
    ]
    rollouts = run.rollouts()
    assert rollouts["reward"].tolist() == [1.0, 0.0]
    assert rollouts["status"].tolist() == ["correct", "wrong"]
    assert set(rollouts["problem_id"]) == {"p"}
    assert run.rollouts("rl", "train", step=1).equals(rollouts)
    assert run.model_path == str(folder / "rl/checkpoints/step_000001/model")
    for stage, kind in ((None, "heldout"), ("sft", "train")):
        with pytest.raises(DataError, match=rf"no {kind} rollouts.*there are: rl \(train\)$"):
            run.rollouts(stage, kind)


def test_the_status_is_that_of_the_moment(tmp_path: Path) -> None:
    run = rlvr.Run(a_run(tmp_path / "run"))
    assert run.status is State.DONE  # all of its stages are
    (run.folder / "rl" / "manifest.json").unlink()
    assert run.status is State.KILLED
    for status, state in (("failed", State.FAILED), ("stopped", State.STOPPED), ("done", State.DONE)):
        write_outcome(run.folder, Outcome(status))
        assert run.status is state
        assert str(state) in repr(run)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        rlvr.Run(tmp_path / "nowhere")


def test_a_wrong_setting_is_an_exception_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"did you mean rl\.steps"):
        rlvr.train(["experiment=quickstart", "rl.stps=5"])
    with pytest.raises(ConfigError, match="gives no gradient"):
        rlvr.train(["experiment=quickstart", "rl.group_size=1"])
    with pytest.raises(ConfigError, match=r"holds no config\.yaml"):
        rlvr.train(["resume=nowhere"])
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_run_from_python_is_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for its engines, which tests/pipeline/test_run.py starts: what they would be given."""
    begun: list[tuple[object, ...]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rlvr.commands.api.print_records", lambda *_, **__: None)
    monkeypatch.setattr("rlvr.commands.api.run_pipeline", lambda *given: begun.append(given))
    run_config = "seed: 4\n"
    monkeypatch.setattr(rlvr.Run, "__init__", lambda self, folder: setattr(self, "folder", Path(folder)))
    run = rlvr.train(["experiment=quickstart", "rl.steps=5", "seed=4", "hydra.run.dir=there"])
    ((config, folder, saved, overrides, command, resumed),) = begun
    assert (config.rl.steps, config.seed, config.stages) == (5, 4, ["sft", "rl"])  # type: ignore[attr-defined]
    assert folder == run.folder == tmp_path / "there"
    assert run_config in str(saved)
    assert overrides == ["experiment=quickstart", "rl.steps=5", "seed=4"]
    assert (command, resumed) == ("train", False)
    (folder / "config.yaml").write_text(str(saved))
    rlvr.train([f"resume={folder}", "rl.steps=9"])
    config, again, _, overrides, _, resumed = begun[-1]
    assert (config.rl.steps, config.seed) == (9, 4)  # type: ignore[attr-defined]
    assert (again, overrides, resumed) == (folder, ["rl.steps=9"], True)
