"""Cutting time into segments for the loops that run their memory backwards.

Running backwards rounds anew at every step. The memory is kept once per segment, so
that the error never grows beyond one.
"""

from keras import ops

SEGMENT_LENGTH = 256


def needs_padding(length, block=1):
    """Whether `split_segments` may have to add steps at the end."""
    if not isinstance(length, int):
        return True
    segments, steps = _sizes(length, SEGMENT_LENGTH, block)
    return segments * steps != length


def split_segments(x, length, segment_length=SEGMENT_LENGTH, block=None):
    """`(batch, time, ...)` to `(segments, steps, batch, ...)`, padded with zeros.

    With a `block` length, to `(segments, blocks, block, batch, ...)`.
    """
    segments, steps = _sizes(length, segment_length, block or 1)
    padding = [(0, segments * steps - length)] + [(0, 0)] * (len(x.shape) - 1)
    x = ops.pad(ops.swapaxes(x, 0, 1), padding)
    time = (segments, steps) if block is None else (segments, steps // block, block)
    return ops.reshape(x, (*time, *ops.shape(x)[1:]))


def join_segments(x, length, time_axes=2):
    """Back to `(batch, time, ...)`, without the padding."""
    x = ops.reshape(x, (-1, *ops.shape(x)[time_axes:]))
    # A slice that takes all would cost a copy in the gradient.
    return ops.swapaxes(x if x.shape[0] == length else x[:length], 0, 1)


def _sizes(length, segment_length, block):
    """How many segments, and how many steps each."""
    at_least = max if isinstance(length, int) else ops.maximum
    segments = at_least(1, divide_up(length, segment_length))
    steps = divide_up(length, segments)
    return segments, divide_up(steps, block) * block


def divide_up(number, by):
    """The quotient of non-negative integers, rounded up."""
    # Of negative numbers, some runtimes round the quotient towards zero.
    return (number + by - 1) // by
