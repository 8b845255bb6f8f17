"""What chooses the arms of a sweep: all combinations, or Optuna."""

from __future__ import annotations

import itertools

from rlvr.sweep.command import Sweep, values
from rlvr.types import ConfigError


def grid(sweep: Sweep) -> None:
    """Every combination of the swept values, the last key's changing fastest."""
    for override in sweep.swept:
        if override.is_interval_sweep():
            raise ConfigError(
                f"{override.input_line}: an interval has no end of values; give some, or take "
                "hydra/sweeper=optuna"
            )
    sweep.run_arms(list(itertools.product(*map(values, sweep.swept))))
