"""The examples in the docstrings run, and say what comes out."""

import inspect
import re

import keras
import pytest

import keras_nam
from keras_nam import metrics


@pytest.mark.parametrize("name", metrics.__all__)
def test_example(name):
    documentation = inspect.getdoc(getattr(metrics, name))
    example = re.search(r"```python\n(.*?)```", documentation, flags=re.DOTALL)[1]
    variables = {"keras": keras, "keras_nam": keras_nam}
    results = 0
    for line in example.splitlines():
        code, _, result = line.partition("  # ")
        if result:
            results += 1
            assert float(eval(code, variables)) == pytest.approx(float(result))
        else:
            exec(code, variables)
    assert results
