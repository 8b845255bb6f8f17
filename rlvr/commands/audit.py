"""`rlvr audit`: does this reward deserve trust on these problems?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from rlvr import __version__
from rlvr.audit.audit import run_audit
from rlvr.audit.config import AuditConfig
from rlvr.audit.report import make_report, print_report
from rlvr.base.stopping import StopRequest
from rlvr.commands.launch import Command, launch
from rlvr.configuration import compose
from rlvr.problems.load import load_problems
from rlvr.types import ConfigError

UNTRUSTED = 4  # exit code: the audit was made, and the reward misses a threshold

USAGE = """\
Does a reward deserve trust on these problems? The exit code is 4 where it misses a threshold.

  rlvr audit reward=math problems=arithmetic
  rlvr audit reward=math audit.out=audit.json
"""


def main(arguments: Sequence[str]) -> int:
    """Audit the configured reward; 0 if it meets all thresholds, 4 if not, 2 and 3 as for all commands.

    Prints a table and writes audit.json, to the run's folder or to `audit.out`.
    """
    codes: list[int] = []

    def job(tree: DictConfig, stop: StopRequest | None) -> None:
        config = compose.to_config(tree, AuditConfig)
        folder = HydraConfig.get().runtime.output_dir
        out = Path(config.audit.out) if config.audit.out else Path(folder) / "audit.json"
        if not out.parent.is_dir():
            raise ConfigError(f"audit.out={out}: there is no folder {out.parent}")
        problems = load_problems("problems.train", config.problems.train)
        report = make_report(run_audit(config, problems), config.audit)
        made_from = {"rlvr": __version__, "config": OmegaConf.to_container(tree, resolve=True)}
        out.write_text(json.dumps({**report, **made_from}, indent=2, ensure_ascii=False) + "\n")
        print_report(report, config.audit.shown, Console())
        print(f"report: {out}")
        codes.append(0 if report["trusted"] else UNTRUSTED)

    return launch(Command("audit", USAGE, job, resumable=False), arguments) or max(codes, default=0)
