"""An LSTM over time: the controller of NAM-TM, and what tells I-BERT the order.

    i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of x_t W + h_{t-1} R + b
    c_t = f c_{t-1} + i g
    h_t = o tanh(c_t)

The loop holds nothing but what depends on the step before: the product with the inputs
comes before it, and in the gradient all that does not depend on later steps, the
gradient of `R` included, comes before or after it.
"""

from keras import ops

from keras_nam import backend
from keras_nam.ops.recurrent_product import recurrent_kernel_gradient
from keras_nam.ops.recurrent_product import recurrent_product


def lstm_scan(projected, recurrent_kernel, hidden, carry, mask=None):
    """Scans with an LSTM.

    Args:
        projected: Tensor of shape `(batch, time, 4 * units)`, `x_t W + b` for
            `[i, f, g, o]`.
        recurrent_kernel: Tensor of shape `(units, 4 * units)`, in the dtype that
            products are to be computed in.
        hidden: Tensor of shape `(batch, units)`, `h_0`.
        carry: Tensor of shape `(batch, units)`, `c_0`.
        mask: Boolean tensor of shape `(batch, time)`. A masked (`False`) step leaves
            `h` and `c` as they are.

    Returns:
        `(outputs, hidden, carry)`: `h_1 ... h_T` as `(batch, time, units)`, and the
        states after the last step.
    """
    projected = ops.swapaxes(ops.cast(projected, hidden.dtype), 0, 1)
    valid = None
    if mask is not None:
        valid = ops.cast(ops.expand_dims(ops.swapaxes(mask, 0, 1), -1), hidden.dtype)
    outputs, hidden, carry = _scan(projected, valid, recurrent_kernel, hidden, carry)
    return ops.swapaxes(outputs, 0, 1), hidden, carry


def lstm_step(projected, recurrent_kernel, hidden, carry):
    """One step on `(batch, 4 * units)`: `(hidden, carry, gates)` after it."""
    gates = ops.cast(projected, hidden.dtype)
    gates = gates + recurrent_product(hidden, recurrent_kernel)
    gates = _activate(*ops.split(gates, 4, axis=-1))
    carry, hidden = _update(gates, carry)
    return hidden, carry, gates


def _scan(projected, valid, recurrent_kernel, hidden, carry):
    """Time-major."""

    @backend.custom_gradient
    def run(projected, recurrent_kernel, hidden, carry):
        def step(state, elements):
            projected, *valid = elements
            hidden, carry = state
            new_hidden, new_carry, gates = lstm_step(
                projected, recurrent_kernel, hidden, carry
            )
            if valid:
                new_carry = ops.where(valid[0] > 0, new_carry, carry)
                new_hidden = ops.where(valid[0] > 0, new_hidden, hidden)
            return (new_hidden, new_carry), (new_hidden, new_carry, gates)

        sequences = (projected,) if valid is None else (projected, valid)
        (hidden_after, carry_after), (outputs, carries, gates) = backend.scan(
            step, (hidden, carry), sequences
        )

        def gradient(outputs_gradient, hidden_gradient, carry_gradient):
            def step_back(state, elements):
                return _step_back(state, *elements, recurrent_kernel)

            before = ops.concatenate([carry[None], carries], axis=0)[:-1]
            sequences = (outputs_gradient, before, gates)
            if valid is not None:
                sequences = (*sequences, valid)
            states_gradient, fused = backend.scan(
                step_back, (hidden_gradient, carry_gradient), sequences, reverse=True
            )
            kernel_gradient = recurrent_kernel_gradient(
                hidden, outputs, fused, recurrent_kernel
            )
            return fused, kernel_gradient, *states_gradient

        return (outputs, hidden_after, carry_after), gradient

    return run(projected, recurrent_kernel, hidden, carry)


def _activate(write, keep, candidate, read):
    return ops.sigmoid(write), ops.sigmoid(keep), ops.tanh(candidate), ops.sigmoid(read)


def _update(gates, carry):
    write, keep, candidate, read = gates
    carry = keep * carry + write * candidate
    return carry, read * ops.tanh(carry)


def _step_back(state, output_gradient, carry, gates, *rest):
    """The adjoint of a step that started with `carry`."""
    *valid, kernel = rest
    hidden_gradient, carry_gradient = state
    write, keep, candidate, read = gates
    hidden_gradient = hidden_gradient + output_gradient
    active_gradient = hidden_gradient * valid[0] if valid else hidden_gradient
    squashed = ops.tanh(_update(gates, carry)[0])
    read_gradient = active_gradient * read
    change = carry_gradient * valid[0] if valid else carry_gradient
    change = change + read_gradient * (1.0 - squashed * squashed)
    kept = change * keep
    fused = ops.concatenate(
        [
            change * candidate * write * (1.0 - write),
            kept * carry * (1.0 - keep),
            change * write * (1.0 - candidate * candidate),
            read_gradient * squashed * (1.0 - read),
        ],
        axis=-1,
    )
    before = recurrent_product(fused, ops.transpose(kernel))
    if valid:
        before = before + (1.0 - valid[0]) * hidden_gradient
        kept = kept + (1.0 - valid[0]) * carry_gradient
    return (before, kept), fused
