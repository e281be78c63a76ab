"""One read and one write of a neural attention memory.

A memory is a matrix `M` of shape `(value_dim, key_dim)`. All other operations,
cells and layers of the package are these two, over time or all at once.
"""

from keras import ops

from keras_nam.arguments import check_gate
from keras_nam.arguments import check_shape
from keras_nam.ops.precision import as_tensor
from keras_nam.ops.precision import floating_dtype
from keras_nam.ops.precision import promote


def memory_read(memory, query, read_gate=None):
    """Reads a memory: `r M q`.

    Args:
        memory: Tensor of shape `(..., value_dim, key_dim)`, usually
            `(batch, heads, value_dim, key_dim)`.
        query: Tensor of shape `(..., key_dim)`. It is used as it is: pass it through
            `unit_normalize` to read what was stored under a key.
        read_gate: Tensor of shape `(...)`, the read probability `r`. `None` means 1.

    Returns:
        Tensor of shape `(..., value_dim)` and of the dtype of `query`.

    Example:

    ```python
    key = keras_nam.ops.unit_normalize([[[3.0, 4.0]]])
    memory = ops.zeros((1, 1, 3, 2))
    memory = keras_nam.ops.memory_write(memory, key, [[[1.0, 2.0, 3.0]]])
    keras_nam.ops.memory_read(memory, key)  # [[[1.0, 2.0, 3.0]]]
    ```

    Raises:
        ValueError: If the shapes do not fit together.
    """
    memory, query = as_tensor("memory", memory), as_tensor("query", query)
    leading = leading_axes(memory)
    check_shape("query", query, (*leading, memory.shape[-1]), "(..., key_dim)")
    check_gate("read_gate", read_gate, leading, "(...), one number per vector")
    wide, wide_query, read_gate = promote(memory, query, read_gate)
    value = matvec(wide, wide_query)
    if read_gate is not None:
        value = value * read_gate[..., None]
    return ops.cast(value, floating_dtype(query))


def memory_write(memory, key, value, write_gate=None, erase_gate=None):
    """Writes to a memory: `M + (w v - e M k) k^T`.

    With `w = e = 1` and a unit key, `v` replaces what was stored under `k`, and what
    is stored under orthogonal keys stays untouched.

    Args:
        memory: Tensor of shape `(..., value_dim, key_dim)`, usually
            `(batch, heads, value_dim, key_dim)`.
        key: Tensor of shape `(..., key_dim)`. It is used as it is: pass it through
            `unit_normalize` first.
        value: Tensor of shape `(..., value_dim)`.
        write_gate: Tensor of shape `(...)`, the write probability `w`. `None`
            means 1.
        erase_gate: Tensor of shape `(...)`, the erase probability `e`. `None`
            means 1; pass `0.0` to add without erasing.

    Returns:
        The new memory, of the shape and dtype of `memory`.

    Example:

    ```python
    key = keras_nam.ops.unit_normalize([[[3.0, 4.0]]])
    memory = ops.zeros((1, 1, 3, 2))
    memory = keras_nam.ops.memory_write(memory, key, [[[9.0, 9.0, 9.0]]])
    memory = keras_nam.ops.memory_write(memory, key, [[[1.0, 2.0, 3.0]]])
    keras_nam.ops.memory_read(memory, key)  # [[[1.0, 2.0, 3.0]]]
    ```

    Raises:
        ValueError: If the shapes do not fit together.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    memory = as_tensor("memory", memory)
    key, value = as_tensor("key", key), as_tensor("value", value)
    leading = leading_axes(memory)
    check_shape("key", key, (*leading, memory.shape[-1]), "(..., key_dim)")
    check_shape("value", value, (*leading, memory.shape[-2]), "(..., value_dim)")
    for name, gate in (("write_gate", write_gate), ("erase_gate", erase_gate)):
        check_gate(name, gate, leading, "(...), one number per vector")
    wide, key, value, write_gate, erase_gate = promote(
        memory, key, value, write_gate, erase_gate
    )
    if write_gate is not None:
        value = value * write_gate[..., None]
    erase = 1.0 if erase_gate is None else erase_gate[..., None]
    written, _ = add_write(wide, key, value, erase, matvec(wide, key))
    return ops.cast(written, floating_dtype(memory))


def add_write(memory, key, value, erase, recalled):
    """The write itself, given what it recalls.

    Args:
        memory: Tensor of shape `(..., value_dim, key_dim)`.
        key: Tensor of shape `(..., key_dim)`.
        value: Tensor of shape `(..., value_dim)`, times the write gate.
        erase: Erase gate that broadcasts against `value`.
        recalled: Tensor of shape `(..., value_dim)`, `M k`.

    Returns:
        `(memory, added)`: the new memory `M + u k^T`, and `u = w v - e M k`.
    """
    added = value - erase * recalled
    return memory + outer(added, key), added


def matvec(matrix, vector):
    return ops.squeeze(ops.matmul(matrix, ops.expand_dims(vector, -1)), -1)


def transpose(matrix):
    return ops.swapaxes(matrix, -1, -2)


def outer(left, right):
    return ops.matmul(ops.expand_dims(left, -1), ops.expand_dims(right, -2))


def leading_axes(memory):
    """The axes in front of a memory's own two, if it has these."""
    if len(memory.shape) < 2:
        raise ValueError(
            "Argument `memory` must have shape (..., value_dim, key_dim). "
            f"Received: memory.shape={tuple(memory.shape)}"
        )
    return tuple(memory.shape[:-2])
