"""Prompts and answers as token ids: where text ends and special tokens begin, what comes first and last.

The answer to a problem is never tokenized here, except as something to train on.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from rlvr.base.targets import known_names
from rlvr.problems.config import PromptConfig
from rlvr.problems.prompts import chat_messages, fill_template
from rlvr.types import ConfigError, DataError, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BREAK = "\ufdd0"  # a noncharacter of Unicode: no text has it
CHUNK = 4096  # prompts that are encoded at a time
QUESTION, ANSWER, NEXT = "PROBE-QUESTION", "PROBE-ANSWER", "PROBE-NEXT"  # texts to find in a rendered chat


def fitting(
    problems: Sequence[Problem],
    lengths: Sequence[int],
    answer: int,
    limit: tuple[int, str],
    too_long: str,
    name: str,
) -> list[Problem]:
    """The problems whose prompts of `lengths` tokens leave room for an answer of `answer` tokens.

    `limit` is the longest sequence and its setting; `name` is that of the problems. If too_long is drop, the
    number of problems that are left out is printed.

    Raises DataError if one does not fit and too_long is error, or if none is left.
    """
    most, key = limit
    long = {place for place, length in enumerate(lengths) if length + answer > most}
    if not long:
        return list(problems)
    worst = max(long, key=lambda place: lengths[place])
    said = (
        f"{name}: {len(long):,} of {len(problems):,} problems are too long; problem {problems[worst].id!r}: "
        f"{lengths[worst]} tokens of prompt and {answer} of answer are more than {key}={most}"
    )
    if too_long == "error":
        raise DataError(f"{said}: raise it, or leave such problems out with prompt.too_long=drop")
    if len(long) == len(problems):
        raise DataError(f"{said}: none is left, so raise it")
    print(f"{said}; left out")
    return [problem for place, problem in enumerate(problems) if place not in long]


class PromptEncoder:
    """Encodes problems for one model, as `problems.prompt` says.

    Special tokens that are spelled in text stay text: in a problem, in its columns, in messages, in the
    system message and in answers. Only the chat template and a plain `prompt.template` itself make special
    tokens. Text without a spelled special token is encoded together with all around it, exactly as the
    tokenizer does it; a spelled one is cut, and the pieces are encoded one after the other.

    In a chat, only the chat template decides about BOS. A plain prompt begins with what the tokenizer puts in
    front of a text by itself: BOS for Llama, Mistral and Gemma, nothing for Qwen, GPT-2, SmolLM2 and Phi-3.
    Tokenizers that were made from GGUF files add nothing, whatever the family. So where nothing is added,
    BOS is put in front if it is only a beginning: not also EOS, padding or unknown, and, if there is a chat
    template, what that begins a chat with but not the answer's turn.

    Raises ConfigError for chat without a chat template, and for `chat_template_kwargs` that it does not read.
    """

    def __init__(self, config: PromptConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        self.config, self.tokenizer = config, tokenizer
        if config.chat:
            self._check_template()
        self._added = {
            token.content: number
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.content.strip()  # some have a token for a run of spaces
        }
        special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        marks = {*special, *tokenizer.all_special_tokens, *self._turn_marks()} - {""}
        spelled = "|".join(map(re.escape, sorted(marks)))
        self._first_of_mark = re.compile(f"(?s)(?=(?:{spelled}))(.)") if marks else None
        self._special = {tokenizer.convert_tokens_to_ids(mark) for mark in marks}

    def prompt(self, problem: Problem) -> list[int]:
        """The token ids of the prompt, up to where the answer begins. Raises the errors of `prompts`."""
        return self.prompts([problem])[0]

    def prompts(self, problems: Sequence[Problem]) -> list[list[int]]:
        """The token ids of the problems' prompts.

        Raises the errors of `fill_template` and `chat_messages`; ConfigError if the chat template refuses the
        messages; DataError for a character that the tokenizer does not know.
        """
        if self.config.chat:
            return self._encode([self._in_chat(problem) for problem in problems], problems)
        texts = [fill_template(problem, self.config, self._as_text) for problem in problems]
        first = self._first
        return [
            ids if ids[: len(first)] == first else [*first, *ids] for ids in self._encode(texts, problems)
        ]

    def lengths(self, problems: Sequence[Problem]) -> list[int]:
        """The number of tokens of the problems' prompts. Raises the errors of `prompts`."""
        starts = range(0, len(problems), CHUNK)  # the ids of all of them would fill the memory
        chunks = (self.prompts(problems[start : start + CHUNK]) for start in starts)
        return [len(ids) for chunk in chunks for ids in chunk]

    def solution(self, problem: Problem) -> list[int]:
        """The ids of the worked solution and its end, which follow the prompt's ids: the target of SFT.

        Raises DataError for a problem without a solution, and the errors of `answer`.
        """
        if problem.solution is None:
            raise DataError(
                f"problem {problem.id!r} has no solution to train on: map its column in columns.solution"
            )
        return self.answer(problem.solution, problem)

    def answer(self, text: str, problem: Problem, ended: bool = True) -> list[int]:
        """The ids of an answer given as text, and its end if it `ended` by itself.

        Raises DataError for a character that the tokenizer does not know, ConfigError if nothing ends an
        answer.
        """
        (ids,) = self._encode([self._as_text(text, problem)], [problem])
        return [*ids, self._given_end()] if ended else ids

    def drawn(self, tokens: Sequence[int], ended: bool) -> list[int]:
        """The ids of an answer that a model with this vocabulary drew, with the end that this prompt has."""
        if not ended:
            return list(tokens)
        end = self._given_end()
        kept = tokens[:-1] if tokens and tokens[-1] in {end, *self._special} else tokens
        return [*kept, end]

    @cached_property
    def end(self) -> int | None:
        """The token that ends an answer.

        In a chat, what the template puts after an answer, such as <|im_end|>; EOS if it puts no special token
        there, and in plain prompts.
        """
        if self.config.chat:
            turn = self._probe([(QUESTION, "user"), (ANSWER, "assistant")])
            after = self.tokenizer.encode(turn.rpartition(ANSWER)[2], add_special_tokens=False)
            numbers = set(self._added.values())
            own = next((token for token in after if token in numbers), None) if ANSWER in turn else None
            if own is not None:
                return own
        found: int | None = self.tokenizer.eos_token_id
        return found

    def _given_end(self) -> int:
        if self.end is None:
            raise ConfigError("the tokenizer has no EOS token, so no answer would end: set its eos_token")
        return self.end

    @cached_property
    def _first(self) -> list[int]:
        """The ids that a plain prompt begins with."""
        tokenizer = self.tokenizer
        alone, whole = (tokenizer.encode("a", add_special_tokens=add) for add in (False, True))
        starts = range(len(whole) - len(alone) + 1)
        place = next((start for start in starts if whole[start : start + len(alone)] == alone), 0)
        bos = tokenizer.bos_token_id
        others = (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id)
        if place or bos is None or bos in others:
            return list(whole[:place])
        if not tokenizer.chat_template:
            return [bos]
        begun, opened = self._answer_opened
        return [bos] if begun.startswith(tokenizer.bos_token) and tokenizer.bos_token not in opened else []

    def _in_chat(self, problem: Problem) -> str:
        """Raises ConfigError if the chat template refuses the messages, DataError if it changes what has to
        stay text."""
        from jinja2 import TemplateError

        messages = [
            {**message, "content": self._as_text(message["content"], problem)}
            for message in chat_messages(problem, self.config)
        ]
        try:
            chat = self._rendered(messages, answer_follows=True)
        except TemplateError as error:
            hint = ": set prompt.system: null" if self.config.system is not None else ""
            raise ConfigError(
                f"problem {problem.id!r}: the model's chat template refuses the messages ({error}){hint}"
            ) from error
        for message in messages:
            role, text = message["role"], message["content"]
            # of an earlier answer, a template may leave out what it thought
            if role != "assistant" and BREAK in text and text.strip() not in chat:
                raise DataError(
                    f"problem {problem.id!r} spells a special token, and the model's chat template changes "
                    f"the text of the {role}'s message, so the token might not stay text: leave the problem "
                    "out, or reword it"
                )
        return chat

    def _rendered(self, messages: Sequence[dict[str, str]], answer_follows: bool) -> str:
        """Raises jinja2's TemplateError for whatever goes wrong in the template."""
        from jinja2 import TemplateError

        try:
            return str(
                self.tokenizer.apply_chat_template(
                    list(messages),
                    tokenize=False,
                    add_generation_prompt=answer_follows,
                    **(self.config.chat_template_kwargs or {}),
                )
            )
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TemplateError(f"{type(error).__name__}: {error}") from error

    def _probe(self, turns: Sequence[tuple[str, str]], answer_follows: bool = False) -> str:
        """The chat of (content, role) as text; nothing if there is no template, or it refuses them."""
        from jinja2 import TemplateError

        if not self.tokenizer.chat_template:
            return ""
        try:
            messages = [{"role": role, "content": content} for content, role in turns]
            return self._rendered(messages, answer_follows)
        except TemplateError:
            return ""

    @cached_property
    def _answer_opened(self) -> tuple[str, str]:
        """What the chat template writes before a question, and after it until the answer begins."""
        before, _, after = self._probe([(QUESTION, "user")], answer_follows=True).rpartition(QUESTION)
        return before, after

    def _turn_marks(self) -> set[str]:
        """The added tokens with which the chat template ends an answer and opens the turns of both.

        Not all of them are special: DeepSeek's <｜User｜> is not. What a template puts around thoughts is not
        among them: <think> in an answer is the token.
        """
        conversation = self._probe([(QUESTION, "user"), (ANSWER, "assistant"), (NEXT, "user")])
        between = conversation.rpartition(ANSWER)[2].partition(NEXT)[0]
        _, opened = self._answer_opened
        opening = min((token for token in self._added if token in opened), key=opened.index, default="")
        return {opening, *(token for token in self._added if token in between)}

    def _as_text(self, text: str, problem: Problem) -> str:
        """The text with a BREAK inside every special token that it spells."""
        if BREAK in text:
            raise DataError(f"problem {problem.id!r} has the noncharacter U+FDD0 in its text: remove it")
        return text if self._first_of_mark is None else self._first_of_mark.sub(rf"\1{BREAK}", text)

    def _encode(self, texts: Sequence[str], problems: Sequence[Problem]) -> list[list[int]]:
        """The ids of every text of `_as_text`, and no others."""
        pieces = [text.split(BREAK) for text in texts]
        # All at once, which the tokenizer does on all cores. Further pieces come after a line break, since
        # some tokenizers put a space in front of the first word.
        flat = [f"\n{piece}" if place else piece for parts in pieces for place, piece in enumerate(parts)]
        encoded = iter(self._plainly(flat))
        rows: list[list[int]] = []
        for parts in pieces:
            row = next(encoded)
            for piece in parts[1:]:
                row = row + self._after_break(next(encoded), piece)
            rows.append(row)
        for text, row, problem in zip(texts, rows, problems, strict=True):
            self._check_known(text, row, problem)
        return rows

    def _plainly(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded = self.tokenizer(
            texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False
        )
        rows: list[list[int]] = encoded["input_ids"]
        return rows

    @cached_property
    def _line_break(self) -> list[int]:
        return self._plainly(["\n"])[0]

    def _after_break(self, ids: list[int], piece: str) -> list[int]:
        """The ids of a piece out of those of a line break and the piece."""
        size = len(self._line_break)
        return ids[size:] if ids[:size] == self._line_break else self._plainly([piece])[0]

    def _check_known(self, text: str, ids: list[int], problem: Problem) -> None:
        """Raises DataError if the tokenizer has no token for a character of a text of `_as_text`."""
        tokenizer = self.tokenizer
        unknown = tokenizer.unk_token_id
        # Some byte-level tokenizers use the id of another special token for <unk>.
        others = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
        if unknown is None or unknown in others or unknown not in ids:
            return
        rest = text
        for mark in tokenizer.all_special_tokens:
            rest = rest.replace(mark, "")
        text, rest = text.replace(BREAK, ""), rest.replace(BREAK, "")
        if not (characters := [c for c in dict.fromkeys(rest) if unknown in self._plainly([c])[0]]):
            return  # the chat template or prompt.template spells it
        shown = text if len(text) <= 80 else f"{text[:80]}…"
        raise DataError(
            f"problem {problem.id!r}: the tokenizer has no token for {', '.join(map(repr, characters))} in "
            f"{shown!r}"
        )

    def _check_template(self) -> None:
        """Raises ConfigError if there is no chat template, if it is broken, if it says the same whatever the
        question is, or if it does not read `chat_template_kwargs`."""
        if not self.tokenizer.chat_template:
            raise ConfigError(
                "prompt.chat is true, but the model's tokenizer has no chat template: set prompt.chat: "
                "false, or use a model that was tuned for chat"
            )
        from jinja2 import Environment, TemplateError, TemplateSyntaxError, meta

        # a tag of transformers that only marks the answer
        template = re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", str(self.tokenizer.get_chat_template()))
        try:
            parsed = Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template)
        except TemplateSyntaxError as error:
            raise ConfigError(
                f"the model's chat template is broken, line {error.lineno}: {error.message}; repair it in "
                "the model's folder, or set prompt.chat: false"
            ) from error
        questions = ([{"role": "user", "content": question}] for question in "12")
        with suppress(TemplateError):  # one that refuses these may take a problem's own messages
            one, other = (self._rendered(question, answer_follows=True) for question in questions)
            if one == other:
                raise ConfigError(
                    "the model's chat template leaves the question out, so all prompts would be the same: "
                    "repair it in the model's folder, or set prompt.chat: false"
                )
        reserved = {"messages", *inspect.signature(self.tokenizer.apply_chat_template).parameters}
        read = meta.find_undeclared_variables(parsed)
        ours = {"raise_exception", "strftime_now", *self.tokenizer.special_tokens_map}
        for name in self.config.chat_template_kwargs or {}:
            if name in reserved:
                raise ConfigError(
                    f"prompt.chat_template_kwargs.{name} cannot be set: rlvr sets it itself, or it is no "
                    "setting of a template; remove it"
                )
            if name not in read:
                raise ConfigError(
                    f"prompt.chat_template_kwargs.{name} has no effect: the model's chat template does not "
                    f"read it; {known_names(name, sorted(read - reserved - ours))}"
                )
