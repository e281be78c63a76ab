"""A memory whose keys, values and gates see what was read before: LSAM.

A step computes `k, q, v, w, r` from the input and from `h_{t-1}`, and then

    M_t = M_{t-1} + u_t k_t^T,  u_t = w_t (v_t - M_{t-1} k_t)
    h_t = r_t M_t q_t

Only the product with the recurrent kernel and the memory are in the loop, which is
bound by the traffic of the memory matrices. Steps are therefore taken in blocks: the
matrix stays as it is within a block, and the few writes since its start are kept as
vectors beside it,

    M_t x = M x + sum_s u_s (k_s . x)

so that a step reads the matrix once and never writes it. As in `recurrent_scan`, the
gradient runs the memory backwards instead of keeping it.
"""

from typing import NamedTuple

from keras import ops

from keras_nam import backend
from keras_nam.ops.lsam_step import head_sizes
from keras_nam.ops.memory import transpose
from keras_nam.ops.normalization import EPSILON
from keras_nam.ops.projection import split_heads
from keras_nam.ops.recurrent_product import recurrent_kernel_gradient
from keras_nam.ops.recurrent_product import recurrent_product
from keras_nam.ops.segments import join_segments
from keras_nam.ops.segments import needs_padding
from keras_nam.ops.segments import split_segments
from keras_nam.ops.step import dot

BLOCK_LENGTH = 4


def lsam_scan(projected, recurrent_kernel, hidden, memory, mask=None):
    """Runs `lsam_step` over time.

    Args:
        projected: Tensor of shape `(batch, time, columns)`, see `lsam_step`.
        recurrent_kernel: Tensor of shape `(units, columns)`, see `lsam_step`.
        hidden: Tensor of shape `(batch, units)`, `h_0`.
        memory: Tensor of shape `(batch, heads, dim, dim)`, `M_0`.
        mask: Boolean tensor of shape `(batch, time)`. A masked (`False`) step leaves
            `h` and `M` as they are.

    Returns:
        `(outputs, hidden, memory)`: `h_1 ... h_T` as `(batch, time, units)`, and the
        states after the last step.
    """
    length = ops.shape(projected)[1]
    block = min(BLOCK_LENGTH, length) if isinstance(length, int) else BLOCK_LENGTH
    heads, sizes = memory.shape[1], head_sizes(memory.shape[-1])
    projected = _by_head(ops.cast(projected, hidden.dtype), heads, sizes)
    if mask is None and needs_padding(length, block):
        mask = ops.ones(ops.shape(projected)[:2], "bool")
    valid = None
    if mask is not None:
        valid = ops.cast(ops.expand_dims(mask, -1), hidden.dtype)
        valid = split_segments(valid, length, block=block)
    outputs, hidden, memory = _scan_segments(
        split_segments(projected, length, block=block),
        valid,
        _by_head(recurrent_kernel, heads, sizes),
        hidden,
        memory,
    )
    return join_segments(outputs, length, time_axes=3), hidden, memory


class _Saved(NamedTuple):
    """What a step leaves for its gradient."""

    pair: object  # (batch, heads, 2, dim), query and key of unit length
    scale: object  # (batch, heads, 2, 1), one over the lengths that they had
    value: object  # (batch, heads, dim)
    gates: object  # (batch, heads, 2), write and read
    recalled: object  # (batch, heads, dim), M_{t-1} k_t
    added: object  # (batch, heads, dim), u_t
    read: object  # (batch, heads, dim), M_t q_t


