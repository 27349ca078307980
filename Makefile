# make demo, make test, make bench, make lint: each installs what it needs into .venv unless an environment is active.
PYTHON ?= python3
VENV ?= $(if $(VIRTUAL_ENV),$(VIRTUAL_ENV),.venv)
BIN := $(VENV)/bin
export BACKLIT_DATA

.PHONY: demo test lint bench torture clean

demo: $(VENV)/.backlit-run
	$(BIN)/backlit train digits

test: $(VENV)/.backlit-dev
	$(BIN)/python -m pytest -n $$(nproc 2>/dev/null || echo 2) --dist loadgroup

lint: $(VENV)/.backlit-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.backlit-bench
	$(BIN)/python benchmarks/all.py

torture: $(VENV)/.backlit-dev
	$(BIN)/python tests/torture/kill.py --runs 200
	$(BIN)/python tests/torture/corrupt.py --count 4500
	$(BIN)/python tests/torture/hostile.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("backlit needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.backlit-run: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/.backlit-dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q -e '.[dev]'
	touch $@ $(VENV)/.backlit-run

$(VENV)/.backlit-bench: $(VENV)/.backlit-dev
	$(BIN)/python -m pip install -q -e '.[bench]'
	touch $@
