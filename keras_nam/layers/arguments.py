"""Checks of the arguments that the layers share."""

import math

import numpy as np
from keras import ops

from keras_nam.shapes import fits


def check_positive_integer(name, value):
    """Raises a `ValueError` unless `value` is an integer of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"Argument `{name}` must be a positive integer. Received: {name}={value}"
        )


def check_divisible(name, value, divisor_name, divisor):
    """Raises a `ValueError` unless `divisor` divides `value`."""
    if value % divisor:
        raise ValueError(
            f"Argument `{name}` must be divisible by `{divisor_name}`. "
            f"Received: {name}={value}, {divisor_name}={divisor}"
        )


def check_rate(name, rate):
    """Raises a `ValueError` unless `rate` is in `[0, 1)`."""
    if not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise ValueError(
            f"Argument `{name}` must be at least 0 and below 1. Received: {name}={rate}"
        )


def check_states(owner, states, shapes):
    """Raises a `ValueError` unless there is a state for every shape, whole or flat.

    Args:
        owner: String. The name of the class that the states belong to.
        states: List of tensors.
        shapes: List of shapes without the batch axis, `None` for unknown sizes.
    """
    if len(states) != len(shapes):
        raise ValueError(
            f"`{owner}` has {len(shapes)} states. Received: {len(states)} states"
        )
    for state, shape in zip(states, shapes, strict=True):
        given = tuple(state.shape)[1:]
        flat = len(given) == 1 and _fits_flat(given[0], shape)
        if None not in given and not fits(given, shape) and not flat:
            raise ValueError(
                f"A state of `{owner}` must have shape {('batch', *shape)}, or the "
                "same flattened to ('batch', size). Received: a state of shape "
                f"{tuple(state.shape)}"
            )


def numbers_of(tensor):
    """The numbers of a tensor, or `None` where there are none yet."""
    try:
        return np.asarray(ops.convert_to_numpy(tensor))
    except Exception:  # Each backend has an error of its own for symbolic tensors.
        return None


def _fits_flat(size, shape):
    known = math.prod(size for size in shape if size is not None)
    return size % known == 0 if None in shape else size == known
