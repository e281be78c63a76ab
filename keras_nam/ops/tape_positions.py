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
from keras_nam.ops.memory import transpose
from keras_nam.ops.segments import join_segments
from keras_nam.ops.segments import split_segments
from keras_nam.ops.step import dot
from keras_nam.ops.tape_heads import move_heads
from keras_nam.ops.tape_heads import move_heads_adjoint
from keras_nam.ops.tape_heads import shift_back
from keras_nam.ops.tape_heads import shift_forward
from keras_nam.ops.tape_heads import staying

# A key memory that never erases grows, and loses its early content when it is run
# backwards over many steps.
SEGMENT_LENGTH = 64
BLOCK_LENGTH = 4


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
    stay = staying(directions.dtype)
    pairs = ops.stack([query, key], axis=3)
    block = min(BLOCK_LENGTH, length) if isinstance(length, int) else BLOCK_LENGTH
    moves, *others = (
        split_segments(x, length, SEGMENT_LENGTH, block)
        for x in (
            directions - stay,
            pairs,
            ops.expand_dims(write, -1),
            ops.expand_dims(erase, -1),
        )
    )
    trajectory, positions, memory = _jumping_scan(
        moves + stay, *others, positions, transpose(memory)
    )
    trajectory = join_segments(trajectory, length, time_axes=3)
    return trajectory, positions, transpose(memory)


@backend.custom_gradient
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


@backend.custom_gradient
def _jumping_scan(directions, pairs, write, erase, positions, memory):
    """Sequences of shape `(segments, blocks, steps, batch, ...)`, with jumps.

    Pairs are `[query, key]`, and the memory stands with its keys as rows.
    """

    def segment(state, sequences):
        (positions, memory), saved = backend.scan(_block, state, sequences)
        return (positions, memory), (*saved, memory)

    (positions_after, memory_after), saved = backend.scan(
        segment, (positions, memory), (directions, pairs, write, erase)
    )
    trajectory, jumps, added, recalled, ends = saved

    def gradient(trajectory_gradient, positions_gradient, memory_gradient):
        def segment_back(state, elements):
            adjoint, memory_adjoint = state
            end, sequences = elements
            (adjoint, _, memory_adjoint), gradients = backend.scan(
                _block_back, (adjoint, end, memory_adjoint), sequences, reverse=True
            )
            return (adjoint, memory_adjoint), gradients

        sequences = (directions, pairs, write, erase, added, trajectory_gradient)
        before, gradients = backend.scan(
            segment_back,
            (positions_gradient, memory_gradient),
            (ends, sequences),
            reverse=True,
        )
        adjoints, pairs_gradient, added_gradient = gradients
        return (
            _directions_gradient(adjoints, trajectory, jumps),
            pairs_gradient,
            dot(added_gradient, trajectory[..., 1, :]),
            -dot(added_gradient, recalled),
            *before,
        )

    return (trajectory, positions_after, memory_after), gradient


def _block(state, elements):
    """A block of steps; the memory is written once, at its end.

    What a step reads is what the memory at the start of the block holds and what the
    steps since then have added, `M x + sum_s u_s (k_s . x)`.
    """
    positions, memory = state
    directions, pairs, write, erase = elements
    steps = pairs.shape[0]
    pairs, keys = _rows_of_block(pairs)
    reads = ops.matmul(pairs, memory)
    overlaps = ops.matmul(keys, transpose(pairs))
    trajectory, jumps, recalled, added = [], [], [], []
    rows = None
    for step in range(steps):
        both = reads[:, :, 2 * step : 2 * step + 2]
        if rows is not None:
            scores = overlaps[:, :, :step, 2 * step : 2 * step + 2, None]
            both = both + ops.sum(scores * rows[:, :, :, None], axis=2)
        recalled.append(both[:, :, 1])
        added.append(write[step] * positions[:, :, 1] - erase[step] * recalled[-1])
        own = overlaps[:, :, step, 2 * step, None]
        jumps.append(both[:, :, 0] + own * added[-1])
        trajectory.append(positions)
        positions = move_heads(positions, directions[step], jumps[-1])
        row = added[-1][:, :, None]
        rows = row if rows is None else ops.concatenate([rows, row], axis=2)
    memory = memory + ops.einsum("bhsk,bhsl->bhkl", keys, rows)
    saved = (trajectory, jumps, added, recalled)
    return (positions, memory), tuple(ops.stack(x) for x in saved)


