"""One read and one write of a neural attention memory.

A memory is a matrix `M` of shape `(value_dim, key_dim)`. All other operations,
cells and layers of the package are these two, over time or all at once.
"""

from keras import ops

from keras_nam.arguments import check_gate
from keras_nam.arguments import check_shape
from keras_nam.backend import numbers_of
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


def memory_write(memory, key, value, write_gate=None, erase_gate=None, decay=None):
    """Writes to a memory: `D + (w v - D (e k)) k^T`, where `D` is what is left of `M`.

    With `w = e = 1` and a unit key, `v` replaces what was stored under `k`, and what
    is stored under orthogonal keys stays untouched. With a decay `a`, the memory first
    forgets, `D = M Diag(a)`, and `D = M` without.

    Args:
        memory: Tensor of shape `(..., value_dim, key_dim)`, usually
            `(batch, heads, value_dim, key_dim)`.
        key: Tensor of shape `(..., key_dim)`. It is used as it is: pass it through
            `unit_normalize` first.
        value: Tensor of shape `(..., value_dim)`.
        write_gate: Tensor of shape `(...)`, the write probability `w`, or of shape
            `(..., value_dim)`, one for each channel. `None` means 1.
        erase_gate: Tensor of shape `(...)`, the erase probability `e`, or of shape
            `(..., key_dim)`, one for each channel. `None` means 1; pass `0.0` to add
            without erasing.
        decay: Tensor of shape `(...)` or `(..., key_dim)`, the natural logarithm of
            `a`, not above 0. `None` means 0, a memory that keeps all.

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
        ValueError: If the shapes do not fit together, or a decay is above 0.

    References:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    - [Gated Delta Networks](https://arxiv.org/abs/2412.06464)
    """
    memory = as_tensor("memory", memory)
    key, value = as_tensor("key", key), as_tensor("value", value)
    leading = leading_axes(memory)
    value_dim, key_dim = memory.shape[-2:]
    check_shape("key", key, (*leading, key_dim), "(..., key_dim)")
    check_shape("value", value, (*leading, value_dim), "(..., value_dim)")
    for name, gate, channels in (
        ("write_gate", write_gate, value_dim),
        ("erase_gate", erase_gate, key_dim),
        ("decay", decay, key_dim),
    ):
        check_gate(
            name, gate, leading, "(...), one number per vector or channel", channels
        )
    wide, key, value, write_gate, erase_gate, decay = promote(
        memory, key, value, write_gate, erase_gate, decay
    )
    rank = len(key.shape)
    if decay is not None:
        wide = forget(wide, as_channels(check_decay(decay), rank))
    if write_gate is not None:
        value = value * as_channels(write_gate, rank)
    erased = key if erase_gate is None else key * as_channels(erase_gate, rank)
    written, _ = add_write(wide, key, value, matvec(wide, erased))
    return ops.cast(written, floating_dtype(memory))


def add_write(memory, key, value, recalled):
    """The write itself, given what it recalls.

    Args:
        memory: Tensor of shape `(..., value_dim, key_dim)`.
        key: Tensor of shape `(..., key_dim)`.
        value: Tensor of shape `(..., value_dim)`, times the write gate.
        recalled: Tensor of shape `(..., value_dim)`, what is to be erased.

    Returns:
        `(memory, added)`: the new memory `M + u k^T`, and `u`.
    """
    added = value - recalled
    return memory + outer(added, key), added


def forget(memory, decay):
    """What is left of a memory `(..., value_dim, key_dim)` after a step.

    Args:
        decay: Tensor of log decays, `(..., key_dim)` or `(..., 1)`.
    """
    return memory * ops.exp(ops.expand_dims(decay, -2))


def as_channels(gate, rank):
    """Adds an axis to a gate that has no axis of channels, as vectors of `rank` do."""
    return gate if len(gate.shape) == rank else ops.expand_dims(gate, -1)


def check_decay(decay):
    """Returns log decays, or raises a `ValueError` if some are known to be above 0."""
    numbers = numbers_of(decay)
    if numbers is not None and (numbers > 0).any():
        raise ValueError(
            "Argument `decay` must be the logarithm of a probability, and so not above "
            f"0. Received: a decay of {numbers.max()}"
        )
    return decay


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
