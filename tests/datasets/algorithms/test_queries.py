"""Questions of a user, for a model that takes rows of any length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_nam import datasets

few = settings(max_examples=25, deadline=None)
numbers = st.integers(1, 10**40)
strings = st.text("0123456789", min_size=1, max_size=50)


def shown(question):
    assert question.dtype == np.int32
    assert question.ndim == 1
    return datasets.decode(question).replace(" ", "")


@few
@given(a=numbers, b=numbers)
def test_numbers(a, b):
    low, high = sorted((a, b))
    for task, pair, result in (
        ("addition", (a, b), a + b),
        ("arithmetic", (low, high), 2 * high - low),
    ):
        first, second, answer = (str(value)[::-1] for value in (*pair, result))
        question = shown(datasets.encode_question(task, str(a), str(b)))
        assert question == f"_{first}_{second}_{'M' * len(answer)}E"
        _, targets, _ = datasets.query(task, a, b)
        assert shown(targets[0]) == f"_{first}_{second}_{answer}E"


@few
@given(string=strings)
def test_strings(string):
    for task, answer in (("reverse", string[::-1]), ("copy", string)):
        masks = "M" * len(string)
        assert shown(datasets.encode_question(task, string)) == f"_{string}_{masks}E"
        _, targets, _ = datasets.query(task, string)
        assert shown(targets[0]) == f"_{string}_{answer}E"


@pytest.mark.parametrize("task", ["addition", "arithmetic", "reverse", "copy"])
def test_drawn_rows_are_shifted_questions(task):
    inputs, _, _ = datasets.load_task(task, "far", 20)
    for row in inputs:
        used = row[row != 11]
        pieces = datasets.decode(used).replace(" ", "").split("_")[1:-1]
        # Rows hold numbers with the last digit first.
        step = 1 if task in ("reverse", "copy") else -1
        question = datasets.encode_question(task, *(text[::step] for text in pieces))
        np.testing.assert_array_equal(question, used)


def test_recall_answers_with_the_latest_value():
    symbols = ["k3", "v1", "k1", "v2", "k3", "v9", "k1", "k3", "k1"]
    inputs, targets, weight = datasets.query("associative_recall", *symbols)
    assert datasets.decode(inputs[0], "associative_recall").split() == symbols
    shown = datasets.decode(targets[0], "associative_recall")
    assert shown == "k3 v1 k1 v2 k3 v9 v2 v9 v2"
    np.testing.assert_array_equal(weight, [[0] * 6 + [1] * 3])
    # Drawn rows without what fills them up.
    drawn = datasets.load_task("associative_recall", "id", 20, num_overwrites=4)
    for row, answers, asked in zip(*drawn, strict=True):
        symbols = datasets.decode(row[row > 0], "associative_recall").split()
        _, targets, weight = datasets.query("associative_recall", *symbols)
        np.testing.assert_array_equal(targets[weight > 0], answers[asked > 0])


@pytest.mark.parametrize(
    ("task", "operands"),
    [
        ("addition", ("1",)),
        ("addition", ("01", "2")),
        ("addition", ("-1", "2")),
        ("copy", ("",)),
        ("reverse", ("1 2",)),
        ("reverse", ("1", "2")),
        ("division", ("4", "2")),
        ("listops", ("[MAX 1 2 ]",)),
        ("associative_recall", ()),
        ("associative_recall", ("k1", "v1")),
        ("associative_recall", ("k1", "v1", "k2")),
        ("associative_recall", ("k1", "v1", "v1")),
        ("associative_recall", ("k1", "v1", ".", "k1")),
        ("associative_recall", ("k1", "v1 k1")),
        ("associative_recall", (1, 2, 1)),
    ],
)
def test_no_question(task, operands):
    with pytest.raises(ValueError, match="Received"):
        datasets.encode_question(task, *operands)
