"""A tokenizer of single characters, for models that are trained from nothing."""

from __future__ import annotations

from transformers import PreTrainedTokenizerFast

from rlvr.types import ConfigError


def character_tokenizer(alphabet: str) -> PreTrainedTokenizerFast:
    """One token for each character of `alphabet`, after <pad> (0), <bos> (1), <eos> (2), <unk> (3).

    Encoding adds no special tokens by itself (`encode_prompt` puts BOS in front,
    `encode_solution` EOS behind); decoding gives the text back as it was. A character outside
    of the alphabet becomes <unk>, which `encode_prompt` and `encode_solution` refuse. Its
    `save_pretrained` folder is one for `AutoTokenizer`.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    if not alphabet or len(set(alphabet)) < len(alphabet):
        raise ConfigError(f"the alphabet {alphabet!r} must have at least one character, and each once")
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
