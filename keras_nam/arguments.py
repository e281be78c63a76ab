"""Checks of what users pass: numbers and choices, then shapes and states.

NumPy is all it needs, so that the tasks of `keras_nam.datasets` need no more either.
"""

import math
import numbers
import operator
import os
from pathlib import Path

import numpy as np

# What an axis of a tensor can have at most.
LARGEST = 2**31 - 1


def check_integer(name, value, at_least=1, at_most=LARGEST):
    """Returns `value` as an `int`, or raises a `ValueError` if it is out of range."""
    try:
        # True and False pass for 1 and 0 in Python, but never as a length or a size.
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not at_least <= number <= at_most:
        expected = "a positive integer"
        if at_least != 1:
            expected = f"an integer of at least {at_least}"
        if number is not None and number > at_most:
            expected += f" and at most {at_most}"
        raise ValueError(
            f"Argument `{name}` must be {expected}. Received: {name}={value!r}"
        )
    return number


def check_seed(name, value):
    """Returns a non-negative `int` of any size, or raises a `ValueError`."""
    return check_integer(name, value, at_least=0, at_most=math.inf)


def check_optional_integer(name, value, at_least=1):
    """`check_integer` of what may also be `None`."""
    return None if value is None else check_integer(name, value, at_least)


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


def check_number(name, value, at_least=-math.inf, below=math.inf):
    """Returns `value` as a `float`, or raises a `ValueError` if it is out of range."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        number = float(value) if is_number else math.nan
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and at_least <= number < below):
        limits = [f"of at least {at_least}"] if at_least > -math.inf else []
        limits += [f"below {below}"] if below < math.inf else []
        expected = f"a finite number {' and '.join(limits)}".strip()
        raise ValueError(
            f"Argument `{name}` must be {expected}. Received: {name}={value!r}"
        )
    return number


def check_rate(name, value):
    """Returns `value` as a `float`, or raises a `ValueError` unless in `[0, 1)`."""
    return check_number(name, value, at_least=0, below=1)


def check_positive(name, value):
    """Returns `value` as a `float`, or raises a `ValueError` if it is not above 0."""
    if check_number(name, value) <= 0:
        raise ValueError(
            f"Argument `{name}` must be a positive number. Received: {name}={value!r}"
        )
    return float(value)


def check_boolean(name, value):
    """Returns `value` as a `bool`, or raises a `ValueError` unless it is one."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(
            f"Argument `{name}` must be True or False. Received: {name}={value!r}"
        )
    return bool(value)


def check_choice(name, value, choices, otherwise=""):
    """Returns `value`, or raises a `ValueError` unless it is one of `choices`.

    Args:
        name: String. The argument's name.
        value: What was passed.
        choices: The strings it may be, and `None` where that is a choice.
        otherwise: String. What else it may be, in words, as `" or a layer"`.
    """
    if not isinstance(value, (str, type(None))) or value not in choices:
        raise ValueError(
            f"Argument `{name}` must be one of {tuple(choices)}{otherwise}. "
            f"Received: {name}={value!r}"
        )
    return value


def check_instance(name, value, classes, expected=None):
    """Returns `value`, or raises a `ValueError` unless it is of one of `classes`.

    Args:
        name: String. The argument's name.
        value: What was passed.
        classes: Class, or tuple of classes.
        expected: String. What it must be, in words. `None` means the class.
    """
    if not isinstance(value, classes):
        expected = expected or f"a `{classes.__name__}`"
        raise ValueError(
            f"Argument `{name}` must be {expected}. "
            f"Received: {name}={value!r} (of type {type(value)})"
        )
    return value


def check_optional_string(name, value):
    """Returns `value`, or raises a `ValueError` unless it is a string or `None`."""
    return check_instance(name, value, (str, type(None)), "a string or None")


def check_list(name, value, classes, expected, at_least=0):
    """Returns a list of what is in `value`, or raises a `ValueError`.

    Args:
        name: String. The argument's name.
        value: What was passed: a list, a tuple or an array.
        classes: Class, or tuple of classes, that all of it must be of.
        expected: String. What it must be, in words.
        at_least: Integer. How many there must be.
    """
    is_array = isinstance(value, np.ndarray) and value.ndim > 0
    items = list(value) if is_array or isinstance(value, (list, tuple, range)) else None
    if (
        items is None
        or len(items) < at_least
        or not all(isinstance(item, classes) for item in items)
    ):
        raise ValueError(
            f"Argument `{name}` must be {expected}. Received: {_described(name, value)}"
        )
    return items


