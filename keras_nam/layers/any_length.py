"""Recurrent layers whose memory may be as long as the sequence."""

from keras import ops

from keras_nam.layers.cell import MemoryCell
from keras_nam.layers.recurrent import MemoryRNN


class AnyLengthCell(MemoryCell):
    """Base class of cells whose memory has a length that may be left open.

    Subclasses set `memory_length`, `None` where the states that the cell is called with
    have to tell it, and define

    - `state_shapes_for(memory_length)`: the shapes of the states, the memory first,
        `(parts, memory_length, ...)`.
    """

    # The length of the memory for sequences that are shorter.
    least_length = 1

    @property
    def state_shapes(self):
        return self.state_shapes_for(self.memory_length)

    @property
    def state_size(self):
        if self.memory_length is None:
            return [None] * len(self.state_shapes)
        return super().state_size

    def initial_states(self, batch_size, memory_length=None):
        memory_length = self.memory_length if memory_length is None else memory_length
        if memory_length is None:
            raise ValueError(
                "A memory of unknown length has no initial state; only the layer of "
                f"a `{type(self).__name__}`, when it is not stateful, can take the "
                "length from its input. Received: a length of None"
            )
        return [
            ops.zeros((batch_size, *shape), self.state_dtype)
            for shape in self.state_shapes_for(memory_length)
        ]

    def full_states(self, states, shapes):
        full = super().full_states(states, shapes)
        length = full[0].shape[2]
        if length is not None and length < self.least_length:
            raise ValueError(
                f"The memory of a `{type(self).__name__}` must have a length of at "
                f"least {self.least_length}. Received: a length of {length}"
            )
        return full


class AnyLengthRNN(MemoryRNN):
    """Base class of layers of such cells, which take the length from their input."""

    def states_before(self, sequences):
        batch, length = ops.shape(sequences)[:2]
        return self.cell.initial_states(batch, self._memory_length(length))

    def shapes_of_states(self, sequences_shape, initial_state_shape=None):
        length = self._memory_length(sequences_shape[1])
        if initial_state_shape is not None and self.cell.memory_length is None:
            memory_shape = initial_state_shape[0]
            is_flat = len(memory_shape) == 2
            length = None if is_flat else memory_shape[2]
        return self.cell.state_shapes_for(length)

    def states_with(self, memory):
        batch, _, length = ops.shape(memory)[:3]
        return [memory, *self.cell.initial_states(batch, length)[1:]]

    def _memory_length(self, length):
        if self.cell.memory_length is not None or length is None:
            return self.cell.memory_length
        maximum = max if isinstance(length, int) else ops.maximum
        return maximum(length, self.cell.least_length)

    def _check_arguments(self, sequences, initial_state, mask, segment_ids=None):
        super()._check_arguments(sequences, initial_state, mask, segment_ids)
        if segment_ids is not None and self.cell.memory_length is None:
            raise ValueError(
                "Rows of several sequences need a memory of a given length: one as "
                "long as the row is longer than that of each alone. Received: "
                f"segment_ids for a `{type(self).__name__}` without one"
            )
