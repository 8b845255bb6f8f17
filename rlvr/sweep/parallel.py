"""Several arms at a time, each in its own process: the places to run them, and the loop that fills these."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from rlvr.pipeline.arms import Arm
from rlvr.pipeline.status import Outcome, write_outcome
from rlvr.sweep.sweep import Sweep

ENDED = (0, 1, 2, 3, 130)  # exit codes of `rlvr train`; after any other, no outcome was written
POLL = 0.2  # seconds


class Place(Protocol):
    """Where one arm at a time can run."""

    def start(self, arm: Arm) -> None: ...

    def code(self) -> int | None:
        """The exit code of the arm that was started; None while it runs, −1 if it was killed."""

    def stop(self) -> None:
        """Ask the arm to save a checkpoint and end."""


def keep_busy(places: Sequence[Place], arms: Sequence[Arm], sweep: Sweep) -> None:
    """Run all arms. If the user asks to stop, stop the running ones and wait for them."""
    waiting = deque(arms)
    busy: dict[int, Arm] = {}
    stopped = False
    while busy or (waiting and not sweep.stop):
        for number, place in enumerate(places):
            if number not in busy and waiting and not sweep.stop:
                busy[number] = waiting.popleft()
                print(f"starts: {busy[number].name}", flush=True)
                place.start(busy[number])
        if sweep.stop and not stopped:
            stopped = True
            for number in busy:
                places[number].stop()
        for number, arm in list(busy.items()):
            if (code := places[number].code()) is not None:
                del busy[number]
                if code not in ENDED:
                    write_outcome(arm.folder, Outcome("failed", 3, "its process was killed"))
                print(f"ended with exit code {code}: {arm.name}", flush=True)
        time.sleep(POLL)


class SubmititPlace:
    """A Slurm job, or a process on this machine, by Submitit."""

    def __init__(self, executor: Any, sweep: Sweep, cores: Sequence[int]) -> None:
        self.executor, self.sweep, self.cores = executor, sweep, list(cores)
        self.job: Any = None

    def start(self, arm: Arm) -> None:
        # the job inherits this: Ctrl-C in the terminal goes to the sweep alone, which stops its arms
        on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            arguments = [self.sweep.command, *arm.arguments]
            self.job = self.executor.submit(self.sweep.program, arguments, self.cores)
        finally:
            signal.signal(signal.SIGINT, on_interrupt)

    def code(self) -> int | None:
        from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError

        if not self.job.done():
            return None
        try:
            return int(self.job.result())
        except (FailedJobError, FailedSubmissionError, UncompletedJobError):
            return -1

    def stop(self) -> None:
        if self.executor.cluster == "local":
            # the job's controller forwards the signal; Submitit's `cancel` leaves only a second to save
            with suppress(ProcessLookupError):
                os.kill(int(self.job.job_id), signal.SIGTERM)
        else:
            self.job.cancel(check=False)


class Slot:
    """A Ray actor that runs one arm at a time in a separate process, which starts its own Ray."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped = False

    def node(self) -> tuple[str, list[int]]:
        """The id of this actor's node, and the cores that it may use there."""
        import ray

        return ray.get_runtime_context().get_node_id(), sorted(os.sched_getaffinity(0))

    def run(self, module: str, arguments: Sequence[str], cores: Sequence[int], cwd: str, output: str) -> int:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment["RAY_ADDRESS"] = "local"  # otherwise it would join a cluster running on this machine
        os.sched_setaffinity(0, cores)  # the process inherits them
        command = [sys.executable, "-m", module, *arguments]
        with open(output, "ab") as file:
            self.process = subprocess.Popen(
                command, cwd=cwd, env=environment, stdout=file, stderr=file, start_new_session=True
            )
            if self.stopped:
                self.process.terminate()
            return self.process.wait()

    def stop(self) -> None:
        self.stopped = True
        if self.process is not None:
            self.process.terminate()


class RayPlace:
    """A slot somewhere on the cluster."""

    def __init__(self, slot: Any, sweep: Sweep, cores: Sequence[int]) -> None:
        self.slot, self.sweep, self.cores = slot, sweep, list(cores)
        self.call: Any = None

    def start(self, arm: Arm) -> None:
        output = str(arm.folder / "output.txt")
        arguments = [self.sweep.command, *arm.arguments]
        module = self.sweep.program.__module__
        self.call = self.slot.run.remote(module, arguments, self.cores, os.getcwd(), output)

    def code(self) -> int | None:
        import ray
        from ray.exceptions import RayError

        if not ray.wait([self.call], timeout=0)[0]:
            return None
        try:
            return int(ray.get(self.call))
        except RayError:
            return -1

    def stop(self) -> None:
        self.slot.stop.remote()
