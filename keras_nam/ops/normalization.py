"""Unit normalisation of keys, queries and tape positions."""

import numbers

from keras import ops

from keras_nam.arguments import check_positive
from keras_nam.ops.precision import as_tensor
from keras_nam.ops.precision import at_least_float32
from keras_nam.ops.precision import floating_dtype

EPSILON = 1e-12


def unit_normalize(x, axis=-1, epsilon=EPSILON):
    """Scales `x` to unit length along `axis`.

    Computes `x / max(norm(x), epsilon)`. The floor is on the norm, not on its
    square: zero vectors give zeros, and their gradient is finite (`1 / epsilon`).
    The computation runs in float32 or wider, whatever the dtype of `x`, and vectors
    whose squares overflow are scaled first.

    Args:
        x: Tensor of any rank.
        axis: Integer. The axis along which the norm is taken.
        epsilon: Number above 0. The smallest norm that `x` is divided by.

    Returns:
        Tensor of the shape and dtype of `x`; of integers, in float32.

    Example:

    ```python
    keras_nam.ops.unit_normalize([[3.0, 4.0], [0.0, 0.0]])
    # [[0.6, 0.8], [0.0, 0.0]]
    ```

    Raises:
        ValueError: If `epsilon` is not positive, or `x` has no such axis.
    """
    epsilon = check_positive("epsilon", epsilon)
    x = as_tensor("x", x)
    if not isinstance(axis, numbers.Integral) or isinstance(axis, bool):
        raise ValueError(f"Argument `axis` must be an integer. Received: axis={axis!r}")
    if not -len(x.shape) <= axis < len(x.shape):
        raise ValueError(
            f"Argument `x` must have the axis `axis`. Received: axis={axis}, "
            f"x.shape={tuple(x.shape)}"
        )
    axis = int(axis)
    wide = at_least_float32(x)
    # The result does not depend on this scale, so neither does the gradient.
    largest = ops.norm(wide, ord=float("inf"), axis=axis, keepdims=True)
    scale = ops.stop_gradient(ops.maximum(largest, 1.0))
    wide, floor = wide / scale, epsilon / scale
    squared_norm = ops.sum(ops.square(wide), axis=axis, keepdims=True)
    below = squared_norm <= floor * floor
    # The square root never sees the squares that lie below the floor: its
    # derivative at zero is infinite.
    norm = ops.sqrt(ops.where(below, 1.0, squared_norm))
    unit = wide * ops.where(below, 1.0 / floor, 1.0 / norm)
    return ops.cast(unit, floating_dtype(x))
