"""What a stage is said to need, against real models, optimizers, learners and checkpoints."""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rlvr.base.imports import lean_imports
from rlvr.learner.config import LearnerConfig, LoraConfig, OptimizerConfig
from rlvr.learner.lora import inject
from rlvr.learner.models import load_model, make_scratch_model
from rlvr.pipeline.sizes import (
    GATHERED,
    ModelSizes,
    NotHere,
    activation_bytes,
    checkpoint_bytes,
    learner_bytes,
    model_sizes,
    rollout_bytes,
    shown,
    state_bytes,
)
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.rollout.config import RolloutConfig
from rlvr.stages.checkpoints import KEPT
from rlvr.stages.config import ScratchModelConfig
from rlvr.types import ConfigError

SCRATCH = ScratchModelConfig(hidden_size=256, layers=4, heads=4, kv_heads=4, intermediate_size=768)


def make(folder: Path, scratch: ScratchModelConfig = SCRATCH) -> Path:
    make_scratch_model(
        folder,
        character_tokenizer(ALPHABET),
        max_length=64,
        seed=0,
        hidden_size=scratch.hidden_size,
        num_hidden_layers=scratch.layers,
        num_attention_heads=scratch.heads,
        num_key_value_heads=scratch.kv_heads,
        intermediate_size=scratch.intermediate_size,
        tie_word_embeddings=scratch.tie_embeddings,
    )
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("sizes") / "model")


@pytest.fixture(scope="module")
def sizes(model: Path) -> ModelSizes:
    found = model_sizes(str(model))
    assert isinstance(found, ModelSizes)
    return found


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_is_counted_before_it_is_made(tmp_path: Path, tied: bool) -> None:
    scratch = replace(SCRATCH, tie_embeddings=tied, kv_heads=2)
    said = model_sizes(scratch)
    assert isinstance(said, ModelSizes)
    made = load_model(str(make(tmp_path / "model", scratch)), "float32", 64)
    assert said.parameters == sum(parameter.numel() for parameter in made.parameters())
    assert said.embedding == made.get_input_embeddings().weight.numel()
    assert (said.tied, said.vocabulary, said.disk) == (tied, len(character_tokenizer(ALPHABET)), None)
    assert (said.layers, said.hidden, said.heads, said.kv_heads, said.head_dim) == (4, 256, 4, 2, 64)
    there = model_sizes(str(tmp_path / "model"))
    assert isinstance(there, ModelSizes)
    assert replace(there, disk=None) == said
    assert there.disk == (tmp_path / "model" / "model.safetensors").stat().st_size
    assert there.disk == pytest.approx(4 * said.parameters, rel=0.01)


def test_a_longer_alphabet_makes_a_larger_embedding(sizes: ModelSizes) -> None:
    longer = model_sizes(SCRATCH, ALPHABET + "éü")
    assert isinstance(longer, ModelSizes)
    assert (longer.vocabulary - sizes.vocabulary, longer.parameters - sizes.parameters) == (2, 2 * 256)


