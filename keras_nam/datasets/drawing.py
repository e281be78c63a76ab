"""How rows are drawn: a sweep over the lengths, and the splits kept apart."""

import numpy as np

from keras_nam.datasets.rows import shift
from keras_nam.datasets.splits import belongs_to
from keras_nam.datasets.splits import fingerprint
from keras_nam.datasets.splits import random_generator

_MAX_ROUNDS = 400
_CANDIDATES_PER_ROUND = 256


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
        max_shift: Function `(Rows, lengths) -> distances` with the largest distance
            by which each row may be shifted. `None` leaves the rows unshifted.
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
        distances = random.integers(0, max_shift(rows, lengths), endpoint=True)
        rows = shift(rows, distances)
    return rows.inputs, rows.targets, rows.sample_weight
