"""The training loop against its own limit: what vLLM alone and the learner alone need for the same work.

    python benchmarks/loop.py --json report.json        # about 40 minutes on two cores
    python benchmarks/loop.py --cases pretrained --checkpoint FOLDER    # a chat model of the user's

The real loop (Ray, vLLM, reward service, DeepSpeed, weight transfer, journal) runs on models with random
weights, 32 problems × 8 answers a step, and between its steps an engine and a learner, in processes of their
own with the cores and the settings that those of the loop have, are given the requests and the batches of
the step that was counted, one after the other. The loop stands still meanwhile. Steps whose answers are
drawn ahead when a standstill begins are not counted: the next, or as many as rollouts may be versions old.
The learning rate is next to nothing, so that the engine that is never given new weights draws the same
answers.

`small` and `large` are synchronous: the limit is the sum of generation alone and learning alone, and the
ratio is limit / step. Those of `async` have a reward that takes a second for a verdict, rollouts that may
be two versions old or one (`async_one_version`), and a core for the rollout worker and one for the learner:
the limit is the largest of generation, verdicts and learning alone, each on the cores that it has in the
loop, and the ratio is step / limit. After new weights, answers under way are computed again so far (`async`)
or not.
Seconds are medians over the counted turns, ratios medians of the turns' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ray
from alone import Alone, EngineAlone, LearnerAlone, RewardAlone, count_seconds
from hydra import compose, initialize_config_dir
from random_models import make_model, number_of_parameters

from rlvr.cluster.placement import place
from rlvr.cluster.ray_cluster import ray_cluster
from rlvr.cluster.workers import StandingWorkers, Workers
from rlvr.configuration.compose import register_schema, to_config
from rlvr.configuration.keys import config_folder
from rlvr.pipeline.config import RunConfig
from rlvr.record.journal import read_journal
from rlvr.record.run_folder import versions
from rlvr.record.sinks import MetricLog
from rlvr.rollout.engine import Request
from rlvr.types import Problem

ALL = [
    "model=pretrained",
    "model.max_length=512",
    "record.trackers=[]",
    "rl.steps=1000000",
    "rl.problems_per_step=32",
    "rl.group_size=8",
    "rl.optimizer.lr=1e-9",
    "rl.evaluate_every=1000000",
    "rl.checkpoint_every=1000000",
    "rl.check_every=1000000",
]
# random text is never right, but has one digit now and then: so most groups have a gradient
DIGIT = "+reward.functions.digit={_target_: rlvr.rewards.format.format_reward, pattern: '[0-9]'}"
ASYNC = [
    "sampling.max_tokens=256",
    "rl.max_staleness=2",
    "cluster.placement=separate",
    "cluster.cpus=2",
    "cluster.learner_cores=1",
    "~reward.functions.math",
    "+reward.functions.slow={_target_: slow_reward.slow_reward, seconds: 1.0}",
    # all verdicts that are asked for at once are made at once, by one process; whoever comes while
    # they are made goes to the other actor
    "reward.actors=2",
    "reward.batch=256",
    "reward.deadline=30",
]
STALE_CACHE = "rollout.keep_stale_cache=true"
# name → size of the model (None: --checkpoint), counted steps of a turn, settings
CASES: dict[str, tuple[str | None, int, list[str]]] = {
    "small": ("0.6M", 4, [DIGIT, "sampling.max_tokens=20"]),
    "large": ("10M", 1, [DIGIT, "sampling.max_tokens=256"]),
    # several in a row, since a step that lags makes up for it in the next
    "async": ("10M", 3, ASYNC),
    "async_stale_cache": ("10M", 3, [*ASYNC, STALE_CACHE]),
    "async_one_version": ("10M", 3, [*ASYNC, STALE_CACHE, "rl.max_staleness=1"]),
    "pretrained": (
        None,
        1,
        [
            "problems.prompt.chat=true",
            "rl.problems_per_step=16",
            "sampling.max_tokens=128",
            "learner.packing=true",
            "rollout.max_num_seqs=128",
            # some answers of a chat model have a comma, some have none
            "+reward.functions.comma={_target_: rlvr.rewards.format.format_reward, pattern: ','}",
        ],
    ),
}
PROBLEMS = 32


def settings(model: Path, overrides: list[str]) -> RunConfig:
    """The configuration that `rlvr train` would have."""
    register_schema()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return to_config(compose("train", [*ALL, f"model.path={model}", *overrides]))


@dataclass
class Done:
    """What a step of the loop had to do: the very requests and updates."""

    requests: dict[int, list[Request]] = field(default_factory=lambda: defaultdict(list))
    updates: list[tuple[Any, ...]] = field(default_factory=list)  # of the last step


class Loop:
    """A real run, step by step, and what it did."""

    def __init__(self, config: RunConfig, folder: Path, workers: Workers) -> None:
        from transformers import AutoTokenizer

        from rlvr.base.stopping import StopRequest
        from rlvr.stages.rl import ReinforcementLearning
        from rlvr.stages.stage import StageInput

        problems = [Problem(f"p{i}", f"{i}+{i}=?", str(2 * i)) for i in range(PROBLEMS)]
        model = str(config.model.path)
        tokenizer = AutoTokenizer.from_pretrained(model)
        folder.mkdir()
        self.folder = folder
        self.rl = ReinforcementLearning(
            StageInput(
                config.for_stages(), folder, model, problems, [], tokenizer, StopRequest(), {}, config.rl
            ),
            workers,
        )
        self.rl.log = MetricLog(folder, config.record, asdict(config))
        self.number = 0
        self.done = Done()
        self.seconds: dict[str, float] = defaultdict(float)
        count_seconds(self.rl.collector, "take", self.seconds, "wait for answers and verdicts")
        count_seconds(self.rl.learner, "learn", self.seconds, "learn")
        count_seconds(self.rl.buffer, "publish", self.seconds, "publish")
        self._remember_what_is_done()

    def _remember_what_is_done(self) -> None:
        pool: Any = self.rl.buffer.pool
        learner: Any = self.rl.learner.group
        submit, call = pool.submit, learner.call

        def submitted(group: list[Request]) -> None:
            self.done.requests[group[0].step] += group
            submit(group)

        def called(method: str, *arguments: Any) -> Any:
            if method == "update":
                self.done.updates.append(arguments)
            return call(method, *arguments)

        pool.submit, learner.call = submitted, called

    def step(self) -> dict[str, float]:
        """The next step: seconds of its parts as the driver sees them, of all as `step`; tokens drawn."""
        self.number += 1
        self.seconds.clear()
        self.done.updates.clear()
        began = time.monotonic()
        metrics = self.rl.step(self.number)
        took = time.monotonic() - began
        self.rl.log.log(self.number, metrics)
        parts = dict(self.seconds)
        return parts | {
            "rest": took - sum(parts.values()),  # metrics and journal
            "generate": metrics["time/generate"],
            "reward": metrics["time/reward"],
            "step": took,
            "tokens": metrics["tokens/sampled"],
        }

    def stand_still(self) -> None:
        """Wait until nothing is under way: without the driver nothing is begun, either."""
        calls = [*self.rl.buffer.pool.calls, *self.rl.buffer.rewards.calls]
        ray.wait(calls, num_returns=len(calls)) if calls else None
        time.sleep(0.5)  # threads of torch look for work a while after their last


def turn(loop: Loop, others: dict[str, Alone], lead: int, counted: int) -> dict[str, float]:
    """Steps that have a lead, counted steps, and what these did by those alone: averages over a step."""
    for _ in range(lead):
        loop.step()
        loop.done.requests.pop(loop.number)
    rows, work = [], []
    for _ in range(counted):
        rows.append(loop.step())
        work.append((loop.number, loop.done.requests.pop(loop.number), list(loop.done.updates)))
    loop.stand_still()
    alone: dict[str, float] = defaultdict(float)
    for number, requests, updates in work:
        seconds, tokens = others["generate"].ask("generate", requests)
        alone["generate"] += seconds
        alone["tokens"] += tokens
        alone["learn"] += sum(others["learn"].ask("update", *update) for update in updates)
        groups = read_journal(loop.folder, "train", number)
        items = [(group.problem, rollout) for group in groups for rollout in group.rollouts]
        alone["reward"] += others["reward"].ask("score", items)
    return {name: statistics.mean(row[name] for row in rows) for name in rows[0]} | {
        f"{name} alone": value / counted for name, value in alone.items()
    }


def summary(rows: list[dict[str, float]], asynchronous: bool) -> dict[str, Any]:
    """Medians over the turns, and the loop beside its limit."""

    def limit(row: dict[str, float]) -> float:
        generate, reward, learn = (row[f"{part} alone"] for part in ("generate", "reward", "learn"))
        return max(generate, reward, learn) if asynchronous else generate + learn

    median = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    tokens = {name: median.pop(name) for name in ("tokens", "tokens alone")}
    if asynchronous:  # a standstill may lie between a step's first request and its last answer
        del median["generate"], median["reward"]
    ratio = "step_over_limit" if asynchronous else "limit_over_step"
    ratios = [row["step"] / limit(row) if asynchronous else limit(row) / row["step"] for row in rows]
    return {
        ratio: statistics.median(ratios),
        "ratios": ratios,
        "limit_seconds": statistics.median(map(limit, rows)),
        "seconds": median,
        "tokens": tokens,
    }


def measure(case: str, folder: Path, turns: int, quick: bool, checkpoint: Path | None) -> dict[str, Any]:
    size, counted, overrides = CASES[case]
    if quick:
        size, overrides = size and "0.6M", [*overrides, "sampling.max_tokens=20"]
    if size is None:
        assert checkpoint is not None
        model, parameters = checkpoint, number_of_parameters(checkpoint)
    else:
        model = folder / f"{case}_model"
        parameters = make_model(model, size)
    config = settings(model, overrides)
    asked = config.for_stages().workers(config.rl.max_staleness)
    with (
        ray_cluster(config.cluster),
        StandingWorkers().of_stage(asked) as workers,
        ExitStack() as stack,
    ):
        there = place(asked)
        cores = {
            "generate": there.rollout[0].cores,
            "learn": there.learner[0].cores,
            "reward": there.reward_cores,
        }
        start = str(model), config.model.max_length
        others = {
            "generate": Alone(EngineAlone, cores["generate"], *start, config.rollout, config.seed),
            "learn": Alone(LearnerAlone, cores["learn"], *start, config.learner, config.rl.optimizer),
            "reward": Alone(RewardAlone, cores["reward"], config.reward),
        }
        for other in others.values():
            stack.enter_context(other)
        loop = Loop(config, folder / case, workers)
        staleness = config.rl.max_staleness
        lead = max(staleness, 1)
        rows = [turn(loop, others, lead, counted) for _ in range(turns + 1)][1:]  # the first is a warm-up
    report = {"million_parameters": parameters, "cores": cores, "turns": turns, "counted": counted}
    return report | summary(rows, asynchronous=staleness > 0)


def show(name: str, result: dict[str, Any]) -> None:
    """Print a line for each part."""
    seconds = result["seconds"]
    ratio = next(key for key in ("limit_over_step", "step_over_limit") if key in result)
    print(f"\n{name}: {result['million_parameters']:.1f}M parameters; {ratio} {result[ratio]:.3f}")
    for part, value in seconds.items():
        print(f"  {part:32}{value:9.3f} s{value / seconds['step']:8.1%} of a step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    with_random_weights = [name for name, (size, _, _) in CASES.items() if size is not None]
    parser.add_argument("--cases", nargs="+", choices=CASES, default=with_random_weights)
    parser.add_argument("--checkpoint", type=Path, help="the model of the case `pretrained`")
    parser.add_argument("--turns", type=int, default=5, help="counted turns of each case")
    parser.add_argument("--quick", action="store_true", help="the small model, one turn: does it run?")
    arguments = parser.parse_args()
    if arguments.checkpoint is None and "pretrained" in arguments.cases:
        parser.error("pretrained needs --checkpoint FOLDER: experiments/smollm2/prepare.py makes one")
    turns = 1 if arguments.quick else arguments.turns
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in arguments.cases:
            results[case] = measure(case, Path(folder), turns, arguments.quick, arguments.checkpoint)
            show(case, results[case])
    report = {"machine": versions(), "core_count": len(os.sched_getaffinity(0)), **results}
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
