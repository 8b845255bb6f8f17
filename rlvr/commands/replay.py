"""`rlvr replay`: repeat a training step from the journal, with the run's settings or with others."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException

from rlvr.base.imports import find_own_functions, lean_imports
from rlvr.commands.exit_codes import failed
from rlvr.replay.recorded import open_recorded
from rlvr.replay.what_if import what_if
from rlvr.types import RlvrError

if TYPE_CHECKING:
    from rlvr.replay.replayed import Replayed
    from rlvr.replay.steps import Replay

SHOWN = 12  # rows of a table that are shown although their numbers do not differ


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code."""
    given = _parser().parse_args(arguments)
    find_own_functions()
    try:
        recorded = open_recorded(given.run)
        origin = recorded.origin(given.step)
        config = recorded.config_at(given.step)
        other = what_if(config, given.what_if) if given.what_if else None
        if not config.learner.gpus_per_worker:
            os.environ.setdefault("DS_ACCELERATOR", "cpu")  # or DeepSpeed would print a warning
        # Heavy imports come after the arguments are checked.
        with lean_imports():
            from transformers.utils import logging

            from rlvr.replay.steps import replay

        logging.disable_progress_bar()

        done = replay(recorded, origin, given.step, other)
        _show(done, given.what_if)
        if given.json:
            given.json.write_text(json.dumps(_finite(_as_json(done)), indent=2) + "\n")
        if given.gradients:
            _write_gradients(given.gradients, done)
    except InstantiationException as error:
        where = "run this in the folder where the run was started, so that your own functions are found"
        print(f"rlvr: {str(error).splitlines()[0]}: {where}", file=sys.stderr)
        return 2
    except RlvrError as error:
        return failed(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "rlvr replay",
        description="Repeat a training step of a run from its journal, and compare its loss, gradient and "
        "numbers per token with those recorded; or compute its update under other settings.",
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN", help="folder of a run, as in runs/NAME/DATE; it is only read")
    parser.add_argument("--step", metavar="N", type=int, required=True, help="training step, from 1")
    parser.add_argument(
        "--what-if",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="another setting for the same rollouts, such as algorithm=dr_grpo or algorithm.kl.coef=0.1; "
        "can be given several times",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers to this file")
    parser.add_argument(
        "--gradients",
        metavar="FILE.safetensors",
        type=Path,
        help="write the policy's gradients before clipping to this file, by parameter name",
    )
    return parser


def _show(done: Replay, what_if: Sequence[str]) -> None:
    from rlvr.replay.compare import columns_table, numbers_table

    print(f"step {done.step} of {done.folder}, from {done.origin}\n")
    if done.numbers:
        print(numbers_table(done.numbers, ("recorded", "replayed"), SHOWN))
    if done.columns:
        print(f"\n{columns_table(done.columns)}")
    print(f"\n{done.verdict()}")
    if not done.replayed.gradients:
        print("only the value model is trained in this step: the policy has no gradient")
    if done.changed:
        print(f"\nwhat if {' '.join(what_if)}, from the same weights:\n")
        print(numbers_table(done.what_if, ("as it was", "what if"), SHOWN + 4))
        if done.angles:
            print(
                f"\nthe two gradients: cosine {done.angles['cosine']:.6g}, norm ratio "
                f"{done.angles['norm_ratio']:.6g}"
            )


def _as_json(done: Replay) -> dict[str, Any]:
    """Everything but the tensors."""
    content: dict[str, Any] = {
        "step": done.step,
        "folder": str(done.folder),
        "origin": done.origin,
        "same_to_the_bit": done.same,
        "numbers": [
            {"name": n.name, "recorded": n.one, "replayed": n.other, "difference": n.difference}
            for n in done.numbers
        ],
        "columns": [asdict(column) for column in done.columns],
    }
    if done.changed:
        content["what_if"] = {
            "numbers": [
                {"name": n.name, "as_it_was": n.one, "what_if": n.other, "difference": n.difference}
                for n in done.what_if
            ],
            **done.angles,
        }
    return content


def _finite(value: Any) -> Any:
    """`value` with None in place of nan and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_gradients(path: Path, done: Replay) -> None:
    """Write tensors named `replayed/NAME` and `what_if/NAME`; with several updates, `replayed/1/NAME` etc."""
    from safetensors.torch import save_file

    both: dict[str, Replayed] = {"replayed": done.replayed}
    if done.changed:
        both["what_if"] = done.changed
    tensors = {
        "/".join([kind, *([str(number)] if len(made.gradients) > 1 else []), name]): gradient
        for kind, made in both.items()
        for number, update in enumerate(made.gradients, start=1)
        for name, gradient in update.items()
    }
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
