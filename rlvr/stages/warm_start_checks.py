"""Messages about settings of a stage that learns from worked answers: those that fail or do nothing."""

from __future__ import annotations

from collections.abc import Iterator

from rlvr.base.targets import target_messages
from rlvr.learner.config import optimizer_messages
from rlvr.stages.config import DpoConfig, SftConfig, ValidationConfig, WarmStartConfig
from rlvr.traces.config import contradictions


def warm_start_messages(key: str, settings: WarmStartConfig) -> Iterator[str]:
    """What is wrong with the settings of a stage that learns from worked answers."""
    if (settings.steps is None) == (settings.epochs is None):
        given = "neither is" if settings.steps is None else "both are"
        yield f"{key}.steps and {key}.epochs: {given} given; set one of them, the other to null"
    yield from optimizer_messages(key, settings.optimizer, settings.steps)
    given_by_us = ("traces", "encode", "settings", "seed", "max_length")
    yield from target_messages(f"{key}.trainer", settings.trainer, given_by_us)
    if isinstance(settings, SftConfig):
        yield from contradictions(settings.choose, f"{key}.choose.")
        if settings.validation.share == 0 and settings.validation != ValidationConfig():
            yield f"{key}.validation has settings, but they have no effect with share 0"
    if isinstance(settings, DpoConfig):
        yield from contradictions(settings.pairs, f"{key}.pairs.")
