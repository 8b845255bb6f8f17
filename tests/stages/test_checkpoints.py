"""Checkpoints on a real disk: what is damaged is found, named and set aside, and nothing good is lost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from run_command import RLVR

from rlvr.base.disk import DiskError
from rlvr.pipeline.config import RunConfig
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.stages.checkpoints import KEPT, CheckpointError, Checkpoints
from rlvr.stages.config import SftConfig
from rlvr.stages.stage import StageInput
from rlvr.types import ConfigError, Problem, RlvrError

IDENTITY = {"seed": 0, "problems_per_step": 8, "prompt": {"template": "{problem}", "chat": False}}
SETTINGS = {"rl.optimizer.lr": 1e-3, "reward.weights": {"math": 1.0}}


class NoTokenizer:
    """Writes a file, as a tokenizer does."""

    def save_pretrained(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.json").write_text("{}")


def checkpoints(folder: Path, **changed: Any) -> Checkpoints:
    tokenizer: Any = NoTokenizer()
    more = {"keys": {"prompt": "problems.prompt"}, "settings": SETTINGS} | changed
    return Checkpoints(folder / "rl" / "checkpoints", more.pop("identity", IDENTITY), tokenizer, **more)


def fill(folder: Path) -> None:
    (folder / "model").mkdir()
    (folder / "model" / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "model" / "generation_config.json").write_text('{"eos_token_id": 2}')
    (folder / "optimizer").mkdir()
    (folder / "optimizer" / "rank_0.pt").write_bytes(b"moments" * 1000)
    (folder / "loop.json").write_text("{}")


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """The folder of a run with checkpoints of steps 1 to 3, of which two are kept."""
    for step in (1, 2, 3):
        checkpoints(tmp_path).save(step, fill)
    return tmp_path


@pytest.mark.parametrize(
    ("there", "end", "ends"),
    [(2, 2, 2), (2, 5, [2, 5]), ([2, 5], 5, [2, 5]), ([2, 5], 0, [2, 5, 0]), (None, 5, [5])],
)
def test_a_checkpoint_names_the_end_of_its_answers(tmp_path: Path, there: Any, end: int, ends: Any) -> None:
    def write(folder: Path) -> None:
        fill(folder)
        settings = {"eos_token_id": there, "temperature": 0.6}
        (folder / "model" / "generation_config.json").write_text(json.dumps(settings))

    model = checkpoints(tmp_path, end=end).save(1, write) / "model"
    written = json.loads((model / "generation_config.json").read_text())
    assert written == {"eos_token_id": ends, "temperature": 0.6}
    assert checkpoints(tmp_path).latest() is not None


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "rl" / "checkpoints").iterdir())


def step_3(folder: Path) -> Path:
    return folder / "rl" / "checkpoints" / "step_000003"


def test_the_newest_is_found_and_older_ones_go(three: Path) -> None:
    assert names(three) == ["step_000002", "step_000003"]
    assert checkpoints(three).latest() == checkpoints(three).latest_model() == (3, step_3(three))
    assert len(names(three)) == KEPT


def missing(path: Path) -> None:
    path.unlink()


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [missing, cut_off, flipped])
@pytest.mark.parametrize(
    "name",
    ["model/model.safetensors", "model/tokenizer.json", "optimizer/rank_0.pt", "loop.json", "state.json"],
)
def test_what_is_damaged_is_named_and_the_one_before_takes_its_place(
    three: Path, name: str, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(step_3(three) / name)
    before = {path.name for path in step_3(three).rglob("*")}
    found = checkpoints(three).latest()
    assert found == (2, three / "rl" / "checkpoints" / "step_000002")
    assert names(three) == ["damaged_000003", "step_000002"]
    (line,) = capsys.readouterr().err.splitlines()
    assert str(step_3(three)) in line
    assert name in line
    assert "damaged_000003" in line
    assert {path.name for path in (step_3(three).parent / "damaged_000003").rglob("*")} == before
    assert checkpoints(three).latest() == found  # and again
    assert capsys.readouterr().err == ""


def test_a_damaged_one_pushes_no_good_one_out(three: Path) -> None:
    flipped(step_3(three) / "loop.json")
    assert checkpoints(three).latest() == (2, three / "rl" / "checkpoints" / "step_000002")
    for _ in range(2):  # the same step a second time, and a damaged one of that name a second time
        checkpoints(three).save(3, fill)
        flipped(step_3(three) / "loop.json")
        assert (checkpoints(three).latest() or (0,))[0] == 2
    assert names(three) == ["damaged_000003", "damaged_000003_2", "damaged_000003_3", "step_000002"]
    checkpoints(three).save(3, fill)
    cut_off(step_3(three) / "loop.json")  # and nobody looks before the next two are saved
    checkpoints(three).save(4, fill)
    assert {"step_000002", "step_000004"} <= set(names(three))


def test_a_run_whose_checkpoints_are_all_damaged_does_not_begin_anew(three: Path) -> None:
    for path in (step_3(three), step_3(three).with_name("step_000002")):
        missing(path / "state.json")
    assert checkpoints(three).newest() is None
    for _ in range(2):  # it stays so
        with pytest.raises(CheckpointError, match=r"damaged_000003 is damaged\. Restore an intact copy"):
            checkpoints(three).latest()
    (step_3(three).parent / "damaged_000002").rename(three / "away")
    (step_3(three).parent / "damaged_000003").rename(three / "away_too")
    assert checkpoints(three).latest() is None


def test_where_only_the_model_is_read_nothing_else_is(three: Path) -> None:
    flipped(step_3(three) / "optimizer" / "rank_0.pt")
    assert checkpoints(three).latest_model() == (3, step_3(three))
    flipped(step_3(three) / "model" / "model.safetensors")
    assert (checkpoints(three).latest_model() or (0,))[0] == 2


def test_a_file_is_read_once_in_a_process(three: Path) -> None:
    verified: set[Path] = set()
    assert checkpoints(three, verified=verified).latest_model() == (3, step_3(three))
    read = {path.name for path in verified}
    assert read == {"generation_config.json", "model.safetensors", "tokenizer.json"}
    flipped(step_3(three) / "model" / "model.safetensors")
    assert checkpoints(three, verified=verified).latest() == (3, step_3(three))
    assert {path.name for path in verified} > {"rank_0.pt", "loop.json"}
    assert (checkpoints(three).latest() or (0,))[0] == 2


def test_checkpoints_of_earlier_versions_still_load(three: Path) -> None:
    (step_3(three) / "state.json").write_text(json.dumps({"step": 3, "identity": IDENTITY}))
    found = checkpoints(three, identity=IDENTITY | {"traces": {"a": "b"}}).latest()
    assert found == (3, step_3(three))
    assert not (three / "rl" / "changes.jsonl").exists()


def test_what_was_killed_while_it_saved_leaves_no_gap_and_no_rubbish(three: Path) -> None:
    folder = step_3(three).parent
    step_3(three).rename(folder / "replaced_000003")  # between the two names of a checkpoint saved again
    (folder / "unfinished_000004" / "model").mkdir(parents=True)
    assert checkpoints(three).latest() == (3, step_3(three))
    checkpoints(three).save(3, fill)
    assert names(three) == ["step_000002", "step_000003"]


# --- what a resume may change --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1}, r"seed=0, this run has seed=1.* Give the old value, seed=0, or .*model\.path=.*model$"),
        (
            {"prompt": {"template": "{problem}", "chat": True}},
            r"prompt\.chat=False.* problems\.prompt\.chat=False",
        ),
        ({"problems_per_step": 4}, r"problems_per_step=8, this run has problems_per_step=4"),
    ],
)
def test_another_run_is_refused_with_the_key_and_both_values(
    three: Path, changed: dict[str, Any], said: str
) -> None:
    for look in ("newest", "latest"):
        with pytest.raises(ConfigError, match=said):
            getattr(checkpoints(three, identity=IDENTITY | changed), look)()


def test_other_data_are_refused_by_their_fingerprint(tmp_path: Path) -> None:
    old = IDENTITY | {"problems": "aaa", "traces": {"mine.jsonl": "bbb"}}
    checkpoints(tmp_path, identity=old).save(1, fill)
    with pytest.raises(ConfigError, match=r"problems=aaa.*fingerprint of the data"):
        checkpoints(tmp_path, identity=old | {"problems": "other"}).latest()
    with pytest.raises(ConfigError, match=r"traces\.mine\.jsonl=bbb.*fingerprint of the data"):
        checkpoints(tmp_path, identity=old | {"traces": {"mine.jsonl": "other"}}).latest()


def test_changed_settings_are_said_and_kept(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = {"rl.optimizer.lr": 1e-4, "reward.weights": {"math": 1.0, "brief": 0.2}, "rl.later": 1}
    record = three / "rl" / "changes.jsonl"
    for _ in range(2):  # a resume that is killed, and the next one
        checkpoints(three, settings=new).latest()
        assert [json.loads(line) for line in record.read_text().splitlines()] == [
            {"step": 3, "key": "rl.optimizer.lr", "old": 1e-3, "new": 1e-4},
            {"step": 3, "key": "reward.weights", "old": {"math": 1.0}, "new": {"math": 1.0, "brief": 0.2}},
        ]
    assert "after step 3, rl.optimizer.lr is 0.0001; it was 0.001" in capsys.readouterr().out
    checkpoints(three, settings=new).save(4, fill)
    checkpoints(three, settings=new).latest()
    assert len(record.read_text().splitlines()) == 2
    checkpoints(three).latest()  # back to what it was
    assert len(record.read_text().splitlines()) == 4
    cut_off(step_3(three).with_name("step_000004") / "loop.json")
    checkpoints(three).latest()  # from step 3 again, so nothing was ever changed
    assert record.read_text() == ""


def sft(folder: Path, config: RunConfig) -> StageInput:
    nothing: Any = None
    tokenizer = character_tokenizer("0123")
    sizes = {"batch_size": config.sft.batch_size, "data": config.sft.data}
    problems = [Problem("p1", "6 · 7?", "42")]
    return StageInput(
        config.for_stages(), folder / "sft", "", problems, [], tokenizer, nothing, sizes, config.sft
    )


def test_a_stage_is_refused_other_traces_and_says_what_else_is_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = tmp_path / "mine.jsonl"
    traces.write_text('{"problem": "1 + 1?", "answer": "2"}\n')
    config = RunConfig(sft=SftConfig(data=["solutions", str(traces)]))
    sft(tmp_path, config).checkpoints().save(1, fill)
    config.sft.checkpoint_every, config.rollout.workers, config.record.journal = 1, 2, False
    config.rl.optimizer.lr *= 2  # of another stage
    assert sft(tmp_path, config).checkpoints().latest() is not None
    assert capsys.readouterr().out == ""

    config.sft.optimizer.lr = 0.5
    assert sft(tmp_path, config).checkpoints().latest() is not None
    assert "after step 1, sft.optimizer.lr is 0.5; it was 1e-05" in capsys.readouterr().out
    assert json.loads((tmp_path / "sft" / "changes.jsonl").read_text())["key"] == "sft.optimizer.lr"

    config.sft.batch_size = 7
    with pytest.raises(ConfigError, match=r"Give the old value, sft\.batch_size=64, or start"):
        sft(tmp_path, config).checkpoints().newest()
    config.sft.batch_size = 64
    traces.write_text('{"problem": "1 + 1?", "answer": "3"}\n')
    with pytest.raises(ConfigError, match=r"mine\.jsonl=.* It is a fingerprint of the data"):
        sft(tmp_path, config).checkpoints().newest()


def test_a_stage_whose_model_was_set_aside_has_no_result(tmp_path: Path) -> None:
    stage = sft(tmp_path, RunConfig())
    for step in (1, 2):
        path = stage.checkpoints().save(step, fill)
    stage.finish(2, path)
    assert stage.result() == str(path / "model")
    flipped(path / "model" / "model.safetensors")
    assert (stage.checkpoints().latest_model() or (0,))[0] == 1
    assert stage.result() is None


# --- a disk that takes no more -------------------------------------------------------------------------


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """A limit on the size of files is the full disk. Python ignores its signal."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "library", ["torch", "torch, another format", "safetensors", "tokenizers", "numpy", "text"]
)
def test_a_full_disk_is_named_and_takes_nothing_away(
    three: Path, small_files: Callable[[int], None], library: str
) -> None:
    import numpy as np
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    numbers = torch.from_numpy(np.random.default_rng(0).normal(size=20_000))
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(2000)}, "w0"))
    write: Callable[[Path], object] = {
        "torch": lambda file: torch.save({"a": numbers}, file),
        "torch, another format": lambda file: torch.save(numbers, file, _use_new_zipfile_serialization=False),
        "safetensors": lambda file: save_file({"a": numbers}, file),
        "tokenizers": lambda file: words.save(str(file)),
        "numpy": lambda file: np.save(file, numbers),
        "text": lambda file: file.write_text("x" * 10_000),
    }[library]

    def fill_too_much(folder: Path) -> None:
        fill(folder)
        small_files(4096)
        write(folder / "big.npy")

    before = {path: path.read_bytes() for path in three.rglob("*") if path.is_file()}
    with pytest.raises(
        DiskError, match=r"000004.* cannot be written \(.*GiB are free|it was written incompletely"
    ):
        checkpoints(three).save(4, fill_too_much)
    assert {path: path.read_bytes() for path in three.rglob("*") if path.is_file()} == before
    assert names(three) == ["step_000002", "step_000003"]
    small_files(resource.RLIM_INFINITY)
    checkpoints(three).save(4, fill)
    assert checkpoints(three).latest() == (4, step_3(three).with_name("step_000004"))


