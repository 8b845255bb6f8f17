"""Decoding of token ids to the text that reward functions read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlvr.types import FinishReason

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPT_TOKENS = 16  # at the end of a prompt: longer than any tag that opens the reasoning there


def drawn_text(drawn: Sequence[int], finish_reason: FinishReason, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of a completion. Special tokens such as <think> are kept, but not those that begin, end or pad
    a sequence. The last token of an answer that ended by itself is its end, whatever it is: chat models have
    several end tokens, and not all of them are special."""
    left_out = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    ended = finish_reason is FinishReason.STOP
    kept = [token for token in (drawn[:-1] if ended else drawn) if token not in left_out]
    return _decoded(kept, tokenizer)


def prompt_end(prompt: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of the last PROMPT_TOKENS tokens of a prompt."""
    return _decoded(prompt[-PROMPT_TOKENS:], tokenizer)


def _decoded(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, spaces_between_special_tokens=False))
