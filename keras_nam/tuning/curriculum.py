"""Batches of training rows, short ones first."""

import numpy as np


class LengthCurriculum:
    """Says which rows take part at which point of the training.

    The longest row that takes part grows in proportion to the training that is done,
    from `start` times the longest of all to the longest of all, which it reaches after
    `share` of the training.

    Args:
        lengths: Integers of shape `(rows,)`.
        start: Float above 0, up to 1; 1 means that all rows take part from the start.
        share: Float above 0, up to 1.
    """

    def __init__(self, lengths, start=1.0, share=1.0):
        lengths = np.asarray(lengths)
        self.start = start
        self.share = share
        self.order = np.argsort(lengths, kind="stable")
        self.sorted_lengths = lengths[self.order]

    def longest(self, progress):
        """The longest row at `progress`, from 0 to 1."""
        grown = self.start + (1 - self.start) * min(1.0, progress / self.share)
        # The shortest rows take part whatever the start is.
        return max(grown * self.sorted_lengths[-1], self.sorted_lengths[0])

    def draw(self, progress, size, rng):
        """Draws the indices of `size` rows that take part."""
        count = np.searchsorted(self.sorted_lengths, self.longest(progress), "right")
        return self.order[rng.integers(count, size=size)]


def draw_batches(arrays, curriculum, batch_size, first_step, num_steps, seed):
    """Yields tuples of batches of `arrays` for ever.

    A batch depends on its step and the seed alone, so that a training that goes on
    later sees the batches that it would have seen.

    Args:
        arrays: Tuple of arrays with one row each.
        curriculum: `LengthCurriculum`.
        batch_size: Positive integer.
        first_step: Integer, the step of the first batch.
        num_steps: Positive integer, the steps of the whole training.
        seed: Non-negative integer.
    """
    step = first_step
    while True:
        rng = np.random.default_rng((seed, step))
        rows = curriculum.draw(step / num_steps, batch_size, rng)
        yield tuple(array[rows] for array in arrays)
        step += 1