def test_a_big_model_takes_no_memory(tmp_path: Path) -> None:
    from transformers import Qwen2Config

    Qwen2Config(
        vocab_size=152_064,
        hidden_size=3584,
        intermediate_size=18_944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    ).save_pretrained(tmp_path)
    found = model_sizes(str(tmp_path))
    assert isinstance(found, ModelSizes)
    assert found.parameters == 7_615_616_512  # as Qwen2.5-7B's card has it
    # 2 · 28 layers · 4 heads · 128 · 2 bytes
    engine = rollout_bytes(found, RolloutConfig(dtype="bfloat16", kv_cache_gib=2))
    assert (engine.weights, engine.per_token, engine.tokens) == (2 * 7_615_616_512, 57_344, 2**31 // 57_344)


def test_a_hub_name_is_looked_up_in_the_cache_only(
    tmp_path: Path, model: Path, sizes: ModelSizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    missing = model_sizes("someone/small")
    assert isinstance(missing, NotHere)
    assert "someone/small" in missing.reason
    assert "has not been downloaded" in missing.reason
    repository = tmp_path / "models--someone--small"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / ("0" * 40)).symlink_to(model)
    assert model_sizes("someone/small") == sizes


@pytest.mark.parametrize("config", ["{", '{"model_type": "nonsense"}', '{"model_type": "clip_vision_model"}'])
def test_what_is_no_language_model_has_a_reason(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    found = model_sizes(str(tmp_path))
    assert isinstance(found, NotHere)
    assert str(tmp_path) in found.reason
    assert isinstance(model_sizes("no such folder/at all"), NotHere)


@pytest.mark.parametrize("targets", [None, ["q_proj", "mlp.down_proj"]])
def test_adapters_are_counted_as_peft_makes_them(
    model: Path, sizes: ModelSizes, targets: list[str] | None
) -> None:
    lora = LoraConfig(rank=3, target_modules=targets)
    made = load_model(str(model), "float32", 64)
    inject(made, lora)
    trained = sum(parameter.numel() for parameter in made.parameters() if parameter.requires_grad)
    assert sizes.adapters(lora) == trained
    assert sizes.adapters(LoraConfig()) == 0


def test_moments_are_what_adamw_keeps(model: Path, sizes: ModelSizes) -> None:
    parameters = list(load_model(str(model), "float32", 64).parameters())
    optimizer = torch.optim.AdamW(parameters, fused=True)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    kept = sum(
        value.nbytes for state in optimizer.state.values() for name, value in state.items() if name != "step"
    )
    states = state_bytes(0, sizes.parameters, LearnerConfig())
    assert (states.moments, states.gradients) == (kept, sum(p.grad.nbytes for p in parameters))
    assert states.total == 16 * sizes.parameters


class Watch(TorchDispatchMode):
    """The most bytes that were alive at once of all that was computed while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.most = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if torch.is_tensor(t)}
        for tensor in tree_leaves(result):
            if torch.is_tensor(tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.alive and storage._cdata not in given:
                    self.alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.alive = {key: item for key, item in self.alive.items() if not item[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.alive.values()))
        return result


def a_batch(vocabulary: int, rows: int, length: int) -> Any:
    import numpy as np

    from rlvr.types import TrainingBatch

    rng = np.random.default_rng(0)
    return TrainingBatch(
        tokens=[rng.integers(3, vocabulary, length).astype(np.int32) for _ in range(rows)],
        mask=[np.arange(length) >= 1 for _ in range(rows)],
        columns={
            name: [np.full(length, -1, np.float32) for _ in range(rows)]
            for name in ("advantages", "sampler_logprobs")
        },
        temperatures=[1.0] * rows,
        scales=[1.0] * rows,
        live=[True] * rows,
        groups=[0] * rows,
    )


def peak_of_a_pass(sizes: ModelSizes, config: LearnerConfig, rows: int, length: int) -> int:
    """The most bytes that a forward and backward pass of the policy objective has beside the model."""
    from functools import partial

    from transformers import LlamaConfig, LlamaForCausalLM

    from rlvr.algorithms import objective
    from rlvr.algorithms.losses import ppo_clip
    from rlvr.learner.batching import collate
    from rlvr.learner.models import DTYPES
    from rlvr.learner.modules import Policy

    llama = LlamaConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        intermediate_size=sizes.intermediate,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
    )
    torch.manual_seed(0)
    body = LlamaForCausalLM(llama).to(DTYPES[config.dtype])
    body.config.use_cache = False
    if config.gradient_checkpointing:
        body.gradient_checkpointing_enable()
    policy = Policy(body).train()
    for parameter in policy.parameters():
        parameter.grad = torch.zeros_like(parameter)  # so that gradients are no news
    micro = collate(a_batch(sizes.vocabulary, rows, length), range(rows), torch.device("cpu"))
    loss = partial(objective.policy, loss=partial(ppo_clip, clip_low=0.2, clip_high=0.3))
    with Watch() as watch:
        per_token, _ = loss(policy(micro), micro.columns, micro.mask)
        per_token.sum().backward()
    return watch.most


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "change",
    [{}, {"vocabulary": 3000}, {"hidden": 64, "head_dim": 16}, {"intermediate": 64, "kv_heads": 1}],
    ids=["layers", "logits", "narrow", "grouped"],
)
def test_activations_are_those_of_a_real_pass(
    sizes: ModelSizes, change: dict[str, int], dtype: str, checkpointing: bool
) -> None:
    rows, length = 8, 129  # enough tokens that the gradient of one weight matrix is small beside them
    config = LearnerConfig(
        dtype=dtype, gradient_checkpointing=checkpointing, micro_batch_tokens=rows * (length - 1)
    )
    shape = replace(sizes, **change)
    measured = peak_of_a_pass(shape, config, rows, length)
    assert activation_bytes(shape, config).total == pytest.approx(measured, rel=0.06)


CASES = [
    LearnerConfig(lora=LoraConfig(rank=8)),
    LearnerConfig(zero_stage=1),
    LearnerConfig(zero_stage=1, dtype="bfloat16"),
    LearnerConfig(zero_stage=2, dtype="bfloat16"),
    LearnerConfig(zero_stage=3),
    LearnerConfig(zero_stage=3, dtype="bfloat16", lora=LoraConfig(rank=8)),
]


@pytest.mark.slow
def test_a_real_learner_keeps_and_saves_what_was_said(model: Path, sizes: ModelSizes, tmp_path: Path) -> None:
    """Two ranks of every kind: what is alive when the optimizer steps, and what the checkpoint weighs."""
    for case, (alive, saved) in zip(CASES, learners(model, tmp_path, world_size=2), strict=True):
        config = replace(case, workers=2)
        lora = config.lora.rank is not None
        counts = (sizes.parameters, sizes.adapters(config.lora)) if lora else (0, sizes.parameters)
        states = state_bytes(*counts, config)
        least = states.total - states.bucket - states.gathered  # the bucket is not looked at
        # ZeRO-3 keeps small weights whole all the time, which are most of this model's
        assert 0.98 * least <= alive <= 1.02 * (least + states.gathered), (config, states, alive)
        checkpoint = checkpoint_bytes(sizes, config)
        assert checkpoint.total == pytest.approx(saved, rel=0.02), (config, checkpoint)


def learners(model: Path, folder: Path, world_size: int) -> list[tuple[int, int]]:
    """(bytes alive on rank 0, bytes of the checkpoint) of each case."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [str(model), str(folder)]
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, *arguments, str(rank), str(world_size), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
        )
        for rank in range(world_size)
    ]
    try:
        for rank in ranks:
            output, _ = rank.communicate(timeout=300)
            assert rank.returncode == 0, output[-6000:]
    finally:
        for rank in ranks:
            rank.kill()
    return [tuple(pair) for pair in json.loads((folder / "measured.json").read_text())]


