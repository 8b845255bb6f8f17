"""The two trainers of `against_trl.py`: a process each, of which one works and the other waits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, NoReturn, Self

import psutil  # type: ignore[import-untyped]
from against_trl_cases import ALPHABET, GROUP_SIZE, MAX_LENGTH, Case, timed_problems
from parity_trl_cases import LOSSES, trl_advantage

from rlvr.learner.models import make_scratch_model
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.record.journal import read_journal
from rlvr.record.sinks import read_metrics

HERE = Path(__file__).resolve().parent
DEADLINE = 1800.0  # seconds for a start or a step
RATE = 1e-9  # the learning rate: next to nothing, so that steps stay alike
NEVER = 10**6  # steps


class SideFailed(Exception):
    """A trainer ended before its time."""


class Side:
    """A trainer in a process of its own, with all that it starts."""

    def __init__(self, name: str, command: Sequence[object], folder: Path) -> None:
        self.name, self.output = name, folder / f"{name}.log"
        self.connection, theirs = Pipe()
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [str(word).replace("{descriptor}", str(theirs.fileno())) for word in command],
                pass_fds=[theirs.fileno()],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(),
                cwd=folder,
                start_new_session=True,  # an interruption is ours to pass on
            )
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """It ends by itself once nobody tells it to go on."""
        self.connection.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self) -> dict[str, Any]:
        """Until it is ready for a step; what it says of its last one.

        Raises:
            SideFailed: it ended, or does nothing for `DEADLINE`; with the end of what it printed.
        """
        until = time.monotonic() + DEADLINE
        while not self.connection.poll(0.5):
            if self.process.poll() is not None or time.monotonic() > until:
                self._fail()
        try:
            figures: dict[str, Any] = json.loads(self.connection.recv_bytes())
        except EOFError:
            self._fail()
        return figures

    def _fail(self) -> NoReturn:
        end = self.output.read_bytes()[-6000:].decode(errors="replace")
        raise SideFailed(f"{self.name} ended, or does nothing any more:\n{end}")

    def step(self) -> dict[str, Any]:
        """Let it make a step; its figures, and as `wall` the seconds until it was ready for another."""
        began = time.monotonic()
        self.connection.send_bytes(b"go")
        figures = self.wait()
        return figures | {"wall": time.monotonic() - began}

    def processes(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Of all its processes that live, so far."""
        total = 0.0
        for process in self.processes():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    def peak_memory(self) -> dict[str, float]:
        """GiB by process: the most that was ever resident. Pages that several share count in each."""
        peaks: dict[str, float] = {}
        for process in self.processes():
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found = dict(line.split(":", 1) for line in lines)
            if "VmHWM" in found:
                name = found["Name"].strip()
                peaks[name] = peaks.get(name, 0.0) + int(found["VmHWM"].split()[0]) / 2**20
        return {name: gib for name, gib in sorted(peaks.items()) if gib >= 0.01}


def cores() -> int:
    return len(os.sched_getaffinity(0))


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"OMP_NUM_THREADS": str(cores()), "HF_HUB_OFFLINE": "1", "PYTHONPATH": path}


def prepare(folder: Path, case: Case, checkpoint: Path | None) -> int:
    """Put the checkpoint and the problems into `folder`; the number of parameters.

    `checkpoint` is the model of a case without `sizes`.
    """
    from transformers import AutoModelForCausalLM

    if case.sizes is None:
        assert checkpoint is not None
        (folder / "model").symlink_to(checkpoint.resolve())
    else:
        tokenizer = character_tokenizer(ALPHABET)
        make_scratch_model(folder / "model", tokenizer, MAX_LENGTH, 0, tie_word_embeddings=True, **case.sizes)
    rows = "".join(json.dumps(problem) + "\n" for problem in timed_problems(case))
    (folder / "problems.jsonl").write_text(rows)
    return int(AutoModelForCausalLM.from_pretrained(folder / "model").num_parameters())


def trl_side(python: Path, folder: Path, case: Case, settings: Mapping[str, Any]) -> Side:
    spec = {
        "model": str(folder / "model"),
        "problems": timed_problems(case),
        "problems_per_step": case.problems,
        "chat": case.chat,
        "reward": "parity",
        "settings": {
            "max_completion_length": case.max_tokens,
            "learning_rate": RATE,
            "max_steps": NEVER,
            **settings,
        },
    }
    return start_trl(python, folder, spec)


def start_trl(python: Path, folder: Path, spec: Mapping[str, Any]) -> Side:
    """TRL with what `against_trl_worker.py` reads of `spec`, at temperature 1 and with GRPO's loss."""
    path = folder / "trl.json"
    settings = {"temperature": 1.0, **LOSSES["grpo"], **spec["settings"]}
    defaults = {
        "folder": str(folder / "trl"),
        "threads": cores(),
        "warmup_steps": 0,
        "problems_per_step": 32,
        "chat": False,
    }
    whole = {**defaults, **spec, "settings": settings}
    path.write_text(json.dumps(whole))
    return Side("trl", [python, HERE / "against_trl_worker.py", path, "{descriptor}"], folder)


def our_side(folder: Path, case: Case, settings: Sequence[str]) -> Side:
    overrides = [
        "problems=file",
        f"problems.train.path={folder / 'problems.jsonl'}",
        "model=pretrained",
        f"model.path={folder / 'model'}",
        f"model.max_length={MAX_LENGTH}",
        f"problems.prompt.chat={str(case.chat).lower()}",
        f"sampling.max_tokens={case.max_tokens}",
        "+reward.functions.parity={_target_: against_trl_cases.parity}",
        f"rl.optimizer.lr={RATE}",
        *(f"rl.{name}={NEVER}" for name in ("steps", "evaluate_every")),
        *(["problems.prompt.template={problem}"] if case.chat else []),
        *settings,
    ]
    return start_ours(folder, overrides, case.problems)


def start_ours(folder: Path, overrides: Sequence[str], problems: int = 32) -> Side:
    """`rlvr train` with these overrides, TRL's advantages and a reward of one's own, into `folder`/run."""
    common = [
        "algorithm=grpo",
        f"algorithm.advantage._target_={trl_advantage.__module__}.{trl_advantage.__name__}",
        "~reward.functions.math",
        f"rl.problems_per_step={problems}",
        f"rl.group_size={GROUP_SIZE}",
        *(f"rl.{name}={NEVER}" for name in ("checkpoint_every", "check_every")),
        "record.trackers=[]",
        f"hydra.run.dir={folder / 'run'}",
    ]
    command = [sys.executable, HERE / "against_trl_ours.py", "{descriptor}", *overrides, *common]
    return Side("ours", command, folder)


def our_figures(folder: Path, step: Mapping[str, Any]) -> dict[str, Any]:
    """What TRL's side says of its steps, of one of ours, from the run's metrics and journal."""
    stage, number = folder / "run" / "rl", int(step["step"])
    metrics = read_metrics(stage / "metrics.jsonl")[number]
    rollouts = [r for group in read_journal(stage, "train", number) for r in group.rollouts]
    return {
        **step,
        "seconds": {part: metrics[f"time/{part}"] for part in ("generate", "reward", "learn", "publish")},
        "lengths": [rollout.num_sampled for rollout in rollouts],
        "prompt_tokens": sum(len(rollout.tokens) - rollout.num_sampled for rollout in rollouts),
        "learned_tokens": metrics["learner/tokens"],
        "padding": metrics["learner/padding"],
        "no_signal": metrics["groups/no_signal"],
    }
