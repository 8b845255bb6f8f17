"""Prompts and answers as token ids, for the kinds of tokenizers and chat templates that families have."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_families import FAMILIES, tokenizer_of
from transformers import AutoTokenizer

from rlvr.problems.config import PromptConfig
from rlvr.problems.encoder import BREAK, PromptEncoder, fitting
from rlvr.problems.prompts import MESSAGES
from rlvr.types import ConfigError, DataError, Problem

CHAT = PromptConfig(chat=True)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters=BREAK), min_size=1, max_size=30)
every_family = pytest.mark.parametrize("name", FAMILIES)


def problem_of(text: str, **columns: object) -> Problem:
    return Problem("p", text, "", columns=columns)


def pieces(name: str) -> st.SearchStrategy[str]:
    """Texts that spell the family's marks, whole and in part, between other text."""
    marks = FAMILIES[name].marks
    halves = [mark[: len(mark) // 2] for mark in marks] + [mark[len(mark) // 2 :] for mark in marks]
    one = st.one_of(st.sampled_from([*marks, *halves, " ", "\n", "a", "12 + 34"]), TEXT)
    return st.lists(one, min_size=1, max_size=6).map("".join).filter(str.strip)


@every_family
@settings(max_examples=25)
@given(data=st.data())
def test_text_without_special_tokens_is_encoded_as_the_tokenizer_does_it(
    name: str, data: st.DataObject
) -> None:
    tokenizer = tokenizer_of(name)
    text = data.draw(TEXT.filter(lambda text: not any(mark in text for mark in FAMILIES[name].marks)))
    turn = [{"role": "user", "content": text}]
    whole = tokenizer.apply_chat_template(turn, add_generation_prompt=True)["input_ids"]
    assert PromptEncoder(CHAT, tokenizer).prompt(problem_of(text)) == whole
    first = [tokenizer.bos_token_id] if FAMILIES[name].plain_bos else []
    plain = [*first, *tokenizer.encode(text, add_special_tokens=False)]
    assert PromptEncoder(PromptConfig(), tokenizer).prompt(problem_of(text)) == plain
    if FAMILIES[name].adds_bos == FAMILIES[name].plain_bos:
        assert plain == tokenizer.encode(text)


@every_family
@settings(max_examples=40)
@given(data=st.data())
def test_a_spelled_special_token_is_text(name: str, data: st.DataObject) -> None:
    tokenizer = tokenizer_of(name)
    text = data.draw(pieces(name))
    marks = {tokenizer.convert_tokens_to_ids(mark) for mark in FAMILIES[name].marks}
    problem, plainly = problem_of("ask", said=text), problem_of("ask", said="a")

    def marks_in(config: PromptConfig, asked: Problem) -> list[int]:
        return [token for token in PromptEncoder(config, tokenizer).prompt(asked) if token in marks]

    system = None if name == "gemma" else f"Be {text}"
    for config, same in [
        (PromptConfig("{problem} {said}.", chat=True), PromptConfig("{problem} {said}.", chat=True)),
        (PromptConfig(f"{{problem}} {FAMILIES[name].end} {{said}}."),) * 2,
        (PromptConfig(system=system, chat=True), PromptConfig(system=system and "Be a", chat=True)),
    ]:
        assert marks_in(config, problem) == marks_in(same, plainly)
    encoder = PromptEncoder(CHAT, tokenizer)
    answer = encoder.answer(text, problem)
    assert [token for token in answer if token in marks] == [
        tokenizer.convert_tokens_to_ids(FAMILIES[name].end)
    ]
    if FAMILIES[name].words == "bytes":
        assert tokenizer.decode(answer[:-1]) == text
        (rendered,) = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
            )
        ]
        assert tokenizer.decode(encoder.prompt(problem_of(text))) == rendered


@pytest.mark.parametrize("name", ["llama 2", "mistral", "phi 3", "gemma"])
def test_a_cut_token_gets_no_space(name: str) -> None:
    tokenizer = tokenizer_of(name)
    mark = FAMILIES[name].special[-1]
    ids = PromptEncoder(PromptConfig(), tokenizer).answer(f"a {mark} b", problem_of("a"), ended=False)
    assert tokenizer.decode(ids).lstrip() == f"a {mark} b"


