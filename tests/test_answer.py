"""The example that asks a SavedModel builds the rows that models are trained on."""

import sys
from pathlib import Path

import numpy as np
import pytest

from keras_nam import datasets

sys.path.append(str(Path(__file__).parent.parent / "examples"))

import answer


@pytest.mark.parametrize(
    ("task", "operands", "result"),
    [
        ("reverse", ["31415"], "51413"),
        ("copy", ["31415"], "31415"),
        ("repeated_copy", ["31", "41", "59"], "314159"),
        ("reduction", ["30010"], "31..."),
        ("addition", ["95", "7"], "102"),
        ("arithmetic", ["95", "7"], "183"),
    ],
)
def test_rows_and_answers(task, operands, result):
    row = answer.question_tokens(task, operands)
    np.testing.assert_array_equal(row, datasets.encode_question(task, *operands))
    inputs, targets, _ = datasets.query(task, *operands)
    assert answer.read_answer(task, inputs[0], targets[0]) == result