def _scan_segments(projected, valid, recurrent_kernel, hidden, memory):
    """Sequences of shape `(segments, blocks, steps, batch, ...)`."""

    @backend.custom_gradient
    def run(projected, recurrent_kernel, hidden, memory):
        def block(state, elements):
            return _block(state, *elements, recurrent_kernel)

        def segment(state, sequences):
            (hidden, memory), (outputs, saved) = backend.scan(block, state, sequences)
            return (hidden, memory), (outputs, saved, memory)

        sequences = (projected,) if valid is None else (projected, valid)
        # Rows of a product with a matrix are what processors are best at, so the
        # memory stands with its keys as rows here, and with its values below.
        (hidden_after, memory_after), (outputs, saved, ends) = backend.scan(
            segment, (hidden, transpose(memory)), sequences
        )

        def gradient(outputs_gradient, hidden_gradient, memory_gradient):
            def block_back(state, elements):
                return _block_back(state, *elements, recurrent_kernel)

            def segment_back(state, elements):
                hidden_gradient, adjoint = state
                end, sequences = elements
                (hidden_gradient, _, adjoint), gradients = backend.scan(
                    block_back,
                    (hidden_gradient, transpose(end), adjoint),
                    sequences,
                    reverse=True,
                )
                return (hidden_gradient, adjoint), gradients

            sequences = (outputs_gradient, saved)
            if valid is not None:
                sequences = (*sequences, valid)
            (hidden_gradient, memory_gradient), fused_gradient = backend.scan(
                segment_back,
                (hidden_gradient, transpose(memory_gradient)),
                (ends, sequences),
                reverse=True,
            )
            kernel_gradient = recurrent_kernel_gradient(
                hidden, outputs, fused_gradient, recurrent_kernel
            )
            memory_gradient = transpose(memory_gradient)
            return fused_gradient, kernel_gradient, hidden_gradient, memory_gradient

        return (outputs, hidden_after, transpose(memory_after)), gradient

    return run(projected, recurrent_kernel, hidden, memory)


def _block(state, projected, *rest):
    """A block of steps on `projected` and, if any are masked, `valid`.

    The memory of the state has keys as rows.
    """
    *valid, kernel = rest
    hidden, memory = state
    heads, dim = memory.shape[1], memory.shape[-1]
    outputs, saved = [], []
    keys = added_so_far = None
    for step in range(projected.shape[0]):
        fused = projected[step] + recurrent_product(hidden, kernel)
        pair, value, gates = _split(fused, heads, dim)
        # `unit_normalize`, whose care for gradients is not needed here.
        scale = ops.rsqrt(ops.maximum(dot(pair, pair), EPSILON * EPSILON))
        pair = pair * scale
        gates = ops.sigmoid(gates)
        write, read = gates[..., :1], gates[..., 1:]
        if valid:
            write = write * valid[0][step][..., None]
        both = ops.matmul(pair, memory)
        if step:
            both = both + _low_rank(pair, keys, added_so_far)
        before, recalled = both[:, :, 0], both[:, :, 1]
        query, key = pair[:, :, 0], pair[:, :, 1]
        added = write * (value - recalled)
        output = before + added * dot(key, query)
        new_hidden = ops.reshape(read * output, ops.shape(hidden))
        if valid:
            new_hidden = ops.where(valid[0][step] > 0, new_hidden, hidden)
        hidden = new_hidden
        keys = _append(keys, key[:, :, None])
        added_so_far = _append(added_so_far, added[:, :, None])
        outputs.append(hidden)
        saved.append(_Saved(pair, scale, value, gates, recalled, added, output))
    memory = memory + ops.einsum("bhsk,bhsv->bhkv", keys, added_so_far)
    saved = _Saved(*(ops.stack(x) for x in zip(*saved, strict=True)))
    return (hidden, memory), (ops.stack(outputs), saved)


