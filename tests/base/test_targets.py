"""Import paths of a configuration that lead nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvr.base.targets import resolve
from rlvr.types import ConfigError


@pytest.mark.parametrize("code", ["raise SystemExit", "import sys; sys.exit(0)"])
def test_a_module_that_ends_the_process_at_its_import_is_a_fault_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    (tmp_path / "ends_at_import.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"reward: .*importing ends_at_import raised SystemExit"):
        resolve("ends_at_import.reward", "reward")
