"""Cutting time into segments for the loops that run their memory backwards.

Running backwards rounds anew at every step. The memory is kept once per segment, so
that the error never grows beyond one.
"""

from keras import ops

SEGMENT_LENGTH = 256


def needs_padding(length):
    """Whether `split_segments` may have to add steps at the end."""
    return not isinstance(length, int) or length % _count(length, SEGMENT_LENGTH) != 0


def split_segments(x, length, segment_length=SEGMENT_LENGTH):
    """`(batch, time, ...)` to `(segments, steps, batch, ...)`, padded with zeros."""
    segments = _count(length, segment_length)
    steps = -(-length // segments)
    padding = [(0, segments * steps - length)] + [(0, 0)] * (len(x.shape) - 1)
    x = ops.pad(ops.swapaxes(x, 0, 1), padding)
    return ops.reshape(x, (segments, steps, *ops.shape(x)[1:]))


def join_segments(x, length):
    """Back to `(batch, time, ...)`, without the padding."""
    steps = ops.shape(x)[0] * ops.shape(x)[1]
    x = ops.reshape(x, (steps, *ops.shape(x)[2:]))[:length]
    return ops.swapaxes(x, 0, 1)


def _count(length, segment_length):
    at_least = max if isinstance(length, int) else ops.maximum
    return at_least(1, -(-length // segment_length))
