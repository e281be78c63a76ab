"""One step of a tape's two heads: the definition, whose fast form is `tape_scan`."""

from keras import ops

from keras_nam.ops.memory import memory_read
from keras_nam.ops.memory import memory_write
from keras_nam.ops.normalization import unit_normalize
from keras_nam.ops.tape_heads import move_heads


def tape_step(
    value,
    directions,
    tape,
    positions,
    write_gate,
    erase_gate,
    read_gate,
    jumps=None,
):
    """Writes to a tape, reads from it, and then moves the heads.

    The tape is a memory whose keys are positions. A second one holds the positions of
    the writing head under keys, as they are, and a jump reads it.

    Args:
        value: Tensor of shape `(batch, tapes, tape_dim)`.
        directions: Tensor of shape `(batch, tapes, 2, 4)`, see `move_heads`.
        tape: Tensor of shape `(batch, tapes, tape_length, tape_dim)`.
        positions: Tensor of shape `(batch, tapes, 2, tape_length)`, the reading and
            the writing head.
        write_gate, erase_gate, read_gate: Tensors of shape `(batch, tapes)`, as in
            `memory_write` and `memory_read`.
        jumps: `None` for heads that never jump, and that are then used as they are,
            else a tuple `(query, key, key_write_gate, key_memory)`: tensors of shape
            `(batch, tapes, key_dim)` twice, `(batch, tapes)`, and
            `(batch, tapes, tape_length, key_dim)`.

    Returns:
        `(read, tape, positions, key_memory, jump)`: `(batch, tapes, tape_dim)`, the
        states after the step, and where a jump leads. The last two are `None` without
        jumps.
    """
    heads = positions if jumps is None else unit_normalize(positions)
    memory = memory_write(
        ops.swapaxes(tape, -1, -2), heads[..., 1, :], value, write_gate, erase_gate
    )
    read = memory_read(memory, heads[..., 0, :], read_gate)
    key_memory = jump = None
    if jumps is not None:
        query, key, key_write_gate, key_memory = jumps
        key_memory = memory_write(
            key_memory, key, positions[..., 1, :], key_write_gate, erase_gate
        )
        jump = memory_read(key_memory, query)
    positions = move_heads(positions, directions, jump)
    return read, ops.swapaxes(memory, -1, -2), positions, key_memory, jump
