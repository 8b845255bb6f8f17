"""`rlvr -sc install=bash`: shell completion of groups, options and keys, by Hydra."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import hydra
from omegaconf import DictConfig

from rlvr.configuration.compose import SCHEMAS, register_schema
from rlvr.configuration.keys import config_folder

HOW = """rlvr -sc needs the name of the shell: eval "$(rlvr -sc install=bash)", or zsh, or fish"""


def complete(arguments: Sequence[str], commands: Sequence[str]) -> int:
    """Handle `install=`, `uninstall=` or `query=SHELL`, as the shell's script asks; the exit code.

    Hydra's script knows no commands, so a query's command is read from the command line, in COMP_LINE.
    """
    asked = [argument for argument in arguments if "=" in argument]
    if len(asked) != 1:
        print(f"rlvr: {HOW}", file=sys.stderr)
        return 2
    command = "train"
    if asked[0].startswith("query="):
        command, ended, rest = os.environ["COMP_LINE"].partition(" ")[2].partition(" ")
        if not ended:
            print(*commands)
            return 0
        if command not in SCHEMAS:
            return 0
        os.environ["COMP_LINE"] = f"rlvr {rest}"

    def job(tree: DictConfig) -> None:
        raise AssertionError("completion must not run a command")

    register_schema()
    sys.argv = ["rlvr", "-sc", *asked]
    hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=command)(job)()
    return 0
