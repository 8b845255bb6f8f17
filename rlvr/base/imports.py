"""How vLLM and DeepSpeed are imported, as most of the time that a small run takes to start is imports; and
where the user's own functions are found."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def find_own_functions() -> None:
    """Have functions of the user's own folder, this one, found by their import path."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


@contextmanager
def lean_imports() -> Iterator[None]:
    """Import within this block at three quarters of the cost or less.

    Python looks for garbage again and again among a million new objects that all stay. And DeepSpeed, for an
    autotuner that nobody asks for, brings in MLflow where it is installed: here it finds none.
    """
    modules: dict[str, Any] = sys.modules
    hidden = "mlflow" not in modules
    collects = gc.isenabled()
    if hidden:
        modules["mlflow"] = None  # an import of it fails
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
        if hidden:
            del modules["mlflow"]