@every_family
def test_what_a_prompt_begins_with(name: str) -> None:
    """One BOS or none: in a chat as the template says, in a plain prompt as the tokenizer does by itself."""
    tokenizer, family = tokenizer_of(name), FAMILIES[name]
    chat = PromptEncoder(CHAT, tokenizer).prompt(problem_of("1+1"))
    turn = [{"role": "user", "content": "1+1"}]
    assert chat == tokenizer.apply_chat_template(turn, add_generation_prompt=True)["input_ids"]
    plain = PromptEncoder(PromptConfig(), tokenizer).prompt(problem_of("1+1"))
    bos = tokenizer.bos_token_id
    assert (plain[0] == bos) is family.plain_bos
    assert plain.count(bos) == int(family.plain_bos)
    if family.plain_bos:  # a template that spells it
        spelled = PromptEncoder(PromptConfig(f"{family.bos}{{problem}}"), tokenizer)
        assert spelled.prompt(problem_of("1+1")).count(bos) == 1


@every_family
def test_what_an_answer_ends_with(name: str) -> None:
    tokenizer, family = tokenizer_of(name), FAMILIES[name]
    problem = Problem("p", "1+1", "2", "It is 2")
    end, eos = map(tokenizer.convert_tokens_to_ids, (family.end, family.eos))
    chat, plain = PromptEncoder(CHAT, tokenizer), PromptEncoder(PromptConfig(), tokenizer)
    assert chat.end == chat.solution(problem)[-1] == end
    assert plain.end == plain.solution(problem)[-1] == eos
    assert chat.solution(problem)[:-1] == plain.solution(problem)[:-1]
    cut = chat.answer("It is", problem, ended=False)
    assert end not in cut
    # an answer that was drawn in another prompt
    assert chat.drawn([*cut, eos], ended=True) == [*cut, end]
    assert chat.drawn([*cut, end], ended=True) == chat.drawn(cut, ended=True) == [*cut, end]
    assert chat.drawn(cut, ended=False) == cut


def test_thoughts_in_an_answer_are_the_models_tokens() -> None:
    for name in ("qwen3", "smollm3", "deepseek r1"):
        tokenizer = tokenizer_of(name)
        ids = PromptEncoder(CHAT, tokenizer).answer("<think>1</think>2", problem_of("a"))
        for mark in ("<think>", "</think>"):
            assert ids.count(tokenizer.convert_tokens_to_ids(mark)) == 1


def test_a_template_that_ends_no_turn_leaves_it_to_eos() -> None:
    tokenizer = deepcopy(tokenizer_of("llama 3"))
    for template in (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
        "{{ messages[0].content }}",
    ):
        tokenizer.chat_template = template
        assert PromptEncoder(CHAT, tokenizer).end == tokenizer.eos_token_id


# --- settings of the chat template


@pytest.mark.parametrize("name", ["qwen3", "smollm3"])
def test_settings_reach_the_chat_template(name: str) -> None:
    tokenizer = tokenizer_of(name)

    def encoder(**settings: object) -> PromptEncoder:
        return PromptEncoder(PromptConfig(chat=True, chat_template_kwargs=settings), tokenizer)

    problem = problem_of("1+1")
    thinking, brief = encoder(enable_thinking=True), encoder(enable_thinking=False)
    assert thinking.prompt(problem) == PromptEncoder(CHAT, tokenizer).prompt(problem)
    assert tokenizer.decode(brief.prompt(problem)).rstrip().endswith("</think>")
    assert thinking.end == brief.end
    with pytest.raises(ConfigError, match=r"enable_thought has no effect.*did you mean 'enable_thinking'"):
        encoder(enable_thought=False)


@pytest.mark.parametrize(
    "name", ["add_generation_prompt", "tokenize", "messages", "tools", "documents", "chat_template"]
)
def test_settings_that_are_not_the_templates(name: str) -> None:
    config = PromptConfig(chat=True, chat_template_kwargs={name: True})
    with pytest.raises(ConfigError, match=rf"chat_template_kwargs\.{name} cannot be set"):
        PromptEncoder(config, tokenizer_of("qwen2.5"))


# --- problems that are chats


