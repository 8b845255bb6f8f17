"""A character-level tokenizer, for models that are trained from scratch."""

from __future__ import annotations

from transformers import PreTrainedTokenizerFast

from rlvr.types import ConfigError


def character_tokenizer(alphabet: str) -> PreTrainedTokenizerFast:
    """One token for each character of `alphabet`, after <pad> (0), <bos> (1), <eos> (2), <unk> (3).

    Encoding adds no special tokens (`PromptEncoder` adds BOS in front of prompts, EOS at the end of answers);
    decoding restores the text exactly. A character outside the alphabet becomes <unk>, which
    `PromptEncoder` refuses. `AutoTokenizer` can load its `save_pretrained` folder.
    Raises ConfigError for an empty alphabet or a repeated character.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    if not alphabet or len(set(alphabet)) < len(alphabet):
        raise ConfigError(f"the alphabet {alphabet!r} must have at least one character, and no repetitions")
    special = ["<pad>", "<bos>", "<eos>", "<unk>"]
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )
