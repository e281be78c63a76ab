"""Checks of the arguments that the layers share."""

import math


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


def check_state(owner, state, shape):
    """Raises a `ValueError` unless `state` is `(batch, *shape)`, whole or flat."""
    given = tuple(state.shape)[1:]
    if None in given or fits(given, shape):
        return
    known = math.prod(size for size in shape if size is not None)
    size = given[0] if len(given) == 1 else 0
    if None in shape:
        flat_fits = size > 0 and size % known == 0
    else:
        flat_fits = size == known
    if not flat_fits:
        raise ValueError(
            f"A state of `{owner}` must have shape {('batch', *shape)}, or the same "
            f"flattened to ('batch', size). Received: a state of shape "
            f"{tuple(state.shape)}"
        )


def fits(shape, expected):
    """Whether two shapes agree wherever both are known."""
    return len(shape) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(shape, expected, strict=True)
    )
