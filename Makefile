# Everything runs in virtual environments of its own; only Python 3.11, make and git
# have to be there.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-matrix test-rest test-all test-torch test-oldest bench docs lint \
	clean

help:  ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | expand -t 14

# An environment that is there has what the demo needs.
DEMO := $(if $(wildcard $(VENV)/installed),$(VENV),$(VENV)-demo)

demo: $(DEMO)/installed  ## trains a Turing machine to reverse strings, asks others
	$(DEMO)/bin/python examples/length_generalization.py $(DEMO_ARGUMENTS)
	$(DEMO)/bin/python examples/ask.py reduction 3001040500926000535897

# One process after the other: what XLA compiles stays in memory until a process ends.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadgroup
COMPILED := tests/baselines $(wildcard tests/conformance) tests/layers tests/ops

test: $(VENV)/installed  ## the tests of every commit, ten minutes at most
	$(PYTEST) $(COMPILED)
	$(PYTEST) tests $(COMPILED:%=--ignore=%)

# Without what compiles and trains all rows of it, which takes the longest.
MATRIX := $(filter-out %/test_compiled.py %/test_training.py, \
	$(wildcard tests/conformance/test_*.py))

test-matrix: $(VENV)/installed  ## the dear tests of the matrix in tests/conformance
	$(PYTEST) -m slow $(MATRIX)

# XLA does all it can to the programs that are compared with the golden arrays.
test-rest: $(VENV)/installed  ## all other tests that are too dear for every commit
	$(PYTEST) -m slow $(filter-out $(MATRIX), $(wildcard tests/conformance/test_*.py))
	$(PYTEST) -m slow -k "not (test_golden and xla)" tests --ignore=tests/conformance
	XLA_FLAGS= $(PYTEST) -m slow -k xla tests/test_golden.py

test-all: test test-matrix test-rest  ## all tests, the dear ones too

test-torch: $(VENV)-torch/installed  ## the PyTorch column of docs/backends.md
	$(VENV)-torch/bin/python -m pytest -m "" -k torch tests/test_other_backends.py

OLDEST_TESTS := tests/layers tests/ops tests/models tests/test_golden.py

test-oldest: $(VENV)-oldest/installed  ## on the oldest packages that setup.py names
	$(VENV)-oldest/bin/python -m pytest -n auto --dist loadgroup $(OLDEST_TESTS)

bench: $(VENV)-bench/installed  ## times the layers beside their peers
	$(VENV)-bench/bin/python -m benchmarks $(BENCH_ARGUMENTS)

docs: $(VENV)-docs/installed  ## builds the pages into build/site, and tests them
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build
	$(VENV)-docs/bin/python -m pytest tests/docs

lint: $(VENV)/installed  ## checks style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:  ## removes the environments and what was computed
	rm -rf $(VENV) $(VENV)-* results build dist

# What stands in an environment.
PACKAGES := --editable ".[test]"
$(VENV)-demo/installed: PACKAGES := --editable ".[plots]"
OLDEST := $(shell sed -n 's/>=/==/g; s/.*install_requires=\[\(.*\)\],/\1/p' setup.py | tr -d ',')
$(VENV)-torch/installed: PACKAGES += torch
$(VENV)-oldest/installed: PACKAGES := --editable . $(OLDEST) \
	hypothesis pytest pytest-timeout pytest-xdist
$(VENV)-docs/installed: PACKAGES := --editable ".[docs]"
$(VENV)-bench/installed: PACKAGES := --editable ".[plots]" -r benchmarks/requirements.txt
$(VENV)-bench/installed: benchmarks/requirements.txt

%/installed: setup.py pyproject.toml
	test -x $*/bin/python || $(PYTHON) -m venv $*
	$*/bin/python -m pip install --quiet $(PACKAGES)
	touch $@
