"""Small tokenizers and chat templates of the kinds that model families have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "You are a helpful assistant. What is 12 + 34? Let us think step by step.",
    "system user assistant model question answer: the sum of the numbers is 46, so x = 7.",
    "def area(r): return 3.14 * r ** 2  # the area of a circle",
] * 4
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SMOLLM2 = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# thoughts are kept in the last turn only, and an answer without any is given empty ones
QWEN3 = (
    "{% for m in messages %}{% set text = m.content %}{% if m.role == 'assistant' %}"
    "{% set text = text.split('</think>')[-1].lstrip('\n') %}"
    "{% if loop.last %}{% set text = '<think>\n\n</think>\n\n' + text %}{% endif %}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\n' + text + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
# its system message speaks of thoughts; the setting has a default
SMOLLM3 = (
    "{% if enable_thinking is not defined %}{% set enable_thinking = true %}{% endif %}"
    "{{ '<|im_start|>system\n' }}{% if enable_thinking %}{{ 'Write <think> thoughts </think> first.' }}"
    "{% else %}{{ 'Be brief.' }}{% endif %}{{ '<|im_end|>\n' }}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content + '<|im_end|>\n' }}{% endgeneration %}"
    "{% else %}{{ m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if not enable_thinking %}{{ '<think>\n\n</think>\n' }}{% endif %}{% endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}"
    "{% elif m.role == 'assistant' %}"
    "{{ '<｜Assistant｜>' + m.content.split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\n' }}{% endif %}"
)
LLAMA3 = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA2 = (
    "{% if messages[0].role == 'system' %}"
    "{% set system = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}"
    "{% set rest = messages[1:] %}{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}{% if m.role == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.first else '') + m.content | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content + eos_token }}"
    "{% else %}{{ '[INST]' + m.content + '[/INST]' }}{% endif %}{% endfor %}"
)
PHI3 = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}{% set role = 'model' if m.role == 'assistant' else m.role %}"
    "{{ '<start_of_turn>' + role + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    special: tuple[str, ...]
    template: str
    end: str  # what ends an answer in a chat
    eos: str  # what ends it in a plain prompt
    bos: str | None = None
    adds_bos: bool = False  # the tokenizer itself
    plain_bos: bool = False  # what a plain prompt has
    pad: str | None = None
    words: str = "bytes"  # or how SentencePiece's spaces are made: prepend, first, none
    plain_tokens: tuple[str, ...] = ()  # added tokens that are not special
    rstrip: bool = False  # special tokens take the white space that follows

    @property
    def marks(self) -> list[str]:
        """What opens and ends turns and texts."""
        return [*self.special, *(token for token in self.plain_tokens if "｜" in token)]


IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
THINK = ("<think>", "</think>")
BEGIN, OVER = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
L3 = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
SPM = ("<unk>", "<s>", "</s>")
FAMILIES = {
    "gpt2": Family(("<|endoftext|>",), CHATML, "<|endoftext|>", "<|endoftext|>", "<|endoftext|>"),
    "smollm2": Family(IM, SMOLLM2, "<|im_end|>", "<|im_end|>", "<|im_start|>"),
    "qwen2.5": Family(IM, CHATML, "<|im_end|>", "<|im_end|>", pad="<|endoftext|>"),
    "qwen2.5 base": Family(IM, CHATML, "<|im_end|>", "<|endoftext|>"),
    "qwen3": Family(IM, QWEN3, "<|im_end|>", "<|im_end|>", plain_tokens=THINK),
    "smollm3": Family(IM, SMOLLM3, "<|im_end|>", "<|im_end|>", plain_tokens=THINK),
    "deepseek r1": Family(
        (BEGIN, OVER), DEEPSEEK, OVER, OVER, BEGIN, True, True,
        plain_tokens=("<｜User｜>", "<｜Assistant｜>", *THINK),
    ),
    "llama 3": Family(L3, LLAMA3, "<|eot_id|>", "<|end_of_text|>", L3[0], True, True),
    "llama 3 of gguf": Family(L3, LLAMA3, "<|eot_id|>", "<|end_of_text|>", L3[0], False, True),
    "llama 2": Family(SPM, LLAMA2, "</s>", "</s>", "<s>", True, True, words="prepend"),
    "llama 2 of gguf": Family(SPM, LLAMA2, "</s>", "</s>", "<s>", False, True, words="prepend"),
    "mistral": Family(
        (*SPM, "[INST]", "[/INST]"), MISTRAL, "</s>", "</s>", "<s>", True, True, words="first"
    ),
    "phi 3": Family(
        (*SPM, "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        PHI3, "<|end|>", "<|endoftext|>", "<s>", words="prepend", rstrip=True, pad="<|endoftext|>",
    ),
    "gemma": Family(
        ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
        GEMMA, "<end_of_turn>", "<eos>", "<bos>", True, True, pad="<pad>", words="none",
        plain_tokens=("\n\n",),
    ),
}  # fmt: skip


@cache
def trained(byte_level: bool) -> dict[str, Any]:
    """Vocabulary and merges of a BPE model of the corpus."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = (
        pre_tokenizers.ByteLevel(add_prefix_space=False) if byte_level else pre_tokenizers.Metaspace()
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
    made.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet))
    model: dict[str, Any] = json.loads(made.to_str())["model"]
    return model


@cache
def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    family = FAMILIES[name]
    found = trained(family.words == "bytes")
    merges = [tuple(pair) for pair in found["merges"]]
    if family.words == "bytes":
        made = Tokenizer(models.BPE(dict(found["vocab"]), merges))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
    else:
        names = [*family.special[:4], *(f"<0x{byte:02X}>" for byte in range(256)), *found["vocab"]]
        vocabulary = {token: place for place, token in enumerate(names)}
        made = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        spaces = normalizers.Replace(" ", "▁")
        if family.words == "prepend":
            made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
        elif family.words == "first":
            made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        else:
            made.normalizer = spaces
        made.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
    made.add_special_tokens(
        [AddedToken(token, normalized=False, rstrip=family.rstrip) for token in family.special]
    )
    made.add_tokens([AddedToken(token, normalized=False, special=False) for token in family.plain_tokens])
    if family.adds_bos and family.bos is not None:
        made.post_processor = processors.TemplateProcessing(
            single=f"{family.bos}:0 $A:0", special_tokens=[(family.bos, made.token_to_id(family.bos))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        unk_token="<unk>" if "<unk>" in family.special else None,
    )
    tokenizer.chat_template = family.template
    return tokenizer
