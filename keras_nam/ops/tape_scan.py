"""`tape_step` over time: the NAM Turing machine.

The tape is a memory whose keys are positions. Where the heads go does not depend on
what stands on the tape, so the positions come first, and then one `memory_scan`.
"""

from keras import ops

from keras_nam.ops.normalization import unit_normalize
from keras_nam.ops.scan import memory_scan
from keras_nam.ops.tape_heads import staying
from keras_nam.ops.tape_positions import jumping_position_scan
from keras_nam.ops.tape_positions import position_scan


def tape_scan(
    value,
    directions,
    tape,
    positions,
    write_gate,
    erase_gate,
    read_gate,
    jumps=None,
    mask=None,
):
    """Writes to a tape and reads from it at every step, then moves the heads.

    Args:
        value: Tensor of shape `(batch, time, tapes, tape_dim)`.
        directions: Tensor of shape `(batch, time, tapes, 2, 4)`, see `move_heads`.
        tape: Tensor of shape `(batch, tapes, tape_length, tape_dim)`.
        positions: Tensor of shape `(batch, tapes, 2, tape_length)`, the reading and
            the writing head before the first step.
        write_gate, erase_gate, read_gate: Tensors of shape `(batch, time, tapes)`, as
            in `memory_scan`.
        jumps: `None` for heads that never jump, and that are then used as they are,
            else a tuple `(query, key, key_write_gate, key_memory)`: tensors of shape
            `(batch, time, tapes, key_dim)` twice, `(batch, time, tapes)`, and
            `(batch, tapes, tape_length, key_dim)`.
        mask: Boolean tensor of shape `(batch, time)`. A masked (`False`) step leaves
            everything as it is.

    Returns:
        `(reads, tape, positions, key_memory)`: `(batch, time, tapes, tape_dim)` and
        the states after the last step. `key_memory` is `None` without jumps.
    """
    if mask is not None:
        stay = staying(directions.dtype)
        directions = ops.where(mask[:, :, None, None, None], directions, stay)
    if jumps is None:
        key_memory = None
        trajectory, positions = position_scan(directions, positions)
    else:
        query, key, key_write_gate, key_memory = jumps
        key_erase_gate = erase_gate * ops.ones_like(key_write_gate)
        if mask is not None:
            step = mask[:, :, None, None]
            query, key = ops.where(step, query, 0.0), ops.where(step, key, 0.0)
        trajectory, positions, key_memory = jumping_position_scan(
            directions,
            positions,
            query,
            key,
            key_write_gate,
            key_erase_gate,
            key_memory,
        )
        trajectory = unit_normalize(trajectory)
    reading, writing = ops.unstack(trajectory, axis=3)
    reads, memory = memory_scan(
        reading,
        writing,
        value,
        write_gate,
        erase_gate,
        read_gate,
        initial_memory=ops.swapaxes(tape, -1, -2),
        mask=mask,
    )
    return reads, ops.swapaxes(memory, -1, -2), positions, key_memory
