# Everything runs in a virtual environment of its own; only Python 3.11, make and git
# have to be there.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test bench lint clean

demo: $(VENV)/installed
	$(BIN)/python examples/length_generalization.py $(DEMO_ARGUMENTS)

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist worksteal

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(VENV)/installed: setup.py pyproject.toml keras_nam/version.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) results
