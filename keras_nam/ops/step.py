"""One step of a scan, write then read, and its adjoint.

Both look at a matrix as few times as possible: a step is bound by the traffic of its
matrices, not by arithmetic.
"""

from keras import ops

from keras_nam.ops.memory import add_write
from keras_nam.ops.memory import matvec


def write_and_read(memory, query, key, value, erase):
    """Writes and then reads, with what the adjoint needs.

    Args:
        memory: Tensor of shape `(..., value_dim, key_dim)`.
        query: Tensor of shape `(..., key_dim)`.
        key: Tensor of shape `(..., key_dim)`.
        value: Tensor of shape `(..., value_dim)`, times the write gate.
        erase: Erase gate that broadcasts against `value`.

    Returns:
        `(memory, output, added, recalled)`: the new memory `M + u k^T`, what is read
        from it with `query`, `u`, and `M k`.
    """
    both = ops.matmul(memory, ops.stack([key, query], axis=-1))
    recalled, before = both[..., 0], both[..., 1]
    memory, added = add_write(memory, key, value, erase, recalled)
    return memory, before + added * dot(key, query), added, recalled


def write_and_read_adjoint(
    memory, adjoint, query, key, added, recalled, erase, output_gradient
):
    """The adjoint of `write_and_read`, which takes the write back as well.

    Args:
        memory: The memory after the step.
        adjoint: The gradient of the loss with respect to it.
        query, key, added, recalled, erase: As in `write_and_read`.
        output_gradient: The gradient with respect to what was read.

    Returns:
        `(memory, adjoint, gradients)`: the memory before the step, the gradient with
        respect to it, and those with respect to query, key, value and erase gate, the
        last one summed over the value axis.
    """
    memory = memory - ops.matmul(added[..., None], key[..., None, :])
    added_gradient = matvec(adjoint, key) + output_gradient * dot(key, query)
    erased = erase * added_gradient
    rows = ops.matmul(ops.stack([output_gradient, erased], axis=-2), memory)
    query_gradient = rows[..., 0, :] + key * dot(added, output_gradient)
    key_gradient = (
        ops.squeeze(ops.matmul(added[..., None, :], adjoint), -2)
        + query * dot(added, output_gradient)
        - rows[..., 1, :]
    )
    adjoint = adjoint + ops.matmul(
        ops.stack([output_gradient, -erased], axis=-1),
        ops.stack([query, key], axis=-2),
    )
    erase_gradient = -dot(added_gradient, recalled)
    return (
        memory,
        adjoint,
        (query_gradient, key_gradient, added_gradient, erase_gradient),
    )


def dot(left, right):
    """The inner product over the last axis, which is kept."""
    return ops.sum(left * right, axis=-1, keepdims=True)
