"""Whole recipes as a user runs, changes, stops and continues them, with the real engines."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from run_command import Run, complete
from safetensors.numpy import load_file

from rlvr.problems.files import as_row
from rlvr.problems.generated import arithmetic
from rlvr.record.sinks import read_metrics
from rlvr.traces.files import read_traces
from rlvr.types import Status

SMALL = [
    "name=small",
    "model.max_length=48",
    "problems=file",
    "problems.train.path=mine.jsonl",
    "sampling.max_tokens=12",
    "record.trackers=[]",
    "learner.packing=true",
]
OF_STAGE = {
    "teacher": ["+trainers.teacher={start: base, steps: 90, batch_size: 32, optimizer: {lr: 5e-3}}"],
    "distill": ["distill.teacher=teacher", "distill.samples=4"],
    "midtrain": [
        "midtrain.steps=40",
        "midtrain.batch_size=8",
        "midtrain.optimizer.lr=5e-3",
        "midtrain.validation.share=0.1",
        "midtrain.validation.every=10",
        "midtrain.checkpoint_every=10",
    ],
    "dpo": ["dpo.steps=3", "dpo.batch_size=2"],
    "opd": [
        "opd.teacher=teacher",
        *(f"opd.loop.{setting}" for setting in ("steps=3", "problems_per_step=8", "group_size=4")),
    ],
    "rl": ["rl.steps=2", "rl.problems_per_step=4", "rl.group_size=4"],
}


def stages(*names: str) -> list[str]:
    """Arguments for a recipe of these stages."""
    return [f"stages=[{','.join(names)}]", *(argument for name in names for argument in OF_STAGE[name])]


CHAIN = stages("teacher", "distill", "midtrain", "dpo", "opd", "rl")
SHORT = stages("teacher", "distill", "midtrain", "dpo")
pytestmark = pytest.mark.slow


def write_problems(folder: Path) -> None:
    rows = [json.dumps(as_row(problem)) for problem in arithmetic("train", 64, 1)]
    (folder / "mine.jsonl").write_text("\n".join(rows) + "\n")


def recipe(cwd: Path, *arguments: str) -> tuple[int, str]:
    return complete(cwd, "recipe", *SMALL, *arguments)


@dataclass
class Made:
    """A folder in which recipes were run."""

    cwd: Path
    output: str

    def stages(self) -> dict[str, Path]:
        """Stage → folder, of the last run."""
        runs = sorted(self.cwd.glob("runs/small/*/stages.json"))
        return {name: runs[-1].parent / path for name, path in json.loads(runs[-1].read_text()).items()}

    def table(self) -> list[dict[str, str]]:
        tables = sorted(self.cwd.glob("runs/small/*/table.csv"))
        return list(csv.DictReader(tables[-1].open()))

    def weights(self, stage: str) -> dict[str, bytes]:
        (path,) = self.stages()[stage].glob("checkpoints/*/model/model.safetensors")
        return {name: tensor.tobytes() for name, tensor in load_file(path).items()}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """All kinds of stages that train, one after the other, without a held-out set."""
    cwd = tmp_path_factory.mktemp("chain")
    write_problems(cwd)
    code, output = recipe(cwd, *CHAIN)
    assert code == 0, output
    return Made(cwd, output)


def test_every_stage_leaves_its_work_and_a_manifest_of_what_it_was_made_from(chain: Made) -> None:
    folders = chain.stages()
    assert list(folders) == ["base", "teacher", "distill", "midtrain", "dpo", "opd", "rl"]
    manifests = {name: json.loads((path / "manifest.json").read_text()) for name, path in folders.items()}
    keys = {name: manifest["key"] for name, manifest in manifests.items()}
    assert manifests["dpo"]["made_from"]["model"] == keys["midtrain"]
    assert manifests["dpo"]["made_from"]["data distill"] == keys["distill"]
    assert manifests["opd"]["made_from"]["teacher"] == keys["teacher"]
    assert manifests["midtrain"]["made_from"]["model"] == keys["base"]
    for name in ("teacher", "midtrain", "dpo", "opd", "rl"):
        assert chain.weights(name)
        # a stage that is done keeps nothing but its model
        assert not list(folders[name].glob("checkpoints/*/optimizer"))


def test_distilled_answers_are_verified_labelled_and_described(chain: Made) -> None:
    folder = chain.stages()["distill"]
    traces = read_traces(folder / "traces.parquet")
    assert len(traces) == 64 * 4
    assert {trace.status for trace in traces} <= {Status.CORRECT, Status.WRONG, Status.UNPARSEABLE}
    for trace in traces:
        assert trace.tokens is not None  # teacher and student have one tokenizer
        right = trace.text.rpartition("#")[2].strip() == trace.problem.answer
        assert (trace.status is Status.CORRECT) == right
    assert (folder / "card.md").stat().st_size > 500
    assert (folder / "card.png").stat().st_size > 5000


def test_midtraining_validates_on_what_it_holds_back_and_learns(chain: Made) -> None:
    steps = read_metrics(chain.stages()["midtrain"] / "metrics.jsonl")
    losses = [row["validation/loss"] for row in steps.values() if "validation/loss" in row]
    assert len(losses) >= 2
    assert (losses[-1] or 0) < (losses[0] or 0)


def test_the_reference_of_dpo_is_computed_once_and_kept(chain: Made) -> None:
    (piece,) = (chain.stages()["dpo"] / "reference").iterdir()
    values = np.load(piece)
    assert (values <= 0).all()
    assert (values < 0).any()


def test_on_policy_distillation_comes_closer_to_its_teacher(chain: Made) -> None:
    steps = read_metrics(chain.stages()["opd"] / "metrics.jsonl")
    losses = [row["train/loss"] for row in steps.values() if row.get("train/loss") is not None]
    assert len(losses) == 3
    assert all(loss is not None and loss > 0 for loss in losses)  # a KL divergence, with no advantage beside


def test_what_is_done_is_not_done_again(chain: Made) -> None:
    before = {path: path.stat().st_mtime_ns for path in chain.cwd.glob("runs/small/stages/*/manifest.json")}
    weights = chain.weights("rl")
    code, output = recipe(chain.cwd, *CHAIN, "learner.micro_batch_tokens=999")
    assert code == 0, output
    assert output.count("already done") == 7
    after = {path: path.stat().st_mtime_ns for path in chain.cwd.glob("runs/small/stages/*/manifest.json")}
    assert after == before
    assert chain.weights("rl") == weights
    assert all(row["new"] == "0" for row in chain.table())


def test_a_stage_whose_manifest_a_crash_left_unfinished_is_done_by_what_it_has_left(chain: Made) -> None:
    """After the last checkpoint, before the manifest: nothing is trained again, nothing else is touched."""
    keep = chain.cwd / "thesis"
    keep.mkdir()
    (keep / "chapter.txt").write_text("1")
    path = chain.stages()["rl"] / "manifest.json"
    manifest = json.loads(path.read_text())
    weights = chain.weights("rl")
    path.write_text(json.dumps({name: value for name, value in manifest.items() if name != "made"}))
    code, output = recipe(chain.cwd, *CHAIN)
    assert code == 0, output
    assert "rl: continues" in output
    assert "rl step" not in output
    assert json.loads(path.read_text())["made"] == manifest["made"]
    assert chain.weights("rl") == weights
    assert (keep / "chapter.txt").read_text() == "1"


def test_a_plan_starts_nothing_and_says_what_is_done(chain: Made) -> None:
    before = set(chain.cwd.rglob("*"))
    code, output = recipe(chain.cwd, *CHAIN, "rl.steps=5", "--plan")
    assert code == 0, output
    state = {
        line.split("|")[1].strip(): line.split("|")[2].strip() for line in output.splitlines() if "|" in line
    }
    assert state["midtrain"] == "done"
    assert state["rl"] == "to do"
    assert "missing: nothing" in output
    new = set(chain.cwd.rglob("*")) - before
    assert [path.name[:7] for path in new] == ["output_"]  # what this test caught of it


def test_a_stopped_recipe_goes_on_as_if_it_had_never_stopped_and_makes_a_change_anew_beside_the_old(
    chain: Made, tmp_path: Path
) -> None:
    """In a copy of the folder without mid-training: what was made before is good in another place."""
    cwd = tmp_path / "copy"
    shutil.copytree(chain.cwd, cwd, ignore=shutil.ignore_patterns("midtrain-*"))
    changed = [*SHORT, "dpo.trainer.beta=0.3"]
    run = Run.start(cwd, "recipe", *SMALL, *changed)
    try:
        checkpoint = "runs/small/stages/midtrain-*/checkpoints/step_000010/state.json"
        run.until(lambda: bool(list(cwd.glob(checkpoint))), "a checkpoint of mid-training")
        assert "run the same command again to continue" in run.stop(signal.SIGINT)
    finally:
        run.kill()
    code, output = recipe(cwd, *changed)
    assert code == 0, output
    assert "midtrain: continues" in output
    assert output.count("already done") == 3
    assert Made(cwd, output).weights("midtrain") == chain.weights("midtrain")
    assert "dpo: runs again" in output
    assert "dpo.trainer.beta 0.1 → 0.3" in output
    assert len(list(cwd.glob("runs/small/stages/dpo-*"))) == 2


OWN = '''
from rlvr.stages.sft import Sft

class Reversed(Sft):
    """Longest answers first, whatever the seed."""
    def __init__(self, traces, encode, settings, seed, max_length, most=8):
        super().__init__(traces, encode, settings, seed, max_length)
        self.examples = sorted(self.examples, key=lambda e: -len(e[1]))[:most]
'''


def test_a_trainer_of_ones_own_on_a_file_of_ones_own_with_the_table_of_what_it_brought(
    tmp_path: Path,
) -> None:
    """The evaluation after every stage, too: the one run here that has a held-out set."""
    write_problems(tmp_path)
    (tmp_path / "mine.py").write_text(OWN)
    rows = [
        {"problem": problem.text, "answer": problem.answer, "text": problem.solution, "correct": True}
        for problem in arithmetic("train", 20, 1)
    ]
    (tmp_path / "traces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "traces.parquet")
    heldout = (
        "+problems.heldout={_target_: rlvr.problems.generated.arithmetic, split: heldout, n: 10, level: 1}"
    )
    validation = "{share: 0.2, every: 1, patience: 2, min_gain: 0.9}"  # a gain that there cannot be
    own = (
        "{trainer: {_target_: mine.Reversed, most: 8}, data: [traces.parquet], steps: 20, batch_size: 8, "
        f"validation: {validation}, optimizer: {{lr: 1e-3}}}}"
    )
    code, output = recipe(
        tmp_path,
        "stages=[own]",
        f"+trainers.own={own}",
        heldout,
        "evaluation.samples=2",
        "learner.lora.rank=4",
    )
    assert code == 0, output
    assert "own: 8 answers" in output
    made = Made(tmp_path, output)
    table = [row for row in made.table() if not row["set"].endswith("true steps")]
    assert [row["stage"] for row in table] == ["base", "own"]
    assert [(row["set"], row["k"], row["problems"]) for row in table] == [("heldout", "2", "10")] * 2
    assert table[1]["before"] == "base"
    # adapters are merged into a model like the one that it began with
    trained = made.weights("own")
    base = load_file(made.stages()["base"] / "model" / "model.safetensors")
    assert set(trained) == set(base)
    changed = {name for name, tensor in base.items() if tensor.tobytes() != trained[name]}
    assert changed
    assert all(name.endswith("_proj.weight") for name in changed)
    assert table[1]["steps"] == "3"  # saturated: one validation, and two without a gain
    assert "own: validation has not improved since step" in output
    assert "| own" in output
    run = next(iter(tmp_path.glob("runs/small/*/table.csv"))).parent
    assert (run / "table.png").stat().st_size > 5000
    assert (run / "table.md").read_text().strip() in output
