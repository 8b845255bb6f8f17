#!/usr/bin/env bash
# Make .venv what the locks say: at once when it already is, anew when the locks changed or a run of this was cut short.
#
#   requirements/install.sh [cpu|gpu]      PYTHON=python3.12 chooses the interpreter
#
# `make` calls this; on a machine without make, call it yourself.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-cpu}
lock=requirements/$kind.txt
[ -f "$lock" ] || { echo "install.sh: there is no $lock; say cpu or gpu" >&2; exit 2; }
torch_index=https://download.pytorch.org/whl/cpu # CPU builds of torch; the Python package index has CUDA builds only

# What .venv was made from, with the folder, which is written into its scripts; and what rlvr's own entry was made from.
packages="$kind $(pwd -P) $(cat "$lock" requirements/dev.txt | sha256sum)"
project=$(cat setup.cfg pyproject.toml | sha256sum)
holds() { [ -x .venv/bin/python ] && [ "$(cat ".venv/$1" 2>/dev/null)" = "$2" ]; }
holds packages.stamp "$packages" && holds project.stamp "$project" && exit 0

usable() { "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; }
candidates=("${PYTHON:-}")
[ -n "${PYTHON:-}" ] || candidates=(python3 python3.11 python3.12 python3.13)
python=
for candidate in "${candidates[@]}"; do
    if usable "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    echo "rlvr needs Python 3.11, 3.12 or 3.13 with its venv module; ${PYTHON:-python3} is" \
        "$("${PYTHON:-python3}" --version 2>&1 || true). Install one (on Debian and Ubuntu: apt install python3.11-venv)" \
        "and run this again, with PYTHON=/path/to/python3.11 if it is not on the PATH." >&2
    exit 1
fi

pip() { .venv/bin/python -m pip install --disable-pip-version-check --no-input -qq --no-deps --no-compile "$@"; }
if ! holds packages.stamp "$packages"; then
    echo "Installing $lock into .venv with $("$python" --version). This takes about two minutes and 3.5 GB."
    rm -rf .venv
    "$python" -m venv .venv
    if [ "$kind" = cpu ]; then
        torch=$(sed -n 's/^torch==.*/&+cpu/p' "$lock")
        pip "$torch" 2>/dev/null || pip --index-url "$torch_index" "$torch"
    fi
    pip -r "$lock" -r requirements/dev.txt
    # On all cores this is faster than pip's own compiling; what is skipped is compiled if ever imported.
    .venv/bin/python -m compileall -q -j0 -x '/(tests?|models)/' .venv/lib >/dev/null || true
    echo "$kind" >.venv/kind
    echo "$packages" >.venv/packages.stamp
fi
pip --no-build-isolation --editable .
echo "$project" >.venv/project.stamp
