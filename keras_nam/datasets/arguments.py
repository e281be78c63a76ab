"""Checks of the arguments that the tasks share."""

import math
import numbers
import operator


def check_integer(name, value, at_least):
    """Returns `value` as an `int`, or raises a `ValueError` if it is too small."""
    try:
        # True and False pass for 1 and 0 in Python, but never as a length or a size.
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < at_least:
        raise ValueError(
            f"Argument `{name}` must be an integer of at least {at_least}. "
            f"Received: {name}={value!r}"
        )
    return number


def check_range(low_name, low, high_name, high, at_least=1):
    """Returns both ends of a range as `int`, or raises a `ValueError`."""
    low = check_integer(low_name, low, at_least)
    high = check_integer(high_name, high, at_least)
    if low > high:
        raise ValueError(
            f"Argument `{low_name}` must not exceed `{high_name}`. "
            f"Received: {low_name}={low}, {high_name}={high}"
        )
    return low, high


def check_choice(name, value, choices):
    """Raises a `ValueError` unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"Argument `{name}` must be one of {tuple(choices)}. "
            f"Received: {name}={value!r}"
        )


def check_positive(name, value):
    """Returns `value` as a `float`, or raises a `ValueError` if it is not above 0."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise ValueError(
            f"Argument `{name}` must be a positive number. Received: {name}={value!r}"
        )
    return float(value)
