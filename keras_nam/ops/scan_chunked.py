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


def chunked_scan(query, key, value, erase, memory, chunk_size):
    """Scans in chunks of `chunk_size` tokens; arguments as `recurrent_scan`.

    `erase=None` means a memory that never erases, `memory=None` one that starts at
    zero, and `chunk_size=None` a single chunk.
    """
    length = ops.shape(query)[1]
    query, key, value = (_split(x, chunk_size) for x in (query, key, value))
    scores = _lower(ops.matmul(query, _transpose(key)))
    added, decay = value, None
    if erase is not None:
        erase = _split(ops.expand_dims(erase, -1), chunk_size)
        added, decay = _solve(key, value, erase)

    if chunk_size is None:
        starts = None if memory is None else ops.expand_dims(memory, 2)
        final = None
    else:
        starts, final = _chunk_starts(key, added, decay, memory)

    outputs = 0.0
    if starts is not None:
        outputs = ops.matmul(query, _transpose(starts))
        if decay is not None:
            added = added - ops.matmul(decay, _transpose(starts))
    outputs = outputs + ops.matmul(scores, added)
    if final is None:
        final = ops.squeeze(ops.matmul(_transpose(added), key), 2)
        final = final if memory is None else memory + final
    return _join(outputs, length), final


def write_coefficients(query, key, erase):
    """How much of what is written at `s` is read at `t`, before the write gate.

    Args:
        query: Tensor of shape `(batch, heads, time, key_dim)`.
        key: Tensor of shape `(batch, heads, time, key_dim)`.
        erase: Tensor of shape `(batch, heads, time)`, or `None` for no erasing.

    Returns:
        Lower triangular tensor of shape `(batch, heads, time, time)`.
    """
    scores = _lower(ops.matmul(query, _transpose(key)))
    if erase is None:
        return scores
    # scores @ inv(system) is the transposed solution of system^T X^T = scores^T.
    system = _system(key, ops.expand_dims(erase, -1))
    return _transpose(
        ops.solve_triangular(_transpose(system), _transpose(scores), lower=False)
    )


def _solve(key, value, erase):
    """Solves for the writes of a zero memory, and for their response to it."""
    both = ops.concatenate([value, erase * key], axis=-1)
    solution = ops.solve_triangular(_system(key, erase), both, lower=True)
    return solution[..., : value.shape[-1]], solution[..., value.shape[-1] :]


def _system(key, erase):
    """`I + diag(e) tril(K K^T, -1)`."""
    overlaps = ops.matmul(key, _transpose(key))
    size = ops.shape(key)[-2]
    return _lower(erase * overlaps, -1) + ops.eye(size, dtype=key.dtype)


def _chunk_starts(key, added, decay, memory):
    """The memory before each chunk, `(batch, heads, chunks, ...)`, and after all."""
    addend = ops.matmul(_transpose(added), key)
    if decay is None:
        sums = ops.cumsum(addend, axis=2)
        starts, final = sums - addend, sums[:, :, -1]
        if memory is None:
            return starts, final
        return starts + ops.expand_dims(memory, 2), final + memory
    transition = ops.matmul(_transpose(decay), key)
    if memory is None:
        memory = ops.zeros_like(addend[:, :, 0])
    starts, final = linear_recurrence(
        ops.moveaxis(transition, 2, 0), ops.moveaxis(addend, 2, 0), memory
    )
    return ops.moveaxis(starts, 0, 2), final


def _split(x, chunk_size):
    """`(batch, time, heads, d)` to `(batch, heads, chunks, chunk_size, d)`."""
    if chunk_size is None:
        return ops.expand_dims(ops.transpose(x, (0, 2, 1, 3)), 2)
    batch, length, heads, size = ops.shape(x)
    # Zero tokens write nothing, so padding leaves the memory as it is.
    x = ops.pad(x, ((0, 0), (0, -length % chunk_size), (0, 0), (0, 0)))
    x = ops.reshape(x, (batch, -1, chunk_size, heads, size))
    return ops.transpose(x, (0, 3, 1, 2, 4))


def _join(x, length):
    """Back to `(batch, time, heads, d)`, without the padding."""
    batch, heads, _, _, size = ops.shape(x)
    x = ops.transpose(x, (0, 2, 3, 1, 4))
    return ops.reshape(x, (batch, -1, heads, size))[:, :length]


def _lower(x, diagonal=0):
    return ops.tril(x, diagonal)


def _transpose(x):
    return ops.swapaxes(x, -1, -2)
