"""The product of a recurrent loop with its kernel, and the kernel's gradient."""

from keras import ops

from keras_nam.ops.memory import transpose


def recurrent_product(x, kernel):
    """`x @ kernel`, computed in the dtype of the kernel, in the dtype of `x`."""
    return ops.cast(ops.matmul(ops.cast(x, kernel.dtype), kernel), x.dtype)


def recurrent_kernel_gradient(initial, outputs, product_gradients, kernel):
    """The gradient of the kernel, as one product for all steps.

    Args:
        initial: Tensor of shape `(..., batch, units)`, what the first step multiplied.
            The leading axes, if any, are those of the kernel.
        outputs: Tensor of shape `(time..., ..., batch, units)`, what the steps after
            it multiplied, and the last output.
        product_gradients: Tensor of shape `(time..., ..., batch, columns)`.
        kernel: Tensor of shape `(..., units, columns)`.

    Returns:
        Tensor of the shape of the kernel.
    """
    steps = ops.reshape(outputs, (-1, *ops.shape(initial)))
    multiplied = ops.concatenate([initial[None], steps], axis=0)[:-1]
    multiplied, product_gradients = (
        _join_time_and_batch(ops.cast(x, kernel.dtype), kernel.shape[:-2])
        for x in (multiplied, product_gradients)
    )
    return ops.matmul(transpose(multiplied), product_gradients)


def _join_time_and_batch(x, leading):
    """`(time..., *leading, batch, size)` to `(*leading, time * batch, size)`."""
    batch, size = ops.shape(x)[-2:]
    if not leading:
        return ops.reshape(x, (-1, size))
    x = ops.reshape(x, (-1, *leading, batch, size))
    x = ops.moveaxis(x, 0, -3)
    return ops.reshape(x, (*leading, -1, size))
