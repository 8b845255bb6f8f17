"""A reward function that would change a file is refused with its name, before anything is harmed."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.service import RewardService
from rlvr.types import Problem, Status, Verdict

# Each function's own file is its argument: the completion is the path of it.
USER_MODULE = """
import ctypes, os, pathlib, shutil, sqlite3, subprocess, sys, tempfile
import numpy as np

def truncates(completion):
    open(completion, "w").close()
    return 1.0

def appends(completion):
    with open(completion, "ab") as file:
        file.write(b"more")
    return 1.0

def updates(completion):
    open(completion, "r+").close()
    return 1.0

def creates(completion):
    open(completion + ".new", "x").close()
    return 1.0

def opens_by_descriptor(completion):
    os.close(os.open(completion, os.O_WRONLY | os.O_TRUNC))
    return 1.0

def opens_to_read_and_truncate(completion):
    os.close(os.open(completion, os.O_RDONLY | os.O_TRUNC))
    return 1.0

def opens_bytes(completion):
    open(os.fsencode(completion), "w").close()
    return 1.0

def writes_text(completion):
    pathlib.Path(completion).write_text("")
    return 1.0

def touches(completion):
    pathlib.Path(completion).touch()
    return 1.0

def truncates_by_name(completion):
    os.truncate(completion, 0)
    return 1.0

def moves(completion):
    shutil.move(completion, completion + ".moved")
    return 1.0

def replaces(completion):
    os.replace(__file__, completion)
    return 1.0

def copies(completion):
    shutil.copy(__file__, completion)
    return 1.0

def removes(completion):
    os.remove(completion)
    return 1.0

def removes_the_folder(completion):
    shutil.rmtree(os.path.dirname(completion))
    return 1.0

def makes_a_folder(completion):
    os.makedirs(completion + ".d")
    return 1.0

def links(completion):
    os.symlink(completion, completion + ".link")
    return 1.0

def hides(completion):
    os.chmod(completion, 0)
    return 1.0

def saves_an_array(completion):
    np.save(completion, np.zeros(3))
    return 1.0

def makes_a_temporary_file(completion):
    tempfile.NamedTemporaryFile()
    return 1.0

async def writes_later(completion):
    open(completion, "w").close()
    return 1.0

def of_a_batch(completions):
    for completion in completions:
        open(completion, "w").close()
    return [1.0] * len(completions)

class Logger:
    def __call__(self, completion):
        open(completion, "w").close()
        return 1.0

def by_c(completion):
    library = ctypes.CDLL(None, use_errno=True)
    if library.open(completion.encode(), os.O_WRONLY | os.O_TRUNC) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), completion)
    return 1.0

def truncates_by_c(completion):
    library = ctypes.CDLL(None, use_errno=True)
    if library.truncate(completion.encode(), ctypes.c_long(0)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), completion)
    return 1.0

def by_a_shell(completion):
    subprocess.run(["sh", "-c", 'echo > "$0"', completion], check=True)
    return 1.0

def by_another_python(completion):
    code = "import sys; open(sys.argv[1], 'w')"
    subprocess.run([sys.executable, "-c", code, completion], check=True)
    return 1.0

def by_a_database(completion):
    database = sqlite3.connect(completion)
    database.execute("create table t (x)")
    database.commit()
    return 1.0

def swallows(completion):
    try:
        open(completion, "w").close()
    except OSError:
        pass
    return 1.0

def needs_no_file(completion):
    with open(completion) as file, open(os.devnull, "w") as null, open("/dev/null", "r+b"):
        print(file.read(), file=null)
    said = subprocess.run(["cat"], input=b"piped", capture_output=True, check=True).stdout
    os.listdir(os.path.dirname(completion))
    return float(said == b"piped")
"""

# What the interpreter refuses says which file; what only the kernel stops says at least which function.
NAMED = [
    "truncates", "appends", "updates", "creates", "opens_by_descriptor", "opens_to_read_and_truncate",
    "opens_bytes", "writes_text", "touches", "truncates_by_name", "moves", "replaces", "copies", "removes",
    "removes_the_folder", "makes_a_folder", "links", "hides", "saves_an_array", "makes_a_temporary_file",
    "writes_later", "of_a_batch", "Logger",
]  # fmt: skip
STOPPED = ["by_c", "truncates_by_c", "by_a_shell", "by_another_python", "by_a_database"]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's file, alone in a folder."""
    (tmp_path / "writing_rewards.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "data.npy").write_text("a week's work")
    yield folder / "data.npy"
    sys.modules.pop("writing_rewards", None)


def verdicts_of(names: list[str], completion: str) -> dict[str, Verdict]:
    found = {}
    for name in names:
        config = RewardConfig({"mine": {"_target_": f"writing_rewards.{name}"}}, deadline=60.0)
        with RewardService(config) as service:
            (found[name],) = service.score([(Problem("p1", "?", "42"), completion)])
    return found


def untouched(file: Path) -> bool:
    return [*file.parent.iterdir()] == [file] and file.read_text() == "a week's work"


@pytest.mark.parametrize("name", NAMED)
def test_a_function_that_would_change_a_file_is_refused_with_its_name_and_the_files(
    kept: Path, name: str
) -> None:
    (verdict,) = verdicts_of([name], str(kept)).values()
    assert untouched(kept)
    assert os.access(kept, os.R_OK | os.W_OK)
    assert (verdict.status, verdict.reward) == (Status.CRASHED, None)
    assert verdict.reason.startswith("mine: PermissionError: a reward function may change no file")
    assert {"makes_a_temporary_file": tempfile.gettempdir(), "removes_the_folder": kept.name}.get(
        name, str(kept)
    ) in verdict.reason
    assert "writing_rewards.py:" in verdict.reason


@pytest.mark.parametrize("name", STOPPED)
def test_what_python_does_not_see_is_stopped_by_the_kernel(kept: Path, name: str) -> None:
    (verdict,) = verdicts_of([name], str(kept)).values()
    assert untouched(kept)
    assert (verdict.status, verdict.reward) == (Status.CRASHED, None)
    assert verdict.reason.startswith("mine: ")


def test_a_function_that_goes_on_all_the_same_has_harmed_nothing(kept: Path) -> None:
    assert verdicts_of(["swallows"], str(kept))["swallows"].reward == 1.0
    assert untouched(kept)


def test_reading_pipes_and_the_null_device_are_left(kept: Path) -> None:
    verdict = verdicts_of(["needs_no_file"], str(kept))["needs_no_file"]
    assert verdict.reward == 1.0, verdict.reason
