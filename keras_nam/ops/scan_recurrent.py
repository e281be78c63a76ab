"""The memory step by step, with a gradient that runs the memory backwards.

A write adds `u_t k_t^T`, so the memory before a step is the memory after it minus
that product. The backward pass therefore needs the vectors `u_t` and not the
matrices `M_t`: O(time * dim) numbers instead of O(time * dim^2).
"""

from keras import ops

from keras_nam import backend
from keras_nam.ops.segments import join_segments
from keras_nam.ops.segments import split_segments
from keras_nam.ops.step import write_and_read
from keras_nam.ops.step import write_and_read_adjoint


def recurrent_scan(query, key, value, erase, memory):
    """Scans step by step.

    Args:
        query: Tensor of shape `(batch, time, heads, key_dim)`.
        key: Tensor of shape `(batch, time, heads, key_dim)`.
        value: Tensor of shape `(batch, time, heads, value_dim)`, times the write
            gate.
        erase: Tensor of shape `(batch, time, heads)`.
        memory: Tensor of shape `(batch, heads, value_dim, key_dim)`.

    Returns:
        `(outputs, memory)` of shapes `(batch, time, heads, value_dim)` and
        `(batch, heads, value_dim, key_dim)`.
    """
    length = ops.shape(query)[1]
    # Zero tokens write nothing, so padding leaves the memory as it is.
    sequences = [
        split_segments(x, length)
        for x in (query, key, value, ops.expand_dims(erase, -1))
    ]
    outputs, memory = _segmented_scan(*sequences, memory)
    return join_segments(outputs, length), memory


@backend.custom_gradient
def _segmented_scan(query, key, value, erase, memory):
    """Sequences of shape `(segments, steps, batch, heads, d)`."""

    def segment(memory, sequences):
        after, outputs = backend.scan(_step, memory, sequences)
        return after, (outputs, after)

    final, ((outputs, added, recalled), ends) = backend.scan(
        segment, memory, (query, key, value, erase)
    )

    def gradient(outputs_gradient, final_gradient):
        def segment_back(adjoint, elements):
            end, sequences = elements
            (_, adjoint), gradients = backend.scan(
                _step_back, (end, adjoint), sequences, reverse=True
            )
            return adjoint, gradients

        saved = (query, key, added, recalled, erase, outputs_gradient)
        adjoint, gradients = backend.scan(
            segment_back, final_gradient, (ends, saved), reverse=True
        )
        return *gradients, adjoint

    return (outputs, final), gradient


def _step(memory, elements):
    query, key, value, erase = elements
    memory, output, added, recalled = write_and_read(memory, query, key, value, erase)
    return memory, (output, added, recalled)


def _step_back(state, elements):
    memory, adjoint, gradients = write_and_read_adjoint(*state, *elements)
    return (memory, adjoint), gradients
