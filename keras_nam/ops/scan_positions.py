"""Where the heads of a tape go over time.

The controller sees the inputs alone, so directions, keys, queries and gates are known
for all steps beforehand, and both heads follow a linear recurrence in vectors of the
tape's length. Its adjoint is the same recurrence run backwards with the shifts
exchanged, and the gradients of the directions are products outside the loop.

Jumps read a memory of the write positions, which stays in the loop. Write positions
fade by orders of magnitude within some tens of steps at first, and only a memory that
is erased step by step fades with them; in token space they would drown in the rounding
of the first ones. As in `recurrent_scan`, the gradient runs that memory backwards.
"""

from keras import ops

from keras_nam import backend
from keras_nam.ops.heads import move_heads
from keras_nam.ops.heads import move_heads_adjoint
from keras_nam.ops.heads import shift_back
from keras_nam.ops.heads import shift_forward
from keras_nam.ops.segments import join_segments
from keras_nam.ops.segments import split_segments
from keras_nam.ops.step import write_and_read
from keras_nam.ops.step import write_and_read_adjoint

# A key memory that never erases grows, and loses its early content when it is run
# backwards over many steps.
SEGMENT_LENGTH = 64


def position_scan(directions, positions):
    """Moves the heads over time, without jumps.

    Args:
        directions: Tensor of shape `(batch, time, heads, 2, 4)`, see `move_heads`.
        positions: Tensor of shape `(batch, heads, 2, tape_length)`, before the first
            step.

    Returns:
        `(trajectory, positions)`: the positions before each step, of shape
        `(batch, time, heads, 2, tape_length)`, and after the last one.
    """
    trajectory, positions = _scan(ops.swapaxes(directions, 0, 1), positions)
    return ops.swapaxes(trajectory, 0, 1), positions


def jumping_position_scan(directions, positions, query, key, write, erase, memory):
    """Moves the heads over time, with jumps to positions stored under keys.

    Args:
        directions: Tensor of shape `(batch, time, heads, 2, 4)`, see `move_heads`.
        positions: Tensor of shape `(batch, heads, 2, tape_length)`, before the first
            step.
        query: Tensor of shape `(batch, time, heads, key_dim)`.
        key: Tensor of shape `(batch, time, heads, key_dim)`.
        write: Tensor of shape `(batch, time, heads)`, the write gate of the key
            memory.
        erase: Tensor of shape `(batch, time, heads)`, its erase gate.
        memory: Tensor of shape `(batch, heads, tape_length, key_dim)`, the key memory
            before the first step.

    Returns:
        `(trajectory, positions, memory)`: the positions before each step, of shape
        `(batch, time, heads, 2, tape_length)`, and both after the last one.
    """
    length = ops.shape(directions)[1]
    # A step that stays where it is and writes nothing leaves all states as they are.
    stay = ops.one_hot([1, 1], 4, dtype=directions.dtype)
    segments = [
        split_segments(x, length, SEGMENT_LENGTH)
        for x in (directions - stay, query, key, write[..., None], erase[..., None])
    ]
    trajectory, positions, memory = _jumping_scan(
        segments[0] + stay, *segments[1:], positions, memory
    )
    return join_segments(trajectory, length), positions, memory


@ops.custom_gradient
def _scan(directions, positions):
    """Time-major, without jumps."""

    def step(positions, directions):
        return move_heads(positions, directions), positions

    final, trajectory = backend.scan(step, positions, directions)

    def gradient(trajectory_gradient, final_gradient):
        def step_back(adjoint, elements):
            directions, position_gradient = elements
            before = position_gradient + move_heads_adjoint(adjoint, directions)
            return before, adjoint

        before, adjoints = backend.scan(
            step_back, final_gradient, (directions, trajectory_gradient), reverse=True
        )
        return _directions_gradient(adjoints, trajectory), before

    return (trajectory, final), gradient


@ops.custom_gradient
def _jumping_scan(directions, query, key, write, erase, positions, memory):
    """Sequences of shape `(segments, steps, batch, ...)`, with jumps."""

    def step(state, elements):
        directions, query, key, write, erase = elements
        positions, memory = state
        memory, jump, added, recalled = write_and_read(
            memory, query, key, write * positions[:, :, 1], erase
        )
        moved = move_heads(positions, directions, jump)
        return (moved, memory), (positions, jump, added, recalled)

    def segment(state, sequences):
        (positions, memory), saved = backend.scan(step, state, sequences)
        return (positions, memory), (*saved, memory)

    (positions_after, memory_after), saved = backend.scan(
        segment, (positions, memory), (directions, query, key, write, erase)
    )
    trajectory, jumps, added, recalled, ends = saved

    def gradient(trajectory_gradient, positions_gradient, memory_gradient):
        def step_back(state, elements):
            directions, query, key, write, erase, added, recalled, here = elements
            adjoint, memory, memory_adjoint = state
            jump_gradient = ops.sum(directions[..., 3:] * adjoint, axis=2)
            memory, memory_adjoint, gradients = write_and_read_adjoint(
                memory,
                memory_adjoint,
                query,
                key,
                added,
                recalled,
                erase,
                jump_gradient,
            )
            written = ops.expand_dims(write * gradients[2], 2)
            before = (
                here
                + move_heads_adjoint(adjoint, directions)
                + ops.pad(written, ((0, 0), (0, 0), (1, 0), (0, 0)))
            )
            return (before, memory, memory_adjoint), (adjoint, *gradients)

        def segment_back(state, elements):
            adjoint, memory_adjoint = state
            end, sequences = elements
            (adjoint, _, memory_adjoint), gradients = backend.scan(
                step_back, (adjoint, end, memory_adjoint), sequences, reverse=True
            )
            return (adjoint, memory_adjoint), gradients

        sequences = (
            directions,
            query,
            key,
            write,
            erase,
            added,
            recalled,
            trajectory_gradient,
        )
        before, gradients = backend.scan(
            segment_back,
            (positions_gradient, memory_gradient),
            (ends, sequences),
            reverse=True,
        )
        adjoints, query_gradient, key_gradient, written, erase_gradient = gradients
        write_gradient = ops.sum(
            written * trajectory[..., 1, :], axis=-1, keepdims=True
        )
        return (
            _directions_gradient(adjoints, trajectory, jumps),
            query_gradient,
            key_gradient,
            write_gradient,
            erase_gradient,
            *before,
        )

    return (trajectory, positions_after, memory_after), gradient


def _directions_gradient(adjoints, trajectory, jumps=None):
    sources = [shift_back(trajectory), trajectory, shift_forward(trajectory)]
    gradients = [ops.sum(adjoints * source, axis=-1) for source in sources]
    if jumps is None:
        gradients.append(ops.zeros_like(gradients[0]))
    else:
        gradients.append(ops.sum(adjoints * ops.expand_dims(jumps, -2), axis=-1))
    return ops.stack(gradients, axis=-1)
