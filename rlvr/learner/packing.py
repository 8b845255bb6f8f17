"""Packed attention: several sequences in one row, each attending only to itself.

A token attends to earlier tokens of its own sequence only. A prompt that several sequences share is stored
once, in front of them. On a CPU this takes a few calls of PyTorch's attention, each for adjacent sequences,
at a cost of about Σ l² rather than (Σ l)², and without a mask of that size. Calls of that size do not fill a
GPU; there it is a single call of a kernel for sequences of various lengths, if that can do it
(`takes_varlen`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from rlvr.types import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "rlvr_packed"  # name of `packed_attention` in transformers
# arguments of attention functions that `packed_attention` does not support
UNKNOWN = ("softcap", "s_aux", "position_bias", "cache")
INSTEAD = "set learner.packing=false"
FEW = 128  # tokens; below, a call per sequence costs more than the masked-out part of one call for all


@dataclass(frozen=True)
class Call:
    """One call of attention, for adjacent sequences."""

    own: tuple[int, ...]  # lengths of the sequences, without the shared prompt
    prompt: int = 0  # length of the shared prompt
    inside: bool = False  # the prompt's own tokens are queries of this call, too
    masked: bool = False  # one row under a mask; else rows of a batch, of equal length

    @property
    def tokens(self) -> int:
        """Number of query tokens in this call."""
        return sum(self.own) + (self.prompt if self.inside else 0)

    def mask(self, window: int | None, device: torch.device) -> Tensor | None:
        """[queries, keys], True where a token attends to another; None where plain causal attention is equal.

        A token attends to at most `window` tokens, including itself. For rows of a batch this is the mask of
        each row, with the prompt among the queries.
        """
        own = self.own if self.masked else self.own[:1]
        length = self.prompt + max(own)
        narrow = window if window is not None and length > window else None
        if not self.masked and narrow is None:
            return None
        lengths = torch.tensor([self.prompt, *own])
        places = torch.arange(int(lengths.sum()))
        sequence = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        first = torch.cumsum(lengths, 0) - lengths - self.prompt
        first[0] = 0
        positions = places - first[sequence]
        ahead = positions[:, None] - positions
        seen = (ahead >= 0) & ((sequence[:, None] == sequence) | (sequence == 0))
        if narrow is not None:
            seen &= ahead < narrow
        alone = self.masked and not self.inside
        return (seen[self.prompt :] if alone else seen).to(device)


class Layout:
    """The order of sequences in a row: a prompt, the sequences that share it, the next prompt, and so on.

    `families` has each prompt's length (0 without a shared one) and the lengths of what follows it.
    """

    def __init__(self, families: Sequence[tuple[int, Sequence[int]]]) -> None:
        self.families = tuple((prompt, tuple(own)) for prompt, own in families)
        self.calls = [call for prompt, own in self.families for call in _calls(prompt, own)]
        self._masks: dict[tuple[int, int | None], Tensor | None] = {}
        self._varlen: Varlen | None = None

    def mask(self, place: int, window: int | None, device: torch.device) -> Tensor | None:
        """`Call.mask` of the call at `place`; cached, as all layers need the same."""
        if (place, window) not in self._masks:
            self._masks[place, window] = self.calls[place].mask(window, device)
        return self._masks[place, window]

    def varlen(self, device: torch.device) -> Varlen:
        """`varlen` of the families; cached, as all layers need the same."""
        if self._varlen is None:
            self._varlen = varlen(self.families, device)
        return self._varlen


@dataclass(frozen=True)
class Varlen:
    """One call of attention for all N segments of a row: each shared prompt, and each sequence behind it.

    Query i of a segment, counted from its end, sees the segment's keys up to key i from their end.
    """

    queries: Tensor  # [N + 1] int32: where each segment's queries begin in the row, and the end
    keys: Tensor  # [N + 1] int32: the same of its keys
    places: Tensor | None  # [keys] int64: the token of the row that each key is; None: all in order
    longest: tuple[int, int]  # queries and keys of a segment, at most


def varlen(families: Sequence[tuple[int, Sequence[int]]], device: torch.device | None = None) -> Varlen:
    """The segments of the families of a `Layout`. A sequence's keys are its prompt's and then its own."""
    queries: list[int] = []
    places: list[Tensor] = []
    end = 0
    for prompt, own in families:
        shared = torch.arange(end, end + prompt)
        if prompt:
            queries.append(prompt)
            places.append(shared)
            end += prompt
        for length in own:
            queries.append(length)
            places.append(torch.cat([shared, torch.arange(end, end + length)]))
            end += length
    keys = [len(place) for place in places]
    starts = (torch.tensor([0, *accumulate(lengths)], dtype=torch.int32) for lengths in (queries, keys))
    own_queries, own_keys = (start.to(device) for start in starts)
    gathered = torch.cat(places).to(device) if sum(keys) > end else None
    return Varlen(own_queries, own_keys, gathered, (max(queries), max(keys)))


def takes_varlen(query: Tensor, layout: Layout, dropout: float) -> bool:
    """Whether the varlen kernel, FlashAttention's, is to compute attention of queries [..., D].

    It can in half precision on a GPU of compute capability 8 or more, with D at most 256 and a multiple of 8,
    without dropout. Every sequence needs a copy of its prompt's keys, which the backward pass keeps: these
    must not outnumber the tokens. They do only where prompts are long, and there calls are large.
    """
    copies = sum(prompt * len(own) for prompt, own in layout.families)
    if copies > sum(prompt + sum(own) for prompt, own in layout.families):
        return False
    if not query.is_cuda or query.dtype not in (torch.bfloat16, torch.float16) or dropout:
        return False
    size = query.shape[-1]
    return size <= 256 and size % 8 == 0 and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _calls(prompt: int, own: Sequence[int]) -> Iterator[Call]:
    """Sequences after a long prompt are grouped up to the prompt's length, so that at most half of a call's
    work is masked out, and the copies of the prompt's keys do not outnumber the tokens."""
    if prompt and own and prompt + sum(own) <= FEW:
        yield Call(tuple(own), prompt, inside=True, masked=True)
        return
    if prompt:
        yield Call((prompt,))
    most = max(prompt, FEW)
    together: list[int] = []
    for length, same in groupby(own):
        rows = tuple(same)
        apart = length > most or (not prompt and sum(rows) > most)
        for part in [rows] if apart else [(length,)] * len(rows):
            if together and sum(together) + sum(part) > most:
                yield _together(together, prompt)
                together = []
            if apart:
                yield Call(part, prompt)
            else:
                together.extend(part)
    if together:
        yield _together(together, prompt)


