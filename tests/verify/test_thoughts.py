"""Thoughts are not answers: from the tokens that a model drew to the verdict."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rlvr.audit.rollouts import draw_rollouts
from rlvr.problems.config import PromptConfig
from rlvr.problems.encoder import PromptEncoder
from rlvr.record.journal import journal_path, read_journal, write_journal
from rlvr.rewards.choice import choice_reward
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.exact import exact_reward
from rlvr.rewards.format import format_reward
from rlvr.rewards.functions import validate_reward
from rlvr.rewards.json_schema import json_schema_reward
from rlvr.rewards.length import cosine_reward
from rlvr.rewards.math import math_reward
from rlvr.rewards.numeric import numeric_reward
from rlvr.rewards.regex import regex_reward
from rlvr.rewards.service import RewardService
from rlvr.rollout.text import drawn_text, prompt_end
from rlvr.types import FinishReason, Group, Problem, Rollout, Status, Verdict
from rlvr.verify.extract import extract_answer
from rlvr.verify.thoughts import after_thoughts, opened_by
from rlvr.viewer.tokens import token_texts

PROBLEM = Problem("p1", "2+2=?", "4")
SPECIAL = [
    "<think>", "</think>", "<answer>", "</answer>", "[THINK]", "[/THINK]",
    "<|channel|>", "<|message|>", "<|end|>", "<|start|>",
]  # fmt: skip
CHANNELS = "<|channel|>analysis<|message|>4<|end|><|start|>assistant<|channel|>final<|message|>"
CHAT = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}A:OPENED"


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("4", "4"),
        ("<think>2+2 is 4</think><answer>4</answer>", "<answer>4</answer>"),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("<think>a<think>b</think>c", "c"),
        ("<think>a</think>b</think>c", "c"),
        ("the prompt opened it</think>4", "4"),
        ("<THINK>a</Think>4", "4"),
        ("<think>a [/THINK]4", "4"),  # whatever ends it
        ("<thinking>a</thinking>4", "4"),
        ("<thought>a</thought>4", "4"),
        ("<reasoning>a</reasoning>4", "4"),
        ("<seed:think>a</seed:think>4", "4"),
        ("[THINK]a[/THINK]4", "4"),
        ("◁think▷a◁/think▷4", "4"),
        ("<|START_THINKING|>a<|END_THINKING|>4", "4"),
        ("<|channel|>analysis<|message|>5<|end|><|start|>assistant<|channel|>final<|message|>4", "4"),
        ("<think>a</think>I thought in `<think>` marks: 4", "I thought in `<think>` marks: 4"),
        ('<think>I end it with "</think>" soon: 5</think>4', "4"),
        ("", ""),
        # never ended
        (r"<think>It is \boxed{4}", None),
        ("<think>a</think>4<think>or", None),
        (r"\boxed{4} <think>or 5?", None),
        ("[THINK]4", None),
        ("<|channel|>analysis<|message|>4", None),
        ("<|channel|>analysis<|message|>4<|end|><|start|>assistant<|channel|>commentary<|message|>5", None),
    ],
)
def test_what_follows_the_last_thought(text: str, answer: str | None) -> None:
    assert after_thoughts(text) == answer
    if answer is not None:
        assert after_thoughts(answer) == answer
        assert after_thoughts(f"{text}</think>4", begins_inside=True) == "4"


@pytest.mark.parametrize("text", ["4", r"\boxed{4}", "", "<think>4", "`</think>` 4"])
def test_a_thought_of_the_prompt_must_end(text: str) -> None:
    assert after_thoughts(text, begins_inside=True) is None
    assert after_thoughts(f"{text}</think>5", begins_inside=True) == "5"


def test_other_marks_are_a_setting() -> None:
    text = "REASON 5 ANSWER 4"
    assert after_thoughts(text) == text
    assert after_thoughts(text, marks=[["REASON", "ANSWER"]]) == " 4"
    assert after_thoughts("REASON 5", marks=[["REASON", "ANSWER"]]) is None
    assert after_thoughts("<think>5", marks=[]) == "<think>5"


@pytest.mark.parametrize("text", ["<think>" * 30_000, "`<think>`" * 20_000, "<" * 200_000, "<think" * 30_000])
def test_marks_without_end_take_linear_time(text: str) -> None:
    started = time.process_time()
    after_thoughts(text)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    ("prompt", "mark"),
    [
        ("2+2?<|Assistant|><think>\n", "<think>"),
        ("2+2?<think>", "<think>"),
        ("2+2?[THINK] ", "[THINK]"),
        ("2+2?<think>\n\n</think>\n\n", ""),  # told not to think
        ("Use <think> and </think>.\nA:", ""),
        ("", ""),
    ],
)
def test_the_mark_that_a_prompt_ends_in(prompt: str, mark: str) -> None:
    assert opened_by(prompt) == mark


@pytest.mark.parametrize("mark", [r"\boxed{4}", "#### 4", "<answer>4</answer>", "The answer is 4."])
def test_every_reward_reads_the_answer_and_no_thought(mark: str) -> None:
    thought = "<think>It may be 5, or \\boxed{5}.\n#### 5\nThe answer is 5.</think>\n"
    for text, right in (
        (thought + mark, True),
        (f"<think>{mark}", False),
        (f"<think>{mark}</think>no", False),
    ):
        for function in (math_reward, exact_reward, numeric_reward):
            assert (function(text, "4").status is Status.CORRECT) == right, (function, text)
        assert (cosine_reward(text, "4", 10, 100) > 0) == right
        assert (regex_reward(text, "4") == 1.0) == right
        found = extract_answer(text)
        assert (found is not None and "4" in found.text) == right


def test_choices_json_and_formats_are_not_read_in_thoughts() -> None:
    assert choice_reward("<think>A</think>#### B", "B").status is Status.CORRECT
    assert choice_reward("<think>#### B", "B").status is Status.UNPARSEABLE
    schema = {"type": "object"}
    assert json_schema_reward("<think>[1]</think>{}", schema).status is Status.CORRECT
    assert json_schema_reward("<think>{}", schema, wrong=-1.0).reward == -1.0
    assert json_schema_reward("<think>no\n```json\n{}\n```", schema).status is Status.UNPARSEABLE
    assert format_reward("[THINK]#### 5[/THINK]#### 4") == 1.0
    assert format_reward("[THINK]#### 5") == 0.0


def test_a_setting_of_the_run_reaches_the_rewards() -> None:
    functions = {"math": {"_target_": "rlvr.rewards.math.math_reward"}}
    text = "REASON \\boxed{4} ANSWER none"
    for thoughts, status in (([["REASON", "ANSWER"]], Status.WRONG), ([], Status.CORRECT)):
        with RewardService(RewardConfig(functions, thoughts=thoughts)) as service:
            (verdict,) = service.score([(PROBLEM, text)])
        assert verdict.status is status
    (message,) = validate_reward(RewardConfig(functions, thoughts=[["<think>"]]))
    assert "pairs of two marks" in message


# ---------------------------------------------------------------- tokens


def tokenizer_of(opened: str = "", special: bool = True) -> PreTrainedTokenizerFast:
    """Every byte is a token, and so is every mark: a special one, or one that is none as in Qwen3."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: place for place, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<bos>", "<eos>", "<pad>", "<|im_end|>"])
    made.add_tokens([AddedToken(mark, special=special, normalized=False) for mark in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        extra_special_tokens=["<|im_end|>", *(SPECIAL if special else [])],
    )
    tokenizer.chat_template = CHAT.replace("OPENED", opened)
    return tokenizer


def drawn_by(
    tokenizer: PreTrainedTokenizerFast, text: str, finish_reason: FinishReason = FinishReason.STOP
) -> Rollout:
    """A rollout as the engine makes it, of a model that answers with the tokens of `text`."""
    prompt = PromptEncoder(PromptConfig(chat=True), tokenizer).prompt(PROBLEM)
    end = "<eos>" if finish_reason is FinishReason.STOP else ""
    drawn = tokenizer.encode(f"{text}{end}", add_special_tokens=False)
    tokens = np.array([*prompt, *drawn], np.int32)
    size = len(tokens)
    return Rollout(
        problem_id=PROBLEM.id,
        step=1,
        sample=0,
        seed=0,
        tokens=tokens,
        sampled=np.arange(size) >= len(prompt),
        logprobs=np.zeros(size, np.float32),
        versions=np.zeros(size, np.int32),
        text=drawn_text(drawn, finish_reason, tokenizer),
        finish_reason=finish_reason,
        temperature=1.0,
        prompt_end=prompt_end(prompt, tokenizer),
    )


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize(
    ("drawn", "text"),
    [
        ("<think>2+2 is 4</think><answer>4</answer><eos>", "<think>2+2 is 4</think><answer>4</answer>"),
        ("4<|im_end|>", "4"),  # a chat model's own end
        ("<bos>4<eos><pad><pad>", "4"),
        ("<eos>", ""),
        ("", ""),
        ("[THINK]é[/THINK] 4 <|channel|>final<|message|>", "[THINK]é[/THINK] 4 <|channel|>final<|message|>"),
    ],
)
def test_special_tokens_are_text_but_for_those_that_begin_end_and_pad(
    special: bool, drawn: str, text: str
) -> None:
    tokenizer = tokenizer_of(special=special)
    ids = tokenizer.encode(drawn, add_special_tokens=False)
    reason = FinishReason.LENGTH if drawn.endswith("<|message|>") else FinishReason.STOP
    assert drawn_text(ids, reason, tokenizer) == text


def judged(rollouts: list[Rollout], **functions: Any) -> list[Verdict]:
    named = functions or {"math": {"_target_": "rlvr.rewards.math.math_reward"}}
    with RewardService(RewardConfig(named)) as service:
        return service.score([(PROBLEM, rollout) for rollout in rollouts])


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize(
    ("opened", "drawn", "status"),
    [
        ("", "<think>2+2 is 4</think><answer>4</answer><eos>", Status.CORRECT),
        ("", "<think>2+2 is 5</think><answer>5</answer><eos>", Status.WRONG),
        ("", r"<think>2+2 is \boxed{4}", Status.UNPARSEABLE),
        ("", r"\boxed{4}<eos>", Status.CORRECT),
        ("<think>\n", r"2+2 is 4</think>\boxed{4}<|im_end|>", Status.CORRECT),
        ("<think>\n", r"2+2 is \boxed{4}", Status.UNPARSEABLE),
        ("<think>\n", r"<think>2+2 is \boxed{4}", Status.UNPARSEABLE),
        ("<think>\n", r"\boxed{5}</think>\boxed{4}<think>No, \boxed{5}", Status.UNPARSEABLE),
        ("<think>\n\n</think>\n\n", r"\boxed{4}<|im_end|>", Status.CORRECT),
        ("[THINK]", r"2+2 is \boxed{4}", Status.UNPARSEABLE),
        ("[THINK]", r"\boxed{5}[/THINK]\boxed{4}<eos>", Status.CORRECT),
        ("", f"{CHANNELS}4<eos>", Status.CORRECT),
        ("", f"{CHANNELS}5<eos>", Status.WRONG),
        ("", "<|channel|>analysis<|message|>It is 4<|end|>", Status.UNPARSEABLE),
    ],
)  # fmt: skip
def test_from_token_ids_to_the_verdict(special: bool, opened: str, drawn: str, status: Status) -> None:
    reason = FinishReason.STOP if drawn.endswith(("<eos>", "<|im_end|>")) else FinishReason.LENGTH
    (verdict,) = judged([drawn_by(tokenizer_of(opened, special), drawn, reason)])
    assert verdict.status is status, verdict.reason


@pytest.mark.parametrize("opened", ["", "<think>\n"])
def test_the_form_with_tags_can_be_met_where_the_prompt_opens_the_thought(opened: str) -> None:
    tokenizer = tokenizer_of(opened)
    begun, other = ("", "<think>") if opened else ("<think>", "")
    texts = [
        f"{begun}2+2</think><answer>4</answer><eos>",
        f"{other}2+2</think><answer>4</answer><eos>",  # the beginning twice, or not at all
        f"{begun}2+2</think>4<eos>",
    ]
    verdicts = judged(
        [drawn_by(tokenizer, text) for text in texts],
        format={"_target_": "rlvr.rewards.format.format_reward", "tags": True, "pattern": None},
    )
    assert [verdict.reward for verdict in verdicts] == [1.0, 0.0, 0.0]


def test_the_journal_keeps_what_the_prompt_ended_in(tmp_path: Path) -> None:
    rollout = drawn_by(tokenizer_of("<think>\n"), r"2+2 is \boxed{4}", FinishReason.LENGTH)
    verdicts = judged([rollout])
    path = journal_path(tmp_path, "train", 1)
    path.parent.mkdir(parents=True)
    write_journal(path, [Group(PROBLEM, [rollout], verdicts)])
    (group,) = read_journal(tmp_path, "train")
    assert group.rollouts[0].prompt_end == rollout.prompt_end
    assert opened_by(rollout.prompt_end) == "<think>"
    assert judged(group.rollouts)[0].status is verdicts[0].status is Status.UNPARSEABLE
    # and an audit judges it like the run
    ((_, text),) = draw_rollouts(str(tmp_path), [PROBLEM], 0)
    assert math_reward(text, "4").status is Status.UNPARSEABLE


def test_the_viewer_finds_the_tokens_of_a_text_with_and_without_its_special_tokens(tmp_path: Path) -> None:
    tokenizer = tokenizer_of()
    tokenizer.save_pretrained(tmp_path)
    rollout = drawn_by(tokenizer, "<think>2</think>4")
    drawn = rollout.tokens[rollout.sampled].tolist()
    for text in (rollout.text, tokenizer.decode(drawn, skip_special_tokens=True)):
        texts = token_texts(rollout.tokens.tolist(), drawn, text, [tmp_path / "tokenizer.json"])
        assert texts is not None
        assert texts[-len(drawn) :] == ["<think>", "2", "</think>", "4", "<eos>"]
