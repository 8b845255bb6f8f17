#!/usr/bin/env bash
# What one GPU has to show, in under ten minutes: bash benchmarks/gpu.sh [FOLDER]
#
# FOLDER (gpu-report unless given) gets report.md, with a line for each part, and what each part printed:
#   machine   the GPU, its driver, the versions of all packages that matter
#   learner   tokens per second and memory of an update at 0.5B parameters, padded and packed, beside a bare
#             PyTorch loop; what bfloat16 makes of log-probabilities and gradients, padded and packed
#   run       SFT and three steps of RL with engine and learner on the one GPU: after each update, the gap
#             between vLLM's and the learner's log-probabilities
# A part that fails or takes too long is noted, and the next one begins. DRY=1 does the same on the CPU with
# tiny sizes, to see that the script runs.
set -u
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-gpu-report}")
dry=${DRY:-}
python=.venv/bin/python
mkdir -p "$out"
failed=0
{
    echo "# ${dry:+Dry run on the CPU: }one GPU"
    echo
    echo "Commit $(git rev-parse --short HEAD), $(date -u +%F)"
    echo
    echo "| part | | seconds |"
    echo "| --- | --- | ---: |"
} > "$out/report.md"

part() { # NAME SECONDS COMMAND…
    local name=$1 limit=$2 began=$SECONDS
    shift 2
    echo "$name: $*"
    local outcome=done
    [ "$dry" ] && limit=$((4 * limit)) # a machine that does the script's dry run may be busy
    timeout --kill-after=10 "$limit" "$@" > "$out/$name.log" 2>&1 || outcome="failed ($?), see $name.log"
    [ "$outcome" = done ] || failed=1
    echo "| $name | $outcome | $((SECONDS - began)) |" >> "$out/report.md"
}

if [ "$dry" ]; then
    on_gpu=()
    learner=(--case cpu --quick)
else
    on_gpu=(rollout.gpus_per_worker=1 learner.gpus_per_worker=1 rollout.dtype=bfloat16 learner.dtype=bfloat16
        learner.zero_stage=1 learner.packing=true cluster.placement=colocated)
    learner=(--case gpu --sequences 32 --updates 5)
    part gpu 20 nvidia-smi
fi
part machine 60 $python -c "
import json; from rlvr.record.run_folder import versions; print(json.dumps(versions(), indent=2))"
part learner 240 $python benchmarks/learner.py "${learner[@]}" --objectives policy --json "$out/learner.json"
rm -rf "$out/run"
part run 200 .venv/bin/rlvr train "stages=[sft,rl]" problems.train.level=1 problems.train.n=64 \
    problems.heldout.n=8 sampling.max_tokens=16 sft.steps=10 rl.steps=3 rl.problems_per_step=8 rl.group_size=4 \
    rl.check_every=1 "record.trackers=[]" "hydra.run.dir=$out/run" ${on_gpu[@]+"${on_gpu[@]}"}

$python - "$out" >> "$out/report.md" <<'PYTHON'
import json
import sys
from pathlib import Path

out = Path(sys.argv[1])
if (found := out / "run" / "rl" / "metrics.jsonl").exists():
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    gaps = [line["rollouts/logprob_gap"] for line in lines if "rollouts/logprob_gap" in line]
    print("\nMean gap of log-probabilities at each step, in nats:", ", ".join(f"{gap:.2g}" for gap in gaps))
if (found := out / "learner.json").exists():
    print("\n```json\n" + found.read_text() + "```")
PYTHON
echo "report: $out/report.md"
exit $failed
