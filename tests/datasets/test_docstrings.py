"""The examples in the docstrings run, and say what comes out."""

import ast
import inspect
import re

import numpy as np
import pytest

import keras_nam
from keras_nam import datasets

# What reads data that has to be fetched first has no example that could run here.
FETCHED = ("load_mini_imagenet", "load_omniglot")
FUNCTIONS = [
    name
    for name in datasets.__all__
    if inspect.isfunction(getattr(datasets, name)) and name not in FETCHED
]


def literal(text):
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_example(name, tmp_path, monkeypatch):
    if name == "load":
        tfds = pytest.importorskip("tensorflow_datasets")
        monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    documentation = inspect.getdoc(getattr(datasets, name))
    examples = re.findall(r"```python\n(.*?)```", documentation, flags=re.DOTALL)
    assert examples
    for example in examples:
        variables = {"keras_nam": keras_nam}
        exec(example, variables)
        for line in example.splitlines():
            code, _, comment = line.partition("  # ")
            result = literal(comment)
            # What rows come out of a task is left to chance; their shape is not.
            if result is None or line.startswith(" "):
                continue
            if name in datasets.TASKS and isinstance(result, str):
                continue
            found = eval(code, variables)
            assert np.array_equal(found, result), line
