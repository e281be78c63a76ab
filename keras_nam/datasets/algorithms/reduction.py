"""Reduction: the non-zero digits of a string, with no mask to tell how many."""

import numpy as np

from keras_nam.arguments import check_choice
from keras_nam.datasets.algorithms.alphabets import DELIMITER
from keras_nam.datasets.algorithms.alphabets import PAD
from keras_nam.datasets.algorithms.rows import Segment
from keras_nam.datasets.algorithms.rows import answer
from keras_nam.datasets.algorithms.rows import assemble
from keras_nam.datasets.algorithms.rows import draw_digit_rows


def reduction(
    num_examples, min_digits=1, max_digits=10, seed=0, split="train", zeros="half"
):
    """Rows that ask for the non-zero digits of a string, in their order.

    An input row reads `s _`, and only padding follows. In the target the non-zero
    digits of `s` stand right after the cell of the delimiter; all its other cells are
    padding, those under the string and the delimiter included. Rows start at a random
    cell.

    Row `i` has a string of `n = min_digits + floor((max_digits - min_digits + 1) i /
    num_examples)` digits, each 0 with probability 1/2 and otherwise uniform on 1 to 9.
    Rows go from short to long: shuffle them for training.

    The `n` cells after the delimiter count as the answer: the digits that remain, and
    one cell of padding for each digit that was dropped. So a model has to know where
    the answer stops, and the weights do not give its length away.

    Args:
        num_examples, min_digits, max_digits, seed, split: As in `reverse`.
        zeros: String. `"half"` makes every second digit 0, as above; with `"any"` each
            row has its own share of zeros, drawn from 0 to 1.

    Returns:
        A tuple `(inputs, targets, sample_weight)` of arrays of shape
        `(num_examples, 2 * max_digits + 1)`: int32 tokens, int32 tokens, and float32
        weights that are 1 at the `n` cells of the answer and 0 elsewhere.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.reduction(1000, 3, 3)
    keras_nam.datasets.decode(inputs[0])  # '5 0 2 _ . . .'
    keras_nam.datasets.decode(targets[0])  # '. . . . 5 2 .'
    ```

    Raises:
        ValueError: As `reverse`, or if `zeros` is not one of the above.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    any_share = check_choice("zeros", zeros, ("half", "any")) == "any"

    def make(random, lengths, row_length):
        shape = len(lengths), lengths.max(initial=1)
        digits = random.integers(1, 10, shape)
        if any_share:
            digits *= random.random(shape) >= random.random((len(lengths), 1))
        else:
            digits *= random.integers(0, 2, shape)
        return lay_out_reduction((digits, lengths), row_length)

    return draw_digit_rows(
        "reduction",
        lambda max_digits: 2 * max_digits + 1,
        make,
        # A row is moved by as much as its string is shorter than the longest one.
        lambda left: left // 2,
        num_examples,
        min_digits,
        max_digits,
        seed,
        split,
    )


def lay_out_reduction(string, row_length=None):
    """Lays out `s _` and as many cells for the answer, for a pair `(digits, lengths)`.

    Only the answer shows in the targets.
    """
    digits, lengths = string
    remains = (digits != 0) & (np.arange(digits.shape[1]) < lengths[:, None])
    remaining_first = np.argsort(~remains, axis=1, kind="stable")
    packed = np.take_along_axis(np.where(remains, digits, PAD), remaining_first, axis=1)
    blank = np.array([[PAD]])
    segments = [
        Segment(digits, blank, lengths),
        Segment(np.array([[DELIMITER]]), blank, np.ones_like(lengths)),
        answer(packed, lengths, shown_as=PAD),
    ]
    return assemble(segments, PAD, row_length)
