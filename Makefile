# make install [GPU=1] | quickstart | smollm2 | test | lint | check-gpu-lock | lock | clean
# Every target makes .venv first when it is missing or was made from other locks; see requirements/install.sh.
# Without GPU=0 or GPU=1 it stays what it was last made for, a CPU at first.
.PHONY: install quickstart smollm2 test lint check-gpu-lock lock clean

KIND = $(if $(GPU),$(if $(filter 0,$(GPU)),cpu,gpu),$(shell cat .venv/kind 2>/dev/null || echo cpu))

install:
	@requirements/install.sh $(KIND)

quickstart: install
	.venv/bin/rlvr recipe recipe=quickstart

# SVAMP=FILE and GSM8K=FILE in place of the data sets on the hub
smollm2: install
	.venv/bin/python experiments/smollm2/prepare.py runs/smollm2/start \
		$(if $(SVAMP),--svamp $(SVAMP)) $(if $(GSM8K),--gsm8k $(GSM8K))
	.venv/bin/rlvr recipe recipe=smollm2

test: install
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: install
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

# Resolve the GPU lock (and the others) from their inputs and compare. Reads the package index, installs nothing.
check-gpu-lock:
	requirements/lock.sh --check

lock:
	requirements/lock.sh $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
