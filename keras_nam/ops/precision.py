"""The precision that the operations run in: float32 or wider."""

import keras
import numpy as np
from keras import ops


def as_tensor(name, value):
    """Returns `value` as a tensor, or raises a `ValueError` if it has no numbers."""
    if not hasattr(value, "dtype"):
        try:
            value = np.asarray(value)
        except (TypeError, ValueError):  # Rows of different lengths.
            value = np.array(None)
        if value.dtype.kind not in "biuf":
            raise ValueError(
                f"Argument `{name}` must be a tensor of numbers. "
                f"Received: {name}={value!r}"
            )
        # As Keras takes Python's numbers.
        if value.dtype == np.float64:
            value = value.astype(keras.config.floatx())
    return ops.convert_to_tensor(value)


def at_least_float32(x):
    """Casts half precision and integers to float32; wider floats stay as they are."""
    (x,) = promote(x)
    return x


def floating_dtype(x):
    """The dtype of `x`, or of what becomes of it in a product if it is of integers."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    return dtype if keras.backend.is_float_dtype(dtype) else "float32"


def promote(*tensors):
    """Casts tensors to their common dtype, at least float32; `None` stays `None`."""
    tensors = [None if x is None else ops.convert_to_tensor(x) for x in tensors]
    dtypes = [x.dtype for x in tensors if x is not None]
    dtype = keras.backend.result_type(*dtypes, "float32")
    return [None if x is None else ops.cast(x, dtype) for x in tensors]
