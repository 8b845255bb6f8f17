"""What a weight update costs beside a plain copy of as many bytes, and where its time goes.

    python benchmarks/weights.py --json report.json        # about 6 minutes; 12 GB of memory for `500M`

Llama-shaped models with random weights, each in float32 and bfloat16: one learner rank and one rollout
worker in Ray actors of their own, on the same cores, take turns. An update is what the loop does: the
learner fills shared memory, the driver hears of it and tells the worker, which loads it between two engine
steps. The plain copy is one contiguous copy of the bytes of the model's weights, from memory that was
touched before to memory that was touched before, in the worker's process with its threads. Copies and
updates take turns; figures are medians over the counted turns, and ratios medians of the turns' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import ray
from alone import count_seconds
from random_models import MAX_LENGTH, make_model

from rlvr.cluster.config import ClusterConfig
from rlvr.cluster.placement import usable_cores
from rlvr.cluster.ray_cluster import ray_cluster
from rlvr.learner.actor import LearnerGroup, LearnerRank
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.record.run_folder import versions
from rlvr.rollout.actor import RolloutWorker
from rlvr.rollout.config import RolloutConfig

SIZES = ("1M", "10M", "100M", "500M")
DTYPES = ("float32", "bfloat16")


class TimedRank(LearnerRank):
    """A learner rank that says how long it takes to fill the memory."""

    def publish_timed(self, version: int) -> tuple[dict[str, Any], float]:
        began = time.monotonic()
        info = self.publish(version)
        return info, time.monotonic() - began

    def weights(self) -> tuple[int, int]:
        """Numbers and bytes of the model's weights; a tied head counts once."""
        weights = {weight.data_ptr(): weight for _, weight in self.learner.named_weights()}.values()
        return sum(w.numel() for w in weights), sum(w.numel() * w.element_size() for w in weights)


class TimedWorker(RolloutWorker):
    """A rollout worker that says what it does with its time in an update."""

    def prepare(self, size: int) -> None:
        """Set the clocks, and make ready for plain copies of `size` bytes."""
        import torch
        from vllm.model_executor.layers.linear import UnquantizedLinearMethod
        from vllm.model_executor.layers.vocab_parallel_embedding import UnquantizedEmbeddingMethod
        from vllm.model_executor.model_loader.reload import layerwise

        from rlvr.weights import shared_memory

        self.seconds: dict[str, float] = defaultdict(float)
        engine = self.engine.engine
        for method in ("initialize_layerwise_reload", "finalize_layerwise_reload", "checksum"):
            count_seconds(shared_memory, method, self.seconds, method)
        for method in (UnquantizedLinearMethod, UnquantizedEmbeddingMethod):
            count_seconds(method, "process_weights_after_loading", self.seconds, "pack")
        count_seconds(layerwise, "get_numel_loaded", self.seconds, "count")
        count_seconds(layerwise, "_copy_and_restore_kernel_tensors", self.seconds, "copy_back")
        count_seconds(engine, "collective_rpc", self.seconds, "update")
        count_seconds(engine, "reset_prefix_cache", self.seconds, "reset_cache")
        self.source = torch.ones(size, dtype=torch.uint8)
        self.destination = torch.ones(size, dtype=torch.uint8)

    def copy(self) -> float:
        """Seconds of a plain copy."""
        began = time.monotonic()
        self.destination.copy_(self.source)
        return time.monotonic() - began

    def receive_timed(self, info: dict[str, Any], version: int) -> dict[str, float]:
        """Seconds of what an update is made of, and of all of it as `total`."""
        self.seconds.clear()
        began = time.monotonic()
        self.receive_weights(info, version)
        total = time.monotonic() - began
        of = self.seconds
        parts = {
            "start": of["initialize_layerwise_reload"],
            "checksum": of["checksum"],
            "count": of["count"],
            "pack": of["pack"],
            "copy_back": of["copy_back"],
            "finish": of["finalize_layerwise_reload"],
        }
        return parts | {
            "load": of["update"] - sum(parts.values()),  # views of the memory, vLLM's loaders, fresh memory
            "reset_cache": of["reset_cache"],
            "total": total,
        }


