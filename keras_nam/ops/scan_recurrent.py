"""The memory step by step, with a gradient that keeps few memories.

A write adds `u_t k_t^T`, so the memory before a step is the memory after it minus
that product. The backward pass of a memory that keeps all therefore needs the vectors
`u_t` and not the matrices `M_t`: O(time * dim) numbers instead of O(time * dim^2). What
was forgotten cannot be had back: a memory with a decay is kept at the start of short
segments, and runs forwards again within them.
"""

from keras import ops

from keras_nam import backend
from keras_nam.ops.memory import forget
from keras_nam.ops.memory import outer
from keras_nam.ops.segments import SEGMENT_LENGTH
from keras_nam.ops.segments import join_segments
from keras_nam.ops.segments import split_segments
from keras_nam.ops.step import write_and_read
from keras_nam.ops.step import write_and_read_adjoint

# The backward pass holds the memories of all steps of one such segment.
FORGETTING_SEGMENT_LENGTH = 32


def recurrent_scan(query, key, value, erased, decay, memory):
    """Scans step by step.

    Args:
        query: Tensor of shape `(batch, time, heads, key_dim)`.
        key: Tensor of shape `(batch, time, heads, key_dim)`.
        value: Tensor of shape `(batch, time, heads, value_dim)`, times the write
            gate.
        erased: Tensor of shape `(batch, time, heads, key_dim)`, keys times the erase
            gate.
        decay: Tensor of log decays, `(batch, time, heads, key_dim)`, or with 1 in
            place of `key_dim`. `None` means a memory that keeps all.
        memory: Tensor of shape `(batch, heads, value_dim, key_dim)`.

    Returns:
        `(outputs, memory)` of shapes `(batch, time, heads, value_dim)` and
        `(batch, heads, value_dim, key_dim)`.
    """
    length = ops.shape(query)[1]
    sequences, segment_length = [query, key, value, erased], SEGMENT_LENGTH
    if decay is not None:
        sequences, segment_length = [*sequences, decay], FORGETTING_SEGMENT_LENGTH
    # Zero tokens write nothing, so padding leaves the memory as it is.
    sequences = [split_segments(x, length, segment_length) for x in sequences]
    outputs, memory = _segmented_scan(memory, *sequences)
    return join_segments(outputs, length), memory


@backend.custom_gradient
def _segmented_scan(memory, query, key, value, erased, *decay):
    """Sequences of shape `(segments, steps, batch, heads, d)`."""

    def segment(memory, sequences):
        after, outputs = backend.scan(_step, memory, sequences)
        return after, (outputs, memory if decay else after)

    final, ((outputs, added), kept) = backend.scan(
        segment, memory, (query, key, value, erased, *decay)
    )

    def gradient(outputs_gradient, final_gradient):
        saved = (query, key, added, erased, outputs_gradient, *decay)
        adjoint, gradients = backend.scan(
            _forgetting_segment_back if decay else _segment_back,
            final_gradient,
            (kept, saved),
            reverse=True,
        )
        return adjoint, *gradients

    return (outputs, final), gradient


def _step(memory, elements):
    query, key, value, erased, *decay = elements
    if decay:
        memory = forget(memory, *decay)
    memory, output, added = write_and_read(memory, query, key, value, erased)
    return memory, (output, added)


def _segment_back(adjoint, elements):
    """Takes the steps of a segment back from the memory after it."""

    def step_back(state, elements):
        memory, adjoint = state
        _, key, added, *_ = elements
        memory = memory - outer(added, key)
        adjoint, gradients = write_and_read_adjoint(memory, adjoint, *elements)
        return (memory, adjoint), gradients

    end, sequences = elements
    (_, adjoint), gradients = backend.scan(
        step_back, (end, adjoint), sequences, reverse=True
    )
    return adjoint, gradients


def _forgetting_segment_back(adjoint, elements):
    """Runs a segment from the memory before it once more, then its adjoint."""

    def step(memory, elements):
        key, added, decay = elements
        memory = forget(memory, decay)
        return memory + outer(added, key), memory

    def step_back(adjoint, elements):
        memory, *elements, decay = elements
        adjoint, gradients = write_and_read_adjoint(memory, adjoint, *elements)
        decay_gradient = ops.sum(adjoint * memory, axis=-2)
        if decay.shape[-1] == 1:
            decay_gradient = ops.sum(decay_gradient, axis=-1, keepdims=True)
        return forget(adjoint, decay), (*gradients, decay_gradient)

    start, sequences = elements
    _, key, added, *_, decay = sequences
    _, memories = backend.scan(step, start, (key, added, decay))
    return backend.scan(step_back, adjoint, (memories, *sequences), reverse=True)
