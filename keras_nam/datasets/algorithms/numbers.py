"""Addition and arithmetic: two numbers, and a third that follows from them.

Numbers are arrays of decimal digits, the last digit first, so that they may be of any
length; a 64-bit integer would overflow at 19 digits.
"""

import numpy as np

from keras_nam.arguments import check_choice
from keras_nam.datasets.algorithms.alphabets import DELIMITER
from keras_nam.datasets.algorithms.alphabets import END
from keras_nam.datasets.algorithms.alphabets import MASK
from keras_nam.datasets.algorithms.alphabets import PAD
from keras_nam.datasets.algorithms.rows import answer
from keras_nam.datasets.algorithms.rows import assemble
from keras_nam.datasets.algorithms.rows import draw_digit_rows
from keras_nam.datasets.algorithms.rows import given
from keras_nam.datasets.algorithms.rows import marker


def addition(
    num_examples, min_digits=1, max_digits=10, seed=0, split="train", carries="random"
):
    """Rows that ask for the sum of two numbers.

    A row reads `_ a _ b _ M M M E`: two numbers with the last digit first, and one
    mask for every digit of the answer. The target holds the digits of `a + b` in
    place of the masks. Rows start at a random cell; padding fills the rest.

    Row `i` is of length `n = min_digits + floor((max_digits - min_digits + 1) i /
    num_examples)`, so rows go from short to long: shuffle them for training. `b` is
    uniform over the numbers of `n` digits, `a` over those of up to `s` digits, with
    `s` uniform on 1 to `n + 1`.

    Args:
        num_examples, min_digits, max_digits, seed, split: As in `reverse`.
        carries: String. `"random"` draws the numbers as above. With `"none"` both have
            `n` digits, and those of a place make at most nine together: such rows
            teach a machine where the two numbers stand before it hands on a carry.
            `"many"` changes digits of `b` so that those of many places make just
            nine, which hand on a carry that arrives there.

    Returns:
        A tuple `(inputs, targets, sample_weight)` of arrays of shape
        `(num_examples, 3 * (max_digits + 2) + 3)`: int32 tokens, int32 tokens, and
        float32 weights that are 1 at the digits of the answer and 0 elsewhere.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.addition(1000)
    inputs.shape  # (1000, 39)
    keras_nam.datasets.decode(targets[0])  # '. . . _ 4 _ 9 _ 3 1 E . . . ...'
    ```

    Raises:
        ValueError: As `reverse`, or if `carries` is not one of the above.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    draw_pair = _SUMMANDS[check_choice("carries", carries, _SUMMANDS)]
    limits = min_digits, max_digits
    return _draw(
        "addition", lay_out_addition, draw_pair, num_examples, *limits, seed, split
    )


def arithmetic(
    num_examples, min_digits=1, max_digits=10, seed=0, split="train", carries="random"
):
    """Rows that ask for the next number of an arithmetic progression.

    A row reads `_ a _ b _ M M M E` with `a <= b`, last digits first, and the answer is
    `2 b - a`. The two numbers are drawn as in `addition` and put in order; all else is
    as in `addition`, too.

    Args:
        num_examples, min_digits, max_digits, seed, split: As in `reverse`.
        carries: String. `"random"` draws the numbers as above. `"many"` changes digits
            so that `2 b - a` is 9 in many places, which hand on a carry that arrives
            there, or 0, which hand on a borrow.

    Returns:
        A tuple `(inputs, targets, sample_weight)` of arrays of shape
        `(num_examples, 3 * (max_digits + 2) + 3)`: int32 tokens, int32 tokens, and
        float32 weights that are 1 at the digits of the answer and 0 elsewhere.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.arithmetic(1000, 5, 10)
    inputs.shape  # (1000, 39)
    ```

    Raises:
        ValueError: As `addition`.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    draw_pair = _NEIGHBOURS[check_choice("carries", carries, _NEIGHBOURS)]
    limits = min_digits, max_digits
    return _draw(
        "arithmetic", lay_out_arithmetic, draw_pair, num_examples, *limits, seed, split
    )


def lay_out_addition(first, second, row_length=None):
    """Lays out `_ a _ b _ answer E` for two pairs `(digits, lengths)`."""
    total = _combine(first[0], 1, second[0], 1)
    return _lay_out(first, second, total, row_length)


def lay_out_arithmetic(first, second, row_length=None):
    """Lays out the pairs in ascending order, followed by the next number."""
    low, high = _in_order(first, second)
    return _lay_out(low, high, _combine(low[0], -1, high[0], 2), row_length)


def _draw(task, lay_out, draw_pair, *arguments):
    def make(random, lengths, row_length):
        return lay_out(*draw_pair(random, lengths), row_length)

    return draw_digit_rows(
        task,
        lambda max_digits: 3 * (max_digits + 2) + 3,
        make,
        # The last cell of a row is always padding.
        lambda left: left - 1,
        *arguments,
    )


def _lay_out(first, second, result, row_length):
    segments = [
        marker(DELIMITER, first[1]),
        given(*first),
        marker(DELIMITER, first[1]),
        given(*second),
        marker(DELIMITER, first[1]),
        answer(*result, shown_as=MASK),
        marker(END, first[1]),
    ]
    return assemble(segments, PAD, row_length)


def _pairs(random, lengths):
    """A number of up to about as many digits, and one of exactly so many."""
    first = _numbers_up_to(random, random.integers(1, lengths + 1, endpoint=True))
    return first, _numbers_of(random, lengths)


def _pairs_without_carries(random, lengths):
    """Two numbers of one length whose digits make at most nine in every place."""
    first, second = (_numbers_of(random, lengths)[0] for _ in range(2))
    top = np.arange(len(lengths)), lengths - 1
    # Leaves room for the first digit of the second number, which is not zero.
    first[top] = np.minimum(first[top], 8)
    digits = second % (10 - first)
    digits[top] = 1 + (second[top] - 1) % (9 - first[top])
    return (first, lengths), (digits, lengths)


def _pairs_with_many_carries(random, lengths):
    """Two numbers whose digits make nine in many places, which hand on a carry."""
    (first, sizes), (second, _) = _pairs(random, lengths)
    first, second = _side_by_side(first, second)
    chosen = _many_places(random, second, lengths)
    digits = np.where(chosen, np.maximum(9 - first, 1), second)
    return (first, sizes), (digits, lengths)


def _pairs_with_many_borrows(random, lengths):
    """Two numbers for which `2 b - a` is 9 in many places, or 0 in many.

    9 hands on a carry that arrives there, and 0 a borrow.
    """
    (first, sizes), (second, _) = _pairs(random, lengths)
    first, second = _side_by_side(first, second)
    chosen = _many_places(random, second, lengths)
    half, nine = first // 2, random.integers(0, 2, (len(lengths), 1))
    # A first digit that became zero would make the number a shorter one.
    behind = np.arange(first.shape[1]) < sizes[:, None] - 1
    first = np.where(chosen & behind, 2 * half + nine, first)
    digits = np.where(chosen, half + 5 * nine, second)
    top = np.arange(len(lengths)), lengths - 1
    digits[top] = np.maximum(digits[top], 1)
    return (first, sizes), (digits, lengths)


def _many_places(random, digits, lengths):
    """Hardly any place in some rows, nearly all in others, and all between."""
    chosen = random.random(digits.shape) < random.random((len(lengths), 1))
    return chosen & (np.arange(digits.shape[1]) < lengths[:, None])


# How the tasks draw their two numbers, by their argument `carries`.
_SUMMANDS = {
    "random": _pairs,
    "none": _pairs_without_carries,
    "many": _pairs_with_many_carries,
}
_NEIGHBOURS = {"random": _pairs, "many": _pairs_with_many_borrows}


def _numbers_up_to(random, sizes):
    """Numbers that are uniform on 1 to `10 ** sizes - 1`."""
    width = sizes.max(initial=1)
    inside = np.arange(width) < sizes[:, None]
    digits = random.integers(0, 10, (len(sizes), width)) * inside
    while not (nonzero := digits.any(axis=1)).all():
        fresh = random.integers(0, 10, ((~nonzero).sum(), width))
        digits[~nonzero] = fresh * inside[~nonzero]
    return digits, _count_digits(digits)


def _numbers_of(random, sizes):
    """Numbers that are uniform on those of exactly `sizes` digits."""
    width = sizes.max(initial=1)
    digits = random.integers(0, 10, (len(sizes), width))
    digits *= np.arange(width) < sizes[:, None]
    digits[np.arange(len(sizes)), sizes - 1] = random.integers(1, 10, len(sizes))
    return digits, sizes


def _count_digits(digits):
    """The lengths of positive numbers without their leading zeros."""
    return digits.shape[1] - np.argmax(digits[:, ::-1] != 0, axis=1)


def _combine(first, first_factor, second, second_factor):
    """The weighted sum of two numbers, which must come out positive."""
    first, second = _side_by_side(first, second)
    # Small multiples of the larger number need at most one digit more.
    digits = np.pad(first_factor * first + second_factor * second, ((0, 0), (0, 1)))
    for column in range(first.shape[1]):
        # Floor division borrows where a column is negative.
        digits[:, column + 1] += digits[:, column] // 10
        digits[:, column] %= 10
    return digits, _count_digits(digits)


def _side_by_side(*numbers):
    """One array of the digits of all, with zeros before the first ones."""
    width = max(digits.shape[1] for digits in numbers)
    return np.stack(
        [np.pad(digits, ((0, 0), (0, width - digits.shape[1]))) for digits in numbers]
    )


def _in_order(first, second):
    """Swaps the numbers of a pair where the first one is the larger."""
    digits = _side_by_side(first[0], second[0])
    lengths = np.stack([first[1], second[1]])

    difference = digits[0] - digits[1]
    leading = digits.shape[2] - 1 - np.argmax(difference[:, ::-1] != 0, axis=1)
    swapped = difference[np.arange(len(leading)), leading] > 0
    digits[:, swapped] = digits[::-1, swapped]
    lengths[:, swapped] = lengths[::-1, swapped]
    return (digits[0], lengths[0]), (digits[1], lengths[1])