def main(model: str, folder: Path, rank: int, world_size: int, port: int) -> None:
    """One rank of the learners above."""
    with lean_imports():
        from rlvr.algorithms.objective import supervised
        from rlvr.learner.learner import join_ranks
        from rlvr.learner.policy import PolicyLearner

    device = join_ranks(rank, world_size, "127.0.0.1", port, gpu=False)
    measured = []
    for number, case in enumerate(CASES):
        others = tensors()
        config = replace(case, workers=world_size, micro_batch_tokens=64)
        learner = PolicyLearner(model, 64, config, OptimizerConfig(), device)
        alive: list[int] = []
        step = learner.engine.step
        learner.engine.step = counted(step, others, alive)
        for _ in range(2):  # moments come with the first step
            learner.update(a_batch(20, 4, 32), supervised, 1e-5)
        checkpoint = folder / f"checkpoint_{number}"
        learner.save(checkpoint)
        torch.distributed.barrier()
        saved = sum(file.stat().st_size for file in checkpoint.rglob("*") if file.suffix != ".py")
        measured.append((alive[-1], saved))
        learner.engine.destroy()
    if rank == 0:
        (folder / "measured.json").write_text(json.dumps(measured))


def tensors() -> list[torch.Tensor]:
    gc.collect()
    found = [thing for thing in gc.get_objects() if isinstance(thing, torch.Tensor)]
    return found + [tensor.grad for tensor in found if tensor.is_leaf and tensor.grad is not None]


def counted(step: Callable[[], None], others: list[torch.Tensor], alive: list[int]) -> Callable[[], None]:
    """The engine's step, which first notes how many bytes are there that are not of the others'."""

    def count_and_step() -> None:
        old = {tensor.untyped_storage().data_ptr() for tensor in others}
        storages = [tensor.untyped_storage() for tensor in tensors()]
        new = {s.data_ptr(): s.nbytes() for s in storages if s.data_ptr() not in old}
        alive.append(sum(size for size in new.values() if size < 10**9))
        step()

    return count_and_step