def _block_back(state, outputs_gradient, saved, *rest):
    """The adjoint of `_block`, which takes its writes back as well.

    The memory of the state is the one after the block, with values as rows; `adjoint`
    is the gradient of the loss with respect to it, with keys as rows.
    """
    *valid, kernel = rest
    hidden_gradient, memory, adjoint = state
    steps, _, heads, _, dim = saved.pair.shape
    pairs = ops.transpose(saved.pair, (1, 2, 0, 3, 4))
    keys = pairs[:, :, :, 1]
    pairs = ops.reshape(pairs, (-1, heads, 2 * steps, dim))
    added = ops.transpose(saved.added, (1, 2, 0, 3))
    memory = memory - ops.einsum("bhsv,bhsk->bhvk", added, keys)
    # What the adjoint after the block has to say, for all steps at once.
    added_gradients = ops.matmul(keys, adjoint)
    key_gradients = ops.matmul(added, transpose(adjoint))
    # Of every key with every query and key.
    overlaps = ops.matmul(keys, transpose(pairs))

    fused_gradients = [None] * steps
    later = None  # Rows [r dh, -e du] of the steps after this one.
    for step in reversed(range(steps)):
        pair, gates = saved.pair[step], saved.gates[step]
        query, key = pair[:, :, 0], pair[:, :, 1]
        write, read = gates[..., :1], gates[..., 1:]
        hidden_gradient = hidden_gradient + outputs_gradient[step]
        read_out = ops.reshape(hidden_gradient, ops.shape(saved.read[step]))
        if valid:
            mask = valid[0][step][..., None]
            read_out = read_out * mask
            write = write * mask
        output_gradient = read * read_out

        added_gradient = added_gradients[:, :, step] + output_gradient * dot(key, query)
        key_gradient = key_gradients[:, :, step]
        if later is not None:
            scores = overlaps[:, :, step, 2 * step + 2 :, None]
            added_gradient = added_gradient + ops.sum(scores * later, axis=2)
            scores = dot(saved.added[step][:, :, None], later)
            key_gradient = key_gradient + ops.sum(
                scores * pairs[:, :, 2 * step + 2 :], axis=2
            )
        erased = write * added_gradient
        both = ops.stack([output_gradient, -erased], axis=2)
        later = both if later is None else ops.concatenate([both, later], axis=2)
        reads = ops.matmul(both, memory)
        if step:
            reads = reads + _low_rank(both, added[:, :, :step], keys[:, :, :step])
        amount = dot(saved.added[step], output_gradient)
        pair_gradient = reads + ops.stack(
            [key * amount, query * amount + key_gradient], axis=2
        )
        pair_gradient = saved.scale[step] * (
            pair_gradient - pair * dot(pair, pair_gradient)
        )

        write_gradient = dot(added_gradient, saved.value[step] - saved.recalled[step])
        if valid:
            write_gradient = write_gradient * mask
        gates_gradient = ops.concatenate(
            [write_gradient, dot(read_out, saved.read[step])], axis=-1
        )
        fused_gradient = ops.concatenate(
            [
                ops.reshape(pair_gradient, (-1, heads, 2 * dim)),
                erased,
                gates_gradient * gates * (1.0 - gates),
            ],
            axis=-1,
        )
        fused_gradient = ops.reshape(fused_gradient, (-1, kernel.shape[-1]))
        before = recurrent_product(fused_gradient, ops.transpose(kernel))
        if valid:
            before = before + (1.0 - valid[0][step]) * hidden_gradient
        hidden_gradient = before
        fused_gradients[step] = fused_gradient
    adjoint = adjoint + ops.einsum("bhsk,bhsv->bhkv", pairs, later)
    return (hidden_gradient, memory, adjoint), ops.stack(fused_gradients)


def _low_rank(rows, left, right):
    """`rows @ left^T @ right` of few rows, which products and sums are faster for."""
    scores = ops.sum(rows[:, :, :, None] * left[:, :, None], axis=-1)
    return ops.sum(scores[..., None] * right[:, :, None], axis=3)


def _split(fused, heads, dim):
    """`[query, key]`, value and both gates from columns by head."""
    fused = ops.reshape(fused, (-1, heads, 3 * dim + 2))
    pair = ops.reshape(fused[..., : 2 * dim], (-1, heads, 2, dim))
    return pair, fused[..., 2 * dim : 3 * dim], fused[..., 3 * dim :]


def _by_head(x, heads, sizes):
    """Puts the columns of a head beside each other, as `_split` wants them."""
    parts = ops.concatenate(split_heads(x, heads, sizes), axis=-1)
    return ops.reshape(parts, ops.shape(x))


def _append(rows, row):
    return row if rows is None else ops.concatenate([rows, row], axis=2)
