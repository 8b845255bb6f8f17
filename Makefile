# make install [GPU=1] | quickstart | test | lint | check-gpu-lock | lock | clean
# Every target makes .venv first, when it is missing or was made from other locks; see requirements/install.sh.
.PHONY: install quickstart test lint check-gpu-lock lock clean

KIND = $(if $(filter-out 0,$(GPU)),gpu,$(shell cat .venv/kind 2>/dev/null || echo cpu))

install:
	@requirements/install.sh $(KIND)

quickstart: install
	.venv/bin/rlvr train experiment=quickstart

test: install
	.venv/bin/python -m pytest

lint: install
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

# Does the GPU lock hold what setup.cfg and gpu.in ask for, and the CPU lock's versions? Needs no GPU and no network.
check-gpu-lock: install
	.venv/bin/python -m pytest -q tests/test_packaging.py -k lock

lock:
	requirements/lock.sh $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
