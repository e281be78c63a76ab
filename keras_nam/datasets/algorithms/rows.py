"""Rows of tokens: put together from segments, shifted, and drawn for a split."""

from typing import NamedTuple

import numpy as np

from keras_nam.arguments import check_cells
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_range
from keras_nam.datasets.algorithms.alphabets import PAD
from keras_nam.datasets.splits import belongs_to
from keras_nam.datasets.splits import fingerprint
from keras_nam.datasets.splits import random_generator

_MAX_ROUNDS = 400
_CANDIDATES_PER_ROUND = 256


class Segment(NamedTuple):
    """The next few cells of every row.

    `inputs` and `targets` are integer arrays that broadcast to `(rows, width)`, of
    which row `i` takes the first `lengths[i]` cells. `is_answer` says whether these
    cells are what a model has to find out.
    """

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray
    is_answer: bool = False


class Rows(NamedTuple):
    """Inputs, targets and weights of shape `(rows, row_length)`, all from cell 0 on.

    `used` of shape `(rows,)` counts the cells that the segments fill.
    """

    inputs: np.ndarray
    targets: np.ndarray
    sample_weight: np.ndarray
    used: np.ndarray


def given(tokens, lengths):
    """A segment that inputs and targets share."""
    return Segment(tokens, tokens, lengths)


def marker(token, lengths):
    """A segment of a single `token`, in as many rows as `lengths` has."""
    return given(np.array([[token]]), np.ones_like(lengths))


def answer(tokens, lengths, shown_as):
    """A segment that only the targets hold; the inputs show `shown_as` instead."""
    return Segment(np.array([[shown_as]]), tokens, lengths, is_answer=True)


def assemble(segments, pad, row_length=None):
    """Puts segments one after the other.

    Args:
        segments: List of `Segment`.
        pad: Integer. The token of the cells that no segment fills.
        row_length: Integer. `None` makes the rows as long as the longest one needs.

    Returns:
        The `Rows`.
    """
    used = np.sum([segment.lengths for segment in segments], axis=0)
    if row_length is None:
        row_length = int(used.max())
    inputs = np.full((len(used), row_length), pad, np.int32)
    targets = inputs.copy()
    sample_weight = np.zeros(inputs.shape, np.float32)

    start = np.zeros_like(used)
    for segment in segments:
        widths = segment.inputs.shape[1], segment.targets.shape[1]
        shape = len(used), max(widths)
        row, column = np.nonzero(np.arange(shape[1]) < segment.lengths[:, None])
        cells = row, start[row] + column
        inputs[cells] = np.broadcast_to(segment.inputs, shape)[row, column]
        targets[cells] = np.broadcast_to(segment.targets, shape)[row, column]
        sample_weight[cells] = segment.is_answer
        start = start + segment.lengths
    return Rows(inputs, targets, sample_weight, used)


def shift(rows, distances):
    """Moves row `i` to the right by `distances[i]` cells, all of them padding."""
    columns = np.arange(rows.inputs.shape[1])
    # What leaves a row on the right is padding, and so is what enters on the left.
    source = (columns - distances[:, None]) % max(1, columns.size)
    moved = (np.take_along_axis(cells, source, axis=1) for cells in rows[:3])
    return Rows(*moved, rows.used)


def sweep(low, high, count):
    """Spreads `count` rows evenly over the lengths `low` to `high`, in order.

    Row `i` has length `low + floor((high - low + 1) i / count)`.
    """
    return low + (high - low + 1) * np.arange(count) // max(1, count)


def draw_rows(task, lengths, make, seed, split, pad, max_shift=None, measure="lengths"):
    """Draws one row for each length, every one from its side of the split.

    Args:
        task: String. The name of the task.
        lengths: Integer array of shape `(rows,)`.
        make: Function `(random, lengths) -> (Rows, valid)` that draws unshifted rows
            of the lengths it is given. `valid` of shape `(rows,)` tells which of
            them are rows of the task at all; `True` stands for all.
        seed: Non-negative integer.
        split: String. One of `SPLITS`.
        pad: Integer. The token of unused cells.
        max_shift: Function from the numbers of cells that are left at the end of the
            rows to the largest distances by which these may be shifted. `None` leaves
            them unshifted.
        measure: String. What an error calls the `lengths`.

    Returns:
        A tuple `(inputs, targets, sample_weight)`.
    """
    random = random_generator(task, split, seed)

    def draw(lengths):
        rows, valid = make(random, lengths)
        return rows, valid & belongs_to(split, fingerprint(rows.inputs, pad))

    rows, accepted = draw(lengths)
    pending = np.flatnonzero(~accepted)
    rounds = 0
    while len(pending):
        if rounds == _MAX_ROUNDS:
            few = lengths[pending]
            raise ValueError(
                f"The {measure} {few.min()} to {few.max()} have too few distinct rows "
                f"for split '{split}' of task '{task}'. Received: {len(lengths)} rows "
                f"of {measure} {lengths.min()} to {lengths.max()}"
            )
        rounds += 1
        # Few pending rows get many candidates each and take the first that will do,
        # so that the last rows need few rounds.
        candidates = np.repeat(pending, 1 + _CANDIDATES_PER_ROUND // len(pending))
        drawn, accepted = draw(lengths[candidates])
        filled, first = np.unique(candidates[accepted], return_index=True)
        for cells, new_cells in zip(rows, drawn, strict=True):
            cells[filled] = new_cells[accepted][first]
        pending = np.setdiff1d(pending, filled, assume_unique=True)

    if max_shift is not None:
        left = rows.inputs.shape[1] - rows.used
        distances = random.integers(0, max_shift(left), endpoint=True)
        rows = shift(rows, distances)
    return rows.inputs, rows.targets, rows.sample_weight


def draw_digit_rows(
    task, row_length, make, max_shift, num_examples, min_digits, max_digits, seed, split
):
    """Draws rows of a digit task, from short to long.

    Args:
        task: String. The name of the task.
        row_length: Function from `max_digits` to the length of the rows.
        make: Function `(random, lengths, row_length) -> Rows` of unshifted rows.
        max_shift: See `draw_rows`.
        num_examples: As all that follow, what a user passed.

    Returns:
        A tuple `(inputs, targets, sample_weight)`.
    """
    num_examples = check_integer("num_examples", num_examples, at_least=0)
    min_digits, max_digits = check_range(
        "min_digits", min_digits, "max_digits", max_digits
    )
    shape = num_examples, row_length(max_digits)
    check_cells(shape, num_examples=num_examples, max_digits=max_digits)
    return draw_rows(
        task,
        sweep(min_digits, max_digits, num_examples),
        lambda random, lengths: (make(random, lengths, shape[1]), True),
        seed,
        split,
        PAD,
        max_shift,
    )
