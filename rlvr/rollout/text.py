"""Decoding of token ids to the text that reward functions read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlvr.types import FinishReason

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPT_TOKENS = 16  # at the end of a prompt: longer than any tag that opens the reasoning there


def drawn_text(
    drawn: Sequence[int],
    finish_reason: FinishReason,
    tokenizer: PreTrainedTokenizerBase,
    stop: str | None = None,
    keep_end: bool = False,
) -> str:
    """The text of a completion. Special tokens such as <think> are kept, but not those that begin, end or pad
    a sequence. The last token of an answer that ended by itself is its end, whatever it is: chat models have
    several end tokens, and not all of them are special.

    `stop` is the stop string that the last token completed. It is removed, too, and what the last token has
    after it in any case. With `keep_end`, stop string or last token stay.
    """
    left_out = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}

    def text(tokens: Sequence[int]) -> str:
        return _decoded([token for token in tokens if token not in left_out], tokenizer)

    if stop is not None:
        whole = text(drawn)
        # of several matches, the first that ends in the last token: `min_tokens` passes earlier ones over
        place = whole.find(stop, max(len(text(drawn[:-1])) - len(stop) + 1, 0))
        if place < 0:  # half a character may be longer, as text, than the character
            place = whole.rfind(stop)
        # a stop string that is a token which is left out is not there
        return whole if place < 0 else whole[: place + len(stop) * keep_end]
    return text(drawn[:-1] if finish_reason is FinishReason.STOP and not keep_end else drawn)


def prompt_end(prompt: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of the last PROMPT_TOKENS tokens of a prompt."""
    return _decoded(prompt[-PROMPT_TOKENS:], tokenizer)


def _decoded(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, spaces_between_special_tokens=False))
