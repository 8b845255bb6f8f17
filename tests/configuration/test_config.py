"""What `rlvr train` says to a configuration that is wrong, before anything is started or written."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

import rlvr
from rlvr.commands.cli import main
from rlvr.configuration import compose
from rlvr.configuration.arguments import parsed, readable, resume_arguments
from rlvr.configuration.keys import added_keys, all_keys, config_folder
from rlvr.configuration.messages import unknown_key
from rlvr.learner.config import LoraConfig
from rlvr.pipeline.config import KINDS, RunConfig
from rlvr.types import ConfigError, RlvrError

SMALL = ["sampling.max_tokens=16"]  # fits the scratch model's length
DATA = '{"problem": "1+1=?", "answer": "2"}\n'


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own folder, and what the command changes in the process put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    Path("plain.jsonl").write_text(DATA)
    Path("broken.jsonl").write_text(DATA + '{"problem": "1+2=?" "answer": "3"}\n')


CASES = {
    "unknown key": (["rl.stepz=3"], ["rl.stepz", "no setting", "did you mean rl.steps?"]),
    "added key": (["+rl.stepz=3"], ["rl.stepz", "no setting", "did you mean rl.steps?"]),
    "key of the wrong section": (["rl.lr=1"], ["rl.lr", "did you mean", "rl.optimizer.lr"]),
    "wrong type": (["rl.steps=many"], ["rl.steps", "'many'", "Integer"]),
    "list for a number": (["rl.steps=[1]"], ["rl.steps", "'[1]'", "Integer"]),
    "number for a list": (["stages=sft"], ["stages", "not a ListConfig"]),
    "out of range": (["rl.steps=0"], ["rl.steps is 0", "≥ 1"]),
    "no such choice": (["learner.dtype=float64"], ["learner.dtype is 'float64'", "float32, bfloat16"]),
    "unknown option": (["reward=mathh"], ["reward=mathh", "math", "math_format"]),
    "unknown stage": (["stages=[grop]"], ["stages names 'grop'", "there are: synthesize, select, distill"]),
    "a stage twice": (["stages=[rl,rl]"], ["stages is ['rl', 'rl']", "name each stage at most once"]),
    "unknown tracker": (["record.trackers=[wandbb]"], ["record.trackers", "did you mean 'wandb'?"]),
    "rl key without rl": (["stages=[sft]", "rl.steps=3"], ["rl.steps is not used by", "remove it"]),
    "sft key without sft": (["stages=[rl]", "sft.steps=3"], ["sft.steps is not used by", "remove it"]),
    "held-out set without rl": (
        ["stages=[select]", "problems.heldout.n=9"],
        ["problems.heldout.n is not used by the stages"],
    ),
    "path to no module": (
        ["problems.train._target_=nowhere.at_all"],
        ["problems.train", "'nowhere.at_all'", "no module 'nowhere'"],
    ),
    "path to no function": (
        ["problems.train._target_=rlvr.problems.generated.arithmetics"],
        ["problems.train", "no 'arithmetics'", "did you mean 'arithmetic'?"],
    ),
    "path of a reward": (
        ["reward.functions.math._target_=rlvr.rewards.math.maths_reward"],
        ["reward.functions.math", "no 'maths_reward'", "did you mean 'math_reward'?"],
    ),
    "argument not taken": (
        ["+problems.train.levels=3"],
        ["problems.train.levels", "does not take 'levels'", "did you mean 'level'?"],
    ),
    "argument of the loss": (
        ["+algorithm.loss.clip_hihg=1"],
        ["algorithm.loss.clip_hihg", "does not take", "did you mean 'clip_high'?"],
    ),
    "weight of no function": (
        ["+reward.weights.maths=2"],
        ["reward.weights names 'maths', which is", "did you mean 'math'?"],
    ),
    "group of one": (["rl.group_size=1"], ["rl.group_size=1 gives no gradient"]),
    "samples of greedy decoding": (
        ["evaluation.samples=4", "evaluation.temperature=0"],
        ["evaluation.samples=4 has no effect", "temperature 0"],
    ),
    "end of no decay": (
        ["rl.optimizer.final_lr_ratio=0.1"],
        ["rl.optimizer.final_lr_ratio has no effect", "linear or cosine"],
    ),
    "endless warm-up": (
        ["rl.optimizer.warmup_steps=50", "rl.steps=50"],
        ["rl.optimizer.warmup_steps=50 never ends"],
    ),
    "system prompt without chat": (
        ["problems.prompt.system=hello"],
        ["prompt.system has no effect", "prompt.chat: true"],
    ),
    "held-out problems that are trained on": (
        ["problems.heldout.split=train"],
        ["problems.heldout shares", "problems with problems.train"],
    ),
    "no worked solutions": (
        ["stages=[sft,rl]", "problems=file", "problems.train.path=plain.jsonl"],
        ["sft", "no worked solution", "'plain-1'"],
    ),
    "no room for a prompt": (
        ["sampling.max_tokens=512"],
        ["sampling.max_tokens=512 leaves no room", "model.max_length=512"],
    ),
    "no path of the file": (["problems=file"], ["problems.train.path must be given"]),
    "no path of the checkpoint": (["model=pretrained"], ["model.path=FOLDER"]),
    "absent file": (
        ["problems=file", "problems.train.path=absent.jsonl"],
        ["problems.train", "absent.jsonl: no such file"],
    ),
    "malformed file": (
        ["problems=file", "problems.train.path=broken.jsonl"],
        ["problems.train", "broken.jsonl:2"],
    ),
    "too many problems": (["problems.train.level=99"], ["problems.train", "no level 99"]),
    "no run to resume": (["resume=plain"], ["resume=plain", "no run folder"]),
    "nothing to resume": (["resume="], ["resume=", "no run folder"]),
    "more problems per step than there are": (
        ["problems=file", "problems.train.path=plain.jsonl"],
        ["rl.problems_per_step=32", "more than the 1 problems of problems.train"],
    ),
    "an order of problems that cannot be": (
        ["problems.order._target_=rlvr.problems.curriculum.PassRate", "+problems.order.hardness=-1"],
        ["problems.order", "hardness=-1 must be ≥ 0"],
    ),
    "weight without +": (
        ["reward.weights.math=2"],
        ["reward.weights has no math yet", "+reward.weights.math="],
    ),
    "cores of its own for a learner that takes turns": (
        ["cluster.learner_cores=1"],
        ["cluster.learner_cores has no effect: set cluster.placement=separate"],
    ),
    "a stale cache when nothing is under way": (
        ["rollout.keep_stale_cache=true"],
        ["rollout.keep_stale_cache has no effect: with rl.max_staleness=0"],
    ),
    "overlap on one GPU": (
        [
            "cluster.placement=colocated",
            "rl.max_staleness=1",
            "rollout.gpus_per_worker=1",
            "learner.gpus_per_worker=1",
        ],
        ["which cannot be done on shared GPUs"],
    ),
    "cores of a running cluster": (
        ["cluster.address=auto", "cluster.cpus=2"],
        ["cluster.cpus has no effect with cluster.address"],
    ),
    "evaluation of nothing": (
        ["problems=file", "problems.train.path=plain.jsonl", "evaluation.samples=4"],
        ["evaluation has settings", "set problems.heldout"],
    ),
    "no value": (["seed"], ["seed"]),
    "part of a section that is not there": (
        ["algorithm.critic.clip=0.3"],
        ["algorithm.critic is not set", "give 'algorithm={critic: {clip: 0.3}}'"],
    ),
    "added part of a section that is not there": (
        ["+model.scratch.layers=2", "model=pretrained", "model.path=plain"],
        ["model.scratch is not set", "give 'model={scratch: {layers: 2}}'"],
    ),
    "added section": (
        ["+algorithm.critic={clip: 0.3}"],
        ["algorithm.critic is not set", "give 'algorithm={critic: {clip: 0.3}}'"],
    ),
    "section that takes no values": (
        ["algorithm={critic: {clip: 0.3}}"],
        ["algorithm.critic has no effect: algorithm.advantage does not take `values`"],
    ),
    "adapters without a rank": (
        ["learner.lora.alpha=8"],
        ["learner.lora has settings", "no effect without learner.lora.rank"],
    ),
    "adapters of nothing": (
        ["learner.lora={rank: 8, target_modules: []}"],
        ["learner.lora.target_modules is empty"],
    ),
    "adapters of rank nought": (["+learner.lora.rank=0"], ["learner.lora.rank is 0", "≥ 1"]),
    "adapters and a reference that is reset": (
        ["+learner.lora.rank=8", "algorithm.kl.coef=0.1", "algorithm.kl.reset_every=5"],
        ["algorithm.kl.reset_every=5 does not work with learner.lora.rank", "the model without its adapters"],
    ),
    "heads that do not divide the width": (
        ["model.scratch.heads=3"],
        ["model.scratch.hidden_size=128", "heads=3"],
    ),
}


@pytest.mark.parametrize(("arguments", "said"), CASES.values(), ids=CASES.keys())
def test_a_wrong_configuration_stops_the_run_before_it_begins(
    arguments: list[str],
    said: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def begins(*given: object) -> None:
        raise AssertionError("the run began")

    monkeypatch.setattr("rlvr.pipeline.run.Pipeline.begin", begins)
    room = (
        [] if any("max_tokens" in argument or "stages=[sft]" in argument for argument in arguments) else SMALL
    )
    assert main(["train", *room, *arguments]) == 2
    message = capsys.readouterr().err
    for words in said:
        assert words in message
    assert "Traceback" not in message
    # a run locks its folder before it does anything else
    assert not list(tmp_path.rglob("run.lock"))


def test_a_folder_that_holds_a_run_is_not_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").mkdir()
    Path("taken/config.yaml").write_text("name: other\n")
    assert main(["train", *SMALL, "hydra.run.dir=taken"]) == 2
    assert "taken already holds a run: continue it with resume=" in capsys.readouterr().err
    assert Path("taken/config.yaml").read_text() == "name: other\n"


@pytest.mark.parametrize(("command", "kind"), [("evaluate", "an evaluation"), ("recipe", "a recipe")])
def test_a_folder_of_another_command_is_not_resumed(
    command: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other").mkdir()
    Path("other/config.yaml").write_text(f"# Of it.\ndefaults:\n  - {command}_schema\n  - _self_\nname: x\n")
    assert main(["train", "resume=other"]) == 2
    assert f"is the folder of {kind}, not of a training run" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "recipe"])
@pytest.mark.parametrize("name", ["name='a/../../b'", "name=../b", 'name="/b"', "name=/b"])
def test_a_name_stays_in_the_folder_of_runs(
    command: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert main([command, name]) == 2
    assert "leads out of runs/" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_in_a_file_stays_there_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine/experiment").mkdir(parents=True)
    Path("mine/experiment/out.yaml").write_text("# @package _global_\nname: a/../b\n")
    assert main(["train", "--config-dir=mine", "experiment=out"]) == 2
    assert "name=a/../b leads out of runs/" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "example"), [("train", "experiment"), ("recipe", "recipe")])
def test_a_bare_command_starts_nothing_and_says_what_could_be(
    command: str, example: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    assert main([command]) == 2
    assert f"\n  rlvr {command} {example}=quickstart\n" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("experment=quickstart", "no setting experment: did you mean experiment=ablation|quickstart?"),
        (
            "experiment=quikstart",
            "no experiment=quikstart: did you mean experiment=quickstart? There are: abl",
        ),
        ("reward=maths", "there is no reward=maths: did you mean reward=math? There are: "),
        ("reward=xyz", "there is no reward=xyz: There are: "),
    ],
)
def test_groups_have_nearest_names_too(argument: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", argument]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "benchmark=math500"], "rlvr train has no group benchmark; its groups: model, problems, "),
        (["audit", "model=scratch"], "rlvr audit has no group model; its groups: problems, reward"),
        (["train", "--config-dir=mine", "reward=mne"], "no reward=mne: did you mean reward=mine? There are:"),
        (["train", "reward=null"], "there is no reward=null: There are: "),
        (["train", "model=[scratch,b]"], "there is no model=b: There are: pretrained, scratch"),
        (
            ["train", "hydra/launcher=rai"],
            "no hydra/launcher=rai: did you mean hydra/launcher=ray? There are",
        ),
        (["train", "+seed=3"], "seed exists already: leave out the +"),
        (["train", "~rl.stepz"], "there is no setting rl.stepz: did you mean rl.steps?"),
        (["train", "rl={stepz: 1}"], "there is no setting rl.stepz: did you mean rl.steps?"),
        (["train", "seed=1,2"], "seed=1,2 gives several values: add -m to run each of them"),
        (["train", "experment=x", "rl.stepz=1"], "experment: did you mean experiment=ablation|quickstart?"),
        (["train", "experment=x", "rl.stepz=1"], "there is no setting rl.stepz: did you mean rl.steps?"),
        (["train", "seed=${nope}"], "seed: interpolation key 'nope' not found"),
    ],
)
def test_what_hydra_refuses_is_said_in_our_words(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine/reward").mkdir(parents=True)
    Path("mine/reward/mine.yaml").touch()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "full_key" not in error
    assert "hydra.cc" not in error


def test_a_users_group_that_an_experiment_adds_can_be_chosen_from(capsys: pytest.CaptureFixture[str]) -> None:
    for path, text in {
        "mine/experiment/e.yaml": "# @package _global_\ndefaults:\n  - /sizes: small\n",
        "mine/sizes/small.yaml": "# @package _global_\nrl: {steps: 3}\n",
        "mine/sizes/large.yaml": "# @package _global_\nrl: {steps: 9}\n",
    }.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    assert main(["train", "--config-dir", "mine", "experiment=e", "sizes=large", "--cfg", "job"]) == 0
    assert "steps: 9" in capsys.readouterr().out


def test_a_resume_keeps_its_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "experiment=quickstart", "--cfg", "job"]) == 0
    Path("runs/sweep/seed=0,x=1").mkdir(parents=True)
    saved = "defaults:\n  - train_schema\n  - _self_\n" + capsys.readouterr().out
    Path("runs/sweep/seed=0,x=1/config.yaml").write_text(saved)
    assert main(["train", "resume=runs/sweep/seed=0,x=1", "reward=exact"]) == 2
    assert "reward=exact: a resumed run keeps its reward; set single" in capsys.readouterr().err
    # the folder of an arm is read as it is written, and this is the one fault
    assert main(["train", "resume=runs/sweep/seed=0,x=1", "rl.group_size=1"]) == 2
    assert capsys.readouterr().err.startswith("rlvr: rl.group_size=1 gives no gradient")
    Path("runs/sweep/seed=0,x=1/config.yaml").write_text("a: [")
    assert main(["train", "resume=runs/sweep/seed=0,x=1"]) == 2
    assert "config.yaml is damaged" in capsys.readouterr().err


ARMS = ("runs/s/seed=0", "runs/s/seed=0,lr=1e-4/model", "runs/s/seed=1,lr=1e-4/model", "runs/a,b")


@pytest.mark.parametrize(
    ("argument", "read"),
    [
        *((f"model.path={arm}", f"model.path='{arm}'") for arm in ARMS),
        ("model.path=runs/s/seed=7", "model.path='runs/s/seed=7'"),  # where there is none, that is told later
        ("+x.path=/a/it's=1", "+x.path='/a/it\\'s=1'"),
        ("name=a,b", "name=a,b"),
        ("seed=3", "seed=3"),
        ("model.path='runs/s/seed=0'", "model.path='runs/s/seed=0'"),
        ('model.path="runs/s/seed=0"', 'model.path="runs/s/seed=0"'),
        ("model={path: 'a=b'}", "model={path: 'a=b'}"),
        ("seed=range(start=0,stop=3)", "seed=range(start=0,stop=3)"),
        ("problems.sets=[a,mine=f=1.jsonl]", "problems.sets=[a,'mine=f=1.jsonl']"),
        ("problems.sets=['x=y', a=b]", "problems.sets=['x=y', 'a=b']"),
        ("resume=runs/s/seed=0", "resume=runs/s/seed=0"),
        ("--config-dir=a=b", "--config-dir=a=b"),
    ],
)
def test_folders_of_arms_are_read_as_they_are_written(argument: str, read: str) -> None:
    for arm in ARMS:
        Path(arm).mkdir(parents=True)
    assert readable([argument]) == [read]
    assert readable([read]) == [read]
    if not argument.startswith(("resume=", "-")):
        assert parsed(read) is not None


def test_a_sweep_over_folders_of_arms_has_each_of_them() -> None:
    for arm in ARMS:
        Path(arm).mkdir(parents=True)
    swept = f"model.path={ARMS[1]},{ARMS[2]},m"
    assert readable([swept, "-m"]) == [f"model.path='{ARMS[1]}','{ARMS[2]}',m", "-m"]
    assert readable(["seed=0,1", "-m"]) == ["seed=0,1", "-m"]


def test_an_arms_folder_is_a_model_to_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["model=runs/s/seed=0/m", "problems=[gsm8k,mine=a=b.jsonl]", "baseline=runs/s/seed=1"]
    assert main(["evaluate", *given, "--cfg", "job"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["model"]["path"] == "runs/s/seed=0/m"
    assert shown["problems"]["sets"] == ["gsm8k", "mine=a=b.jsonl"]
    assert shown["baseline"] == "runs/s/seed=1"


def test_an_evaluation_is_told_how_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "model=m", "resume=runs/x"]) == 2
    assert "runs/x holds no config.yaml" in capsys.readouterr().err


def test_what_is_wrong_is_all_that_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["train", "rl.group_size=1"]) == 2
    assert capsys.readouterr().err.startswith("rlvr: rl.group_size=1 gives no gradient")
    assert main(["train", "rl.steps=0"]) == 2
    assert capsys.readouterr().err == "rlvr: rl.steps is 0, but must be ≥ 1\n"

    def fails(*given: object) -> None:
        raise RlvrError("the loss is nan")

    monkeypatch.setattr("rlvr.pipeline.run.run_pipeline", fails)
    assert main(["train", "seed=1"]) == 3
    assert capsys.readouterr().err == "rlvr: the loss is nan\n"


def test_all_faults_are_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "sampling.max_tokens=600", "rl.group_size=1", "+reward.weights.maths=1"]) == 2
    message = capsys.readouterr().err
    assert "sampling.max_tokens=600" in message
    assert "rl.group_size=1" in message
    assert "reward.weights names 'maths'" in message


def test_a_model_that_is_not_there_is_found_before_the_cluster_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    def starts(**options: object) -> None:
        raise AssertionError("the cluster was started")

    monkeypatch.setattr(ray, "init", starts)
    assert main(["train", *SMALL, "model=pretrained", "model.path=./nowhere"]) == 2
    assert "model.path=./nowhere" in capsys.readouterr().err


# --- nothing configured is ignored -------------------------------------------------------------------


def attributes_read(folder: Path) -> set[str]:
    """Every attribute that the package's code looks up, but in the files that declare settings."""
    found = set()
    for path in folder.rglob("*.py"):
        if path.name in ("config.py", "settings.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
    return found


def test_every_setting_is_read_somewhere() -> None:
    read = attributes_read(Path(rlvr.__file__).parent)
    keys = {*all_keys(RunConfig), *all_keys(RunConfig)}
    unread = {key for key in keys if key.rpartition(".")[2] not in read}
    # this one is read before there is a RunConfig: Hydra names the run's folder by it; and a recipe reads
    # the section of a stage by the stage's name
    assert unread - {"name", *KINDS} == set()
    assert "${name}" in (config_folder() / "train.yaml").read_text()
    Path("config.yaml").touch()
    assert f'hydra.run.dir="{Path.cwd()}"' in resume_arguments(["resume=."], "train")


def test_all_keys_finds_nested_ones_behind_optional_sections_too() -> None:
    keys = list(all_keys(RunConfig))
    assert len(keys) == len(set(keys))
    assert {"seed", "rl", "rl.steps", "rl.optimizer.lr", "sft.optimizer.lr"} <= set(keys)
    assert "model.scratch.hidden_size" in keys  # scratch may be None
    assert "problems.prompt.template" in keys


@pytest.mark.parametrize(
    "given",
    [
        ["learner.lora.rank=8"],
        ["+learner.lora.rank=8"],
        ["learner.lora={rank: 8}"],
        ["+learner.lora={rank: 8}"],
        ["learner={lora: {rank: 8}}"],
    ],
)
@pytest.mark.usefixtures("hydra_folder")
def test_adapters_are_switched_on_however_one_writes_it(given: list[str]) -> None:
    assert compose.to_config(hydra_compose("train", overrides=given)).learner.lora == LoraConfig(rank=8)


def test_an_error_of_the_job_is_not_taken_for_one_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*given: object) -> None:
        raise AssertionError("of the job")

    monkeypatch.setattr("rlvr.pipeline.run.run_pipeline", fails)
    with pytest.raises(AssertionError, match="of the job"):
        main(["train", "algorithm=ppo", "algorithm.critic.clip=0.3"])


