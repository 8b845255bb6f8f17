"""From a problem to token ids: templates, BOS, chat templates, and the character tokenizer."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors
from transformers import AutoTokenizer

from rlvr.problems.config import PromptConfig
from rlvr.problems.encoder import PromptEncoder
from rlvr.problems.generated import ALPHABET, arithmetic, linear_equations
from rlvr.problems.prompts import MESSAGES, check_prompts, fill_template
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.types import ConfigError, DataError, Problem

PROBLEM = Problem("p1", "1+2=?", "3", "1+2=3\n#3", {"level": 4, "hint": None})
LETTERS = "".join(map(chr, range(32, 127))) + "\n"
CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.fixture
def tokenizer():
    return character_tokenizer(LETTERS)


def adds_bos(tokenizer):
    """The same tokenizer, made to put BOS in front by itself, as Llama's and Gemma's do."""
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    assert tokenizer.encode("1")[0] == tokenizer.bos_token_id
    return tokenizer


# --- templates


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{problem}", "1+2=?"),
        ("Level {level}: {problem}\n", "Level 4: 1+2=?\n"),
        ("{problem} \\boxed{{}}", "1+2=? \\boxed{}"),
    ],
)
def test_templates(template, text):
    assert fill_template(PROBLEM, PromptConfig(template=template)) == text


@pytest.mark.parametrize(
    "template", [r"{problem}\nAnswer:", r"{problem}\nplease", r"a\n\n{problem}", r"{problem}\n"]
)
def test_a_line_break_that_a_shell_has_left_alone_is_told(template):
    with pytest.raises(ConfigError, match=r"a backslash and an n in .*, which is not a line break: .*\$'"):
        fill_template(PROBLEM, PromptConfig(template=template))


@pytest.mark.parametrize(
    "template", [r"{problem} with $x \neq 0$", r"\nabla {problem}", r"{problem} $\not= \nu$"]
)
def test_commands_of_latex_are_no_line_breaks(template):
    assert fill_template(PROBLEM, PromptConfig(template=template)) == template.replace("{problem}", "1+2=?")


def test_braces_in_a_problem_are_text():
    problem = dataclasses.replace(PROBLEM, text="{level} \\frac{1}{2}")
    assert fill_template(problem, PromptConfig()) == problem.text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            PromptConfig(template="{probelm}"),
            "has no 'probelm'; there are: level, hint, problem; did you mean 'problem'?",
        ),
        (PromptConfig(template="{answer}"), "problem 'p1' has no 'answer'"),
        (PromptConfig(template="{problem.answer}"), "has no 'problem.answer'"),
        (PromptConfig(template="{problem} \\boxed{}"), "write {{ and }} for braces"),
        (PromptConfig(template="{problem} {"), "write {{ and }} for braces"),
        (PromptConfig(template="{level:03d}{problem}"), "braces may contain only a name"),
        (PromptConfig(template="{problem!r}"), "braces may contain only a name"),
        (PromptConfig(template="Solve it."), "names no column"),
        (
            PromptConfig(system="Be brief."),
            "prompt.system has no effect without a chat template: set prompt.chat: true",
        ),
    ],
)
def test_wrong_prompt_configurations(config, message):
    with pytest.raises(ConfigError) as error:
        check_prompts([PROBLEM], config)
    assert message in str(error.value)


CHAT_PROBLEM = Problem(
    "c1", "1+1?", "2", columns={MESSAGES: [{"role": "user", "content": "1+1?"}], "level": 1}
)


def test_settings_of_a_prompt_that_no_problem_uses():
    chat = PromptConfig(chat=True)
    check_prompts([CHAT_PROBLEM], chat)
    check_prompts([CHAT_PROBLEM], PromptConfig("{problem}\n", chat=True))
    both = PromptConfig("Level {level}: {problem}", system="Be brief.", chat=True)
    check_prompts([CHAT_PROBLEM, PROBLEM], both)  # of use to the second
    with pytest.raises(ConfigError, match=r"prompt.template and prompt.system: without effect"):
        check_prompts([CHAT_PROBLEM], both)
    with pytest.raises(ConfigError, match=r"problem 'c1' is given as messages, .* prompt.chat: true"):
        check_prompts([CHAT_PROBLEM, PROBLEM], PromptConfig())
    with pytest.raises(ConfigError, match=r"prompt.chat_template_kwargs has no effect without"):
        check_prompts([PROBLEM], PromptConfig(chat_template_kwargs={"enable_thinking": False}))
    for wrong in ("no", {1: 2}):
        with pytest.raises(ConfigError, match=r"prompt.chat_template_kwargs=.* must be a mapping of names"):
            check_prompts([PROBLEM], PromptConfig(chat=True, chat_template_kwargs=wrong))
    own = dataclasses.replace(CHAT_PROBLEM, columns={MESSAGES: "1+1?"})
    with pytest.raises(DataError, match=r"problem 'c1': column 'prompt_messages' must be a list of messages"):
        check_prompts([own], chat)


def test_an_empty_column_is_not_put_into_a_prompt():
    with pytest.raises(DataError, match=r"problem 'p1': prompt.template uses 'hint', which is empty here"):
        fill_template(PROBLEM, PromptConfig(template="{hint}{problem}"))


# --- token ids


@pytest.mark.parametrize("prepare", [lambda tokenizer: tokenizer, adds_bos])
@pytest.mark.parametrize("template", ["{problem}\n", "<bos>{problem}\n"])
def test_a_plain_prompt_has_exactly_one_bos_and_no_eos(tokenizer, prepare, template):
    tokenizer = prepare(tokenizer)
    ids = PromptEncoder(PromptConfig(template=template), tokenizer).prompt(PROBLEM)
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids[1:]) == "1+2=?\n"


def test_a_tokenizer_without_bos_gets_none(tokenizer):
    tokenizer.bos_token = None
    ids = PromptEncoder(PromptConfig(), tokenizer).prompt(PROBLEM)
    assert tokenizer.decode(ids) == "1+2=?"
    assert len(ids) == 5


@pytest.mark.parametrize("prepare", [lambda tokenizer: tokenizer, adds_bos])
def test_a_chat_prompt_is_the_chat_templates_word(tokenizer, prepare):
    tokenizer = prepare(tokenizer)
    tokenizer.chat_template = CHAT
    ids = PromptEncoder(PromptConfig("Q {problem}", system="Be brief.", chat=True), tokenizer).prompt(PROBLEM)
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(ids) == "<bos>system: Be brief.\nuser: Q 1+2=?\nassistant: "
    tokenizer.chat_template = CHAT.removeprefix("{{ bos_token }}")
    ids = PromptEncoder(PromptConfig(chat=True), tokenizer).prompt(PROBLEM)
    assert tokenizer.decode(ids) == "user: 1+2=?\nassistant: "


def test_chat_without_a_chat_template(tokenizer):
    with pytest.raises(ConfigError, match=r"no chat template: set prompt.chat: false"):
        PromptEncoder(PromptConfig(chat=True), tokenizer).prompt(PROBLEM)


def test_a_chat_template_that_takes_no_system_message(tokenizer):
    tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHAT
    )
    PromptEncoder(PromptConfig(chat=True), tokenizer).prompt(PROBLEM)
    with pytest.raises(
        ConfigError, match=r"refuses the messages \(no system role\): set prompt.system: null"
    ):
        PromptEncoder(PromptConfig(chat=True, system="Be brief."), tokenizer).prompt(PROBLEM)


@pytest.mark.parametrize("prepare", [lambda tokenizer: tokenizer, adds_bos])
def test_a_solution_ends_in_eos_and_has_no_bos(tokenizer, prepare):
    tokenizer = prepare(tokenizer)
    ids = PromptEncoder(PromptConfig(), tokenizer).solution(PROBLEM)
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.bos_token_id not in ids
    assert tokenizer.decode(ids[:-1]) == PROBLEM.solution


def test_a_solution_cannot_be_encoded_without_one_or_without_eos(tokenizer):
    with pytest.raises(DataError, match="problem 'p1' has no solution to train on"):
        PromptEncoder(PromptConfig(), tokenizer).solution(dataclasses.replace(PROBLEM, solution=None))
    tokenizer.eos_token = None
    with pytest.raises(ConfigError, match="has no EOS token"):
        PromptEncoder(PromptConfig(), tokenizer).solution(PROBLEM)


def test_characters_outside_of_the_alphabet_are_named_with_the_problem():
    tokenizer = character_tokenizer(ALPHABET)
    strange = dataclasses.replace(PROBLEM, text="1÷2é", solution="b1")
    with pytest.raises(DataError, match=r"problem 'p1': the tokenizer has no token for '÷', 'é' in '1÷2é'"):
        PromptEncoder(PromptConfig(), tokenizer).prompt(strange)
    with pytest.raises(DataError, match="problem 'p1': the tokenizer has no token for 'b'"):
        PromptEncoder(PromptConfig(), tokenizer).solution(strange)
    tokenizer.chat_template = CHAT
    with pytest.raises(DataError, match="no token for 'u', 's', 'e', 'r'"):
        PromptEncoder(PromptConfig(chat=True), tokenizer).prompt(PROBLEM)


# --- the character tokenizer


ROUND_TRIP = character_tokenizer("".join(c for c in LETTERS if c not in "<>") + "é½漢🙂\t\r\u0301")


@given(st.text(sorted(set(ROUND_TRIP.get_vocab()) - set(ROUND_TRIP.all_special_tokens))))
def test_one_token_per_character_and_back(text):
    ids = ROUND_TRIP.encode(text)
    assert len(ids) == len(text)
    assert ROUND_TRIP.decode(ids) == text
    wrapped = [ROUND_TRIP.bos_token_id, *ids, ROUND_TRIP.eos_token_id, ROUND_TRIP.pad_token_id]
    assert ROUND_TRIP.decode(wrapped, skip_special_tokens=True) == text


def test_a_saved_tokenizer_is_the_same_again(tmp_path):
    tokenizer = character_tokenizer(ALPHABET)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert len(loaded) == len(ALPHABET) + 4
    assert (loaded.pad_token_id, loaded.bos_token_id, loaded.eos_token_id, loaded.unk_token_id) == (
        0,
        1,
        2,
        3,
    )
    for problem in [*arithmetic("train", 20, [4, 6]), *linear_equations("train", 20, [2, 3, 4])]:
        ids = PromptEncoder(PromptConfig("{problem}\n"), loaded).prompt(problem)
        assert ids == PromptEncoder(PromptConfig("{problem}\n"), tokenizer).prompt(problem)
        ids += PromptEncoder(PromptConfig(), loaded).solution(problem)
        assert loaded.decode(ids) == f"<bos>{problem.text}\n{problem.solution}<eos>"
        assert loaded.decode(ids, skip_special_tokens=True) == f"{problem.text}\n{problem.solution}"


@pytest.mark.parametrize("alphabet", ["", "abca"])
def test_an_alphabet_has_each_character_once(alphabet):
    with pytest.raises(ConfigError, match="no repetitions"):
        character_tokenizer(alphabet)


def test_a_special_token_that_an_answer_spells_is_text() -> None:
    tokenizer = character_tokenizer("12<>eos")
    ids = PromptEncoder(PromptConfig(), tokenizer).answer("1<eos>2", Problem("p", "1", "1"))
    assert ids.count(tokenizer.eos_token_id) == 1
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids[:-1]) == "1<eos>2"
