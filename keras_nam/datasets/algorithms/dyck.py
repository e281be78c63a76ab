"""4-Dyck: the brackets that would close an unfinished sequence of brackets."""

import numpy as np

from keras_nam.arguments import check_cells
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_range
from keras_nam.datasets.algorithms.alphabets import BRACKETS
from keras_nam.datasets.algorithms.rows import answer
from keras_nam.datasets.algorithms.rows import assemble
from keras_nam.datasets.algorithms.rows import draw_rows
from keras_nam.datasets.algorithms.rows import given
from keras_nam.datasets.algorithms.rows import marker
from keras_nam.datasets.algorithms.rows import sweep

_PUSH_PROBABILITY = 0.7
_KINDS = 4
_SEPARATOR, _MASK, _PAD = map(BRACKETS.token, "_M.")


def dyck(
    num_examples,
    min_depth=2,
    max_depth=8,
    min_length=8,
    max_length=32,
    seed=0,
    split="train",
):
    """Rows that ask for the brackets that are still to be closed.

    An input row reads `( [ ] < _ M M`: a sequence of four kinds of brackets, a
    separator, and one mask for each bracket that is still open. The target holds the
    closing brackets in place of the masks, the innermost first: `( [ ] < _ > )`.
    Padding follows.

    A sequence grows by an opening bracket of a random kind with probability 0.7, and
    always when nothing is open; otherwise the innermost bracket is closed. Once it
    is longer than `min_length` and at least as deep as wanted, brackets are closed
    until it is exactly as deep as wanted. Sequences that reach `max_length` are
    rejected. Row `i` is of depth `min_depth + floor((max_depth - min_depth + 1) i /
    num_examples)`, so rows go from shallow to deep: shuffle them for training.

    Args:
        num_examples: Non-negative integer. The number of rows.
        min_depth: Positive integer. How many brackets the first row leaves open.
        max_depth: Positive integer. How many brackets the last row leaves open.
        min_length: Non-negative integer. Sequences are longer than this.
        max_length: Positive integer. Sequences are shorter than this. The closing
            brackets that are asked for do not count.
        seed: Non-negative integer of any size. The same arguments give the same rows.
        split: String, one of `"train"`, `"id"`, `"ood"`, `"far"`. No problem of the
            other splits is ever part of `"train"`, whatever the seeds and lengths.

    Returns:
        A tuple `(inputs, targets, sample_weight)` of arrays of shape
        `(num_examples, max_length + max_depth)`: int32 tokens, int32 tokens, and
        float32 weights that are 1 at the closing brackets of the answer and 0
        elsewhere. Tokens 0 to 7 are `[ ] ( ) { } < >`, 8 is the separator, 9 the
        mask and 10 the padding.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.dyck(1000)
    keras_nam.datasets.decode(inputs[0], task="dyck")
    # '( { [ [ ] < ( ) > ] _ M M . . . ...'
    ```

    Raises:
        ValueError: If an argument is out of range, or if there are too few distinct
            sequences of such lengths and depths.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    num_examples = check_integer("num_examples", num_examples, at_least=0)
    min_depth, max_depth = check_range("min_depth", min_depth, "max_depth", max_depth)
    min_length, max_length = check_range(
        "min_length", min_length, "max_length", max_length, at_least=0
    )
    if max_length < max(min_length + 2, max_depth + 1):
        raise ValueError(
            "Argument `max_length` must exceed `min_length` by at least 2, and "
            f"`max_depth` by at least 1. Received: max_length={max_length}, "
            f"min_length={min_length}, max_depth={max_depth}"
        )

    shape = num_examples, max_length + max_depth
    check_cells(
        shape, num_examples=num_examples, max_length=max_length, max_depth=max_depth
    )

    def make(random, depths):
        sequences, valid = _grow(random, depths, min_length, max_length)
        return lay_out_dyck(*sequences, row_length=max_length + max_depth), valid

    return draw_rows(
        "dyck",
        sweep(min_depth, max_depth, num_examples),
        make,
        seed,
        split,
        _PAD,
        measure="depths",
    )


def lay_out_dyck(brackets, lengths, closers, depths, row_length=None):
    """Lays out sequences, a separator, and the closers in the order they are due."""
    segments = [
        given(brackets, lengths),
        marker(_SEPARATOR, lengths),
        answer(closers, depths, shown_as=_MASK),
    ]
    return assemble(segments, _PAD, row_length)


def _grow(random, depths, min_length, max_length):
    """Grows one sequence for each depth, all of them bracket by bracket.

    Returns:
        A tuple `((brackets, lengths, closers, depths), valid)`, where `valid` tells
        which of the sequences are complete.
    """
    count = len(depths)
    every = np.arange(count)
    brackets = np.zeros((count, max_length), np.int64)
    # The kinds of the open brackets, the outermost first.
    opened = np.zeros((count, max_length), np.int64)
    lengths = np.zeros(count, np.int64)
    height = np.zeros(count, np.int64)
    growing = np.ones(count, bool)
    for step in range(max_length - 1):
        growing &= (height < depths) | (lengths <= min_length)
        active = growing | (height > depths)
        if not active.any():
            break
        push = (random.random(count) < _PUSH_PROBABILITY) | (height == 0)
        push = active & growing & push
        pop = active & ~push
        kinds = random.integers(0, _KINDS, count)
        opened[every[push], height[push]] = kinds[push]
        innermost = opened[every, np.maximum(height - 1, 0)]
        # Openers have the even tokens, each followed by its closer.
        brackets[:, step] = np.where(push, 2 * kinds, 2 * innermost + 1)
        lengths += active
        height += push
        height -= pop

    valid = (height == depths) & (lengths > min_length)
    innermost_first = (depths[:, None] - 1 - np.arange(depths.max(initial=1))).clip(0)
    closers = 2 * np.take_along_axis(opened, innermost_first, axis=1) + 1
    return (brackets, lengths, closers, depths), valid
