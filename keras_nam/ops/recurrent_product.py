"""The product of a recurrent loop with its kernel, and the kernel's gradient."""

from keras import ops


def recurrent_product(x, kernel):
    """`x @ kernel`, computed in the dtype of the kernel, in the dtype of `x`."""
    return ops.cast(ops.matmul(ops.cast(x, kernel.dtype), kernel), x.dtype)


def recurrent_kernel_gradient(initial, outputs, product_gradients, kernel):
    """The gradient of the kernel, as one product for all steps.

    Args:
        initial: Tensor of shape `(batch, units)`, what the first step multiplied.
        outputs: Tensor of shape `(time..., batch, units)`, what the steps after it
            multiplied, and the last output.
        product_gradients: Tensor of shape `(time..., batch, columns)`.
        kernel: Tensor of shape `(units, columns)`.

    Returns:
        Tensor of the shape of the kernel.
    """
    steps = ops.reshape(outputs, (-1, *ops.shape(initial)))
    multiplied = ops.concatenate([initial[None], steps], axis=0)[:-1]
    multiplied, product_gradients = (
        ops.cast(ops.reshape(x, (-1, ops.shape(x)[-1])), kernel.dtype)
        for x in (multiplied, product_gradients)
    )
    return ops.matmul(ops.transpose(multiplied), product_gradients)