def _block_back(state, elements):
    """The adjoint of `_block`, which takes its writes back as well."""
    adjoint, memory, memory_adjoint = state
    directions, pairs, write, erase, added, here = elements
    steps = pairs.shape[0]
    pairs, keys = _rows_of_block(pairs)
    added = ops.transpose(added, (1, 2, 0, 3))
    memory = memory - ops.einsum("bhsk,bhsl->bhkl", keys, added)
    # What the adjoint after the block has to say, for all steps at once.
    from_end = ops.matmul(keys, memory_adjoint)
    overlaps = ops.matmul(keys, transpose(pairs))

    adjoints, added_gradients = [None] * steps, [None] * steps
    rows = None  # [dj, -e du] of this and the later steps.
    for step in reversed(range(steps)):
        adjoints[step] = adjoint
        jump_gradient = ops.sum(directions[step][..., 3:] * adjoint, axis=2)
        own = overlaps[:, :, step, 2 * step, None]
        added_gradient = from_end[:, :, step] + own * jump_gradient
        if rows is not None:
            scores = overlaps[:, :, step, 2 * step + 2 :, None]
            added_gradient = added_gradient + ops.sum(scores * rows, axis=2)
        added_gradients[step] = added_gradient
        both = ops.stack([jump_gradient, -erase[step] * added_gradient], axis=2)
        rows = both if rows is None else ops.concatenate([both, rows], axis=2)
        written = ops.expand_dims(write[step] * added_gradient, 2)
        adjoint = (
            here[step]
            + move_heads_adjoint(adjoint, directions[step])
            + ops.pad(written, ((0, 0), (0, 0), (1, 0), (0, 0)))
        )

    # What is read at a step was added before it, or by itself if it is a jump.
    is_seen = [
        [s < t or (s == t and i == 0) for s in range(steps)]
        for t in range(steps)
        for i in range(2)
    ]
    scores = ops.matmul(rows, transpose(added)) * ops.convert_to_tensor(
        is_seen, rows.dtype
    )
    pairs_gradient = ops.matmul(rows, transpose(memory)) + ops.matmul(scores, keys)
    keys_gradient = ops.matmul(added, transpose(memory_adjoint)) + ops.matmul(
        transpose(scores), pairs
    )
    pairs_gradient = ops.reshape(
        pairs_gradient, (-1, keys.shape[1], steps, 2, keys.shape[-1])
    ) + ops.pad(keys_gradient[:, :, :, None], [[0, 0]] * 3 + [[1, 0], [0, 0]])
    memory_adjoint = memory_adjoint + ops.einsum("bhsk,bhsl->bhkl", pairs, rows)
    return (adjoint, memory, memory_adjoint), (
        ops.stack(adjoints),
        ops.transpose(pairs_gradient, (2, 0, 1, 3, 4)),
        ops.stack(added_gradients),
    )


def _rows_of_block(pairs):
    """`(steps, batch, heads, 2, key_dim)` to rows `(batch, heads, 2 * steps, ...)`.

    Returns the rows `[q_1, k_1, q_2, k_2, ...]` and the keys among them.
    """
    steps, _, heads, _, dim = pairs.shape
    pairs = ops.transpose(pairs, (1, 2, 0, 3, 4))
    return ops.reshape(pairs, (-1, heads, 2 * steps, dim)), pairs[:, :, :, 1]


def _directions_gradient(adjoints, trajectory, jumps=None):
    sources = [shift_back(trajectory), trajectory, shift_forward(trajectory)]
    gradients = [ops.sum(adjoints * source, axis=-1) for source in sources]
    if jumps is None:
        gradients.append(ops.zeros_like(gradients[0]))
    else:
        gradients.append(ops.sum(adjoints * ops.expand_dims(jumps, -2), axis=-1))
    return ops.stack(gradients, axis=-1)
