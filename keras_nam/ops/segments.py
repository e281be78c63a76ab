"""Cutting time into segments: for loops that run backwards, and of several sequences.

Running a memory backwards rounds anew at every step. It is kept once per segment, so
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


def chosen_first(chosen):
    """The order that puts some chosen steps first.

    Args:
        chosen: Boolean tensor of shape `(batch, time)`.

    Returns:
        `(order, count)`, integers of the same shape: the steps, the chosen ones before
        all others, and how many are chosen up to each step.
    """
    length = ops.shape(chosen)[1]
    steps = ops.arange(length, dtype="int32")
    order = ops.sort(ops.where(chosen, steps, length + steps), axis=1)
    order = ops.where(order < length, order, order - length)
    return order, ops.cumsum(ops.cast(chosen, "int32"), axis=1)


def latest(chosen):
    """The latest of some chosen steps, for every step.

    Args:
        chosen: Boolean tensor of shape `(batch, time)`.

    Returns:
        `(steps, any_yet)`, integers and booleans of the same shape: the latest chosen
        step up to each step, and whether there is any. Where there is none yet, the
        first one that is to come.
    """
    order, count = chosen_first(chosen)
    found = ops.take_along_axis(order, ops.maximum(count - 1, 0), axis=1)
    return found, count > 0


def ids_of_valid(segment_ids, mask):
    """The number of the sequence of the latest valid step, for every step."""
    ids = ops.convert_to_tensor(segment_ids)
    if mask is None:
        return ids
    return ops.take_along_axis(ids, latest(ops.cast(mask, "bool"))[0], axis=1)


def starts_of(segment_ids, mask=None):
    """Where the sequences of a row start, but for its first one.

    Args:
        segment_ids: Integer tensor of shape `(batch, time)`. A sequence starts where
            the number is another one than at the valid step before.
        mask: Boolean tensor of shape `(batch, time)`, the valid steps.

    Returns:
        Boolean tensor of shape `(batch, time)`, false at masked steps.
    """
    ids = ids_of_valid(segment_ids, mask)
    before = ops.concatenate([ids[:, :1], ids[:, :-1]], axis=1)
    return ids != before


def sequence_numbers(segment_ids, mask=None):
    """Numbers the sequences of a row from 0 on, also where an id comes again."""
    return ops.cumsum(ops.cast(starts_of(segment_ids, mask), "int32"), axis=1)
