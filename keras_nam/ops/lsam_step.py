"""One step of LSAM: the definition, whose fast form over time is `lsam_scan`."""

from keras import ops

from keras_nam.ops.memory import memory_read
from keras_nam.ops.memory import memory_write
from keras_nam.ops.normalization import unit_normalize
from keras_nam.ops.projection import split_heads
from keras_nam.ops.recurrent_product import recurrent_product


def head_sizes(dim):
    """The columns of a head: query, key, value, write gate and read gate."""
    return (dim, dim, dim, 1, 1)


def lsam_step(projected, recurrent_kernel, hidden, memory):
    """Computes queries, keys, values and gates, writes with one gate, and reads.

    Args:
        projected: Tensor of shape `(batch, columns)`, what the input adds to the
            columns of all heads; see `head_sizes`, each of whose parts stands for all
            heads before the next.
        recurrent_kernel: Tensor of shape `(units, columns)`, what the previous output
            is multiplied with to add to the same, in this dtype.
        hidden: Tensor of shape `(batch, units)`, the previous output.
        memory: Tensor of shape `(batch, heads, dim, dim)`.

    Returns:
        `(output, memory, trajectory)`: `(batch, units)`, the memory after the step, and
        a dictionary of what was written and read.
    """
    heads, dim = memory.shape[1], memory.shape[-1]
    fused = ops.cast(projected, hidden.dtype)
    fused = fused + recurrent_product(hidden, recurrent_kernel)
    query, key, value, write_gate, read_gate = split_heads(
        fused, heads, head_sizes(dim)
    )
    query, key = unit_normalize(query), unit_normalize(key)
    write_gate, read_gate = (
        ops.sigmoid(ops.squeeze(gate, -1)) for gate in (write_gate, read_gate)
    )
    memory = memory_write(memory, key, value, write_gate, write_gate)
    output = ops.reshape(memory_read(memory, query, read_gate), ops.shape(hidden))
    trajectory = {
        "query": query,
        "key": key,
        "value": value,
        "write_gate": write_gate,
        "read_gate": read_gate,
        "memory": memory,
    }
    return output, memory, trajectory
