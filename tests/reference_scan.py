"""The memory over time as it is defined, which all forms of it are compared with."""

from keras import ops

from keras_nam.ops import memory_read
from keras_nam.ops import memory_write


def step_by_step(
    query,
    key,
    value,
    write_gate=None,
    erase_gate=None,
    read_gate=None,
    initial_memory=None,
    mask=None,
    decay=None,
):
    """`memory_scan` out of `memory_write` and `memory_read`."""
    batch, length, heads, key_dim = query.shape
    memory = initial_memory
    if memory is None:
        memory = ops.zeros((batch, heads, value.shape[-1], key_dim))
    outputs = []
    for t in range(length):

        def at(gate, t=t):
            return gate if gate is None or isinstance(gate, float) else gate[:, t]

        new = memory_write(
            memory, key[:, t], value[:, t], at(write_gate), at(erase_gate), at(decay)
        )
        output = memory_read(new, query[:, t], at(read_gate))
        if mask is not None:
            valid = mask[:, t, None, None]
            new = ops.where(valid[..., None], new, memory)
            output = ops.where(valid, output, 0.0)
        memory = new
        outputs.append(output)
    return ops.stack(outputs, 1), memory
