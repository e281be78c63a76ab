"""ListOps: nested operations on digits, and the digit they come to."""

from typing import NamedTuple

import numpy as np

from keras_nam.arguments import check_cells
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_range
from keras_nam.datasets.algorithms.alphabets import EXPRESSIONS
from keras_nam.datasets.splits import belongs_to
from keras_nam.datasets.splits import fingerprint
from keras_nam.datasets.splits import random_generator

_OPERATOR_PROBABILITY = 0.25
OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")
_OPERATOR_TOKENS = np.array([EXPRESSIONS.token(symbol) for symbol in OPERATORS])
_PAD, _ZERO, _CLOSE = map(EXPRESSIONS.token, ".0]")

_TREES_PER_ROUND = 4096
_MAX_FRUITLESS_ROUNDS = 100


def listops(
    num_examples,
    max_depth=10,
    max_args=10,
    min_length=500,
    max_length=2000,
    seed=0,
    split="train",
):
    """Expressions like `[MAX 3 [SM 9 4 ] 5 ]` and their values.

    A node is an operator with probability 1/4 and otherwise a digit; at `max_depth` it
    is always a digit. Operators have 2 to `max_args` arguments: `[MIN` and `[MAX`,
    `[MED` (the median; of an even number of arguments the mean of the middle two,
    rounded down), and `[SM` (the sum modulo 10). All expressions are distinct.

    The papers' text has round brackets around every argument, see `listops_text`.
    Here they are left out, and nothing is cut off at the end.

    Args:
        num_examples: Non-negative integer. The number of expressions.
        max_depth: Positive integer. The number of levels of the deepest tree.
        max_args: Integer of at least 2. The largest number of arguments.
        min_length: Non-negative integer. Expressions have more tokens than this.
        max_length: Positive integer. Expressions have fewer tokens than this.
        seed: Non-negative integer of any size. The same arguments give the same
            expressions.
        split: String, one of `"train"`, `"id"`, `"ood"`, `"far"`. No expression of
            the other splits is ever part of `"train"`, whatever the seeds and lengths.

    Returns:
        A tuple `(inputs, targets, sample_weight)`: int32 tokens of shape
        `(num_examples, max_length)`, int32 values 0 to 9 of shape `(num_examples,)`,
        and float32 ones of shape `(num_examples,)`. Token 0 is padding, 1 to 10 are
        the digits 0 to 9, and 11 to 15 are `[MIN`, `[MAX`, `[MED`, `[SM` and `]`.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.listops(
        1000, max_depth=3, max_args=4, min_length=3, max_length=20
    )
    keras_nam.datasets.decode(inputs[0], task="listops")
    # '[MAX 3 [SM 9 4 ] 5 ] . . . ...'
    ```

    Raises:
        ValueError: If an argument is out of range, or if there are too few distinct
            expressions of such lengths.

    Reference:

    - [Long Range Arena](https://arxiv.org/abs/2011.04006)
    """
    num_examples = check_integer("num_examples", num_examples, at_least=0)
    max_depth = check_integer("max_depth", max_depth, at_least=1)
    max_args = check_integer("max_args", max_args, at_least=2)
    min_length, max_length = check_range(
        "min_length", min_length, "max_length", max_length, at_least=0
    )
    if max_length < min_length + 2:
        raise ValueError(
            "Argument `max_length` must exceed `min_length` by at least 2. "
            f"Received: min_length={min_length}, max_length={max_length}"
        )
    shape = num_examples, max_length
    check_cells(shape, num_examples=num_examples, max_length=max_length)
    random = random_generator("listops", split, seed)
    inputs = np.zeros((num_examples, max_length), np.int32)
    targets = np.zeros(num_examples, np.int32)
    known = np.zeros(num_examples, np.uint64)
    done = fruitless_rounds = 0
    while done < num_examples:
        if fruitless_rounds == _MAX_FRUITLESS_ROUNDS:
            raise ValueError(
                f"There are too few distinct expressions for split '{split}'. "
                f"Received: num_examples={num_examples}, max_depth={max_depth}, "
                f"max_args={max_args}, min_length={min_length}, "
                f"max_length={max_length}"
            )
        levels = _grow(random, max_depth, max_args, min_length, max_length)
        tokens, values = _write(random, levels, max_length)
        marks = fingerprint(tokens, _PAD)
        first = np.zeros(len(marks), bool)
        first[np.unique(marks, return_index=True)[1]] = True
        first &= ~np.isin(marks, known[:done]) & belongs_to(split, marks)
        fresh = np.flatnonzero(first)[: num_examples - done]
        fruitless_rounds = 0 if len(fresh) else fruitless_rounds + 1
        filled = slice(done, done + len(fresh))
        inputs[filled], targets[filled] = tokens[fresh], values[fresh]
        known[filled] = marks[fresh]
        done += len(fresh)
    return inputs, targets, np.ones(num_examples, np.float32)