RankActor = ray.remote(TimedRank)
WorkerActor = ray.remote(concurrency_groups={"control": 1})(TimedWorker)


def one_turn(learner: LearnerGroup, worker: Any, version: int) -> dict[str, float]:
    """A plain copy and an update, with the seconds of every part."""
    plain = ray.get(worker.copy.remote())
    began = time.monotonic()
    info, send = ray.get(learner.call("publish_timed", version))[0]
    received = ray.get(worker.receive_timed.remote(info, version))
    total = time.monotonic() - began
    calls = total - send - received.pop("total")
    return {"plain_copy": plain, "update": total, "send": send, **received, "calls": calls}


def measure(path: Path, dtype: str, turns: int) -> dict[str, Any]:
    """One model, in actors that live as long as it takes."""
    cores = usable_cores(ClusterConfig())
    rollout = RolloutConfig(dtype=dtype, max_num_seqs=64, kv_cache_gib=0.25)
    worker = WorkerActor.options(num_cpus=0).remote(str(path), MAX_LENGTH, rollout, 0, cores)
    # DeepSpeed keeps float32 beside bfloat16 weights from stage 1 on
    config = LearnerConfig(dtype=dtype, zero_stage=int(dtype == "bfloat16"))
    rank = RankActor.options(num_cpus=0).remote(config, 0, cores)
    learner = LearnerGroup([rank])
    try:
        ray.get([worker.ready.remote(), *learner.start(str(path), MAX_LENGTH, OptimizerConfig())])
        ray.get(learner.connect([worker], 0))
        parameters, size = ray.get(rank.weights.remote())
        ray.get(worker.prepare.remote(size))
        rows = [one_turn(learner, worker, version) for version in range(1, turns + 2)]
        sent, there = ray.get([rank.weight_checksums.remote(), worker.weight_checksums.remote()])
    finally:
        for actor in (worker, rank):
            ray.kill(actor)
    if sent != there:
        raise AssertionError(f"{path.name} {dtype}: the worker does not hold what the learner sent")
    first, *counted = rows  # the first maps the memory
    seconds = {name: statistics.median(row[name] for row in counted) for name in first}
    return {
        "million_parameters": parameters / 1e6,
        "mib": size / 2**20,
        "times_plain_copy": statistics.median(row["update"] / row["plain_copy"] for row in counted),
        "gib_per_second": {name: size / 2**30 / seconds[name] for name in ("plain_copy", "update")},
        "seconds": seconds,
        "first_update": first["update"],
    }


def show(results: dict[str, dict[str, Any]]) -> None:
    """Print a line for each model."""
    parts = [name for name in next(iter(results.values()))["seconds"] if name not in ("plain_copy", "update")]
    print(f"{'model':16}{'MiB':>8}{'copy ms':>10}{'update ms':>10}{'ratio':>7}   ms of: {', '.join(parts)}")
    for name, result in results.items():
        seconds = {part: 1e3 * value for part, value in result["seconds"].items()}
        split = " ".join(f"{seconds[part]:.1f}" for part in parts)
        print(
            f"{name:16}{result['mib']:8.1f}{seconds['plain_copy']:10.2f}{seconds['update']:10.1f}"
            f"{result['times_plain_copy']:7.1f}   {split}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--turns", type=int, default=9, help="counted copies and updates of each model")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder, ray_cluster(ClusterConfig()):
        for size in arguments.sizes:
            path = Path(folder) / size
            make_model(path, size)
            for dtype in arguments.dtypes:
                results[f"{size} {dtype}"] = measure(path, dtype, arguments.turns)
    show(results)
    report = {"machine": versions(), "cores": len(os.sched_getaffinity(0)), **results}
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
