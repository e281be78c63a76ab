"""Conversion and checks of the arguments that the operations share."""

import keras
import numpy as np
from keras import ops

from keras_nam.shapes import fits


def at_least_float32(x):
    """Casts half precision and integers to float32; wider floats stay as they are."""
    (x,) = promote(x)
    return x


def promote(*tensors):
    """Casts tensors to their common dtype, at least float32; `None` stays `None`."""
    tensors = [None if x is None else ops.convert_to_tensor(x) for x in tensors]
    dtypes = [x.dtype for x in tensors if x is not None]
    dtype = keras.backend.result_type(*dtypes, "float32")
    return [None if x is None else ops.cast(x, dtype) for x in tensors]


def check_rank(name, tensor, rank, meaning):
    """Raises a `ValueError` if `tensor` does not have `rank` axes."""
    if len(_shape(tensor)) != rank:
        raise ValueError(
            f"Argument `{name}` must have shape {meaning}. "
            f"Received: {name}.shape={_shape(tensor)}"
        )


def check_shape(name, tensor, expected, meaning):
    """Raises a `ValueError` if the static shape of `tensor` is not `expected`.

    Args:
        name: String. The argument's name.
        tensor: The tensor, or nested numbers, that were passed.
        expected: Tuple of integers, `None` where any size will do.
        meaning: String. The expected shape in words.
    """
    shape = _shape(tensor)
    if not fits(shape, tuple(expected)):
        raise ValueError(
            f"Argument `{name}` must have shape {meaning}, here {tuple(expected)}. "
            f"Received: {name}.shape={shape}"
        )


def _shape(tensor):
    return tuple(tensor.shape if hasattr(tensor, "shape") else np.shape(tensor))