def test_a_reference_and_a_value_model_come_on_top(sizes: ModelSizes) -> None:
    config = LearnerConfig(zero_stage=1, dtype="bfloat16", workers=4)
    alone = learner_bytes(sizes, config)
    both = learner_bytes(sizes, config, reference=True, value_model=True)
    assert both.total == alone.total + both.reference + both.value_model
    assert both.reference == 2 * sizes.parameters
    assert both.value_model == state_bytes(0, sizes.parameters + sizes.hidden + 1, config).total  # tied
    lora = replace(config, lora=LoraConfig(rank=4))
    assert learner_bytes(sizes, lora, reference=True).reference == 0
    assert learner_bytes(sizes, lora).policy < alone.policy / 4
    untied = replace(sizes, tied=False, parameters=sizes.parameters + sizes.embedding)
    assert learner_bytes(untied, config, value_model=True).value_model == both.value_model


def test_more_ranks_and_higher_stages_need_less(sizes: ModelSizes) -> None:
    def states(stage: int, ranks: int) -> int:
        config = LearnerConfig(zero_stage=stage, dtype="bfloat16", workers=ranks)
        found = state_bytes(0, sizes.parameters, config)
        return found.total - found.bucket - found.gathered

    parameters = sizes.parameters
    assert [states(stage, 1) for stage in (1, 2, 3)] == [20 * parameters, 18 * parameters, 18 * parameters]
    for stage in (1, 2, 3):
        assert states(stage, 1) > states(stage, 2) > states(stage, 8)
    assert states(1, 8) > states(2, 8) > states(3, 8)
    with pytest.raises(ConfigError, match="zero_stage"):
        state_bytes(0, 1, LearnerConfig(dtype="bfloat16"))


def test_buffers_of_a_gpu_have_their_whole_length() -> None:
    big = 10 * GATHERED
    gpu = LearnerConfig(zero_stage=3, dtype="bfloat16", workers=8, gpus_per_worker=1)
    assert state_bytes(0, 1000, gpu).bucket == 10**9
    assert state_bytes(0, 1000, replace(gpu, gpus_per_worker=0)).bucket == 2000
    assert state_bytes(0, big, gpu).gathered == 2 * GATHERED
    assert state_bytes(0, big, replace(gpu, workers=1)).gathered == 0


def test_an_engine_on_gpus(sizes: ModelSizes) -> None:
    config = RolloutConfig(gpus_per_worker=2, dtype="bfloat16", gpu_memory_utilization=0.25)
    unknown = rollout_bytes(sizes, config)
    assert (unknown.cache, unknown.tokens) == (None, None)
    known = rollout_bytes(sizes, config, device=2**30)
    assert known.weights == sizes.parameters
    assert known.cache == 2**28 - sizes.parameters
    assert known.per_token == 2 * sizes.layers * (sizes.kv_heads // 2) * sizes.head_dim * 2
    assert rollout_bytes(sizes, config, device=1000).tokens == 0


def test_checkpoints_that_stay_and_the_one_that_is_written(sizes: ModelSizes) -> None:
    config = LearnerConfig(zero_stage=2, dtype="bfloat16")
    one = checkpoint_bytes(sizes, config)
    assert (one.model, one.optimizer) == (2 * sizes.parameters, 14 * sizes.parameters)
    assert (one.kept, one.peak) == (KEPT * one.total, (KEPT + 1) * one.total)
    more = checkpoint_bytes(sizes, config, value_model=True, reference_reset=True)
    assert more.reference == one.model
    assert more.value_model == 14 * (sizes.parameters + sizes.hidden + 1)
    assert set(asdict(more)) == {"model", "optimizer", "value_model", "reference"}


def test_sizes_as_text() -> None:
    assert [shown(size) for size in (0, 12 * 2**20, 2**30, 1500 * 2**30)] == [
        "0.0 MiB",
        "12.0 MiB",
        "1.0 GiB",
        "1,500.0 GiB",
    ]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
