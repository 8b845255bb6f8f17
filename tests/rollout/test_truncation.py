"""Truncated distributions, and the record of what was left of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

from rlvr.rollout.truncation import ARGUMENT, Asked, Truncation, kept_tokens

pytestmark = pytest.mark.usefixtures("one_thread")
NOTHING = -np.inf


def left(logits: list[float], top_k: int = 9, top_p: float = 1.0, min_p: float = 0.0) -> set[int]:
    """The tokens that may be drawn, for one distribution."""
    ids, kept = kept_tokens(
        torch.tensor([logits]), torch.tensor([top_k]), torch.tensor([top_p]), torch.tensor([min_p])
    )
    return set(ids[kept].tolist())


def expected(logits: list[float], top_k: int, top_p: float, min_p: float) -> set[int]:
    """From the definitions, token by token, in float64."""
    p = np.exp(np.array(logits) - max(logits))
    order = [int(i) for i in np.argsort(-p, kind="stable") if p[i] > 0 and p[i] >= min_p * p.max()][:top_k]
    total, mass, kept = p[order].sum(), 0.0, set()
    for token in order:
        if top_p < 1 and mass >= top_p * total:
            break
        kept.add(token)
        mass += p[token]
    return kept


LOGITS = st.lists(st.integers(-60, 60).map(lambda n: n / 7), min_size=2, max_size=9, unique=True)


@given(LOGITS, st.integers(1, 12), st.floats(0.05, 0.97), st.floats(0.05, 0.9))
def test_what_is_left_is_what_the_definitions_say(
    logits: list[float], top_k: int, top_p: float, min_p: float
) -> None:
    each = [
        {"top_k": top_k},
        {"top_p": top_p},
        {"min_p": min_p},
        {"top_k": top_k, "top_p": top_p, "min_p": min_p},
    ]
    for given_ in each:
        whole: dict[str, Any] = {"top_k": 9, "top_p": 1.0, "min_p": 0.0} | given_
        found = left(logits, **whole)
        wanted = expected(logits, **whole)
        # a token at the border, to the last bits, may be on either side
        if found != wanted:
            shifted = [
                expected(logits, whole["top_k"], whole["top_p"] * (1 + e), whole["min_p"] * (1 + e))
                for e in (-1e-5, 1e-5)
            ]
            assert found in shifted
        assert int(np.argmax(logits)) in found


@given(LOGITS)
def test_nothing_is_left_out_where_nothing_is_asked(logits: list[float]) -> None:
    spread = [40 * logit for logit in logits]  # probabilities that vanish in sums
    assert len(left(spread)) == sum(np.float32(logit - max(spread)) > -np.inf for logit in spread)


def test_ties_at_the_border_do_not_exceed_top_k() -> None:
    assert len(left([1.0, 2.0, 1.0, 1.0, 1.0], top_k=3)) == 3
    assert 1 in left([1.0, 2.0, 1.0, 1.0, 1.0], top_k=3)
    assert len(left([0.5] * 8, top_k=8, top_p=0.5)) == 4


def test_what_was_impossible_before_stays_so() -> None:
    assert left([1.0, NOTHING, 0.5, NOTHING], top_k=4) == {0, 2}
    assert left([1.0, NOTHING, 0.5, NOTHING], top_k=4, top_p=0.99, min_p=0.01) == {0, 2}


# ---------------------------------------------------------------- the record


def asked(name: str, top_k: int) -> SamplingParams:
    return SamplingParams(extra_args={ARGUMENT: Asked(name, top_k, 1.0, 0.0)})


def update(size: int, **changes: Any) -> BatchUpdate:
    return BatchUpdate(size, **({"removed": [], "added": [], "moved": []} | changes))


LOGITS_OF_TWO = torch.tensor([[0.0, 3.0, 1.0, 2.0], [4.0, 0.0, 1.0, 2.0]])


def test_sets_belong_to_requests_wherever_they_are_in_the_batch() -> None:
    processor = Truncation(None, torch.device("cpu"), False)
    first: list[int] = []
    second: list[int] = []
    added = [
        (0, asked("a", 2), None, first),
        (1, SamplingParams(), None, []),
        (2, asked("b", 3), None, second),
    ]
    processor.update_state(update(3, added=added))
    plain = torch.tensor([[0.5, 0.25, 0.125, 0.0]])
    made = processor.apply(torch.cat([LOGITS_OF_TWO[:1], plain, LOGITS_OF_TWO[1:]]))
    assert made[0].tolist() == [NOTHING, 3.0, NOTHING, 2.0]
    assert torch.equal(made[1:2], plain)  # who asks for nothing gets what it had
    assert made[2].tolist() == [4.0, NOTHING, 1.0, 2.0]
    first.append(1)
    second.append(0)
    # the request in between is done, and the last one takes its row
    processor.update_state(update(2, removed=[1], moved=[(2, 1, MoveDirectionality.UNIDIRECTIONAL)]))
    processor.apply(LOGITS_OF_TWO.flip(0).clone())
    assert [own.tolist() for own in processor.take("a") or ()] == [[1, 3], [0, 3]]
    assert [own.tolist() for own in processor.take("b") or ()] == [[0, 2, 3], [1, 2, 3]]
    assert not processor.recorded


def test_a_request_that_is_taken_up_again_goes_on_with_its_record() -> None:
    """After a weight update, say: its tokens stay. A token that was not kept is drawn, and recorded, anew."""
    processor = Truncation(None, torch.device("cpu"), False)
    processor.update_state(update(1, added=[(0, asked("a", 2), None, [])]))
    processor.apply(LOGITS_OF_TWO[:1].clone())
    processor.apply(LOGITS_OF_TWO[1:].clone())  # the first token was not kept
    processor.update_state(update(0, removed=[0]))
    assert torch.equal(processor.apply(LOGITS_OF_TWO.clone()), LOGITS_OF_TWO)
    processor.update_state(update(1, added=[(0, asked("a", 2), None, [3])]))
    processor.apply(LOGITS_OF_TWO[:1].clone())
    assert [own.tolist() for own in processor.take("a") or ()] == [[0, 3], [1, 3]]