def check_jit_compile(value):
    """Returns what `keras.Model.compile` may take as `jit_compile`."""
    if isinstance(value, str) and value == "auto":
        return value
    return check_boolean("jit_compile", value)


def check_verbose(value, choices=(0, 1, 2)):
    """Returns what `keras.Model.fit` may take as `verbose`."""
    if isinstance(value, str) and value == "auto":
        return value
    if isinstance(value, (int, np.integer)) and value in choices:
        return int(value)
    raise ValueError(
        f'Argument `verbose` must be one of {choices} or "auto". '
        f"Received: verbose={value!r}"
    )


def check_strings(name, values, classes=str, at_least=0):
    """`check_list` of strings, which must be valid Unicode."""
    expected = f"a list of strings{', at least one' if at_least else ''}"
    strings = check_list(name, values, classes, expected, at_least)
    # Those of NumPy print as no others do.
    strings = [str(x) if isinstance(x, str) else x for x in strings]
    for string in strings:
        if isinstance(string, str) and not _is_unicode(string):
            raise ValueError(
                f"Argument `{name}` must hold valid Unicode. Received: {string!r}"
            )
    return strings


def check_integers(name, values, ranks=1, at_least=0, at_most=LARGEST):
    """Returns an integer array, or raises a `ValueError` unless `values` are one.

    Args:
        name: String. The argument's name.
        values: Array, tensor, range, or nested list of integers.
        ranks: Integer or tuple of integers, the numbers of axes it may have.
        at_least: Integer, the smallest number that may be in it.
        at_most: Integer, the largest one.
    """
    ranks = (ranks,) if isinstance(ranks, int) else ranks
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # Rows of different lengths.
        array = np.array(None)
    # An empty list has no integer type of its own.
    if array.size == 0 and array.dtype == np.float64:
        array = array.astype(np.int32)
    if array.dtype.kind not in "iu" or array.ndim not in ranks:
        raise ValueError(
            f"Argument `{name}` must hold integers, with "
            f"{' or '.join(map(str, ranks))} axes. Received: {_described(name, values)}"
        )
    if array.size and not at_least <= array.min() <= array.max() <= at_most:
        raise ValueError(
            f"Argument `{name}` must hold integers from {at_least} to {at_most}. "
            f"Received: {name} from {array.min()} to {array.max()}"
        )
    return array


