"""Does vLLM sample from the policy that the learner trains? Measured on live rollouts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlvr.cluster.waiting import finish
from rlvr.learner.actor import LearnerGroup
from rlvr.stages.batches import rollout_batch
from rlvr.stages.buffer import RolloutBuffer
from rlvr.types import Group, RlvrError

DEADLINE = 600.0  # seconds for the learner's forward pass


def check_logprobs(
    learner: LearnerGroup, buffer: RolloutBuffer, groups: Sequence[Group], tolerance: float
) -> float:
    """Mean absolute gap per token between both sides' log-probabilities, on a rollout of each group.

    The rollouts must have been drawn by the learner's present version. Every worker has drawn
    some of the groups, so each is looked at.

    Raises:
        RlvrError: the mean absolute gap per token is beyond `tolerance`; the message names the
            weights that the workers hold otherwise than the learner.
    """
    batch = rollout_batch([group.rollouts[0] for group in groups], range(len(groups)))
    computed = buffer.wait("log-probability check", learner.call("logprobs", batch), DEADLINE)
    gaps = [
        np.abs(ours - drawn)[mask]
        for ours, drawn, mask in zip(computed, batch.columns["sampler_logprobs"], batch.mask, strict=True)
    ]
    gap = np.concatenate(gaps)
    if gap.mean() <= tolerance:
        return float(gap.mean())
    ours = finish("weight checksums", learner.call("weight_checksums"))
    differing: set[str] = set()
    compared = False
    for worker in buffer.pool.actors:
        theirs = finish("weight checksums", [worker.weight_checksums.remote()])
        compared |= bool(theirs)
        differing |= {name for name, value in ours.items() if theirs and theirs.get(name) != value}
    if differing:
        where = f"these weights differ: {', '.join(sorted(differing))}"
    elif compared:
        where = "all weights that were sent agree, so the two compute one model differently (dtype, kernels)"
    else:
        where = "this way of sending weights keeps no checksums, so which of them differ cannot be told"
    raise RlvrError(
        f"vLLM's and the learner's log-probabilities differ by {gap.mean():.2g} per token on average, at "
        f"most {gap.max():.2g} (rl.max_logprob_gap={tolerance:g}; bfloat16 needs about 0.05): {where}"
    )
