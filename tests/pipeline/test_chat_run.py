"""A run of a chat model: its template's settings, problems that are chats, and the end of its turns."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from run_command import complete
from tokenizer_families import QWEN3, tokenizer_of

from rlvr.learner.models import make_scratch_model
from rlvr.problems.prompts import MESSAGES
from rlvr.record.journal import read_journal
from rlvr.types import FinishReason, Group

pytestmark = pytest.mark.slow  # its model and run

PROBLEMS = 24
SYSTEM = {"role": "system", "content": "Be brief."}
SETTINGS = [
    "stages=[sft,rl]",
    "problems=file",
    "problems.train.path=train.jsonl",
    "+problems.heldout={_target_: rlvr.problems.files.from_file, path: heldout.jsonl}",
    "problems.prompt.chat=true",
    "problems.prompt.chat_template_kwargs={enable_thinking: false}",
    "problems.prompt.too_long=drop",
    "model=pretrained",
    "model.path=model",
    "model.max_length=128",
    "reward=math",
    "sampling.max_tokens=24",
    "sft.steps=40",
    "sft.batch_size=16",
    "sft.optimizer.lr=1e-2",
    "rl.steps=1",
    "rl.problems_per_step=4",
    "rl.group_size=4",
    "record.trackers=[]",
]


def row(number: int, question: str) -> dict[str, Any]:
    messages = [SYSTEM, {"role": "user", "content": question}]
    return {"id": str(number), "prompt": messages, "answer": "7", "solution": "It is \\boxed{7}"}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("chat")
    tokenizer = deepcopy(tokenizer_of("qwen2.5 base"))  # its EOS is not the end of its template's turns
    tokenizer.chat_template = QWEN3
    make_scratch_model(
        folder / "model",
        tokenizer,
        128,
        0,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=96,
    )
    asked = [f"{number} <|im_end|> + 1?" for number in range(PROBLEMS)]
    write(folder / "train.jsonl", [row(n, text) for n, text in enumerate([*asked, "so long " * 99])])
    write(folder / "heldout.jsonl", [row(n, f"{n} + 2?") for n in range(4)] + [row(4, "too long " * 99)])
    code, output = complete(folder, "train", *SETTINGS, "hydra.run.dir=run")
    assert code == 0, output
    return folder / "run", output


def drawn(run: Path, kind: str, step: int) -> list[Group]:
    return read_journal(run / "rl", kind, step)


def test_too_long_problems_are_dropped_and_counted(run: tuple[Path, str]) -> None:
    folder, output = run
    assert f"problems.train: 1 of {PROBLEMS + 1} problems are too long" in output
    assert "heldout: 1 of 5 problems are too long" in output
    assert [group.problem.id for group in drawn(folder, "heldout", 0)] == list("0123")
    assert str(PROBLEMS) not in {group.problem.id for group in drawn(folder, "train", 1)}


def test_prompts_are_the_chats_with_the_templates_settings(run: tuple[Path, str]) -> None:
    tokenizer = tokenizer_of("qwen2.5 base")
    for group in drawn(run[0], "train", 1):
        assert group.problem.text.endswith("<|im_end|> + 1?")
        assert group.problem.columns[MESSAGES][0] == SYSTEM
        for rollout in group.rollouts:
            assert tokenizer.decode(rollout.tokens[~rollout.sampled]) == (
                f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{group.problem.text}<|im_end|>\n"
                "<|im_start|>assistant\n<think>\n\n</think>\n\n"
            )
            ends = rollout.tokens[~rollout.sampled] == tokenizer.convert_tokens_to_ids("<|im_end|>")
            assert ends.sum() == 2


def test_the_end_that_was_learned_ends_answers(run: tuple[Path, str]) -> None:
    end = tokenizer_of("qwen2.5 base").convert_tokens_to_ids("<|im_end|>")
    rollouts = [r for group in drawn(run[0], "train", 1) for r in group.rollouts]
    rollouts += [r for group in drawn(run[0], "heldout", 0) for r in group.rollouts]
    ended = [rollout for rollout in rollouts if rollout.finish_reason is FinishReason.STOP]
    assert len(ended) > len(rollouts) / 2
    assert sum(rollout.tokens[-1] == end for rollout in ended) > len(ended) / 2
    for rollout in rollouts:
        assert end not in rollout.tokens[rollout.sampled][:-1]
        assert "<|im_end|>" not in rollout.text
    tokenizer = tokenizer_of("qwen2.5 base")
    for stage in ("sft", "rl"):
        (model,) = (run[0] / stage / "checkpoints").glob("*/model")
        ends = json.loads((model / "generation_config.json").read_text())["eos_token_id"]
        assert ends == [tokenizer.eos_token_id, end]
