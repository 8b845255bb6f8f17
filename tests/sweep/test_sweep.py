"""Sweeps: which arms there are, where they lie, what is left to do, and what is said of those that fail.

Arms run by launchers of this file, which only say how an arm ended; test_sweep_run.py runs real ones.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from run_command import complete

from rlvr.base.stopping import StopRequest
from rlvr.commands.cli import main
from rlvr.commands.records import print_records
from rlvr.configuration import compose
from rlvr.configuration.keys import config_folder
from rlvr.pipeline.arms import LONGEST, Arm, Identity, arm_name, write_arm
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.folders import Folders, claimed
from rlvr.pipeline.graph import Outside, build
from rlvr.pipeline.status import Outcome, read_outcome, recorded, write_outcome
from rlvr.record.run_folder import RunFolder
from rlvr.sweep.launchers import own_cores, sequential
from rlvr.sweep.parallel import keep_busy
from rlvr.types import ConfigError, DataError, Problem, RlvrError, RunInterrupted, StallError

SMALL = ["sampling.max_tokens=16", "model.max_length=64"]
STUB = "hydra.launcher._target_=test_sweep."


def note(arm: Arm) -> dict[str, str]:
    """Write down that an arm ran; its values."""
    with Path("ran.txt").open("a") as file:
        file.write(f"{arm.name}\n")
    overrides = json.loads((arm.folder / "arm.json").read_text())["overrides"]
    return dict(override.lstrip("+").split("=", 1) for override in overrides)


def ran() -> list[str]:
    """The arms that ran since the last look."""
    path = Path("ran.txt")
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def finish(arms: Sequence[Arm], sweep: Any) -> None:
    for arm in arms:
        values = note(arm)
        value = 1 - (float(values.get("sampling.temperature", "1")) - 0.7) ** 2
        write_outcome(arm.folder, Outcome("done", value=value))


def fail_seed_1(arms: Sequence[Arm], sweep: Any) -> None:
    for arm in arms:
        failed = note(arm).get("seed") == "1"
        write_outcome(arm.folder, Outcome("failed", 3, "the loss is\nnan") if failed else Outcome("done"))


def stop_after_first(arms: Sequence[Arm], sweep: Any) -> None:
    note(arms[0])
    write_outcome(arms[0].folder, Outcome("done", value=0.5))
    sweep.stop.signal = signal.SIGTERM


def timed(completion: str, timeout: int) -> float:
    return 0.0


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def sweep(*arguments: str, launcher: str = "finish") -> int:
    return main(["train", "-m", *SMALL, f"{STUB}{launcher}", *arguments])


def folders(root: str = "runs/run") -> list[Path]:
    return sorted(Path(root).glob("sweep-*"))


# --- arms and their names ----------------------------------------------------------------------------

values = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=200)


@given(st.lists(st.tuples(st.sampled_from(["seed", "+reward.weights.a", "experiment"]), values), min_size=1))
def test_a_name_is_one_folder_and_no_other_arms(swept: list[tuple[str, str]]) -> None:
    overrides = [f"{key}={value}" for key, value in swept]
    name = arm_name(overrides)
    assert Path(name).name == name
    assert name.isascii()
    assert name.isprintable()
    assert len(name) <= LONGEST + 11
    assert not name.startswith((".", "-"))
    other = [*overrides[:-1], f"{overrides[-1]}x"]
    assert arm_name(other) != name


def test_a_plain_name_says_what_the_arm_is() -> None:
    assert arm_name(["+reward.weights.length=0.1", "seed=3"]) == "reward.weights.length=0.1,seed=3"
    assert arm_name(["reward.weights={a: 1}"]).startswith("reward.weights=_a_")
    assert arm_name([]) == "arm"


def test_the_grammar_is_hydras(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("seed=range(5)", "sampling.temperature=0.8,1.0", "hydra.sweep.dir=s") == 0
    assert ran() == [f"seed={seed},sampling.temperature={t}" for seed in range(5) for t in ("0.8", "1.0")]
    assert "10 of 10 arms are done" in capsys.readouterr().out
    assert sweep("experiment=quickstart,ablation", "model.path=m", "seed=7", "hydra.sweep.dir=e") == 0
    assert ran() == ["experiment=quickstart", "experiment=ablation"]
    assert sweep("seed=choice(4,2)", "+reward.weights.math=glob(*)", "hydra.sweep.dir=g") == 2
    assert sweep("seed=choice(4,2)", "hydra.sweep.dir=g") == 0
    assert ran() == ["seed=4", "seed=2"]


def test_each_arm_is_a_command_that_the_launcher_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Values with spaces, quotes and brackets come through; the check says which problem it is about."""
    text = "problems.prompt.template='a \\'b\\' [{problem}]',no_place"
    assert main(["train", "-m", "rl.group_size=1", text, "hydra.sweep.dir='with space\\'s'"]) == 2
    said = capsys.readouterr().err
    assert "2 of 2 arms failed" in said
    outcomes = [read_outcome(path.parent) for path in Path("with space's").glob("*/outcome.json")]
    reasons = sorted(outcome.reason for outcome in outcomes if outcome is not None)
    assert len(reasons) == 2
    assert all("rl.group_size=1 gives no gradient" in reason for reason in reasons)


