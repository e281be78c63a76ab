"""The examples in the docstrings run, and say what comes out."""

import inspect
import re

import keras
import numpy as np
import pytest

import keras_nam
from keras_nam import visualization


@pytest.mark.parametrize("name", visualization.__all__)
def test_example(name):
    documentation = inspect.getdoc(getattr(visualization, name))
    (example,) = re.findall(r"```python\n(.*?)```", documentation, flags=re.DOTALL)
    variables = {"keras": keras, "keras_nam": keras_nam, "np": np}
    exec(example, variables)
    results = re.findall(r"^(.*)  # (.*)$", example, flags=re.MULTILINE)
    assert results
    for code, result in results:
        assert eval(code, variables) == eval(result), code
