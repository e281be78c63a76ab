"""ListOps against an independent generator and evaluator."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_nam import datasets

OPERATORS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(np.median(values)),
    "[SM": lambda values: sum(values) % 10,
}


def evaluate(symbols):
    """Evaluates the expression that a list of symbols starts with.

    Returns the value, the depth, the largest number of arguments, and what is left.
    """
    head, *rest = symbols
    if head not in OPERATORS:
        return int(head), 1, 0, rest
    values, depth, arity = [], 0, 0
    while rest[0] != "]":
        value, inner_depth, inner_arity, rest = evaluate(rest)
        values.append(value)
        depth, arity = max(depth, inner_depth), max(arity, inner_arity)
    assert len(values) >= 2
    return OPERATORS[head](values), depth + 1, max(arity, len(values)), rest[1:]


@given(
    max_depth=st.integers(2, 6),
    max_args=st.integers(2, 6),
    min_length=st.integers(0, 12),
    room=st.integers(12, 40),
    count=st.integers(0, 20),
    seed=st.integers(0, 2**40),
    split=st.sampled_from(datasets.SPLITS),
)
@settings(max_examples=30, deadline=None)
def test_values_are_right(max_depth, max_args, min_length, room, count, seed, split):
    min_length = min(min_length, max_args ** (max_depth - 1) - 2)
    max_length = min_length + room
    inputs, targets, weights = datasets.listops(
        count, max_depth, max_args, min_length, max_length, seed=seed, split=split
    )
    assert inputs.shape == (count, max_length)
    assert targets.shape == weights.shape == (count,)
    assert (inputs.dtype, targets.dtype) == (np.int32, np.int32)
    np.testing.assert_array_equal(weights, np.ones(count, np.float32))
    texts = datasets.decode(inputs, task="listops") if count else []
    assert len(set(texts)) == count
    for text, target in zip(texts, targets, strict=True):
        symbols = text.split()
        length = symbols.index(".")
        assert set(symbols[length:]) == {"."}
        assert min_length < length < max_length
        value, depth, arity, rest = evaluate(symbols[:length])
        assert (value, rest) == (target, [])
        assert depth <= max_depth
        assert arity <= max_args


def grow(depth, max_depth, max_args):
    """The generator of the papers, one node at a time."""
    if depth < max_depth and random.random() <= 0.25:
        count = random.randint(2, max_args)
        arguments = [grow(depth + 1, max_depth, max_args) for _ in range(count)]
        inner = [symbol for argument in arguments for symbol in argument]
        return [random.choice(list(OPERATORS)), *inner, "]"]
    return [str(random.randrange(10))]


def test_trees_are_distributed_as_in_the_papers():
    random.seed(0)
    count, limits, lengths = 3000, (4, 5), (6, 30)
    expected = {}
    while len(expected) < count:
        tree = grow(1, *limits)
        if lengths[0] < len(tree) < lengths[1]:
            expected[" ".join(tree)] = evaluate(tree)
    inputs, targets, _ = datasets.listops(count, *limits, *lengths)
    ours = {
        text.replace(" .", ""): evaluate(text.split())
        for text in datasets.decode(inputs, task="listops")
    }

    def features(trees):
        symbols = [text.split() for text in trees]
        return np.array(
            [
                [len(x) for x in symbols],
                [sum(s in OPERATORS for s in x) for x in symbols],
                [x.count("[MED") for x in symbols],
                [x.count("9") for x in symbols],
                [x[0] == "[SM" for x in symbols],
                [x[1] in OPERATORS for x in symbols],
                [value for value, _, _, _ in trees.values()],
                [depth for _, depth, _, _ in trees.values()],
                [arity for _, _, arity, _ in trees.values()],
            ],
            float,
        )

    ours, expected = features(ours), features(expected)
    deviation = np.hypot(ours.std(axis=1), expected.std(axis=1)) / count**0.5
    gap = np.abs(ours.mean(axis=1) - expected.mean(axis=1))
    assert np.all(gap <= 4.5 * deviation), gap / deviation


def test_default_lengths():
    inputs, _, _ = datasets.listops(50)
    lengths = (inputs != 0).sum(axis=1)
    assert inputs.shape == (50, 2000)
    assert lengths.min() > 500
    # Nothing is cut off: every row is a complete expression.
    for row, length in zip(inputs, lengths, strict=True):
        assert evaluate(datasets.decode(row[:length], task="listops").split())[3] == []


def test_vocabulary_is_fixed():
    text = ". 0 1 2 3 4 5 6 7 8 9 [MIN [MAX [MED [SM ]"
    tokens = datasets.encode(text, task="listops")
    np.testing.assert_array_equal(tokens, np.arange(16))


@pytest.mark.parametrize(
    "text", ["[MAX 3 5", "3 5", "]", "", "[MAX ]", "[MAX 3 5 ] 1", "[MAX 3 ] ]"]
)
def test_text_of_an_incomplete_expression(text):
    with pytest.raises(ValueError, match="one complete expression"):
        datasets.listops_text(datasets.encode(text, task="listops"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_depth": 0}, "max_depth=0"),
        ({"max_args": 1}, "max_args=1"),
        ({"min_length": 9, "max_length": 8}, "min_length=9, max_length=8"),
        ({"min_length": 9, "max_length": 10}, "min_length=9, max_length=10"),
        ({"min_length": True}, "min_length=True"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=f"Received.*{message}"):
        datasets.listops(10, **arguments)


def test_more_expressions_than_there_are():
    # There are ten digits, and nothing else of one level.
    with pytest.raises(ValueError, match="too few distinct expressions"):
        datasets.listops(11, max_depth=1, min_length=0, max_length=3)