def test_a_folder_of_configuration_may_have_any_name() -> None:
    Path("cfg it's/reward").mkdir(parents=True)
    Path("cfg it's/reward/mine.yaml").write_text("functions: {}\n")
    assert sweep("--config-dir=cfg it's", "reward=mine", "seed=0,1") == 0
    assert ran() == ["seed=0", "seed=1"]


# --- going on ----------------------------------------------------------------------------------------


def test_the_same_command_does_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("seed=0,1,2", launcher="fail_seed_1") == 3
    assert ran() == ["seed=0", "seed=1", "seed=2"]
    said = capsys.readouterr().err
    assert "1 of 3 arms failed" in said
    assert "\n  seed=1: the loss is; nan\n" in said  # one line
    assert sweep("seed=0,1,2") == 0
    assert ran() == ["seed=1"]
    said = capsys.readouterr().out
    assert "already done: seed=0" in said
    assert "already done: seed=2" in said
    assert sweep("seed=0,1,2") == 0
    assert ran() == []
    # further values are further arms
    assert sweep("seed=range(4)") == 0
    assert ran() == ["seed=3"]
    assert len(folders()) == 1


def test_what_changes_numbers_is_another_sweep_and_what_does_not_is_the_same() -> None:
    assert sweep("seed=0,1", "rl.steps=7") == 0
    assert len(ran()) == 2
    same = ["rl.checkpoint_every=3", "record.journal=false", "learner.workers=2", "cluster.cpus=1"]
    assert sweep(*same, "rl.steps=7", "seed=0,1") == 0
    assert ran() == []
    assert sweep("seed=0,1", "rl.steps=8") == 0
    assert len(ran()) == 2
    assert sweep("seed=0,1", "rl.steps=7", "sampling.temperature=0.8,1.0") == 0
    assert len(ran()) == 4
    assert len(folders()) == 3


