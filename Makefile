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

# Resolve the GPU lock (and the others) from their inputs and compare. Reads the package index, installs nothing.
check-gpu-lock:
	requirements/lock.sh --check

lock:
	requirements/lock.sh $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
