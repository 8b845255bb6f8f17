"""What `lean_imports` keeps out, and that it leaves the process as it was."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from rlvr.base.imports import lean_imports


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that can be imported, and was not."""
    (tmp_path / "mlflow.py").write_text("found = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = sys.modules.pop("mlflow", None)
    yield
    sys.modules.pop("mlflow", None)
    if before is not None:
        sys.modules["mlflow"] = before


@pytest.mark.parametrize("fails", [False, True])
def test_mlflow_is_hidden_and_nothing_is_collected_for_as_long_as_it_lasts(mlflow: None, fails: bool) -> None:
    with suppress(ZeroDivisionError), lean_imports():
        assert not gc.isenabled()
        with pytest.raises(ImportError):
            import_module("mlflow")
        1 / (not fails)
    assert gc.isenabled()
    assert import_module("mlflow").found


def test_what_was_imported_or_switched_off_before_stays_so(mlflow: None) -> None:
    before = import_module("mlflow")
    gc.disable()
    try:
        with lean_imports():
            assert import_module("mlflow") is before
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert sys.modules["mlflow"] is before


@pytest.mark.slow
def test_deepspeed_does_without_mlflow() -> None:
    pytest.importorskip("mlflow")
    program = """
import sys
from rlvr.base.imports import lean_imports
with lean_imports():
    import deepspeed
assert "mlflow" not in sys.modules
import mlflow
assert deepspeed.__version__ and mlflow.__version__
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.parametrize(("module", "brought"), [("workers.worker", False), ("math", True), ("steps", True)])
def test_a_reward_process_imports_the_verifier_once_and_only_if_a_function_needs_it(
    module: str, brought: bool
) -> None:
    program = f"""
import sys
import rlvr.rewards.{module}
assert "pint" not in sys.modules
assert ("rlvr.verify.check" in sys.modules) == {brought}
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