def test_edited_data_and_code_make_new_arms(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are there stay what they are, and the same command finds either again."""
    monkeypatch.syspath_prepend(str(Path.cwd()))
    problem = '{"problem": "1 + 1?", "answer": "2"}\n'
    Path("mine.jsonl").write_text(problem)
    Path("my_reward.py").write_text("def brief(completion): return 0.0\n")
    mine = ["problems=file", "problems.train.path=mine.jsonl", "rl.problems_per_step=1", "hydra.sweep.dir=s"]
    mine.append("+reward.functions.mine={_target_: my_reward.brief}")
    assert sweep(*mine, "seed=0,1") == 0
    assert ran() == ["seed=0", "seed=1"]
    Path("mine.jsonl").write_text(2 * problem)
    for _ in range(2):
        assert sweep(*mine, "seed=0,1,2") == 0
        new = ran()
    said = capsys.readouterr().out
    assert "seed=0 was made with other content of mine.jsonl; a new arm: seed=0,content=" in said
    assert new == []
    names = sorted(path.parent.name for path in Path("s").glob("*/arm.json"))
    assert [name.partition(",content=")[0] for name in names] == ["seed=0"] * 2 + ["seed=1"] * 2 + ["seed=2"]
    Path("my_reward.py").write_text("def brief(completion): return 1.0\n")
    assert sweep(*mine, "seed=0,2") == 0
    assert "seed=2 was made with other content of code of my_reward" in capsys.readouterr().out
    Path("mine.jsonl").write_text(problem)
    Path("my_reward.py").write_text("def brief(completion): return 0.0\n")
    ran()
    assert sweep(*mine, "seed=0,1") == 0
    assert ran() == []


def test_what_a_users_function_is_called_with_is_another_sweep() -> None:
    mine = "+reward.functions.mine={_target_: test_sweep.timed}"
    for timeout in (1, 5):
        assert sweep("seed=0,1", mine, f"+reward.functions.mine.timeout={timeout}") == 0
        assert len(ran()) == 2
    for deadline in (5, 9):  # of the reward: it decides which answers are right
        assert sweep("seed=0,1", f"reward.deadline={deadline}") == 0
        assert len(ran()) == 2
    assert len(folders()) == 4


def test_arms_of_the_same_settings_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("seed=0,00,0,1", "hydra.sweep.dir=s") == 0
    assert ran() == ["seed=0", "seed=1"]
    said = capsys.readouterr().out
    assert "same settings as seed=0, so run only once: seed=00\n" in said
    assert "given more than once, so run only once: seed=0\n" in said
    assert "2 of 2 arms to run" in said
    assert "2 of 2 arms are done" in said
    assert not Path("s/seed=00").exists()
    # what changes no number can still be compared for its speed
    assert sweep("learner.workers=1,2", "hydra.sweep.dir=t") == 0
    assert len(ran()) == 2


def test_an_arm_that_begins_again_has_no_old_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sweep("seed=0,1", "hydra.sweep.dir=s", launcher="fail_seed_1") == 3
    arm = Path("s/seed=1")
    found: list[Outcome | None] = []

    def stopped(*given: object) -> None:
        found.append(read_outcome(arm))
        raise RunInterrupted("stopped")

    monkeypatch.setattr("rlvr.pipeline.run.Pipeline.run", stopped)
    assert main(["train", *SMALL, "seed=1", "hydra.run.dir='s/seed=1'"]) == 130
    assert found == [None]
    assert read_outcome(arm) == Outcome("stopped", 130)


def test_a_folder_with_another_configuration_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("seed=0,1", "hydra.sweep.dir=s") == 0
    ran()
    before = {path: path.read_bytes() for path in Path("s").rglob("*.json")}
    capsys.readouterr()
    Path("s/seed=3").mkdir()
    Path("s/seed=3/config.yaml").write_text("name: mine\n")
    assert sweep("seed=0,2,3", "rl.steps=8", "hydra.sweep.dir=s") == 2
    assert ran() == ["seed=2"]  # the others go on
    said = capsys.readouterr().err
    assert "s/seed=0 holds an arm with other settings (rl.steps 100 → 8)" in said
    assert "s/seed=3 holds a run that is not an arm" in said
    assert {path: path.read_bytes() for path in before} == before
    assert Path("s/seed=3/config.yaml").read_text() == "name: mine\n"


def test_a_command_in_an_arms_folder_must_be_the_arms(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("seed=0,1", "hydra.sweep.dir=s") == 0
    there = "hydra.run.dir='s/seed=0'"
    assert main(["train", *SMALL, "seed=0", "rl.steps=8", there]) == 2
    assert "other settings (rl.steps 100 → 8)" in capsys.readouterr().err
    assert read_outcome(Path("s/seed=0")) == Outcome("done", value=pytest.approx(0.91))
    assert main(["train", *SMALL, "seed=0", there]) == 0
    assert "already done" in capsys.readouterr().out


def test_two_commands_do_not_run_one_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    with RunFolder("s"):
        assert sweep("seed=0,1", "hydra.sweep.dir=s") == 3
    assert f"being written to by process {os.getpid()}" in capsys.readouterr().err
    assert ran() == []


def test_a_stopped_sweep_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("seed=0,1", launcher="stop_after_first") == 130
    assert ran() == ["seed=0"]
    assert "1 of 2 arms are done" in (said := capsys.readouterr().err)
    assert "run the same command again to continue" in said


# --- failures ----------------------------------------------------------------------------------------


def test_a_value_that_does_not_compose_is_that_arms_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("rl.steps=abc,3,0", "hydra.sweep.dir=s") == 2
    assert ran() == ["rl.steps=3"]
    said = capsys.readouterr().err
    assert "2 of 3 arms failed" in said
    assert "rl.steps=abc: rl.steps: value 'abc' of type 'str' could not be converted" in said
    assert "rl.steps=0: rl.steps is 0, but must be ≥ 1" in said
    assert "Traceback" not in said
    # beside a failure of another kind it is 3
    assert sweep("seed=0,1", "rl.steps=abc,3", "hydra.sweep.dir=t", launcher="fail_seed_1") == 3


def test_without_any_arm_nothing_is_begun(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("seed=0,1", "rl.stps=3") == 2
    assert "did you mean rl.steps?" in capsys.readouterr().err
    assert sweep("seed=0,1", "algorithm.critic.clip=0.3") == 2
    assert "algorithm.critic is not set" in capsys.readouterr().err
    assert sweep("sampling.temperature=interval(0.5,1)") == 2
    assert "hydra/sweeper=optuna" in capsys.readouterr().err
    assert sweep("seed=0,1", "--cfg", "job") == 2
    assert "--cfg does not work with a sweep" in capsys.readouterr().err
    assert main(["train", "-m", "seed=0,1", "hydra/launcher=basic"]) == 2
    assert "has its own: ray, sequential, submitit_local, submitit_slurm" in capsys.readouterr().err
    assert main(["train", "-m", "seed=range(2"]) == 2
    assert ran() == []


def test_one_run_is_not_resumed_by_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").touch()
    assert main(["train", "resume=.", "-m", "seed=0,1"]) == 2
    assert "leave out -m" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("wrong"), 2), (DataError("wrong"), 2), (RlvrError("wrong"), 3), (KeyError("wrong"), 1)],
)
def test_how_an_arm_ends_is_written_down(error: Exception, code: int, tmp_path: Path) -> None:
    write_arm(tmp_path, ["seed=0"], Identity({}, {}))
    with pytest.raises(type(error)), recorded(tmp_path):
        raise error
    outcome = read_outcome(tmp_path)
    assert outcome is not None
    assert (outcome.done, outcome.code) == (False, code)
    assert "wrong" in outcome.reason
    (tmp_path / "rl").mkdir()
    lines = [{"step": 0, "heldout/pass@1": 0.1}, {"step": 5, "heldout/pass@1": 0.4}, {"step": 6}]
    (tmp_path / "rl" / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with recorded(tmp_path):
        pass
    assert read_outcome(tmp_path) == Outcome("done", value=0.4)


def test_a_run_that_the_user_stopped_has_not_failed(tmp_path: Path) -> None:
    with pytest.raises(RunInterrupted), recorded(tmp_path):
        raise RunInterrupted("go on with …")
    assert read_outcome(tmp_path) == Outcome("stopped", 130)


def test_what_is_refused_leaves_no_folder_unless_it_was_there(tmp_path: Path) -> None:
    for name in ("new", "mine"):
        folder = tmp_path / name
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "config.yaml").touch()
    (tmp_path / "mine" / "notes.txt").touch()
    for name in ("new", "mine"):
        with pytest.raises(ConfigError), recorded(tmp_path / name):
            raise ConfigError("wrong")
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "mine" / "notes.txt").exists()
    assert read_outcome(tmp_path / "mine") == Outcome("failed", 2, "wrong")


def test_a_run_without_a_report_is_done_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_arm(tmp_path, ["seed=0"], Identity({}, {}))
    (tmp_path / "config.yaml").write_text("stages: [rl]\n")
    (tmp_path / "report.html").mkdir()  # in its way; and there are no metrics to draw
    with recorded(tmp_path):
        print_records(tmp_path, curves=True)
    assert read_outcome(tmp_path) == Outcome("done")
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if "could not be written" in line][:2] == [
        "report",
        "curves",
    ]


# --- launchers ---------------------------------------------------------------------------------------


def arms(count: int) -> list[Arm]:
    made = [Arm(f"seed={n}", Path(f"seed={n}").absolute(), [f"seed={n}"]) for n in range(count)]
    for arm in made:
        write_arm(arm.folder, [arm.name], Identity({}, {}))
    return made


def test_in_one_process_a_crash_is_one_arms_and_a_signal_ends_all(capsys: pytest.CaptureFixture[str]) -> None:
    stop = StopRequest()
    begun: list[str] = []

    def run(arguments: Sequence[str]) -> int:
        begun.append(arguments[0])
        if arguments[0] == "seed=0":
            raise ZeroDivisionError
        if arguments[0] == "seed=2":
            os.kill(os.getpid(), signal.SIGTERM)
        return 0

    sequential(arms(5), SimpleNamespace(stop=stop, run=run))  # type: ignore[arg-type]
    assert begun == ["seed=0", "seed=1", "seed=2"]
    assert "ZeroDivisionError" in capsys.readouterr().err


class Child:
    """A place that runs Python code, named by the arm."""

    def __init__(self, codes: dict[str, str]) -> None:
        self.codes = codes
        self.most = 0

    def start(self, arm: Arm) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", self.codes[arm.name]])

    def code(self) -> int | None:
        return self.process.poll()

    def stop(self) -> None:
        self.process.terminate()


def test_places_are_kept_busy_and_a_killed_arm_is_said_to_be() -> None:
    """The first one ends only once the last one, of the other place, has run."""
    waits = "import time, pathlib\nwhile not pathlib.Path('last').exists(): time.sleep(0.01)"
    codes = {
        "seed=0": waits,
        "seed=1": "import os; os.kill(os.getpid(), 9)",
        "seed=2": "raise SystemExit(3)",
        "seed=3": "open('last', 'w')",
    }
    made = arms(4)
    never = SimpleNamespace(stop=False)
    keep_busy([Child(codes), Child(codes)], made, never)  # type: ignore[arg-type]
    assert made[1].outcome() == Outcome("failed", 3, "its process was killed")
    assert [arm.outcome() for arm in (made[0], made[2], made[3])] == [None] * 3


def test_a_stop_reaches_what_runs_and_nothing_new_begins() -> None:
    made = arms(2)
    lines = ["import signal", "signal.signal(15, lambda *_: exit(130))", "open('up', 'w')", "signal.pause()"]
    stop = StopRequest()

    def stop_once_it_runs() -> None:
        while not Path("up").exists():
            time.sleep(0.01)
        stop.signal = signal.SIGTERM

    thread = threading.Thread(target=stop_once_it_runs)
    thread.start()
    place = Child({"seed=0": "\n".join(lines)})
    keep_busy([place], made, SimpleNamespace(stop=stop))  # type: ignore[arg-type]
    thread.join()
    assert place.process.returncode == 130


def test_slots_of_a_node_have_cores_of_their_own() -> None:
    nodes = [("a", [0, 1, 2, 3]), ("b", [0, 1]), ("a", [0, 1, 2, 3]), ("b", [0, 1])]
    assert own_cores(nodes, 2) == [[0, 1], [0, 1], [2, 3], [0, 1]]


@pytest.mark.parametrize("launcher", ["submitit_local", pytest.param("ray", marks=pytest.mark.slow)])
def test_arms_are_processes_that_say_how_they_ended(launcher: str) -> None:
    """They end at a check that comes after composing, so that no engine is needed."""
    pytest.importorskip(launcher.partition("_")[0])
    given = ["seed=3,4", "hydra.sweep.dir=s", "rl.group_size=1", f"hydra/launcher={launcher}"]
    # a process of its own, since this one may be connected to a cluster of other tests
    code, said = complete(Path.cwd(), "train", "-m", *SMALL, *given, "hydra.launcher.parallel=2")
    assert code == 2, said
    assert "ended with exit code 2: seed=3" in said
    assert "  seed=4: rl.group_size=1 gives no gradient" in said


def test_a_launcher_that_cannot_work_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("submitit")
    assert main(["train", "-m", *SMALL, "seed=0,1", "hydra/launcher=submitit_slurm"]) == 2
    assert "srun" in capsys.readouterr().err
    given = ["hydra/launcher=submitit_local", "hydra.launcher.parameters.timeout_min=soon"]
    assert main(["train", "-m", *SMALL, "seed=0,1", *given]) == 2
    assert "timeout_min" in capsys.readouterr().err


# --- Optuna ------------------------------------------------------------------------------------------

OPTUNA = ["hydra/sweeper=optuna", "sampling.temperature=interval(0.5,1.5)", "hydra.sweep.dir=o"]


def temperatures() -> list[float]:
    return [float(name.partition("=")[2]) for name in ran()]


def test_optuna_proposes_values_and_goes_on_where_it_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    optuna = pytest.importorskip("optuna")
    assert sweep(*OPTUNA, "hydra.sweeper.trials=3") == 0
    first = temperatures()
    assert len(set(first)) == 3
    assert all(0.5 <= t <= 1.5 for t in first)
    nearest = min(first, key=lambda t: abs(t - 0.7))
    assert f"best of 3: sampling.temperature={nearest}" in capsys.readouterr().out
    assert sweep(*OPTUNA, "hydra.sweeper.trials=3") == 0
    assert ran() == []
    # stopped while the second of two was under way: that one comes first
    two = ["hydra.sweeper.trials=5", "hydra.sweeper.parallel=2"]
    assert sweep(*OPTUNA, *two, launcher="stop_after_first") == 130
    (done,) = temperatures()
    begun = {float(p.parent.name.partition("=")[2]) for p in Path("o").glob("*/arm.json")} - {*first, done}
    assert sweep(*OPTUNA, *two) == 0
    assert temperatures() == list(begun)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("o/optuna.log"))
    study = optuna.load_study(study_name="sweep", storage=storage)
    complete = [trial.value for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(complete) == 5
    assert max(complete[:3]) == pytest.approx(1 - (nearest - 0.7) ** 2)


def test_optuna_takes_categories_whole_numbers_and_orders_of_magnitude() -> None:
    pytest.importorskip("optuna")
    space = ["seed=0,3", "rl.steps=int(interval(2,9))", "rl.optimizer.lr=tag(log,interval(1e-6,1e-2))"]
    assert sweep("hydra/sweeper=optuna", "hydra.sweeper.trials=12", *space) == 0
    rows = [dict(item.split("=") for item in name.split(",")) for name in ran()]
    assert {row["seed"] for row in rows} == {"0", "3"}
    assert {int(row["rl.steps"]) for row in rows} <= set(range(2, 10))
    rates = [float(row["rl.optimizer.lr"]) for row in rows]
    assert min(rates) < 1e-4 < max(rates)


def test_optuna_without_a_choice_or_a_direction_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna")
    assert sweep("hydra/sweeper=optuna") == 2
    assert "no key has values to choose from" in capsys.readouterr().err
    assert sweep(*OPTUNA, "hydra.sweeper.direction=up") == 2
    assert "must be maximize or minimize" in capsys.readouterr().err


# --- what arms share ---------------------------------------------------------------------------------


@pytest.fixture
def composed() -> Iterator[Callable[..., RunConfig]]:
    compose.register_schema()
    with initialize_config_dir(config_dir=str(config_folder()), version_base="1.3"):
        yield lambda *overrides: compose.to_config(hydra_compose("train", overrides=list(overrides)))


PROBLEMS = [Problem(str(n), f"{n}+1=", str(n + 1), "so") for n in range(4)]


def shared(config: RunConfig, heldout: Sequence[Problem] = PROBLEMS[2:]) -> dict[str, str]:
    """The stages that an arm of these settings shares, and under which names."""
    arm = Path("sweep/arm")
    arm.mkdir(parents=True, exist_ok=True)
    (arm / "arm.json").touch()
    sets = {"heldout": heldout}
    nodes = build(config, Outside(PROBLEMS[:2], sets, sets, None))
    folders = Folders.of_run(config, arm)
    return {node.name: folders[node].name for node in nodes if folders.shares(node) and node.name != "base"}


def test_warm_starts_are_shared_by_all_that_do_not_change_them(composed: Callable[..., RunConfig]) -> None:
    stages = "stages=[sft,select,rl]"
    base = shared(composed(stages))
    assert list(base) == ["sft", "select"]
    same = [
        "rl.steps=7",
        "algorithm=dapo",
        "rl.group_size=2",
        "evaluation.samples=3",
        "sft.checkpoint_every=3",
    ]
    for override in same:
        assert shared(composed(stages, override)) == base, override
    # SFT reads none of these, selection does
    for override in ["sampling.temperature=0.5", "reward=math_format", "select.samples=3"]:
        other = shared(composed(stages, override))
        assert other["sft"] == base["sft"], override
        assert other["select"] != base["select"], override
    # and both depend on these
    changing = [
        "seed=1",
        "sft.steps=7",
        "sft.optimizer.lr=0.1",
        "model.scratch.layers=1",
        "learner.zero_stage=1",
    ]
    for override in changing:
        other = shared(composed(stages, override))
        assert other["sft"] != base["sft"], override
        assert other["select"] != base["select"], override
    assert shared(composed(stages), PROBLEMS[3:])["sft"] != base["sft"]  # what overlaps is not trained on


def test_the_last_stage_is_the_arms_own(composed: Callable[..., RunConfig]) -> None:
    """Or arms that differ in nothing but how fast they are could not be compared."""
    assert list(shared(composed("stages=[select,rl]"))) == ["select"]
    assert shared(composed("stages=[rl]")) == {}
    assert shared(composed("stages=[sft]")) == {}


def test_an_arms_settings_are_those_that_matter(composed: Callable[..., RunConfig]) -> None:
    base = Identity.of(composed())
    for override in ["name=other", "record.journal=false", "rl.evaluate_every=3", "cluster.cpus=1"]:
        assert Identity.of(composed(override)) == base, override
    for override in [
        "seed=1",
        "reward.deadline=9",
        "rl.steps=3",
        "problems.train.n=9",
        "evaluation.samples=2",
    ]:
        assert Identity.of(composed(override)) != base, override


def test_a_folder_that_another_process_has_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    other = RunFolder("stage")
    order: list[str] = []

    def free() -> None:
        order.append("freed")
        other.close()

    timer = threading.Timer(0.2, free)
    timer.start()
    with claimed(Path("stage"), StopRequest(), every=0.01):
        order.append("claimed")
    timer.join()
    assert order == ["freed", "claimed"]
    assert capsys.readouterr().out.count("waiting: ") == 1


def test_nobody_waits_for_a_process_that_does_nothing_or_against_the_users_will() -> None:
    stop = StopRequest()
    with RunFolder("stage"):
        with (
            pytest.raises(StallError, match=r"written nothing for 0 seconds"),
            claimed(Path("stage"), stop, 0.1),
        ):
            pass
        # what is written counts
        end = time.monotonic() + 0.6
        Path("stage/metrics.jsonl").touch()

        def write() -> None:
            while time.monotonic() < end:
                os.utime("stage/metrics.jsonl")
                time.sleep(0.01)
            stop.signal = signal.SIGTERM

        thread = threading.Thread(target=write)
        thread.start()
        with pytest.raises(RunInterrupted), claimed(Path("stage"), stop, 0.3, every=0.02):
            pass
        thread.join()
        assert time.monotonic() >= end


def test_the_plan_of_a_sweep_has_one_arm_for_a_value_that_is_given_twice(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", "experiment=quickstart", "seed=1,2,1", "--plan"]) == 0
    planned = [line for line in capsys.readouterr().out.splitlines() if line.startswith("seed=")]
    assert planned == ["seed=1:", "seed=2:"]
