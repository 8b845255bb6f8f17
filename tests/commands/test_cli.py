"""The `rlvr` command: what it says, what it imports, and how Hydra's own flags work with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import rlvr
from rlvr.commands.cli import main
from rlvr.pipeline.config import RunConfig

RLVR = Path(sys.executable).with_name("rlvr")
HEAVY = ("torch", "ray", "vllm", "deepspeed", "transformers", "hydra", "sympy", "numpy", "pandas")


def command(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`rlvr …` as a user types it in `cwd`, without our folder on the Python path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(RLVR), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


def imported(script: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `script`."""
    code = (
        f"import sys\n{script}\nprint(sorted({{m.partition('.')[0] for m in sys.modules}}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    names: list[str] = yaml.safe_load(done.stderr.splitlines()[-1])
    return set(names)


@pytest.mark.parametrize(
    "script",
    [
        "import rlvr",
        "from rlvr.commands.cli import main; main(['--help'])",
        "from rlvr.commands.cli import main; main(['--version'])",
        "from rlvr.commands.cli import main; main(['trian'])",
    ],
)
def test_what_needs_no_engine_imports_none(script: str) -> None:
    assert imported(script) & set(HEAVY) == set()


def test_composing_a_configuration_imports_no_engine() -> None:
    script = "from rlvr.commands.cli import main\nassert main(['train', '--cfg', 'job']) == 0"
    assert imported(script) & {"torch", "ray", "vllm", "deepspeed", "transformers"} == set()


def test_help_version_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "rlvr train experiment=quickstart" in shown
    assert main([]) == 2  # with the same text
    assert capsys.readouterr().out == shown
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{rlvr.__version__}\n"
    assert main(["trian"]) == 2
    said = capsys.readouterr()
    assert "no command 'trian'" in said.err
    assert "train" in said.err
    assert said.out == ""


def test_the_configuration_can_be_seen_from_any_folder(tmp_path: Path) -> None:
    done = command(tmp_path, "train", "experiment=quickstart", "rl.steps=7", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    tree = yaml.safe_load(done.stdout)
    assert tree["rl"]["steps"] == 7
    assert tree["stages"] == ["sft", "rl"]  # of the experiment
    assert tree["learner"]["micro_batch_tokens"] == 2048  # of the dataclass
    assert tree["reward"]["functions"]["math"]["_target_"] == "rlvr.rewards.math.math_reward"  # of the group
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    """A user's own folder: a reward function, and a configuration group that names it."""
    (tmp_path / "my_rewards.py").write_text(
        "def short(completion, limit):\n    return float(len(completion) <= limit)\n"
    )
    group = tmp_path / "my_conf" / "reward"
    group.mkdir(parents=True)
    (group / "mine.yaml").write_text("functions:\n  short:\n    _target_: my_rewards.short\n    limit: 9\n")
    return tmp_path


def test_a_users_own_group_and_reward_function_are_found(user_folder: Path) -> None:
    mine = ["train", "--config-dir=my_conf", "reward=mine", "sampling.max_tokens=16"]
    shown = command(user_folder, *mine, "--cfg", "job")
    assert shown.returncode == 0, shown.stderr
    assert yaml.safe_load(shown.stdout)["reward"]["functions"] == {
        "short": {"_target_": "my_rewards.short", "limit": 9}
    }
    # the function is looked at before anything starts: its one fault here is the argument
    refused = command(user_folder, *mine, "+reward.functions.short.limt=3")
    assert refused.returncode == 2
    assert "reward.functions.short.limt: my_rewards.short does not take 'limt'" in refused.stderr
    assert "did you mean 'limit'?" in refused.stderr


def test_a_resume_needs_no_folder_of_groups(user_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run keeps of its configuration is whole, as its hint to go on takes it to be."""
    monkeypatch.chdir(user_folder)
    monkeypatch.syspath_prepend(user_folder)
    seen: list[RunConfig] = []

    def runs(config: RunConfig, folder: Path, saved: str, *_: object) -> None:
        seen.append(config)
        (folder / "config.yaml").write_text(saved)

    monkeypatch.setattr("rlvr.pipeline.run.run_pipeline", runs)
    mine = ["--config-dir=my_conf", "reward=mine", "sampling.max_tokens=16", "hydra.run.dir=my run"]
    assert main(["train", *mine]) == 0
    shutil.rmtree("my_conf")
    assert main(["train", "resume=my run"]) == 0
    assert seen[0] == seen[1]
    assert seen[1].reward.functions["short"]["_target_"] == "my_rewards.short"


def test_a_sweep_is_one_run_for_each_value_and_its_folder_is_the_users_to_name(tmp_path: Path) -> None:
    """The jobs end at a check that comes after composing, so that no engine is needed."""
    done = command(tmp_path, "train", "-m", "seed=3,4", "hydra.sweep.dir=sweep", "rl.group_size=1")
    assert done.returncode == 2
    assert "rl.group_size=1 gives no gradient" in done.stderr
    # one failure does not end it
    overrides = {
        yaml.safe_load(path.read_text())[0]: path.parent.parent.name
        for path in tmp_path.glob("sweep/*/.hydra/overrides.yaml")
    }
    assert overrides == {"seed=3": "seed=3", "seed=4": "seed=4"}


def test_a_run_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    done = command(tmp_path, "train", "hydra.run.dir=there", "rl.group_size=1")
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())  # a run that is refused leaves nothing


def test_a_problem_source_that_raises_is_told_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "my_problems.py").write_text("def none(**given):\n    return 1 / 0\n")
    done = command(
        tmp_path,
        "train",
        "problems.train._target_=my_problems.none",
        "sampling.max_tokens=16",
    )
    assert done.returncode == 2
    assert "problems.train: my_problems.none raised ZeroDivisionError" in done.stderr
    assert "my_problems.py:2" in done.stderr


@pytest.mark.parametrize(
    ("name", "shown", "not_shown"),
    [
        ("train", ["resume=FOLDER", "--plan", " -m ", "experiment  ablation, quickstart"], ["protocol"]),
        (
            "recipe",
            ["resume=FOLDER", "--plan", " -m ", "recipe     leave_one_out, own_data"],
            ["experiment="],
        ),
        ("evaluate", ["from=FOLDER", " -m ", "baseline=", "protocol  phi4"], ["--plan", "resume="]),
        ("audit", ["audit.out=", "problems  arithmetic"], ["--plan", "resume=", " -m "]),
    ],
)
def test_a_commands_help_says_what_it_takes(
    name: str, shown: list[str], not_shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert main([name, "-h"]) == 0
    assert capsys.readouterr().out == text
    for words in [f"rlvr {name}", "--cfg job", "--config-dir", *shown]:
        assert words in text
    assert not [words for words in ["powered by Hydra", *not_shown] if words in text]
    assert max(map(len, text.splitlines())) <= 110


def test_help_knows_the_users_groups(user_folder: Path) -> None:
    done = command(user_folder, "train", "--config-dir=my_conf", "--help")
    assert " mine, " in done.stdout
    assert done.returncode == 0


COMPLETE = """
eval "$(rlvr {}-sc install=bash)"
for COMP_LINE in 'rlvr tr' 'rlvr train algorithm=da' 'rlvr train experiment=quickstart rl.ste' 'rlvr view r'
do
    COMP_WORDS=($COMP_LINE); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
    hydra_bash_completion; echo "${{COMPREPLY[*]}}"
done
"""


@pytest.mark.parametrize("after", ["", "train "])
def test_the_shell_completes_commands_groups_and_settings(after: str, tmp_path: Path) -> None:
    path = os.pathsep.join([str(RLVR.parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", COMPLETE.format(after)],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines() == ["train", "algorithm=dapo", "rl.steps=", ""]
    assert done.stderr == ""


def test_completion_without_a_shell_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-sc"]) == 2
    said = capsys.readouterr().err
    assert 'eval "$(rlvr -sc install=bash)"' in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("ascii_only", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_a_terminal_without_our_characters_ends_nothing(ascii_only: dict[str, str], tmp_path: Path) -> None:
    def said(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [str(RLVR), "train", *arguments],
            cwd=tmp_path,
            env=os.environ | ascii_only,
            capture_output=True,
            timeout=120,
        )
        return done.returncode, (done.stdout + done.stderr).decode("ascii")

    code, plan = said("experiment=quickstart", "--plan")
    assert code == 0, plan
    assert "?" in plan
    code, error = said("reward.weights.math=2")
    assert code == 2
    assert "add it with +reward.weights.math=" in error
    assert "Traceback" not in error
