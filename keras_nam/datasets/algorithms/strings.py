"""Reverse, copy and repeated copy: strings of digits, leading zeros allowed.

The authors' generators put the answer into the input and the masks into the target.
Here it is the other way round, as the papers describe the tasks.
"""

import numpy as np

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_cells
from keras_nam.arguments import check_integer
from keras_nam.datasets.algorithms.alphabets import DELIMITER
from keras_nam.datasets.algorithms.alphabets import END
from keras_nam.datasets.algorithms.alphabets import MASK
from keras_nam.datasets.algorithms.alphabets import PAD
from keras_nam.datasets.algorithms.rows import answer
from keras_nam.datasets.algorithms.rows import assemble
from keras_nam.datasets.algorithms.rows import draw_digit_rows
from keras_nam.datasets.algorithms.rows import given
from keras_nam.datasets.algorithms.rows import marker


def reverse(num_examples, min_digits=1, max_digits=10, seed=0, split="train"):
    """Rows that ask for a string of digits backwards.

    A row reads `_ s _ M M M E`, the target `_ s _ r E` with `r` the string `s` read
    from its end. Rows start at a random cell; padding fills the rest.

    Row `i` has a string of `n = min_digits + floor((max_digits - min_digits + 1) i /
    num_examples)` uniform digits, so rows go from short to long: shuffle them for
    training.

    Args:
        num_examples: Non-negative integer. The number of rows.
        min_digits: Positive integer. The length of the first string.
        max_digits: Positive integer. The length of the last string. It alone decides
            on the row length.
        seed: Non-negative integer of any size. The same arguments give the same rows.
        split: String, one of `"train"`, `"id"`, `"ood"`, `"far"`. No problem of the
            other splits is ever part of `"train"`, whatever the seeds and lengths.

    Returns:
        A tuple `(inputs, targets, sample_weight)` of arrays of shape
        `(num_examples, 2 * max_digits + 3)`: int32 tokens, int32 tokens, and float32
        weights that are 1 at the digits of the answer and 0 elsewhere.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.reverse(1000, 3, 3)
    keras_nam.datasets.decode(inputs[0])  # '_ 1 2 3 _ M M M E'
    keras_nam.datasets.decode(targets[0])  # '_ 1 2 3 _ 3 2 1 E'
    ```

    Raises:
        ValueError: If an argument is out of range, or if the lengths have too few
            distinct problems for the split.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    return _draw(
        "reverse", lay_out_reverse, num_examples, min_digits, max_digits, seed, split
    )


def copy(num_examples, min_digits=1, max_digits=10, seed=0, split="train"):
    """Rows that ask for a string of digits once more.

    A row reads `_ s _ M M M E`, the target `_ s _ s E`. All else is as in `reverse`.

    Args:
        num_examples, min_digits, max_digits, seed, split: As in `reverse`.

    Returns:
        A tuple `(inputs, targets, sample_weight)` of arrays of shape
        `(num_examples, 2 * max_digits + 3)`: int32 tokens, int32 tokens, and float32
        weights that are 1 at the digits of the answer and 0 elsewhere.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.copy(1000, 3, 3)
    keras_nam.datasets.decode(targets[0])  # '_ 1 2 3 _ 1 2 3 E'
    ```

    Raises:
        ValueError: As `reverse`.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    return _draw(
        "copy", lay_out_copy, num_examples, min_digits, max_digits, seed, split
    )


def repeated_copy(
    num_examples,
    min_digits=1,
    max_digits=10,
    repeats=3,
    seed=0,
    split="train",
    same_length=True,
):
    """Rows that ask for several strings of digits, each one right after it.

    A row consists of `repeats` blocks `s _ M M M E`, each with a string of its own, all
    of one length. The target holds the string again in place of the masks. Rows start
    at a random cell; padding fills the rest. Lengths are swept as in `reverse`.

    Args:
        num_examples, min_digits, max_digits, seed, split: As in `reverse`.
        repeats: Positive integer. The number of blocks.
        same_length: Boolean. Whether the strings of a row have one length, as in the
            paper. Else each has any from `min_digits` to the one of the row.

    Returns:
        A tuple `(inputs, targets, sample_weight)` of arrays of shape
        `(num_examples, 2 * repeats * (max_digits + 1) + 1)`: int32 tokens, int32
        tokens, and float32 weights that are 1 at the digits of the answers and 0
        elsewhere.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.repeated_copy(1000, 2, 2)
    keras_nam.datasets.decode(inputs[0])
    # '1 2 _ M M E 7 3 _ M M E 5 5 _ M M E .'
    ```

    Raises:
        ValueError: As `reverse`.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    repeats = check_integer("repeats", repeats)
    # A block has at least four cells.
    check_cells((repeats, 4), repeats=repeats)
    same_length = check_boolean("same_length", same_length)

    def draw(random, lengths):
        if not same_length:
            lengths = random.integers(min_digits, lengths, endpoint=True)
        return _random_strings(random, lengths)

    def make(random, lengths, row_length):
        strings = [draw(random, lengths) for _ in range(repeats)]
        return lay_out_repeated_copy(*strings, row_length=row_length)

    return draw_digit_rows(
        "repeated_copy",
        lambda max_digits: 2 * repeats * (max_digits + 1) + 1,
        make,
        # The last cell of a row is always padding.
        lambda left: left - 1,
        num_examples,
        min_digits,
        max_digits,
        seed,
        split,
    )


def lay_out_reverse(string, row_length=None):
    """Lays out `_ s _ answer E` for a pair `(digits, lengths)`."""
    digits, lengths = string
    # Cells beyond the length of a string are never laid out.
    backwards = (lengths[:, None] - 1 - np.arange(digits.shape[1])).clip(0)
    flipped = np.take_along_axis(digits, backwards, axis=1)
    return _lay_out(string, flipped, row_length)


def lay_out_copy(string, row_length=None):
    """Lays out `_ s _ answer E` for a pair `(digits, lengths)`."""
    return _lay_out(string, string[0], row_length)


def lay_out_repeated_copy(*strings, row_length=None):
    """Lays out `s _ answer E` for each of the pairs `(digits, lengths)`."""
    segments = []
    for digits, lengths in strings:
        segments += [
            given(digits, lengths),
            marker(DELIMITER, lengths),
            answer(digits, lengths, shown_as=MASK),
            marker(END, lengths),
        ]
    return assemble(segments, PAD, row_length)


def _draw(task, lay_out, *arguments):
    return draw_digit_rows(
        task,
        lambda max_digits: 2 * max_digits + 3,
        lambda random, lengths, row_length: lay_out(
            _random_strings(random, lengths), row_length
        ),
        lambda left: left,
        *arguments,
    )


def _random_strings(random, lengths):
    return random.integers(0, 10, (len(lengths), lengths.max(initial=1))), lengths


def _lay_out(string, result, row_length):
    digits, lengths = string
    segments = [
        marker(DELIMITER, lengths),
        given(digits, lengths),
        marker(DELIMITER, lengths),
        answer(result, lengths, shown_as=MASK),
        marker(END, lengths),
    ]
    return assemble(segments, PAD, row_length)
