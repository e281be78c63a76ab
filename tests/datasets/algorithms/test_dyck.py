"""4-Dyck rows against an independent generator and a stack."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_nam import datasets

SYMBOLS = "[](){}<>"
CLOSERS = {"[": "]", "(": ")", "{": "}", "<": ">"}


def check_row(depth, min_length, max_length, inputs, targets, weights):
    question, _, rest = datasets.decode(inputs, task="dyck").partition(" _ ")
    sequence = question.split()
    due = []
    for symbol in sequence:
        if symbol in CLOSERS:
            due.append(CLOSERS[symbol])
        else:
            assert due.pop() == symbol
    assert len(due) == depth
    assert min_length < len(sequence) < max_length
    padding = ["."] * (len(inputs) - len(sequence) - 1 - depth)
    assert rest.split() == ["M"] * depth + padding
    expected = [*sequence, "_", *due[::-1], *padding]
    assert datasets.decode(targets, task="dyck").split() == expected
    np.testing.assert_array_equal(weights, inputs == 9)


@given(
    low=st.integers(1, 4),
    extra=st.integers(0, 4),
    min_length=st.integers(3, 12),
    room=st.integers(12, 20),
    count=st.integers(0, 30),
    seed=st.integers(0, 2**40),
    split=st.sampled_from(datasets.SPLITS),
)
@settings(max_examples=30, deadline=None)
def test_rows_follow_the_rules(low, extra, min_length, room, count, seed, split):
    high, max_length = low + extra, max(min_length, low + extra) + room
    rows = datasets.dyck(
        count, low, high, min_length, max_length, seed=seed, split=split
    )
    for array in rows:
        assert array.shape == (count, max_length + high)
    for i, row in enumerate(zip(*rows, strict=True)):
        check_row(low + (high - low + 1) * i // count, min_length, max_length, *row)


def test_tokens_are_those_of_the_papers():
    tokens = datasets.encode("[](){}<>_M.", task="dyck")
    np.testing.assert_array_equal(tokens, np.arange(11))


def grow(depth, min_length, max_length):
    """The generator of the papers, one symbol at a time."""
    while True:
        sequence, due = [], []
        while len(due) < depth or len(sequence) <= min_length:
            if not due or random.random() < 0.7:
                sequence.append(random.choice(list(CLOSERS)))
                due.append(CLOSERS[sequence[-1]])
            else:
                sequence.append(due.pop())
        while len(due) > depth:
            sequence.append(due.pop())
        if len(sequence) < max_length:
            return sequence


@pytest.mark.parametrize("limits", [(2, 8, 32), (8, 8, 32), (9, 32, 64)])
def test_lengths_and_kinds_are_distributed_as_in_the_papers(limits):
    random.seed(0)
    depth, min_length, max_length = limits
    count = 3000
    expected = [grow(*limits) for _ in range(count)]
    rows, _, _ = datasets.dyck(count, depth, depth, min_length, max_length)
    lengths = np.argmax(rows == 8, axis=1)
    expected_lengths = np.array([len(sequence) for sequence in expected])
    for statistic in (np.mean, lambda x: np.mean(x == np.median(expected_lengths))):
        deviation = np.hypot(lengths.std(), expected_lengths.std()) / count**0.5
        gap = abs(statistic(lengths) - statistic(expected_lengths))
        assert gap <= 4.5 * deviation

    openers = np.bincount(rows[(rows < 8) & (rows % 2 == 0)], minlength=8)[::2]
    # Half as many again as independent draws: depth and length are limited.
    assert np.ptp(openers / openers.sum()) < 0.02
    closed = np.mean(
        [[x not in CLOSERS for x in seq[:9]] for seq in expected if len(seq) > 8]
    )
    ours = rows[lengths > 8][:, :9] % 2
    assert abs(ours.mean() - closed) < 0.02


def test_first_rows_are_shallow_and_last_ones_deep():
    inputs, _, _ = datasets.dyck(70)
    np.testing.assert_array_equal((inputs == 9).sum(axis=1), np.repeat(range(2, 9), 10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_depth": 0}, "min_depth=0"),
        ({"min_depth": 5, "max_depth": 4}, "min_depth=5, max_depth=4"),
        ({"min_length": -1}, "min_length=-1"),
        ({"min_length": 8, "max_length": 9}, "max_length=9"),
        ({"max_depth": 40}, "max_depth=40"),
        ({"max_length": 32.5}, "max_length=32.5"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=f"Received.*{message}"):
        datasets.dyck(10, **arguments)


def test_lengths_that_no_sequence_has():
    # Depth 2 and exactly 9 brackets do not go together.
    with pytest.raises(ValueError, match="too few distinct rows"):
        datasets.dyck(10, 2, 2, 8, 10)
