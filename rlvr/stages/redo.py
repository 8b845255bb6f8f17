"""A step that was drawn before, from its groups in the journal: what the filters kept, in how many rounds."""

from __future__ import annotations

from collections.abc import Sequence

from rlvr.config import TrainConfig
from rlvr.stages.drawing import Drawn, filter_groups, filters_of, further_round
from rlvr.types import Group


def redrawn(config: TrainConfig, groups: Sequence[Group], step: int) -> Drawn:
    """What `Drawing.take(step)` returned, from all groups of the step in the journal's order.

    The chance of a filter is keyed, so it keeps the same rollouts again. `rounds` is found out by
    going through them, as each is a function of the groups before it. Seconds are 0.
    """
    filters = filters_of(config.algorithm)
    size, wanted = config.grpo.group_size, config.grpo.problems_per_step
    shown = {group.problem.id: size for group in groups[:wanted]}  # problem → rollouts known by now
    rounds = 1
    while rounds < config.algorithm.max_rounds:
        known = [_first(group, shown[group.problem.id]) for group in groups[: len(shown)]]
        drawn = Drawn(known)
        filter_groups(drawn, filters, config.seed, step)
        growing, count = further_round(drawn, config)
        others = groups[len(shown) : len(shown) + count]
        if not growing and not others:
            break
        shown |= {group.problem.id: shown[group.problem.id] + size for group in growing}
        shown |= {group.problem.id: size for group in others}
        rounds += 1
    drawn = Drawn(list(groups), rounds=rounds)
    filter_groups(drawn, filters, config.seed, step)
    return drawn


def _first(group: Group, size: int) -> Group:
    return Group(group.problem, group.rollouts[:size], group.verdicts[:size])
