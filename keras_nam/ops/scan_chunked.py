"""The memory in token space, chunk by chunk.

Unrolling the writes `u_t = v_t - e_t M_{t-1} k_t` inside a chunk that starts with
memory `M` gives a unit lower triangular system over the chunk's tokens:

    (I + diag(e) tril(K K^T, -1)) U = V - diag(e) K M^T
    O = Q M^T + tril(Q K^T) U
    M' = M + U^T K

The systems of all chunks are solved at once; what is left for the loop is the linear
recurrence of `M` from chunk to chunk. A single chunk needs no loop at all.
"""

from keras import ops

from keras_nam.ops.linear_recurrence import linear_recurrence
from keras_nam.ops.memory import transpose
from keras_nam.ops.segments import divide_up
from keras_nam.ops.triangular import solve_unit_lower


def chunked_scan(query, key, value, erase, memory, chunk_size):
    """Scans in chunks of `chunk_size` tokens; arguments as `recurrent_scan`.

    `erase=None` means a memory that never erases, `memory=None` one that starts at
    zero, and `chunk_size=None` a single chunk.
    """
    length = ops.shape(query)[1]
    query, key, value = (split_chunks(x, chunk_size) for x in (query, key, value))
    scores = ops.tril(ops.matmul(query, transpose(key)))
    added, decay = value, None
    if erase is not None:
        erase = split_chunks(ops.expand_dims(erase, -1), chunk_size)
        added, decay = solve_writes(key, value, erase)

    if chunk_size is None:
        starts = None if memory is None else ops.expand_dims(memory, 2)
        final = None
    else:
        starts, final = _chunk_starts(key, added, decay, memory)

    outputs = 0.0
    if starts is not None:
        outputs = ops.matmul(query, transpose(starts))
        if decay is not None:
            added = added - ops.matmul(decay, transpose(starts))
    outputs = outputs + ops.matmul(scores, added)
    if final is None:
        final = ops.squeeze(ops.matmul(transpose(added), key), 2)
        final = final if memory is None else memory + final
    return join_chunks(outputs, length), final


def solve_writes(key, value, erase):
    """Solves for what a chunk writes to a memory.

    Returns:
        `(added, decay)`: a chunk that starts with the memory `M` writes
        `U = added - decay M^T`.
    """
    overlaps = ops.matmul(key, transpose(key))
    identity = ops.eye(ops.shape(key)[-2], dtype=key.dtype)
    system = ops.tril(erase * overlaps, -1) + identity
    both = ops.concatenate([value, erase * key], axis=-1)
    solution = solve_unit_lower(system, both)
    width = ops.shape(value)[-1]
    if None in (value.shape[-1], solution.shape[-1]):
        return solution[..., :width], solution[..., width:]
    # The gradient of a split is cheaper than those of two slices.
    return ops.split(solution, [width], axis=-1)


def _chunk_starts(key, added, decay, memory):
    """The memory before each chunk, `(batch, heads, chunks, ...)`, and after all."""
    addend = ops.matmul(transpose(added), key)
    if decay is None:
        first = ops.zeros_like(addend[:, :, 0]) if memory is None else memory
        # Not the sum minus the addend: rounding would let the future leak in.
        sums = ops.cumsum(ops.concatenate([first[:, :, None], addend], axis=2), axis=2)
        return sums[:, :, :-1], sums[:, :, -1]
    transition = ops.matmul(transpose(decay), key)
    if memory is None:
        memory = ops.zeros_like(addend[:, :, 0])
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
