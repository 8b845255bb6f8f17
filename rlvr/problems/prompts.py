"""Prompts: from a problem to a filled template, chat template and token ids.

The answer is never tokenized here, and templates cannot refer to it.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import TYPE_CHECKING

from rlvr.base.targets import known_names
from rlvr.problems.config import PromptConfig
from rlvr.types import ConfigError, DataError, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_ESCAPED_BREAK = re.compile(  # a literal \n that is not the start of \neq, \nabla or another LaTeX command
    r"(?<!\\)\\n(?!(?:eq?|abla|u|ot(?:in)?|eg|i|mid|leq?|geq?|sim|exists|ewline|ewcommand|um|onumber|parallel|"
    r"ormal[a-z]*|subset[a-z]*|olimits|rightarrow)(?![a-z]))"
)


def fill_template(problem: Problem, config: PromptConfig) -> str:
    """The template with {problem} and the problem's columns filled in; `{{` and `}}` are braces.

    Needs no tokenizer, so that a wrong prompt configuration is reported before a model is loaded.
    Raises ConfigError for a template that cannot be filled or that gives all problems the same prompt, and
    for a system message without chat.
    """
    if config.system is not None and not config.chat:
        raise ConfigError("prompt.system has no effect without a chat template: set prompt.chat: true")
    if (escaped := _ESCAPED_BREAK.search(config.template)) is not None:
        around = config.template[max(escaped.start() - 8, 0) : escaped.end() + 8]
        raise ConfigError(
            f"prompt.template has a backslash and an n in {around}, which is not a line break: in a shell "
            "write $'…\\n…' around the whole argument, in a YAML file a real line break"
        )
    try:
        parsed = list(Formatter().parse(config.template))
    except ValueError as error:
        raise ConfigError(f"prompt.template: {error}; write {{{{ and }}}} for braces") from error
    known = {**problem.columns, "problem": problem.text}
    pieces = []
    for literal, name, spec, conversion in parsed:
        pieces.append(literal)
        if name is None:
            continue
        if spec or conversion or not name:
            raise ConfigError(
                f"prompt.template: braces may contain only a name, not {name!r} with a format; "
                "write {{ and }} for braces"
            )
        if name not in known:
            raise ConfigError(
                f"prompt.template: problem {problem.id!r} has no {name!r}; {known_names(name, known)}"
            )
        if known[name] is None:
            raise DataError(f"problem {problem.id!r}: prompt.template uses {name!r}, which is empty here")
        pieces.append(str(known[name]))
    if all(name is None for _, name, _, _ in parsed):
        raise ConfigError(
            "prompt.template names no column, so that all problems would be the same: add {problem}"
        )
    return "".join(pieces)


def encode_prompt(problem: Problem, config: PromptConfig, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The token ids of the prompt.

    Plain: the filled template, preceded by BOS if the tokenizer has one, even if the tokenizer would not
    add it itself (those made from GGUF do not). Chat: the messages in the model's chat template, up to
    where the answer begins; only the chat template decides about BOS. Nothing else is added; in particular,
    no EOS.

    Raises the errors of `fill_template`; ConfigError for chat without a chat template; DataError for a
    character that the tokenizer does not know.
    """
    text = fill_template(problem, config)
    if config.chat:
        return _encode(_in_chat(text, config, tokenizer), problem, tokenizer)
    ids = _encode(text, problem, tokenizer)
    bos = tokenizer.bos_token_id
    return ids if bos is None or ids[:1] == [bos] else [bos, *ids]


def encode_solution(problem: Problem, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of the worked solution and EOS, which follow the prompt's ids: the target of SFT.

    Raises DataError for a problem without a solution, and the errors of `encode_answer`.
    """
    if problem.solution is None:
        raise DataError(
            f"problem {problem.id!r} has no solution to train on: map its column in columns.solution"
        )
    return encode_answer(problem.solution, problem, tokenizer)


def encode_answer(
    text: str, problem: Problem, tokenizer: PreTrainedTokenizerBase, ended: bool = True
) -> list[int]:
    """The ids of an answer given as text, with EOS if it `ended` by itself.

    Raises DataError for a character that the tokenizer does not know, ConfigError for a tokenizer
    without EOS.
    """
    if tokenizer.eos_token_id is None:
        raise ConfigError("the tokenizer has no EOS token, so no answer would end: set its eos_token")
    # a special token spelled out in the text must stay text: it must not end the answer or begin another turn
    ids = _encode(text, problem, tokenizer, split_special_tokens=True)
    return [*ids, tokenizer.eos_token_id] if ended else ids


def _in_chat(text: str, config: PromptConfig, tokenizer: PreTrainedTokenizerBase) -> str:
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise ConfigError(
            "prompt.chat is true, but the model's tokenizer has no chat template: set prompt.chat: false, "
            "or use a model that was tuned for chat"
        )
    messages = [{"role": "user", "content": text}]
    if config.system is not None:
        messages.insert(0, {"role": "system", "content": config.system})
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except TemplateError as error:
        hint = ": set prompt.system: null" if config.system is not None else ""
        raise ConfigError(f"the model's chat template refuses the messages ({error}){hint}") from error


def _encode(
    text: str, problem: Problem, tokenizer: PreTrainedTokenizerBase, split_special_tokens: bool = False
) -> list[int]:
    ids = list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=split_special_tokens))
    unknown = tokenizer.unk_token_id
    # Some byte-level tokenizers use the id of another special token for <unk>.
    others = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    if unknown is not None and unknown not in others and unknown in ids:
        rest = text
        for special in () if split_special_tokens else tokenizer.all_special_tokens:
            rest = rest.replace(special, "")
        characters = [
            c for c in dict.fromkeys(rest) if unknown in tokenizer.encode(c, add_special_tokens=False)
        ]
        shown = text if len(text) <= 80 else f"{text[:80]}…"
        raise DataError(
            f"problem {problem.id!r}: the tokenizer has no token for "
            f"{', '.join(map(repr, characters)) or repr(tokenizer.unk_token)} in {shown!r}"
        )
    return ids
