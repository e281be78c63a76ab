"""One step of a scan, write then read, and its adjoint.

Both look at a matrix as few times as possible: a step is bound by the traffic of its
matrices, not by arithmetic.
"""

from keras import ops

from keras_nam.ops.memory import add_write
from keras_nam.ops.memory import matvec


def write_and_read(memory, query, key, value, erased):
    """Writes and then reads, with what the adjoint needs.

    Args:
        memory: Tensor of shape `(..., value_dim, key_dim)`.
        query: Tensor of shape `(..., key_dim)`.
        key: Tensor of shape `(..., key_dim)`.
        value: Tensor of shape `(..., value_dim)`, times the write gate.
        erased: Tensor of shape `(..., key_dim)`, the key times the erase gate.

    Returns:
        `(memory, output, added)`: the new memory `M + u k^T`, what is read from it
        with `query`, and `u`.
    """
    both = ops.matmul(memory, ops.stack([erased, query], axis=-1))
    recalled, before = both[..., 0], both[..., 1]
    memory, added = add_write(memory, key, value, recalled)
    return memory, before + added * dot(key, query), added


def write_and_read_adjoint(memory, adjoint, query, key, added, erased, output_gradient):
    """The adjoint of `write_and_read`.

    Args:
        memory: The memory before the step.
        adjoint: The gradient of the loss with respect to that after it.
        query, key, added, erased: As in `write_and_read`.
        output_gradient: The gradient with respect to what was read.

    Returns:
        `(adjoint, gradients)`: the gradient with respect to the memory before the step,
        and those with respect to query, key, value and erased key.
    """
    added_gradient = matvec(adjoint, key) + output_gradient * dot(key, query)
    rows = ops.matmul(ops.stack([output_gradient, added_gradient], axis=-2), memory)
    query_gradient = rows[..., 0, :] + key * dot(added, output_gradient)
    key_gradient = ops.squeeze(
        ops.matmul(added[..., None, :], adjoint), -2
    ) + query * dot(added, output_gradient)
    adjoint = adjoint + ops.matmul(
        ops.stack([output_gradient, -added_gradient], axis=-1),
        ops.stack([query, erased], axis=-2),
    )
    return adjoint, (query_gradient, key_gradient, added_gradient, -rows[..., 1, :])


def dot(left, right):
    """The inner product over the last axis, which is kept."""
    return ops.sum(left * right, axis=-1, keepdims=True)
