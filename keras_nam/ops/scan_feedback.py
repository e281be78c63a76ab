"""A memory whose keys, values and gates see what was read before: LSAM.

A step computes `q, k, v, w, r` from the input and from `h_{t-1}`, and then

    M_t = M_{t-1} + w_t (v_t - M_{t-1} k_t) k_t^T
    h_t = r_t M_t q_t

Only the product with the recurrent kernel and the memory are in the loop. As in
`recurrent_scan`, the gradient runs the memory backwards instead of keeping it.
"""

from keras import ops

from keras_nam import backend
from keras_nam.ops.segments import join_segments
from keras_nam.ops.segments import needs_padding
from keras_nam.ops.segments import split_segments
from keras_nam.ops.step import dot
from keras_nam.ops.step import write_and_read
from keras_nam.ops.step import write_and_read_adjoint


def feedback_scan(projected, recurrent_kernel, hidden, memory, mask=None):
    """Scans with feedback.

    Args:
        projected: Tensor of shape `(batch, time, heads * (3 * dim + 2))`: what the
            input adds to `[query, key, value, write gate, read gate]`.
        recurrent_kernel: Tensor of shape `(units, heads * (3 * dim + 2))`: what
            `h_{t-1}` is multiplied with to add to the same, in this dtype.
        hidden: Tensor of shape `(batch, units)`, `h_0`.
        memory: Tensor of shape `(batch, heads, dim, dim)`, `M_0`.
        mask: Boolean tensor of shape `(batch, time)`. A masked (`False`) step leaves
            `h` and `M` as they are.

    Returns:
        `(outputs, hidden, memory)`: `h_1 ... h_T` as `(batch, time, units)`, and the
        states after the last step.
    """
    length = ops.shape(projected)[1]
    projected = ops.cast(projected, hidden.dtype)
    if mask is None and needs_padding(length):
        mask = ops.ones(ops.shape(projected)[:2], "bool")
    valid = None
    if mask is not None:
        valid = ops.cast(ops.expand_dims(mask, -1), hidden.dtype)
        valid = split_segments(valid, length)
    outputs, hidden, memory = _scan_segments(
        split_segments(projected, length), valid, recurrent_kernel, hidden, memory
    )
    return join_segments(outputs, length), hidden, memory


def _scan_segments(projected, valid, recurrent_kernel, hidden, memory):
    """Sequences of shape `(segments, steps, batch, ...)`."""

    @ops.custom_gradient
    def run(projected, recurrent_kernel, hidden, memory):
        def step(state, elements):
            return _step(state, *elements, recurrent_kernel)

        def segment(state, sequences):
            (hidden, memory), (outputs, saved) = backend.scan(step, state, sequences)
            return (hidden, memory), (outputs, saved, memory)

        sequences = (projected,) if valid is None else (projected, valid)
        (hidden_after, memory_after), (outputs, saved, ends) = backend.scan(
            segment, (hidden, memory), sequences
        )

        def gradient(outputs_gradient, hidden_gradient, memory_gradient):
            def step_back(state, elements):
                return _step_back(state, *elements, recurrent_kernel)

            def segment_back(state, elements):
                hidden_gradient, adjoint = state
                end, sequences = elements
                (hidden_gradient, _, adjoint), gradients = backend.scan(
                    step_back, (hidden_gradient, end, adjoint), sequences, reverse=True
                )
                return (hidden_gradient, adjoint), gradients

            sequences = (outputs_gradient, saved)
            if valid is not None:
                sequences = (*sequences, valid)
            (hidden_gradient, memory_gradient), fused_gradient = backend.scan(
                segment_back,
                (hidden_gradient, memory_gradient),
                (ends, sequences),
                reverse=True,
            )
            rows = ops.reshape(outputs, (-1, *ops.shape(hidden)))
            before = ops.concatenate([hidden[None], rows], axis=0)[:-1]
            kernel_gradient = ops.matmul(
                ops.transpose(_rows(ops.cast(before, recurrent_kernel.dtype))),
                _rows(ops.cast(fused_gradient, recurrent_kernel.dtype)),
            )
            return fused_gradient, kernel_gradient, hidden_gradient, memory_gradient

        return (outputs, hidden_after, memory_after), gradient

    return run(projected, recurrent_kernel, hidden, memory)