class _Level(NamedTuple):
    """All nodes of one depth, those of a tree side by side, siblings in their order.

    `tree` holds the tree of every node and `arity` the number of its arguments, 0 for
    a digit. The arguments of the operators follow each other on the next level.
    """

    tree: np.ndarray
    arity: np.ndarray


def _grow(random, max_depth, max_args, min_length, max_length):
    """Grows trees level by level and keeps those of the wanted lengths."""
    lengths = np.zeros(_TREES_PER_ROUND, np.int64)
    tree = np.arange(_TREES_PER_ROUND)
    levels = []
    for depth in range(1, max_depth + 1):
        arity = random.integers(2, max_args, tree.size, endpoint=True)
        arity[random.random(tree.size) > _OPERATOR_PROBABILITY] = 0
        if depth == max_depth:
            arity[:] = 0
        # No row has room for so many arguments.
        too_many = arity >= max_length
        lengths[tree[too_many]] = max_length
        arity[too_many] = 0
        # An operator also costs the bracket that closes it.
        lengths += np.bincount(tree, 1 + (arity > 0), _TREES_PER_ROUND).astype(int)
        # These trees will be dropped, and might grow very large until then.
        arity[lengths[tree] >= max_length] = 0
        levels.append(_Level(tree, arity))
        tree = np.repeat(tree, arity)
        if not tree.size:
            break
    kept = (lengths > min_length) & (lengths < max_length)
    number = np.cumsum(kept) - 1
    return [
        _Level(number[level.tree[kept[level.tree]]], level.arity[kept[level.tree]])
        for level in levels
    ]


def _write(random, levels, max_length):
    """Fills trees with digits and operators, and evaluates them.

    Returns:
        A tuple `(tokens, values)` of shapes `(trees, max_length)` and `(trees,)`.
    """
    tokens, values, sizes = [], [], []
    for level in reversed(levels):
        digits = random.integers(0, 10, level.tree.size)
        kinds = random.integers(0, len(OPERATORS), level.tree.size)
        is_operator = level.arity > 0
        value, size = digits.copy(), np.ones_like(digits)
        if is_operator.any():
            arity = level.arity[is_operator]
            start = np.cumsum(arity) - arity
            value[is_operator] = _evaluate(kinds[is_operator], values[0], start, arity)
            size[is_operator] = 2 + np.add.reduceat(sizes[0], start)
        tokens.insert(0, np.where(is_operator, _OPERATOR_TOKENS[kinds], _ZERO + digits))
        values.insert(0, value)
        sizes.insert(0, size)

    trees = levels[0].tree.size
    rows = np.full((trees, max_length), _PAD, np.int32)
    cell = np.zeros(trees, np.int64)
    for depth, level in enumerate(levels):
        is_operator = level.arity > 0
        last = cell + sizes[depth] - 1
        rows[level.tree, cell] = tokens[depth]
        rows[level.tree[is_operator], last[is_operator]] = _CLOSE
        if not is_operator.any():
            break
        arity = level.arity[is_operator]
        # Arguments start one cell after their operator, each where the last one ended.
        before = np.cumsum(sizes[depth + 1]) - sizes[depth + 1]
        first_argument = np.cumsum(arity) - arity
        shift = cell[is_operator] + 1 - before[first_argument]
        cell = before + np.repeat(shift, arity)
    return rows, values[0]


def _evaluate(kinds, arguments, start, arity):
    """Applies the operators to their arguments, which follow each other."""
    operation = np.repeat(np.arange(arity.size), arity)
    ordered = arguments[np.lexsort((arguments, operation))]
    middle = ordered[start + (arity - 1) // 2] + ordered[start + arity // 2]
    results = {
        "[MIN": ordered[start],
        "[MAX": ordered[start + arity - 1],
        "[MED": middle // 2,
        "[SM": np.add.reduceat(arguments, start) % 10,
    }
    table = np.stack([results[operator] for operator in OPERATORS])
    return table[kinds, np.arange(kinds.size)]
