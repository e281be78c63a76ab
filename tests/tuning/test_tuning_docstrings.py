"""The examples in the docstrings run, and say what comes out."""

import inspect
import re

import keras
import numpy as np
import pytest

import keras_nam
from keras_nam import tuning

pytest.importorskip("keras_tuner")


@pytest.mark.parametrize("name", tuning.__all__)
def test_example(name, tmp_path, monkeypatch):
    if name in ("SearchOutcome", "LaunchedSearch"):
        pytest.skip("what `search` and `launch_search` return")
    monkeypatch.chdir(tmp_path)
    documentation = inspect.getdoc(getattr(tuning, name))
    (example,) = re.findall(r"```python\n(.*?)```", documentation, flags=re.DOTALL)
    variables = {"keras": keras, "keras_nam": keras_nam, "np": np}
    exec(example, variables)
    results = re.findall(r"^([^#\n]*)  # (.*)$", example, flags=re.MULTILINE)
    assert results
    for code, result in results:
        value = eval(code.partition(" = ")[2] or code, variables)
        assert value == eval(result), code