def check_numbers(name, values):
    """Returns an array of one axis or more, or raises a `ValueError`."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # Rows of different lengths.
        array = np.array(None)
    # Types that NumPy does not know itself, as bfloat16, have the kind V.
    if array.dtype.kind not in "iufbV" or array.ndim == 0:
        raise ValueError(
            f"Argument `{name}` must be an array of numbers. "
            f"Received: {_described(name, values)}"
        )
    return array


def check_vector(name, values, at_least=1):
    """Returns float64 of shape `(n,)` without NaN, or raises a `ValueError`."""
    array = check_numbers(name, values)
    vector = array.astype("float64") if array.ndim == 1 else array
    if vector.ndim != 1 or len(vector) < at_least or np.isnan(vector).any():
        raise ValueError(
            f"Argument `{name}` must have shape (n,), with at least {at_least} numbers "
            f"and no NaN. Received: {_described(name, values)}"
        )
    return vector


def check_path(name, value):
    """Returns `value` as a `Path`, or raises a `ValueError` unless it names one."""
    text = str(value) if isinstance(value, (str, os.PathLike)) else ""
    if not text or "\0" in text or not _is_unicode(text):
        raise ValueError(
            f"Argument `{name}` must be a string or a path. Received: {name}={value!r}"
        )
    return Path(value).expanduser()


def check_destination(name, value):
    """Returns where to write to as a string, which may be a URL."""
    check_path(name, value)
    return os.path.expanduser(value)


def check_cells(shape, **received):
    """Raises a `ValueError` if an array of such a shape has more cells than fit."""
    if math.prod(max(1, size) for size in shape) > LARGEST:
        arguments = ", ".join(f"{name}={size}" for name, size in received.items())
        raise ValueError(
            f"An array may have at most {LARGEST} cells, and this one would have the "
            f"shape {tuple(shape)}. Received: {arguments}"
        )


def check_absent(arguments, names, reason):
    """Raises a `ValueError` if a subclass is given what only its base class has."""
    for name in names:
        if name in arguments:
            raise ValueError(
                f"{reason}, so that there is no argument `{name}`. "
                f"Received: {name}={arguments[name]!r}"
            )


def check_divisible(name, value, divisor_name, divisor):
    """Raises a `ValueError` unless `divisor` divides `value`, which is known."""
    if value is None or value % divisor:
        raise ValueError(
            f"Argument `{name}` must be divisible by `{divisor_name}`. "
            f"Received: {name}={value}, {divisor_name}={divisor}"
        )


def fits(shape, expected):
    """Whether two shapes agree wherever both are known (not `None`)."""
    return len(shape) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(shape, expected, strict=True)
    )


def check_dense(name, tensor):
    """Raises a `ValueError` for a ragged tensor."""
    if hasattr(tensor, "row_lengths") or getattr(tensor, "ragged", False):
        raise ValueError(
            f"Argument `{name}` must be a dense tensor. Pad the rows with "
            "`tensor.to_tensor()`, and pass `tf.sequence_mask(tensor.row_lengths())` "
            f"as the mask. Received: {name} of type {type(tensor).__name__}"
        )


def check_rank(name, tensor, rank, meaning):
    """Raises a `ValueError` if `tensor` does not have `rank` axes."""
    shape = _shape(name, tensor)
    if len(shape) != rank:
        raise ValueError(
            f"Argument `{name}` must have shape {meaning}. "
            f"Received: {name}.shape={shape}"
        )


def check_shape(name, tensor, expected, meaning):
    """Raises a `ValueError` if the static shape of `tensor` is not `expected`.

    Args:
        name: String. The argument's name.
        tensor: The tensor, or nested numbers, that were passed.
        expected: Tuple of integers, `None` where any size will do.
        meaning: String. The expected shape in words.
    """
    shape = _shape(name, tensor)
    if not fits(shape, tuple(expected)):
        raise ValueError(
            f"Argument `{name}` must have shape {meaning}, here {tuple(expected)}. "
            f"Received: {name}.shape={shape}"
        )


def check_mask(name, mask, shape):
    """Raises a `ValueError` unless `mask` is boolean, or 0 and 1, one for each step.

    Args:
        name: String. The argument's name.
        mask: The tensor or array that was passed.
        shape: Tuple `(batch, time)`, `None` where a size is unknown.
    """
    check_shape(name, mask, shape, "(batch, time)")
    dtype = str(mask.dtype if hasattr(mask, "dtype") else np.asarray(mask).dtype)
    # Of numbers, some would be added to scores, and 0 mean what is seen.
    if "bool" not in dtype and "int" not in dtype:
        raise ValueError(
            f"Argument `{name}` must be boolean, True where a step is seen. "
            f"Received: {name}.dtype={dtype}"
        )


def check_segment_ids(segment_ids, shape):
    """Raises a `ValueError` unless there is an integer for each step, or `None`."""
    if segment_ids is None:
        return
    check_shape("segment_ids", segment_ids, shape, "(batch, time)")
    ids = segment_ids if hasattr(segment_ids, "dtype") else np.asarray(segment_ids)
    if "int" not in str(ids.dtype):
        raise ValueError(
            "Argument `segment_ids` must hold integers. "
            f"Received: segment_ids.dtype={ids.dtype}"
        )


def check_gate(name, gate, expected, meaning, channels=None):
    """`check_shape` of what may also be one number for all, or `None`.

    With a number of `channels`, a gate may also have that many at each place.
    """
    if isinstance(gate, (int, float)):
        check_number(name, gate, -LARGEST, LARGEST)
    elif gate is not None:
        if channels is not None and len(_shape(name, gate)) > len(expected):
            expected = (*expected, channels)
        check_shape(name, gate, expected, meaning)


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
        whole = _shape("initial_state", state)
        given = whole[1:]
        flat = len(given) == 1 and _fits_flat(given[0], shape)
        if not whole or None not in given and not fits(given, shape) and not flat:
            raise ValueError(
                f"A state of `{owner}` must have shape {('batch', *shape)}, or the "
                "same flattened to ('batch', size). Received: a state of shape "
                f"{whole}"
            )


def _shape(name, tensor):
    check_dense(name, tensor)
    return tuple(tensor.shape if hasattr(tensor, "shape") else np.shape(tensor))


def _is_unicode(string):
    """Whether a string has no half of a character, which no encoding knows."""
    return string.isascii() or not any("\ud800" <= x <= "\udfff" for x in string)


def _described(name, values):
    """What was passed in few words: a shape and a type, or the thing itself."""
    if hasattr(values, "shape") and hasattr(values, "dtype"):
        return f"{name} of shape {tuple(values.shape)} and dtype {values.dtype}"
    text = repr(values)
    return f"{name}={text if len(text) < 200 else text[:200] + '...'}"


def _fits_flat(size, shape):
    known = math.prod(size for size in shape if size is not None)
    return size % known == 0 if None in shape else size == known
