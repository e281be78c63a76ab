"""The stages of a length curriculum, from two hyperparameters."""

import numpy as np

# Each is a length of its own, and may be compiled for it.
NUM_STEPS_UP = 4


def curriculum_stages(ends, start, share, num_steps):
    """Returns the stages of a `keras_nam.callbacks.LengthCurriculum` in steps.

    Rows get longer in equal parts, from `start` times the longest row to all of it,
    which is reached after `share` of the training.

    Args:
        ends: Integers of shape `(rows,)`, where the rows end.
        start, share: Floats from 0 to 1.
        num_steps: Positive integer, the steps of the training.

    Returns:
        A dictionary from the first step of a stage to its length.
    """
    shortest, longest = int(np.min(ends)), int(np.max(ends))
    stages = {}
    for i in range(NUM_STEPS_UP + 1):
        done = i / NUM_STEPS_UP
        length = round((start + (1 - start) * done) * longest)
        stages[round(share * done * num_steps)] = max(length, shortest)
    # Stages of a length that was there before are none.
    lengths = {}
    for step, length in stages.items():
        if length not in lengths.values():
            lengths[step] = length
    return lengths


def row_ends(x, y, padding_token):
    """Returns where rows of tokens end: behind the last cell that is not padding.

    Args:
        x: Integers of shape `(rows, time)`.
        y: Integers of the same shape, or `(rows,)`, which does not count.
        padding_token: Integer.
    """
    used = x != padding_token
    if y.shape == x.shape:
        used |= y != padding_token
    return np.max(used * np.arange(1, x.shape[1] + 1), axis=1, initial=1)
