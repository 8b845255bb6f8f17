"""docs/configuration.md is what the schemas and conf/ give, and leaves out nothing."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import rlvr
from rlvr.configuration import compose
from rlvr.configuration.keys import all_keys, config_folder

DOCS = Path(rlvr.__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location("configuration_page", DOCS / "configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_up_to_date(made: ModuleType) -> None:
    assert (DOCS / "configuration.md").read_text() == made.page(), "run: python docs/configuration.py"


@pytest.mark.parametrize("command", compose.SCHEMAS)
def test_every_setting_is_there_with_help(made: ModuleType, command: str) -> None:
    """Those that a section shares with one before are shown there."""
    known: dict[type, tuple[str, list[object]]] = {}
    for other in compose.SCHEMAS:
        text = "\n".join(made.sections(compose.SCHEMAS[other], known))
        if other == command:
            break
    rows = dict(re.findall(r"^\| \**`([\w.]+)`\** \| .* \| (.*) \|$", text, re.MULTILINE))
    referred = set(re.findall(r"`(\w+)`", "".join(re.findall(r"The same as above: .*", text))))
    as_others = {key for key, *_ in re.findall(r"### (\w+)\n\n(As|The same as) `", text)}
    for key in all_keys(compose.SCHEMAS[command]):
        section = key.partition(".")[0]
        if section in referred | as_others:
            continue
        if any(other.startswith(f"{key}.") for other in rows):
            continue  # a section
        assert rows.get(key), f"{key} has no help: give it one where it is declared"


def test_every_option_of_every_group_is_there_with_its_first_sentence(made: ModuleType) -> None:
    text = made.groups()
    options = [path for path in config_folder().rglob("*.yaml") if path.parent != config_folder()]
    assert len(options) > 40
    for path in options:
        assert re.search(rf"^- `{re.escape(path.stem)}`: \S+", text, re.MULTILINE), path
    assert (
        "`dr_grpo`: Dr. GRPO (arXiv 2503.20783): no division by the deviation, and a constant in place"
        in text
    )
    assert "`exact`: +1 for an answer that is the same text as the reference, but for case, spaces" in text


def test_types_and_defaults_are_as_they_are_given(made: ModuleType) -> None:
    page = made.page()
    for row in (
        "| `seed` | integer, ≥ 0 | `0` | seed of everything random |",
        "| `rl.optimizer.beta1` | number, ≥ 0, < 1 | `0.9` | decay rate of the gradients' mean |",
        "| `rl.optimizer.decay` | `constant` or `linear` or `cosine` | `constant` |",
        "| `algorithm.critic.lr` | number, > 0 | `1.0e-05` | learning rate of the value model |",
        "| `sampling.temperature` | number, ≥ 0.01, ≤ 2 | `1.0` |",
        "| `reward.clip` | list of number or null | `null` |",
        "| **`algorithm.critic`** | section or null | `null` | for advantages that use `values` |",
    ):
        assert row in page
    assert "As `sft`, with other defaults: `midtrain.trainer` is `{_target_: rlvr.stages.midtrain" in page
