"""Several reads of one memory, and several writes that act on it at once."""

from keras import ops

from keras_nam.arguments import check_gate
from keras_nam.arguments import check_shape
from keras_nam.ops.memory import leading_axes
from keras_nam.ops.precision import as_tensor
from keras_nam.ops.precision import promote


def memory_read_set(memory, queries):
    """Reads a memory with several queries: `M q_i`.

    Args:
        memory: Tensor of shape `(..., value_dim, key_dim)`.
        queries: Tensor of shape `(..., num_queries, key_dim)`. They are used as they
            are, like the query of `memory_read`.

    Returns:
        Tensor of shape `(..., num_queries, value_dim)`, in float32 or wider.

    Example:

    ```python
    memory = np.random.normal(size=(2, 10, 16))
    queries = np.random.normal(size=(2, 5, 16))
    keras_nam.ops.memory_read_set(memory, queries).shape  # (2, 5, 10)
    ```

    Raises:
        ValueError: If the shapes do not fit together.
    """
    memory, queries = as_tensor("memory", memory), as_tensor("queries", queries)
    leading, key_dim = leading_axes(memory), memory.shape[-1]
    check_shape(
        "queries", queries, (*leading, None, key_dim), "(..., num_queries, key_dim)"
    )
    memory, queries = promote(memory, queries)
    return ops.matmul(queries, ops.swapaxes(memory, -1, -2))


def memory_write_set(memory, keys, values, write_gates=None, erase_gates=None):
    """Writes several values at once: `M + sum_i (w_i v_i - e_i M k_i) k_i^T`.

    Every write erases from the memory as it was before all of them, so their order
    does not matter. Writes under keys that overlap erase more than the same writes
    one after the other (`memory_scan`) would.

    Args:
        memory: Tensor of shape `(..., value_dim, key_dim)`.
        keys: Tensor of shape `(..., num_writes, key_dim)`. They are used as they are:
            pass them through `unit_normalize` first.
        values: Tensor of shape `(..., num_writes, value_dim)`.
        write_gates: Tensor of shape `(..., num_writes)`. `None` means 1.
        erase_gates: Tensor of shape `(..., num_writes)`. `None` means 1; pass `0.0`
            to add without erasing.

    Returns:
        The new memory, of the shape of `memory`, in float32 or wider.

    Example:

    ```python
    memory = np.zeros((3, 4))
    keys, values = np.eye(4)[:2], np.eye(3)[:2]
    memory = keras_nam.ops.memory_write_set(memory, keys, values)
    keras_nam.ops.memory_read(memory, keys[1])  # [0.0, 1.0, 0.0]
    ```

    Raises:
        ValueError: If the shapes do not fit together.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    memory = as_tensor("memory", memory)
    keys, values = as_tensor("keys", keys), as_tensor("values", values)
    leading, (value_dim, key_dim) = leading_axes(memory), memory.shape[-2:]
    check_shape("keys", keys, (*leading, None, key_dim), "(..., num_writes, key_dim)")
    writes = (*leading, keys.shape[-2])
    check_shape("values", values, (*writes, value_dim), "(..., num_writes, value_dim)")
    for name, gates in (("write_gates", write_gates), ("erase_gates", erase_gates)):
        check_gate(name, gates, writes, "(..., num_writes)")
    memory, keys, values, write_gates, erase_gates = promote(
        memory, keys, values, write_gates, erase_gates
    )
    if write_gates is not None:
        values = values * ops.expand_dims(write_gates, -1)
    written = ops.matmul(ops.swapaxes(values, -1, -2), keys)
    return memory + written - erasure(memory, keys, erase_gates)


def erasure(memory, keys, erase_gates=None):
    """What several keys erase at once: `sum_i e_i M k_i k_i^T`."""
    recalled = memory_read_set(memory, keys)
    if erase_gates is not None:
        recalled = recalled * ops.expand_dims(erase_gates, -1)
    return ops.matmul(ops.swapaxes(recalled, -1, -2), keys)