def _step(state, projected, *rest):
    """One step on `projected` and, if any are masked, `valid`."""
    *valid, kernel = rest
    hidden, memory = state
    heads, dim = memory.shape[1], memory.shape[-1]
    fused = projected + _product(hidden, kernel)
    pairs, value, gates = _split(fused, heads, dim)
    # The floor of `unit_normalize`, whose care for gradients is not needed here.
    scale = 1.0 / ops.maximum(ops.sqrt(dot(pairs, pairs)), 1e-12)
    pairs = pairs * scale
    gates = ops.sigmoid(gates)
    write, read = gates[:, 0], gates[:, 1]
    if valid:
        write = write * valid[0][..., None]
    memory, output, added, recalled = write_and_read(
        memory, pairs[:, 0], pairs[:, 1], write * value, write
    )
    new_hidden = ops.reshape(read * output, ops.shape(hidden))
    if valid:
        new_hidden = ops.where(valid[0] > 0, new_hidden, hidden)
    saved = (pairs, scale, value, gates, output, added, recalled)
    return (new_hidden, memory), (new_hidden, saved)


def _step_back(state, output_gradient, saved, *rest):
    """The adjoint of `_step`; the state holds the memory after the step."""
    *valid, kernel = rest
    hidden_gradient, memory, adjoint = state
    pairs, scale, value, gates, output, added, recalled = saved
    write, read = gates[:, 0], gates[:, 1]
    hidden_gradient = hidden_gradient + output_gradient
    read_out = ops.reshape(hidden_gradient, ops.shape(output))
    if valid:
        read_out = read_out * valid[0][..., None]
        write = write * valid[0][..., None]
    memory, adjoint, gradients = write_and_read_adjoint(
        memory,
        adjoint,
        pairs[:, 0],
        pairs[:, 1],
        added,
        recalled,
        write,
        read * read_out,
    )
    query_gradient, key_gradient, added_gradient, erase_gradient = gradients
    write_gradient = erase_gradient + dot(added_gradient, value)
    if valid:
        write_gradient = write_gradient * valid[0][..., None]
    gates_gradient = ops.stack([write_gradient, dot(read_out, output)], axis=1)
    pairs_gradient = ops.stack([query_gradient, key_gradient], axis=1)
    pairs_gradient = scale * (pairs_gradient - pairs * dot(pairs, pairs_gradient))
    fused_gradient = _join(
        pairs_gradient,
        write * added_gradient,
        gates_gradient * gates * (1.0 - gates),
    )
    before = _product(fused_gradient, ops.transpose(kernel))
    if valid:
        before = before + (1.0 - valid[0]) * hidden_gradient
    return (before, memory, adjoint), fused_gradient


def _split(fused, heads, dim):
    """Query and key `(batch, 2, heads, dim)`, value, and both gates alike."""
    batch, width = ops.shape(fused)[0], heads * dim
    return (
        ops.reshape(fused[:, : 2 * width], (batch, 2, heads, dim)),
        ops.reshape(fused[:, 2 * width : 3 * width], (batch, heads, dim)),
        ops.reshape(fused[:, 3 * width :], (batch, 2, heads, 1)),
    )


def _join(pairs, value, gates):
    batch = ops.shape(pairs)[0]
    return ops.concatenate(
        [ops.reshape(x, (batch, -1)) for x in (pairs, value, gates)], axis=-1
    )


def _product(x, kernel):
    """`x @ kernel` in the dtype of the kernel."""
    return ops.cast(ops.matmul(ops.cast(x, kernel.dtype), kernel), x.dtype)


def _rows(x):
    return ops.reshape(x, (-1, ops.shape(x)[-1]))
