"""What is printed in the README and in docstrings runs as printed."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import keras_nam

README = Path(__file__).parent.parent / "README.md"
PACKAGES = ("baselines", "callbacks", "layers", "models", "ops", "tokenizers")
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def public_objects():
    for module in pkgutil.walk_packages(keras_nam.__path__, "keras_nam."):
        if module.name.split(".")[1] in PACKAGES:
            module = importlib.import_module(module.name)
            for name in getattr(module, "__all__", []):
                thing = getattr(module, name)
                if callable(thing):
                    yield pytest.param(thing, id=f"{module.__name__}.{name}")


def run(code, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {"keras": keras, "keras_nam": keras_nam, "np": np, "ops": ops}
    exec(compile(code, "example", "exec"), names)


@pytest.mark.parametrize("thing", list(public_objects()))
def test_docstring_examples_run(thing, tmp_path, monkeypatch):
    examples = FENCE.findall(inspect.getdoc(thing) or "")
    assert examples, "a public object has a runnable example"
    for example in examples:
        run(inspect.cleandoc(example), tmp_path, monkeypatch)


@pytest.mark.parametrize("index", range(len(FENCE.findall(README.read_text()))))
def test_readme_examples_run(index, tmp_path, monkeypatch):
    run(FENCE.findall(README.read_text())[index], tmp_path, monkeypatch)