@pytest.mark.parametrize(
    "words",
    [
        "checkpoint: SafetensorError: I/O error: No space left on device (os error 28)",
        "checkpoint: OSError: [Errno 28] No space left on device: '/elsewhere'",
        "checkpoint: RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534",
    ],
)
def test_what_a_learner_has_to_say_of_a_full_disk_is_the_same_error(three: Path, words: str) -> None:
    """From another process an error comes as words alone."""

    def fail(folder: Path) -> None:
        (folder / "model").mkdir()
        raise RlvrError(words)

    with pytest.raises(DiskError, match=r"unfinished_000004 cannot be written"):
        checkpoints(three).save(4, fail)
    with pytest.raises(RlvrError, match="a process died") as other:
        checkpoints(three).save(
            4, lambda folder: raise_(RlvrError("a process died: it was requested and did"))
        )
    assert not isinstance(other.value, DiskError)
    assert names(three) == ["step_000002", "step_000003"]


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("folder", "limit"), [("run", 200), ("/sys/rlvr", 1 << 40)], ids=["small files", "no permission"]
)
def test_a_command_that_cannot_write_ends_with_the_file_and_no_traceback(
    tmp_path: Path, folder: str, limit: int
) -> None:
    def less() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    ended = subprocess.run(
        [str(RLVR), "train", "experiment=quickstart", f"hydra.run.dir={folder}"],
        cwd=tmp_path, preexec_fn=less, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 3, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert str(tmp_path if folder == "run" else folder) in line  # Hydra does not say which file
    assert "cannot be" in line
