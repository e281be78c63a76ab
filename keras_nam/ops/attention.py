"""The memory without an order: write everything, then read everything."""

from keras import ops

from keras_nam.arguments import check_gate
from keras_nam.arguments import check_mask
from keras_nam.arguments import check_rank
from keras_nam.arguments import check_shape
from keras_nam.ops.memory import as_channels
from keras_nam.ops.precision import floating_dtype
from keras_nam.ops.precision import promote


def memory_attention(
    query,
    key,
    value,
    write_gate=None,
    read_gate=None,
    initial_memory=None,
    mask=None,
):
    """Writes all tokens of a source to one memory and reads it with every query.

    Computes `M = sum_z w_z v_z k_z^T` and `o_s = r_s M q_s`. Nothing is erased, so
    the order of the source does not matter; cost and size grow linearly with both
    lengths.

    Args:
        query: Tensor of shape `(batch, query_time, heads, key_dim)`. Queries and keys
            are used as they are: pass them through `unit_normalize` first.
        key: Tensor of shape `(batch, time, heads, key_dim)`.
        value: Tensor of shape `(batch, time, heads, value_dim)`.
        write_gate: Tensor of shape `(batch, time, heads)`, the write probabilities, or
            of shape `(batch, time, heads, value_dim)`. `None` means 1.
        read_gate: Tensor of shape `(batch, query_time, heads)`, the read
            probabilities. `None` means 1.
        initial_memory: Tensor of shape `(batch, heads, value_dim, key_dim)` that is
            added to what is written. `None` means zeros.
        mask: Boolean tensor of shape `(batch, time)`. Masked (`False`) tokens of the
            source never enter the memory, whatever they hold.

    Returns:
        A tuple `(outputs, memory)`: `(batch, query_time, heads, value_dim)` in the
        dtype of `value`, and `(batch, heads, value_dim, key_dim)` in float32 (float64
        for float64 inputs).

    Example:

    ```python
    key = keras_nam.ops.unit_normalize(keras.random.normal((2, 1000, 4, 16)))
    value = keras.random.normal((2, 1000, 4, 32))
    outputs, memory = keras_nam.ops.memory_attention(key[:, :10], key, value)
    outputs.shape, memory.shape  # (2, 10, 4, 32), (2, 4, 32, 16)
    ```

    Raises:
        ValueError: If shapes do not fit together.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    for name, x in (("query", query), ("key", key), ("value", value)):
        check_rank(name, x, 4, "(batch, time, heads, dim)")
    query, key, value = (ops.convert_to_tensor(x) for x in (query, key, value))
    _check_shapes(query, key, value, write_gate, read_gate, initial_memory, mask)
    dtype = floating_dtype(value)
    query, key, value, write_gate, read_gate, initial_memory = promote(
        query, key, value, write_gate, read_gate, initial_memory
    )
    if write_gate is not None:
        value = value * as_channels(write_gate, 4)
    if mask is not None:
        token = ops.cast(mask, "bool")[:, :, None, None]
        # Not a product: what stands under a mask may be infinite or NaN.
        key, value = ops.where(token, key, 0.0), ops.where(token, value, 0.0)
    # Products over (batch, heads) of whole matrices take half the time of `einsum`.
    query, value = (ops.transpose(x, (0, 2, 1, 3)) for x in (query, value))
    written = ops.matmul(ops.transpose(key, (0, 2, 3, 1)), value)
    if initial_memory is not None:
        written = written + ops.swapaxes(initial_memory, -1, -2)
    outputs = ops.transpose(ops.matmul(query, written), (0, 2, 1, 3))
    memory = ops.swapaxes(written, -1, -2)
    if read_gate is not None:
        outputs = outputs * ops.expand_dims(read_gate, -1)
    return ops.cast(outputs, dtype), memory


def _check_shapes(query, key, value, write_gate, read_gate, memory, mask):
    batch, time, heads, key_dim = key.shape
    check_shape(
        "query",
        query,
        (batch, None, heads, key_dim),
        "(batch, query_time, heads, key_dim)",
    )
    check_shape(
        "value", value, (batch, time, heads, None), "(batch, time, heads, value_dim)"
    )
    check_gate(
        "write_gate",
        write_gate,
        key.shape[:3],
        "(batch, time, heads) or (batch, time, heads, value_dim)",
        value.shape[-1],
    )
    check_gate("read_gate", read_gate, query.shape[:3], "(batch, query_time, heads)")
    if mask is not None:
        check_mask("mask", mask, (batch, time))
    if memory is not None:
        check_shape(
            "initial_memory",
            memory,
            (batch, heads, value.shape[-1], key_dim),
            "(batch, heads, value_dim, key_dim)",
        )