def _together(own: Sequence[int], prompt: int) -> Call:
    return Call(tuple(own), prompt, masked=prompt > 0 or len(own) > 1)


def packed_attention(
    module: nn.Module,
    query: Tensor,  # [1, heads, S, D]
    key: Tensor,  # [1, key heads, S, D]
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed_layout: Layout | None = None,  # for the S tokens
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Causal attention of every sequence to its prompt and itself: [1, S, heads, D], as in transformers.

    Raises:
        ConfigError: the model needs something other than causal attention, with or without a window.
    """
    asked = [name for name in UNKNOWN if others.get(name) is not None]
    if asked or attention_mask is not None or not getattr(module, "is_causal", True):
        raise ConfigError(
            f"learner.packing: {type(module).__name__} is not plain causal attention "
            f"({', '.join(asked) or 'it has a mask of its own'}): {INSTEAD}"
        )
    if packed_layout is None:
        raise ConfigError(
            f"learner.packing: {type(module).__name__} is not told where sequences begin, since the model "
            f"does not pass unknown arguments on to it: {INSTEAD}"
        )
    if takes_varlen(query, packed_layout, dropout):
        return _in_one_call(query, key, value, packed_layout, scaling, sliding_window), None
    calls = packed_layout.calls
    cuts = [call.tokens for call in calls]
    # `split`, since the backward pass of a slice allocates zeros of the whole row
    split = (torch.split(x, cuts, 2) for x in (query, key, value))
    results = []
    prompt: Sequence[Tensor] = ()
    for place, (call, *parts) in enumerate(zip(calls, *split, strict=True)):
        mask = packed_layout.mask(place, sliding_window, query.device)
        if not call.masked:  # [1, heads, rows · length, D] as [rows, heads, length, D]
            parts = [part[0].unflatten(1, (len(call.own), -1)).transpose(0, 1) for part in parts]
        q, k, v = parts
        if call.prompt and not call.inside:
            before = [part.expand(len(k), -1, -1, -1) for part in prompt]
            k, v = (torch.cat(pair, 2) for pair in zip(before[1:], (k, v), strict=True))
            if not call.masked:  # with the prompt's queries again, so that it is plain causal attention
                q = torch.cat([before[0], q], 2)
        result, _ = sdpa_attention_forward(module, q, k, v, mask, dropout=dropout, scaling=scaling)
        if call.prompt and not call.masked:
            result = result[:, call.prompt :]
        results.append(result.flatten(0, 1))
        if not call.prompt:
            prompt = parts
    return torch.cat(results)[None], None


def _in_one_call(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, scaling: float | None, window: int | None
) -> Tensor:
    """`packed_attention` by the varlen kernel."""
    segments = layout.varlen(query.device)
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))  # [S, heads, D]
    if segments.places is not None:
        k, v = (part.index_select(0, segments.places) for part in (k, v))
    result = varlen_attn(
        q.contiguous(),
        k.contiguous(),
        v.contiguous(),
        segments.queries,
        segments.keys,
        *segments.longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    assert isinstance(result, Tensor)  # without `return_aux`
    return result[None]


def of_one_sequence(tokens: Tensor, model: PreTrainedModel) -> dict[str, Any]:
    """The inputs of a model, with packed attention or without, for one sequence [1, T]."""
    inputs: dict[str, Any] = {"input_ids": tokens, "use_cache": False}
    if model.config._attn_implementation == NAME:
        inputs["packed_layout"] = Layout([(0, [tokens.shape[1]])])
    return inputs


def use_packed_attention(model: PreTrainedModel) -> None:
    """Make every layer of a model use `packed_attention`, and check, in evaluation mode, that it works.

    Raises:
        ConfigError: a layer has another kind of attention, or mixes tokens in another way.
    """
    name = type(model).__name__
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if others := sorted(kinds - {"full_attention", "sliding_attention"}):
        raise ConfigError(f"learner.packing: {name} has layers of {', '.join(others)}: {INSTEAD}")
    AttentionInterface.register(NAME, packed_attention)
    model.set_attn_implementation(NAME)
    if _sees_others(model):
        raise ConfigError(
            f"learner.packing: packed into one row, the sequences of {name} influence each other, so it "
            f"mixes tokens by something other than replaceable attention: {INSTEAD}"
        )


def _sees_others(model: PreTrainedModel) -> bool:
    """Whether a model's output for the second of two packed sequences depends on the first one."""
    tokens = torch.tensor([[0, 1, 0, 1, 1]], device=model.device)
    embedded = model.get_input_embeddings()(tokens).detach().requires_grad_()
    positions = torch.tensor([[0, 1, 0, 1, 2]], device=model.device)
    layout = Layout([(0, [2, 3])])
    said = model(inputs_embeds=embedded, position_ids=positions, packed_layout=layout, use_cache=False)[0]
    (gradient,) = torch.autograd.grad(said[:, 2:].float().square().sum(), embedded)
    return bool(gradient[:, :2].any())
