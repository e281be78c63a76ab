"""Which positions of a batch of sequences count."""

import keras
from keras import ops

from keras_nam.arguments import check_instance
from keras_nam.arguments import check_optional_string
from keras_nam.arguments import fits
from keras_nam.ops.precision import as_tensor


def check_name_and_dtype(name, dtype):
    """Raises a `ValueError` unless both are ones that a metric may have."""
    check_optional_string("name", name)
    kinds = (str, keras.DTypePolicy, type(None))
    check_instance("dtype", dtype, kinds, "the name of a dtype, a policy or None")


def convert_batch(y_true, y_pred, sample_weight=None, all_positions=False):
    """Checks the shapes of a batch and spreads its weights over all positions.

    Args:
        y_true: Integers of shape `(batch, time)`.
        y_pred: Numbers of shape `(batch, time, classes)`.
        sample_weight: `None`, or numbers of shape `(batch,)`, `(batch, 1)` or
            `(batch, time)`.
        all_positions: Boolean. Whether to ignore weights but those of whole rows, of
            shape `(batch,)`.

    Returns:
        A tuple of tensors `(y_true, y_pred, weights)`: int32, and twice float32 or
        wider. `weights` has the shape of `y_true`.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    y_true, y_pred = as_tensor("y_true", y_true), as_tensor("y_pred", y_pred)
    shape = tuple(y_true.shape)
    if len(shape) != 2 or not fits(tuple(y_pred.shape), (*shape, None)):
        raise ValueError(
            "`y_true` must have shape (batch, time) and `y_pred` shape (batch, time, "
            f"classes). Received: y_true.shape={shape}, "
            f"y_pred.shape={tuple(y_pred.shape)}"
        )
    # Half precision would lose small losses, and could not count a larger batch.
    dtype = keras.backend.result_type(y_pred.dtype, "float32")
    y_true, y_pred = ops.cast(y_true, "int32"), ops.cast(y_pred, dtype)
    weights = ops.ones_like(y_true, dtype=dtype)
    if sample_weight is not None:
        sample_weight = ops.cast(as_tensor("sample_weight", sample_weight), dtype)
        given = tuple(sample_weight.shape)
        if all_positions and len(given) == 2:
            return y_true, y_pred, weights
        allowed = shape[:1], (shape[0], 1), shape
        if not any(fits(given, wanted) for wanted in allowed):
            raise ValueError(
                "Argument `sample_weight` must have shape (batch,), (batch, 1) or "
                f"(batch, time), here one of {allowed}. Received: "
                f"sample_weight.shape={given}"
            )
        if len(given) == 1:
            sample_weight = sample_weight[:, None]
        weights = weights * sample_weight
    return y_true, y_pred, weights