# --- conf/ -------------------------------------------------------------------------------------------

FOLDER = config_folder()
OF_EVALUATION = ("benchmark", "protocol")  # tests/problems/test_evaluation_sets.py composes these
OPTIONS = sorted(
    str(path.relative_to(FOLDER).with_suffix(""))
    for path in FOLDER.rglob("*.yaml")
    if path.parent != FOLDER and path.parent.name not in OF_EVALUATION
)


@pytest.fixture
def hydra_folder() -> Iterator[None]:
    compose.register_schema()
    with initialize_config_dir(config_dir=str(FOLDER), version_base="1.3"):
        yield


TO_BE_GIVEN = {
    "algorithm/grpo_noise": {
        "algorithm.advantage.false_positive": "0.1",
        "algorithm.advantage.false_negative": "0.2",
    },
    "problems/file": {"problems.train.path": "mine.jsonl"},
    "problems/choices": {"problems.train.problems.path": "mine.jsonl"},
    "reward/json_schema": {"reward.functions.json_schema.schema": "{type: object}"},
    "reward/judge": {"reward.functions.judge.model": "some-model"},
    "reward/regex": {"reward.functions.regex.pattern": "qed"},
}


@pytest.mark.usefixtures("hydra_folder")
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_to_a_valid_configuration(option: str) -> None:
    group, _, name = option.rpartition("/")
    missing = TO_BE_GIVEN.get(option, {})
    command, schema = ("recipe", RunConfig) if group == "recipe" else ("train", RunConfig)
    for key in missing:
        with pytest.raises(ConfigError, match=rf"{re.escape(key)} must be given"):
            compose.to_config(hydra_compose(command, overrides=[f"{group}={name}"]), schema)
    given = [f"{key}={value}" for key, value in missing.items()]
    config = compose.to_config(hydra_compose(command, overrides=[f"{group}={name}", *given]), schema)
    assert isinstance(config, RunConfig)
    if option == "model/pretrained":
        assert config.model.scratch is None


def test_options_are_all_there_is_in_the_configuration_folder() -> None:
    assert {"model/scratch", "problems/arithmetic", "reward/math", "experiment/quickstart"} <= set(OPTIONS)


# --- what is said ------------------------------------------------------------------------------------


@dataclass
class Inner:
    width: int = 1


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None


def test_keys_that_the_schema_lacks_are_found_at_every_depth() -> None:
    tree = Outer(maybe=Inner())
    vars(tree)["first"] = 1
    vars(tree.inner)["second"] = 2
    vars(tree.maybe)["third"] = 3
    assert set(added_keys(tree)) == {"first", "inner.second", "maybe.third"}
    assert list(added_keys(Outer())) == []


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("gpro.steps", "rl.steps"),
        ("sampling.temprature", "sampling.temperature"),
        ("learning_rate.warmup_steps", "optimizer.warmup_steps"),
        ("sed", "seed"),
    ],
)
def test_the_nearest_key_is_suggested(key: str, near: str) -> None:
    assert near in unknown_key(key, RunConfig)