def test_messages_are_used_as_they_are() -> None:
    tokenizer = tokenizer_of("qwen2.5")
    messages = [
        {"role": "system", "content": "Be {brief}."},
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": " and <|im_end|>?"},
    ]
    ids = PromptEncoder(CHAT, tokenizer).prompt(problem_of("", **{MESSAGES: messages}))
    assert tokenizer.decode(ids) == (
        "<|im_start|>system\nBe {brief}.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n"
        "<|im_start|>assistant\n2<|im_end|>\n<|im_start|>user\n and <|im_end|>?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 4


def test_a_template_that_refuses_messages_names_the_problem() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}]
    with pytest.raises(
        ConfigError, match=r"problem 'p': .* refuses the messages \(System role not supported\)"
    ):
        PromptEncoder(CHAT, tokenizer_of("gemma")).prompt(problem_of("", **{MESSAGES: messages}))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("hello", "leaves the question out"),
        ("{% for", "is broken, line 1"),
        ("{{ messages[0].content + 1 }}", r"problem 'p': .* refuses the messages \(TypeError"),
        ("{{ 1 / 0 }}", r"refuses the messages \(ZeroDivisionError"),
        ("{{ messages[0].content[0].text }}", "leaves the question out"),
    ],
)
def test_a_template_that_cannot_be_used(template: str, words: str) -> None:
    tokenizer = deepcopy(tokenizer_of("qwen2.5"))
    tokenizer.chat_template = template
    with pytest.raises(ConfigError, match=words):
        PromptEncoder(CHAT, tokenizer).prompt(problem_of("1+1?"))


@pytest.mark.parametrize("content", ["content[:5]", "content|urlencode", "content|replace('a', 'b')"])
def test_a_template_that_changes_what_has_to_stay_text(content: str) -> None:
    tokenizer = deepcopy(tokenizer_of("qwen2.5"))
    tokenizer.chat_template = f"<|im_start|>user\n{{{{ messages[0].{content} }}}}<|im_end|>\n"
    encoder = PromptEncoder(CHAT, tokenizer)
    assert encoder.prompt(problem_of("an apple"))  # nothing is spelled
    with pytest.raises(DataError, match=r"problem 'p' spells a special token, and .* the user's message"):
        encoder.prompt(problem_of("a <|im_end|> and more"))


# --- lengths


def test_prompts_of_many_problems_are_those_of_each() -> None:
    problems = [Problem(str(n), "a <|im_end|> " * n + "b", "") for n in range(1, 5)]
    for config in (CHAT, PromptConfig()):
        encoder = PromptEncoder(config, tokenizer_of("qwen2.5"))
        assert encoder.prompts(problems) == [encoder.prompt(problem) for problem in problems]
        assert encoder.lengths(problems) == [len(ids) for ids in encoder.prompts(problems)]
    assert encoder.prompts([]) == []


def test_problems_that_are_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(str(n), "", "") for n in range(4)]
    lengths = [10, 31, 30, 40]

    def kept(too_long: str, answer: int = 70) -> list[Problem]:
        return fitting(problems, lengths, answer, (100, "model.max_length"), too_long, "problems.train")

    said = (
        "problems.train: 2 of 4 problems are too long; problem '3': 40 tokens of prompt and 70 of answer are "
        "more than model.max_length=100"
    )
    assert kept("drop") == [problems[0], problems[2]]
    assert capsys.readouterr().out == f"{said}; left out\n"
    with pytest.raises(DataError, match=r"prompt.too_long=drop$") as error:
        kept("error")
    assert str(error.value).startswith(said)
    assert kept("drop", 60) == kept("error", 60) == problems
    with pytest.raises(DataError, match="none is left"):
        kept("drop", 91)


def test_a_noncharacter_is_refused() -> None:
    with pytest.raises(DataError, match=r"problem 'p' has the noncharacter U\+FDD0"):
        PromptEncoder(CHAT, tokenizer_of("qwen2.5")).prompt(problem_of(f"a{BREAK}"))


def test_a_tokenizer_that_was_saved_is_the_same(tmp_path: Path) -> None:
    for name in ("phi 3", "llama 2 of gguf", "smollm2"):
        folder = tmp_path / name
        tokenizer_of(name).save_pretrained(folder)
        loaded = AutoTokenizer.from_pretrained(folder)
        for config in (CHAT, PromptConfig()):
            asked = problem_of("1 + 1 </s>")
            ours = PromptEncoder(config, tokenizer_of(name))
            assert PromptEncoder(config, loaded).prompt(asked) == ours.prompt(asked)
