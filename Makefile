# Everything runs in a virtual environment of its own; only Python 3.11, make and git
# have to be there.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench

.PHONY: demo test bench lint clean

demo: $(VENV)/installed
	$(BIN)/python examples/length_generalization.py $(DEMO_ARGUMENTS)

# One process after the other: what XLA compiles stays in memory until a process ends.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
COMPILED := tests/baselines tests/layers tests/ops

test: $(VENV)/installed
	$(PYTEST) $(COMPILED)
	$(PYTEST) tests/test_*.py
	$(PYTEST) tests $(COMPILED:%=--ignore=%) --ignore-glob="tests/test_*.py"

# The peers live in an environment of their own.
bench: $(BENCH_VENV)/installed
	$(BENCH_VENV)/bin/python -m benchmarks $(BENCH_ARGUMENTS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(VENV)/installed: setup.py pyproject.toml keras_nam/version.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

$(BENCH_VENV)/installed: setup.py benchmarks/requirements.txt
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --editable ".[plots]" -r benchmarks/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) $(BENCH_VENV) results
