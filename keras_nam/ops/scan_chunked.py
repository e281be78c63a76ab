"""The memory in token space, chunk by chunk.

Unrolling the writes `u_t = v_t - D_t x_t` of erased keys `x_t = e_t k_t` inside a chunk
that starts with memory `M` gives a unit lower triangular system over the chunk's
tokens. Of a memory that keeps all (`D_t = M_{t-1}`),

    (I + tril(X K^T, -1)) U = V - X M^T
    O = Q M^T + tril(Q K^T) U
    M' = M + U^T K

and one that forgets has factors at all products and vectors (`decay.py`). The systems
of all chunks are solved at once; what is left for the loop is the linear recurrence of
`M` from chunk to chunk. A single chunk needs no loop at all.
"""

from keras import ops

from keras_nam.ops.decay import fading_in_chunks
from keras_nam.ops.linear_recurrence import linear_recurrence
from keras_nam.ops.linear_recurrence import low_rank_recurrence
from keras_nam.ops.memory import transpose
from keras_nam.ops.segments import divide_up
from keras_nam.ops.triangular import solve_unit_lower


def chunked_scan(query, key, value, erased, decay, memory, chunk_size):
    """Scans in chunks of `chunk_size` tokens; arguments as `recurrent_scan`.

    `erased=None` means a memory that never erases, `memory=None` one that starts at
    zero, and `chunk_size=None` a single chunk.
    """
    length = ops.shape(query)[1]
    query, key, value, erased, decay = (
        None if x is None else split_chunks(x, chunk_size)
        for x in (query, key, value, erased, decay)
    )
    fading = fading_in_chunks(decay)
    later = [query] if erased is None else [query, erased]
    scores, *overlaps = fading.products(key, *later)
    scores = ops.tril(scores)
    added, removed = value, None
    if erased is not None:
        added, removed = solve_writes(*overlaps, value, fading.since_start(erased))

    key = fading.until_end(key)
    if chunk_size is None:
        starts = None if memory is None else ops.expand_dims(memory, 2)
        final = None
    else:
        starts, final = _chunk_starts(key, added, removed, fading.left, memory)

    outputs = 0.0
    if starts is not None:
        outputs = ops.matmul(fading.since_start(query), transpose(starts))
        if removed is not None:
            added = added - ops.matmul(removed, transpose(starts))
    outputs = outputs + ops.matmul(scores, added)
    if final is None:
        final = ops.matmul(transpose(added), key)
        if starts is not None:
            final = final + (starts if fading.left is None else starts * fading.left)
        final = ops.squeeze(final, 2)
    return join_chunks(outputs, length), final


def solve_writes(overlaps, value, erased):
    """Solves for what a chunk writes to a memory.

    Args:
        overlaps: Tensor of shape `(..., chunk_size, chunk_size)`, the products of
            erased keys with keys.
        value: Tensor of shape `(..., chunk_size, value_dim)`.
        erased: Tensor of shape `(..., chunk_size, key_dim)`, the erased keys as they
            look at the memory before the chunk.

    Returns:
        `(added, removed)`: a chunk that starts with the memory `M` writes
        `U = added - removed M^T`.
    """
    identity = ops.eye(ops.shape(value)[-2], dtype=value.dtype)
    system = ops.tril(overlaps, -1) + identity
    both = ops.concatenate([value, erased], axis=-1)
    solution = solve_unit_lower(system, both)
    width = ops.shape(value)[-1]
    if None in (value.shape[-1], solution.shape[-1]):
        return solution[..., :width], solution[..., width:]
    # The gradient of a split is cheaper than those of two slices.
    return ops.split(solution, [width], axis=-1)


def _chunk_starts(key, added, removed, left, memory):
    """The memory before each chunk, `(batch, heads, chunks, ...)`, and after all."""
    addend = ops.matmul(transpose(added), key)
    if removed is None and left is None:
        first = ops.zeros_like(addend[:, :, 0]) if memory is None else memory
        # Not the sum minus the addend: rounding would let the future leak in.
        sums = ops.cumsum(ops.concatenate([first[:, :, None], addend], axis=2), axis=2)
        return sums[:, :, :-1], sums[:, :, -1]
    if memory is None:
        memory = ops.zeros_like(addend[:, :, 0])
    steps, key_dim = key.shape[-2:]
    if left is None and (key_dim is None or key_dim > steps):
        starts, final = low_rank_recurrence(
            *(ops.moveaxis(x, 2, 0) for x in (removed, key, addend)), memory
        )
        return ops.moveaxis(starts, 0, 2), final
    transition = ops.eye(ops.shape(key)[-1], dtype=key.dtype)
    if left is not None:
        transition = transition * left
    if removed is not None:
        transition = transition - ops.matmul(transpose(removed), key)
    starts, final = linear_recurrence(
        ops.moveaxis(transition, 2, 0), ops.moveaxis(addend, 2, 0), memory
    )
    return ops.moveaxis(starts, 0, 2), final


def split_chunks(x, chunk_size):
    """`(batch, time, heads, d)` to `(batch, heads, chunks, chunk_size, d)`."""
    if chunk_size is None:
        return ops.expand_dims(ops.transpose(x, (0, 2, 1, 3)), 2)
    batch, length, heads, size = ops.shape(x)
    at_least = max if isinstance(length, int) else ops.maximum
    chunks = at_least(1, divide_up(length, chunk_size))
    # Zero tokens write nothing, so padding leaves the memory as it is.
    x = ops.pad(x, ((0, 0), (0, chunks * chunk_size - length), (0, 0), (0, 0)))
    x = ops.reshape(x, (batch, chunks, chunk_size, heads, size))
    return ops.transpose(x, (0, 3, 1, 2, 4))


def join_chunks(x, length):
    """Back to `(batch, time, heads, d)`, without the padding."""
    batch, heads, _, _, size = ops.shape(x)
    x = ops.transpose(x, (0, 2, 3, 1, 4))
    x = ops.reshape(x, (batch, -1, heads, size))
    # A slice that takes all would cost a copy in the gradient.
    return x if x.shape[1] == length else x[:, :length]
