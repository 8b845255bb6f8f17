"""Prompts: from a problem to a filled template and to the messages of a chat. Templates cannot refer to the
answer. Nothing here needs a tokenizer; token ids are made by `rlvr.problems.encoder`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from string import Formatter
from typing import Any

from rlvr.base.targets import known_names
from rlvr.problems.config import PromptConfig
from rlvr.types import ConfigError, DataError, Problem

MESSAGES = "prompt_messages"  # the column of a problem that is given as the messages of a chat
ROLES = ("system", "user", "assistant")

_ESCAPED_BREAK = re.compile(  # a literal \n that is not the start of \neq, \nabla or another LaTeX command
    r"(?<!\\)\\n(?!(?:eq?|abla|u|ot(?:in)?|eg|i|mid|leq?|geq?|sim|exists|ewline|ewcommand|um|onumber|parallel|"
    r"ormal[a-z]*|subset[a-z]*|olimits|rightarrow)(?![a-z]))"
)


def check_prompts(problems: Sequence[Problem], config: PromptConfig) -> None:
    """Raises the errors of `chat_messages` for every problem, and ConfigError for settings that none uses."""
    for name, given in (
        ("system", config.system is not None),
        ("chat_template_kwargs", config.chat_template_kwargs),
    ):
        if given and not config.chat:
            raise ConfigError(f"prompt.{name} has no effect without a chat template: set prompt.chat: true")
    settings = config.chat_template_kwargs
    if not isinstance(settings, Mapping | None) or not all(isinstance(name, str) for name in settings or ()):
        raise ConfigError(
            f"prompt.chat_template_kwargs={settings!r} must be a mapping of names to values, such as "
            "{enable_thinking: false}"
        )
    for problem in problems:
        chat_messages(problem, config)
    if problems and all(MESSAGES in problem.columns for problem in problems):
        unused = {"template": config.template.strip() != "{problem}", "system": config.system is not None}
        if names := [f"prompt.{name}" for name, given in unused.items() if given]:
            raise ConfigError(
                f"{' and '.join(names)}: without effect, since all problems are given as messages, which are "
                "used as they are; set prompt.template='{problem}' and prompt.system=null"
            )


def chat_messages(problem: Problem, config: PromptConfig) -> list[dict[str, str]]:
    """The messages {role, content} of the prompt: the problem's own, as they are, or prompt.system and the
    filled template.

    Raises the errors of `fill_template`; for a problem of messages, ConfigError without chat, DataError for
    messages that are none (`checked_messages`).
    """
    if (given := problem.columns.get(MESSAGES)) is None:
        system = [] if config.system is None else [{"role": "system", "content": config.system}]
        return [*system, {"role": "user", "content": fill_template(problem, config)}]
    if not config.chat:
        raise ConfigError(
            f"problem {problem.id!r} is given as messages, which need a chat template: set prompt.chat: true"
        )
    return checked_messages(given, f"problem {problem.id!r}: column {MESSAGES!r}")


def checked_messages(given: Any, where: str) -> list[dict[str, str]]:
    """The messages {role, content} of a prompt: first of all the system's, if there is one, last the user's.

    Raises DataError that begins with `where` for anything else.
    """
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise DataError(f"{where} must be a list of messages, such as [{{role: user, content: …}}]")
    messages = []
    for number, message in enumerate(given, 1):
        at = f"{where}, message {number}"
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise DataError(f"{at} must have a role and a content")
        # a Parquet file has all fields in all rows
        if others := [key for key in message if key not in ("role", "content") and message[key] is not None]:
            raise DataError(f"{at} has {', '.join(map(repr, others))} beside role and content: remove it")
        role, content = message["role"], message["content"]
        if role not in ROLES:
            raise DataError(f"{at} has the role {role!r}; {known_names(str(role), ROLES)}")
        if not isinstance(content, str) or not content.strip():
            raise DataError(f"{at} has no text as its content: fill it in, or remove the row")
        if role == "system" and number > 1:
            raise DataError(f"{at} is of the system, which may only come first: move it")
        messages.append({"role": role, "content": content})
    if messages[-1]["role"] != "user":
        raise DataError(
            f"{where}: the last message is of the {messages[-1]['role']}, but must be the user's question: "
            "map the answer to `solution`, and remove it from the prompt"
        )
    return messages


def text_of(messages: Sequence[Mapping[str, str]]) -> str:
    """What a problem of messages asks: the user's message; all turns, each after its role, if there are
    several. Instructions of the system are no part of it, so that the same question is the same problem."""
    turns = [message for message in messages if message["role"] != "system"]
    if len(turns) == 1:
        return turns[0]["content"].strip()
    return "\n\n".join(f"{turn['role']}: {turn['content'].strip()}" for turn in turns)


def without_messages(problem: Problem) -> Problem:
    """The problem as its text alone."""
    columns = {name: value for name, value in problem.columns.items() if name != MESSAGES}
    return replace(problem, columns=columns)


def fill_template(
    problem: Problem, config: PromptConfig, as_text: Callable[[str, Problem], str] = lambda text, _: text
) -> str:
    """The template with {problem} and the problem's columns, each as `as_text` writes it; `{{` and `}}` are
    braces. The text alone for a problem that is given as messages.

    Raises ConfigError for a template that cannot be filled or that gives all problems the same prompt.
    """
    if MESSAGES in problem.columns:
        return problem.text
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
        pieces.append(as_text(str(known[name]), problem))
    if all(name is None for _, name, _, _ in parsed):
        raise ConfigError(
            "prompt.template names no column, so that all problems would be the same: add {problem}"
        )
    return "".join(pieces)
