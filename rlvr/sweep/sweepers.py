"""Sweepers, which choose the arms of a sweep: all combinations, or Optuna."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override

from rlvr.pipeline.arms import Arm
from rlvr.pipeline.status import VALUE
from rlvr.sweep.sweep import Sweep, values
from rlvr.types import ConfigError


def grid(sweep: Sweep) -> None:
    """Every combination of the swept values; the last key changes fastest."""
    for override in sweep.swept:
        if override.is_interval_sweep():
            raise ConfigError(
                f"{override.input_line}: an interval has infinitely many values; list some, or use "
                "hydra/sweeper=optuna"
            )
    sweep.run_arms(list(itertools.product(*map(values, sweep.swept))))


def optuna(sweep: Sweep, trials: int, parallel: int, direction: str, seed: int) -> None:
    """Values that Optuna's TPE proposes, `parallel` at a time, until `trials` arms have a held-out value.

    `a,b`, choice(…) and range(…) are categories, interval(…) is a range of real numbers, int(interval(…)) of
    integers, tag(log, interval(…)) a range on a logarithmic scale. The study is kept in the sweep's folder.
    Trials that were running when the command ended are proposed again first. Source: Bergstra et al.,
    Algorithms for Hyper-Parameter Optimization, 2011.

    Raises ConfigError if optuna is not installed, if nothing is swept, and for an unknown direction.
    """
    if direction not in ("maximize", "minimize"):
        raise ConfigError(f"hydra.sweeper.direction is {direction!r}, but must be maximize or minimize")
    if find_spec("optuna") is None:
        raise ConfigError("hydra/sweeper=optuna needs optuna: pip install 'rlvr[optuna]'")
    if not sweep.swept:
        raise ConfigError("hydra/sweeper=optuna: no key has values to choose from, as in seed=0,1")
    study = _study(sweep, direction, seed)
    space = {override.get_key_element(): _distribution(override) for override in sweep.swept}
    left = trials - sum(trial.state.name == "COMPLETE" for trial in study.trials)
    while left > 0 and not sweep.stop:
        asked = [study.ask(space) for _ in range(min(parallel, left))]
        left -= len(asked)
        chosen = [[f"{key}={trial.params[key]}" for key in space] for trial in asked]
        for trial, arm in zip(asked, sweep.run_arms(chosen), strict=True):
            _tell(study, trial, arm, sweep)
    if done := [trial for trial in study.trials if trial.state.name == "COMPLETE"]:
        best = study.best_trial
        values_of = ", ".join(f"{key}={value}" for key, value in best.params.items())
        print(f"\nbest of {len(done)}: {values_of}: {VALUE} {best.value:.4f}")


def _study(sweep: Sweep, direction: Any, seed: int) -> Any:
    """The sweep's study, in which unfinished trials are queued to be proposed again."""
    import optuna as library
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    library.logging.set_verbosity(library.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(sweep.folder / "optuna.log")))
    study = library.create_study(
        study_name="sweep", storage=storage, direction=direction, load_if_exists=True
    )
    # with a constant seed, each command's sampler would draw the same values again
    study.sampler = library.samplers.TPESampler(seed=seed + len(study.trials))
    for trial in study.trials:
        if trial.state.name == "RUNNING":
            study.tell(trial.number, state=library.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
    return study


def _distribution(override: Override) -> Any:
    """Optuna's distribution for a swept key. Categories are the values as written on the command line."""
    from optuna import distributions

    swept = override.value()
    if not isinstance(swept, IntervalSweep):
        return distributions.CategoricalDistribution([text.partition("=")[2] for text in values(override)])
    log = "log" in swept.tags
    if isinstance(swept.start, int) and isinstance(swept.end, int):
        return distributions.IntDistribution(swept.start, swept.end, log=log)
    return distributions.FloatDistribution(float(swept.start), float(swept.end), log=log)


def _tell(study: Any, trial: Any, arm: Arm | None, sweep: Sweep) -> None:
    """Report an arm's value to the study; a stopped trial stays open for the next command."""
    from optuna.trial import TrialState

    outcome = arm.outcome() if arm is not None else None
    if outcome is not None and outcome.done and outcome.value is not None:
        study.tell(trial, outcome.value)
    elif not sweep.stop:
        study.tell(trial, state=TrialState.FAIL)
