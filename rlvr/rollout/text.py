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
    end: str | int | None = None,
    keep_end: bool = False,
) -> str:
    """The text of a completion. Special tokens such as <think> are kept, but not those that begin, end or pad
    a sequence. A special token that ended the answer is removed even if the tokenizer does not call it an
    end: chat models have several end tokens.

    `end` is what a request had asked to end the answer at: the stop string that the last token completed, or
    the id of the last token. It is removed, unless `keep_end`, and so is what the last token has after it.
    """
    left_out = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}

    def text(tokens: Sequence[int]) -> str:
        return _decoded([token for token in tokens if token not in left_out], tokenizer)

    if isinstance(end, str):
        whole = text(drawn)
        # of several matches, the first that ends in the last token: `min_tokens` passes earlier ones over
        place = whole.find(end, max(len(text(drawn[:-1])) - len(end) + 1, 0))
        if place < 0:  # half a character may be longer, as text, than the character
            place = whole.rfind(end)
        # a stop string that is a token which is left out is not there
        return whole if place < 0 else whole[: place + len(end) * keep_end]
    ends = set() if keep_end else {*tokenizer.all_special_ids, end}
    ended = finish_reason is FinishReason.STOP and drawn and drawn[-1] in ends
    return text(drawn[:-1] if ended else drawn)


def prompt_end(prompt: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of the last PROMPT_TOKENS tokens of a prompt."""
    return _decoded(prompt[-PROMPT_TOKENS:], tokenizer)


def _decoded(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, spaces_between_special_tokens=False))
