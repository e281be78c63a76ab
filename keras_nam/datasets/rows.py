"""Rows of tokens: put together from segments, then shifted."""

from typing import NamedTuple

import numpy as np


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
