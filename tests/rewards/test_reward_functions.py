"""The reward functions: closed-form values, invariances, and what their configurations lead to."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rlvr.problems.choices import shuffle_options, shuffled, split_options
from rlvr.problems.files import from_file
from rlvr.problems.load import load_problems
from rlvr.rewards.choice import choice_reward
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.exact import exact_reward
from rlvr.rewards.format import format_reward
from rlvr.rewards.functions import load_functions, validate_reward
from rlvr.rewards.json_schema import json_schema_reward
from rlvr.rewards.language import language_reward
from rlvr.rewards.length import cosine_reward, overlong_reward
from rlvr.rewards.numeric import numeric_reward
from rlvr.rewards.regex import regex_reward
from rlvr.rewards.repetition import repeated_share, repetition_reward
from rlvr.rewards.service import RewardService
from rlvr.types import DataError, Problem, Status, Verdict

CONF = Path(__file__).parents[2] / "conf"
DATA = Path(__file__).parents[3] / "shared" / "data"
RIGHT, WRONG, UNREAD = Status.CORRECT, Status.WRONG, Status.UNPARSEABLE


# numeric


@pytest.mark.parametrize(
    ("completion", "answer", "status"),
    [
        (r"\boxed{1{,}200}", "1200", RIGHT),
        (r"\boxed{0.75}", "3/4", RIGHT),
        (r"\boxed{75\%}", "0.75", RIGHT),
        (r"\boxed{x = 5}", "#### 5", RIGHT),
        (r"\boxed{-5}", "5", WRONG),
        (r"\boxed{10.1}", "10", RIGHT),
        (r"\boxed{10.11}", "10", WRONG),
        (r"\boxed{many}", "10", UNREAD),
        ("I do not know that at all", "10", UNREAD),
    ],
)
def test_numeric(completion: str, answer: str, status: Status) -> None:
    verdict = numeric_reward(completion, answer, absolute_tolerance=0.1, wrong=-1.0)
    assert (verdict.status, verdict.reward) == (status, 1.0 if status is RIGHT else -1.0)


@given(st.integers(-(10**6), 10**6), st.integers(0, 50), st.integers(0, 50))
def test_numeric_tolerance_is_exactly_its_bound(gold: int, off: int, tolerance: int) -> None:
    verdict = numeric_reward(rf"\boxed{{{gold + off}}}", str(gold), tolerance, 0.0)
    assert (verdict.status is RIGHT) == (off <= tolerance)


def test_numeric_names_a_reference_that_is_no_number() -> None:
    with pytest.raises(DataError, match="unknown"):
        numeric_reward(r"\boxed{7}", "unknown")
    with pytest.raises(ValueError, match="tolerances"):
        numeric_reward(r"\boxed{7}", "7", relative_tolerance=-1)


# exact


@pytest.mark.parametrize(
    ("completion", "answer", "status"),
    [
        ("Reasons.\n**New  York.**", "new york", RIGHT),
        (r"\boxed{Paris}", "Paris", RIGHT),
        ("<think>Paris</think>\nLondon", "Paris", WRONG),
        ("<think>Paris", "Paris", UNREAD),
        ("", "Paris", UNREAD),
        ("<answer>x y</answer>", "xy", WRONG),
    ],
)
def test_exact(completion: str, answer: str, status: Status) -> None:
    assert exact_reward(completion, answer).status is status


def test_exact_can_mind_the_case() -> None:
    assert exact_reward(r"\boxed{paris}", "Paris", ignore_case=False).reward == 0.0


# choice

OPTIONS = ["a red fox", "a blue fox", "the letter", "12"]


@pytest.mark.parametrize(
    "said",
    [
        r"\boxed{B}", r"\boxed{(B)}", r"\boxed{b}", r"\boxed{\text{B}}", "The answer is B.",
        r"\boxed{\textbf{(B)}\ a blue fox}", "<answer>B. a blue fox</answer>", "<answer>a blue fox</answer>",
        "<answer>Option B</answer>", "<answer>**B**</answer>", "<answer>A blue  fox.</answer>",
        "Because it is.\n(B)", "<answer>B) because of its fur</answer>",
    ],
)  # fmt: skip
def test_ways_to_name_an_option(said: str) -> None:
    for answer in ("B", "(b)", "a blue fox"):
        assert choice_reward(said, answer, OPTIONS).status is RIGHT
        assert choice_reward(said, answer, dict(zip("ABCD", OPTIONS, strict=True))).extracted == "B"
    assert choice_reward(said, "A", OPTIONS).status is WRONG


@pytest.mark.parametrize(
    "said",
    ["A, B", "A or B", "(A) and (B)", "B. a red fox", "E", "a green fox", "A. B. C. D.", "", "A) or B)"],
)
def test_what_names_no_option(said: str) -> None:
    for answer in "ABCD":
        verdict = choice_reward(f"<answer>{said}</answer>", answer, OPTIONS, wrong=-0.5)
        assert (verdict.status, verdict.reward) == (UNREAD, -0.5)


def test_an_answer_that_is_no_option_is_an_error() -> None:
    with pytest.raises(DataError, match="none of its options A, B"):
        choice_reward("B", "E", ["x", "y"])
    with pytest.raises(DataError, match="1 to 10"):
        choice_reward("B", "A", [str(n) for n in range(11)])


@given(st.lists(st.text("abcxyz ", min_size=1), min_size=2, max_size=10), st.data(), st.integers(0, 99))
def test_shuffling_keeps_the_options_and_the_right_one(options: list[str], data: Any, seed: int) -> None:
    right = data.draw(st.integers(0, len(options) - 1))
    order, letter = shuffle_options(options, right, seed, "p1")
    assert Counter(order) == Counter(options)
    assert order["ABCDEFGHIJ".index(letter)] == options[right]
    assert shuffle_options(options, right, seed, "p1") == (order, letter)


def test_every_letter_is_right_equally_often() -> None:
    letters = Counter(shuffle_options(OPTIONS, 0, 0, f"p{n}")[1] for n in range(2000))
    assert all(abs(letters[letter] - 500) < 5 * math.sqrt(375) for letter in "ABCD")
    other = [shuffle_options(OPTIONS, 0, 1, f"p{n}")[1] for n in range(50)]
    assert other != [shuffle_options(OPTIONS, 0, 0, f"p{n}")[1] for n in range(50)]


def test_options_that_speak_of_others_stay() -> None:
    for n in range(20):
        order, _ = shuffle_options(["x", "y", "z", "All of the above"], 0, n, "p")
        assert order[3] == "All of the above"
        assert shuffle_options(["x", "y", "z", "Both A and C"], 1, n, "p") == (
            ["x", "y", "z", "Both A and C"],
            "B",
        )


def test_options_are_split_from_the_text() -> None:
    assert split_options("Which?\nA. one\nB. two\nlines\nC. three") == (
        "Which?\n",
        ["one", "two\nlines", "three"],
    )
    assert split_options("A. Smith asks\nWhich?\n(A) one\n(B) two")[1] == ["one", "two"]
    assert split_options("no options\nB. here") == ("no options\nB. here", [])


def test_shuffled_problems_from_a_file_by_configuration(tmp_path: Path) -> None:
    rows = [
        {"id": f"q{n}", "problem": "Which?\n\nA. one\nB. two\nC. three\nD. four", "answer": "A"}
        for n in range(40)
    ]
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    source = OmegaConf.load(CONF / "problems" / "choices.yaml").train
    source.problems.path = str(path)
    problems = load_problems("problems.train", source)
    assert {problem.answer for problem in problems} == set("ABCD")
    for problem in problems:
        letter = problem.answer
        assert f"\n{letter}. one" in problem.text
        assert choice_reward("so: one", problem.answer, problem.columns["options"]).status is UNREAD
        assert choice_reward("<answer>one</answer>", letter, problem.columns["options"]).status is RIGHT
        assert choice_reward(f"The answer is {letter}.", letter, problem.columns["options"]).status is RIGHT
    source.seed = 1
    assert [p.answer for p in load_problems("problems.train", source)] != [p.answer for p in problems]


def test_options_in_a_column_and_problems_without_any() -> None:
    columns = {"options": ["one", "two", "three"]}
    (problem,) = shuffled([Problem("p", "Which?", "two", columns=columns)], seed=3)
    assert problem.columns["options"]["ABC".index(problem.answer)] == "two"
    assert problem.text.startswith("Which?\n\nA. ")
    with pytest.raises(DataError, match="'p' needs a list of 2 to 10 options"):
        shuffled([Problem("p", "Which?", "A")])
    with pytest.raises(DataError, match="'p': the answer 'five'"):
        shuffled([Problem("p", "Which?", "five", columns=columns)])


def test_gpqa_diamond_becomes_shuffled_problems() -> None:
    path = DATA / "gpqa_diamond.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not here: the data sets are not part of the project")
    before = from_file(str(path))
    after = shuffled(before, seed=0)
    assert {problem.answer for problem in before} == {"A"}
    assert min(Counter(problem.answer for problem in after).values()) > 25
    for old, new in zip(before, after, strict=True):
        _, options = split_options(old.text)
        assert new.columns["options"]["ABCD".index(new.answer)] == options[0]
        assert split_options(new.text)[1] == new.columns["options"]


# regular expressions


def test_regex_searches_what_follows_the_reasoning() -> None:
    assert regex_reward("<think>42</think> none", r"\d+") == 0.0
    assert regex_reward("is 42.", r"\d+", correct=2.0) == 2.0
    assert regex_reward("is 42.", r"\d+", full=True, wrong=-1.0) == -1.0
    assert regex_reward(" 42\n", r"\d+", full=True) == 1.0
    with pytest.raises(ValueError, match=r"'\('"):
        regex_reward("x", "(")


# JSON

SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["x"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("completion", "status", "reason"),
    [
        ('{"x": 1}', RIGHT, "valid"),
        ('<think>{"y"}</think> {"x": 1.5, "tags": ["a"]}', RIGHT, "valid"),
        ('Here:\n```json\n{"x": 1}\n```\nas asked', RIGHT, "valid"),
        ('```\n{"y": 1}\n```\n```json\n{"x": 2}\n```', RIGHT, "valid"),
        ('{"x": "1"}', WRONG, "$.x: '1' is not of type 'number'"),
        ('{"x": 1, "tags": ["a", 2]}', WRONG, "$.tags[1]"),
        ("{}", WRONG, "$: 'x' is a required property"),
        ('{"x": NaN}', UNREAD, "NaN"),
        ('The x is {"x": 1}', UNREAD, "no JSON"),
        ("", UNREAD, "no JSON"),
        ('{"x":' + "[" * 1000 + "]" * 1000 + "}", UNREAD, "nested"),
        ('{"x": ' + "1" * 50_000 + "}", UNREAD, "over 20000"),
        ('{"x": ' + "1" * 10_000 + "}", UNREAD, "no JSON"),
    ],
)
def test_json_schema(completion: str, status: Status, reason: str) -> None:
    verdict = json_schema_reward(completion, SCHEMA, wrong=-1.0)
    assert (verdict.status, verdict.reward) == (status, 1.0 if status is RIGHT else -1.0)
    assert reason in verdict.reason


def test_a_schema_is_checked_and_follows_no_reference() -> None:
    with pytest.raises(ValueError, match="schema is invalid"):
        json_schema_reward("{}", {"type": "objekt"})
    with pytest.raises(Exception, match=r"example\.invalid"):
        json_schema_reward("{}", {"$ref": "http://example.invalid/schema.json"})


# format


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        ("<think>why</think><answer>42</answer>", 1.0),
        ("  <think>why\n</think>\n\n<answer> 42 </answer>\n", 1.0),
        ("<think>why</think> hidden <answer>42</answer>", 0.0),
        ("hello <think>why</think><answer>42</answer>", 0.0),
        ("<think>why</think><answer>42</answer> bye", 0.0),
        ("<think> </think><answer>42</answer>", 0.0),
        ("<think>why</think><answer> </answer>", 0.0),
        ("<think>a</think><think>b</think><answer>42</answer>", 0.0),
        ("<think>why</think><answer>41</answer><answer>42</answer>", 0.0),
        ("<think>why <answer>42</answer></think>", 0.0),
        ("<think>why</think><ANSWER>41</ANSWER><answer>42</answer>", 0.0),
        ("<answer>42</answer><think>why</think>", 0.0),
        ("42", 0.0),
    ],
)
def test_tags(completion: str, reward: float) -> None:
    assert format_reward(completion, pattern=None, tags=True) == reward


def test_tags_with_exactly_one_box_inside() -> None:
    text = r"<think>\boxed{1}</think><answer>%s</answer>"
    assert format_reward(text % r"\boxed{2}", pattern=r"\\boxed\{", tags=True) == 1.0
    assert format_reward(text % r"\boxed{2}\boxed{3}", pattern=r"\\boxed\{", tags=True) == 0.0
    assert format_reward(text % "2", pattern=r"\\boxed\{", tags=True, wrong=-1.0) == -1.0


# length


@pytest.mark.parametrize(
    ("drawn", "reward"), [(0, 0.0), (80, 0.0), (90, -0.5), (95, -0.75), (100, -1.0), (500, -1.0)]
)
def test_overlong(drawn: int, reward: float) -> None:
    assert overlong_reward("x", drawn, max_tokens=100, buffer=20) == pytest.approx(reward)


@pytest.mark.parametrize("buffer", [0, 101])
def test_overlong_needs_a_buffer_within_the_limit(buffer: int) -> None:
    with pytest.raises(ValueError, match="buffer"):
        overlong_reward("x", 1, 100, buffer)


@pytest.mark.parametrize(
    ("completion", "drawn", "reward"),
    [
        (r"\boxed{42}", 0, 2.0),
        (r"\boxed{42}", 50, 1.5),
        (r"\boxed{42}", 25, 1.5 + math.cos(math.pi / 4) / 2),
        (r"\boxed{41}", 0, -10.0),
        (r"\boxed{41}", 50, -5.0),
        ("no answer in these words", 50, -5.0),
        (r"\boxed{42}", 100, -10.0),
    ],
)
def test_cosine(completion: str, drawn: int, reward: float) -> None:
    assert cosine_reward(completion, "42", drawn, max_tokens=100) == pytest.approx(reward)


@given(st.integers(0, 98))
def test_cosine_is_monotonic(drawn: int) -> None:
    def at(completion: str, tokens: int) -> float:
        return cosine_reward(completion, "42", tokens, max_tokens=100)

    assert 1 < at(r"\boxed{42}", drawn + 1) < at(r"\boxed{42}", drawn) <= 2
    assert -10 <= at(r"\boxed{41}", drawn) < at(r"\boxed{41}", drawn + 1) < 0


# repetition


@pytest.mark.parametrize(
    ("words", "n", "share"),
    [
        ("a b c d", 2, 0.0),
        ("a b a b", 2, 0.5),
        ("a b c a b d a b", 2, 4 / 8),
        ("a a a a", 1, 3 / 4),
        ("a a a a", 2, 3 / 4),  # the second and third "a a" cover all words but the first
        ("a b c", 4, 0.0),
        ("", 2, 0.0),
    ],
)
def test_repeated_share(words: str, n: int, share: float) -> None:
    assert repeated_share(words.split(), n) == pytest.approx(share)


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 5))
def test_repeated_share_is_what_its_definition_says(words: list[str], n: int) -> None:
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    covered = {i + k for i, gram in enumerate(grams) if gram in grams[:i] for k in range(n)}
    assert repeated_share(words, n) == pytest.approx(len(covered) / len(words) if words else 0.0)


def test_repetition_reward() -> None:
    sentence = "So the sum of all these numbers is forty-two. "
    assert repetition_reward(sentence) == 0.0
    assert -1 < repetition_reward(sentence * 10) < -0.85
    assert repetition_reward((sentence * 2).upper(), penalty=-2.0) == pytest.approx(-1.0)
    assert repetition_reward("一二三四" * 5, n=3) == pytest.approx(-0.8)
    started = time.perf_counter()
    repetition_reward("ab " * 100_000)
    assert time.perf_counter() - started < 2


# language

ENGLISH = "First we add the two numbers and then we divide the sum by three, which gives the mean of them. "
FRENCH = (
    "D'abord nous ajoutons les deux nombres, puis nous divisons la somme par trois pour trouver la moyenne. "
)
CHINESE = "首先我们把两个数加起来，然后把它们的和除以三，得到平均值。"
RUSSIAN = "Сначала мы складываем два числа, а затем делим сумму на три, чтобы получить среднее значение. "


@pytest.mark.parametrize(
    ("text", "language", "share"),
    [
        (ENGLISH * 4, "en", 1.0),
        (FRENCH * 4, "en", 0.0),
        (FRENCH * 4, "fr", 1.0),
        (CHINESE * 8, "zh", 1.0),
        (CHINESE * 8, "en", 0.0),
        (RUSSIAN * 4, "ru", 1.0),
        (ENGLISH * 3 + r"\[ \text{si vous voulez } x = 3 \] `le nom de la chose`", "en", 1.0),
    ],
)
def test_language(text: str, language: str, share: float) -> None:
    assert language_reward(text, language) == pytest.approx(share, abs=0.01)


def test_mixed_languages_cost_their_share() -> None:
    assert language_reward(ENGLISH * 4 + FRENCH * 4) == pytest.approx(0.5, abs=0.15)
    phrase = language_reward(ENGLISH * 4 + "因此答案是四十二")
    letters = sum(c.isalpha() for c in ENGLISH * 4)
    assert phrase == pytest.approx(letters / (letters + 8))


def test_short_texts_have_no_language() -> None:
    assert language_reward("So $x = 42$.") is None
    assert language_reward(r"\boxed{42}" * 50) is None
    with pytest.raises(ValueError, match="'xx'"):
        language_reward(ENGLISH, "xx")


# all of them

ANY = st.text(alphabet=st.characters(codec="utf-8"), max_size=200) | st.text(
    "AB()[]{}<>\\`.,=/ 12thinkaswer\n", max_size=200
)


@given(ANY)
@settings(max_examples=100)
def test_no_completion_raises_and_the_same_one_gets_the_same(text: str) -> None:
    def values() -> list[float | Verdict | None]:
        return [
            numeric_reward(text, "42"), exact_reward(text, "x"), choice_reward(text, "A", OPTIONS),
            choice_reward(text, "A"), regex_reward(text, r"\d"), json_schema_reward(text, SCHEMA),
            format_reward(text), format_reward(text, tags=True), overlong_reward(text, len(text), 100, 10),
            cosine_reward(text, "42", len(text), 100), repetition_reward(text), language_reward(text),
        ]  # fmt: skip

    assert values() == values()


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 20_000,
        "```\n" * 20_000,
        r"\[" * 40_000,
        r"\begin{a}" * 10_000,
        "[" * 100_000,
        '"' * 100_000,
        "A. " * 30_000,
        "$" * 100_000,
    ],
)
def test_hostile_completions_take_linear_time(text: str) -> None:
    started = time.perf_counter()
    for value in (
        exact_reward(text, "x"), choice_reward(text, "A", OPTIONS), json_schema_reward(text, SCHEMA),
        format_reward(text), format_reward(text, tags=True), repetition_reward(text), language_reward(text),
    ):  # fmt: skip
        assert value != 1.0
    assert time.perf_counter() - started < 2.5


FILES = sorted(path.stem for path in (CONF / "reward").glob("*.yaml") if path.stem not in ("code", "judge"))


@pytest.mark.parametrize("name", FILES)
def test_the_configuration_groups_are_valid(name: str) -> None:
    from rlvr.rewards.config import RewardConfig

    values = OmegaConf.create(
        {"reward": OmegaConf.load(CONF / "reward" / f"{name}.yaml"), "sampling": {"max_tokens": 256}}
    )
    missing = {"regex": {"pattern": "x"}, "json_schema": {"schema": SCHEMA}}.get(name, {})
    if missing:
        values.reward.functions[name].update(missing)
    content = OmegaConf.to_container(values, resolve=True)
    assert isinstance(content, dict)
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(RewardConfig), content["reward"]))
    assert isinstance(config, RewardConfig)
    assert list(validate_reward(config, columns=["options"])) == []
    assert len(load_functions(config)) == len(config.functions)


def test_the_question_handed_back_earns_no_more_with_a_length_reward() -> None:
    from rlvr.rewards.length import cosine_reward

    back, answer = (cosine_reward(text, "7", 10, 512) for text in (r"\boxed{3+4}", r"\boxed{7}"))
    assert back < 0 < answer


def test_a_false_chain_is_no_number() -> None:
    from rlvr.rewards.numeric import numeric_reward

    assert numeric_reward(r"\boxed{10 = 9}", "9").status is not Status.CORRECT
    assert numeric_reward(r"\boxed{x = 9}", "9").status is Status.CORRECT


def test_what_a_function_does_to_a_column_is_seen_by_no_other_call(tmp_path: Path) -> None:
    (tmp_path / "greedy_rewards.py").write_text(
        "def take(completion, notes, problem):\n"
        "    problem.columns['notes'].append(0)\n"
        "    notes.append(0)\n"
        "    return float(len(notes) + len(problem.columns['notes']))\n"
    )
    problem = Problem("1", "1+1", "2", columns={"notes": [7]})
    spec = {"_target_": "greedy_rewards.take"}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        with RewardService(RewardConfig(functions={"a": spec, "b": spec}, workers=1)) as service:
            verdicts = service.score([(problem, "2"), (problem, "3")])
    assert [verdict.parts for verdict in verdicts] == [{"a": 4.0, "b": 4.0}] * 2
    assert problem.columns == {"notes": [7]}


def test_an_answer_that_is_no_text_is_refused_by_the_name_of_its_problem() -> None:
    answer: Any = 42
    spec = {"_target_": "rlvr.rewards.math.math_reward"}
    with RewardService(RewardConfig(functions={"math": spec}, workers=1)) as service:
        with pytest.raises(DataError, match="problem 'p' has the answer 42: give a text"):
            service.score([(Problem("p", "6·7", answer), "42")])
        assert service.score([(Problem("p", "6·7", "42"), "42")])[0].status is RIGHT
