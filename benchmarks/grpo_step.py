"""Where the time of a GRPO step goes, and how close generation comes to vLLM alone.

    python benchmarks/grpo_step.py --json report.json

Runs the real loop (Ray, vLLM, reward service, DeepSpeed, weight transfer) on two models with random
weights: `small` with 256 answers of at most 20 tokens, `large` with 256 answers of heavy-tailed length
up to 256 (a random model ends each answer with about 1 in 84 tokens). Then the requests
of a step go through one vLLM engine in a process of its own with nothing else running. The learning
rate is next to nothing, so that all steps are alike but for the draw. All figures are medians over
the counted steps.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rlvr.config import TrainConfig
from rlvr.learner.config import OptimizerConfig
from rlvr.record.config import RecordConfig
from rlvr.record.run_folder import versions
from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import SamplingConfig
from rlvr.stages.config import GrpoConfig, ModelConfig
from rlvr.types import Problem

SIZES: dict[str, dict[str, Any]] = {
    "small": {
        "max_tokens": 20,
        "model": {"hidden_size": 128, "layers": 3, "heads": 4, "intermediate_size": 384},
    },
    "large": {
        "max_tokens": 256,
        "model": {"hidden_size": 384, "layers": 6, "heads": 6, "intermediate_size": 1024},
    },
}
ALPHABET = string.digits + string.ascii_letters + "+-=()#,.?! \n/*:;%_"  # 80 characters, 84 tokens
REWARDS = {  # random text is never right, but has one digit now and then: so most groups have a gradient
    "math": {"_target_": "rlvr.rewards.math.math_reward"},
    "digit": {"_target_": "rlvr.rewards.format.format_reward", "pattern": "[0-9]"},
}
PARTS = ("generate", "reward", "learn", "publish", "idle")


def make_model(path: Path, sizes: dict[str, Any]) -> float:
    """Write a model with random weights; its number of parameters in millions."""
    from transformers import AutoModelForCausalLM

    from rlvr.learner.models import make_scratch_model
    from rlvr.problems.tokenizer import character_tokenizer

    make_scratch_model(
        path,
        character_tokenizer(ALPHABET),
        512,
        0,
        hidden_size=sizes["hidden_size"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        num_key_value_heads=2,
        intermediate_size=sizes["intermediate_size"],
        tie_word_embeddings=True,
    )
    return float(AutoModelForCausalLM.from_pretrained(path).num_parameters()) / 1e6


def loop(folder: Path, model: Path, max_tokens: int, steps: int) -> tuple[dict[str, Any], list[Any]]:
    """Steps of the real loop; their figures, and the requests of one step."""
    import ray
    from transformers import AutoTokenizer

    from rlvr.stages.cluster import Workers, ray_cluster
    from rlvr.stages.drawing import group_requests
    from rlvr.stages.grpo import Grpo
    from rlvr.stages.stage import StageInput, StopRequest

    config = TrainConfig(
        model=ModelConfig(path=str(model), max_length=512),
        sampling=SamplingConfig(max_tokens=max_tokens),
        reward=RewardConfig(functions=REWARDS),
        record=RecordConfig(trackers=[]),
        grpo=GrpoConfig(
            steps=steps,
            problems_per_step=32,
            group_size=8,
            optimizer=OptimizerConfig(lr=1e-9),
            check_every=10**6,
        ),
    )
    problems = [Problem(f"p{i}", f"{i}+{i}=?", str(2 * i)) for i in range(32)]
    tokenizer = AutoTokenizer.from_pretrained(model)
    stage = StageInput(config, folder, str(model), problems, [], tokenizer, StopRequest(), {})
    folder.mkdir()
    with ray_cluster(config.cluster), Workers(config) as workers:
        grpo = Grpo(stage, workers)
        rows = [grpo.step(step) for step in range(1, steps + 1)][2:]
        memory = {
            "rollout_gib": grpo.buffer.pool.peak_memory,
            "learner_gib": ray.get(grpo.learner.ranks[0].peak_memory.remote()),
        }
        requests = [r for p in problems for r in group_requests(stage, p, "train", 3, range(8), 1.0)]
    median = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    report: dict[str, Any] = {"seconds": {part: median[f"time/{part}"] for part in ("step", *PARTS)}}
    report["tokens"] = median["tokens/sampled"]
    report["tokens_per_second"] = {
        part: statistics.median(row["tokens/sampled"] / row[f"time/{part}"] for row in rows)
        for part in ("step", "generate", "learn")
    }
    report["learned_tokens"] = median["learner/tokens"]
    report["padding"] = median["learner/padding"]
    return report | {"peak_memory": memory}, requests


def alone(model: str, requests_file: str, runs: int) -> None:
    """Print the tokens/s of each run of the requests through one engine in this process."""
    from rlvr.rollout.config import RolloutConfig
    from rlvr.rollout.engine import RolloutEngine

    requests = pickle.loads(Path(requests_file).read_bytes())
    engine = RolloutEngine(model, 512, RolloutConfig(), 0)
    speeds = []
    for _ in range(runs + 2):
        began = time.monotonic()
        engine.submit(requests)
        rollouts = engine.run(float("inf"))
        speeds.append(sum(rollout.num_sampled for rollout in rollouts) / (time.monotonic() - began))
    print(json.dumps(speeds[2:]))


def measure(name: str, folder: Path, steps: int) -> dict[str, Any]:
    model = folder / f"{name}_model"
    parameters = make_model(model, SIZES[name]["model"])
    report, requests = loop(folder / name, model, SIZES[name]["max_tokens"], steps + 2)
    requests_file = folder / f"{name}.requests"
    requests_file.write_bytes(pickle.dumps(requests))
    cores = len(os.sched_getaffinity(0))
    output = subprocess.run(
        [sys.executable, __file__, "--alone", str(model), str(requests_file), "--steps", str(steps)],
        env=os.environ | {"OMP_NUM_THREADS": str(cores)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    speed = statistics.median(json.loads(output.splitlines()[-1]))
    ratio = report["tokens_per_second"]["generate"] / speed
    return {"million_parameters": parameters, "rollouts": 256, **report} | {
        "vllm_alone_tokens_per_second": speed,
        "generate_share_of_vllm_alone": ratio,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--steps", type=int, default=7, help="counted steps of each size")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        model, requests_file = arguments.alone
        return alone(model, requests_file, arguments.steps)
    with tempfile.TemporaryDirectory() as folder:
        report = {name: measure(name, Path(folder), arguments.steps) for name in arguments.sizes}
    text = json.dumps({"machine": versions(), **report}, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return None


if __name__ == "__main__":
    main()
