"""What the cells share: states, their shapes and their precision."""

import math

import keras
from keras import ops

from keras_nam.arguments import check_states


class MemoryCell(keras.layers.Layer):
    """Base class of the cells: one time step of a layer with a memory.

    A cell is split where the time loop is: `project` computes all that depends on the
    input alone, for one step or for a whole sequence, and `step` does the rest. The
    layers of the same name run these two parts over time.

    Subclasses set `output_size` and define

    - `state_shapes`: tuple of the shapes of the states, without the batch axis;
    - `project(inputs)`: inputs of shape `(..., features)` to nested tensors of
        shape `(..., ...)`;
    - `step(projected, states, training)`: to `(output, new_states, trajectory)`,
        where `trajectory` is a dictionary of the tensors worth looking at.

    `keras.layers.RNN` knows vectors as states, so a cell's states are flat there:
    `(batch, size)` with the sizes in `state_size`. States of the full shapes are
    taken as well and come back in the shape in which they were given.
    """

    def __init__(self, **kwargs):
        # States are wider than the inputs under a mixed policy, and must not be cast.
        super().__init__(autocast=False, **kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=2)

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                "The number of features must be known to build a "
                f"`{type(self).__name__}`. Received: input_shape={tuple(input_shape)}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=2, axes={-1: input_shape[-1]})

    @property
    def state_dtype(self):
        """The dtype of the states: float32 whatever the policy, or float64."""
        return keras.backend.result_type(self.dtype_policy.compute_dtype, "float32")

    @property
    def compute_dtype(self):
        """The dtype that `keras.layers.RNN` casts the states to.

        Projections run in `dtype_policy.compute_dtype`.
        """
        return self.state_dtype

    @property
    def state_size(self):
        return [math.prod(shape) for shape in self.state_shapes]

    def get_initial_state(self, batch_size=None):
        """Returns the states before the first step, each `(batch_size, size)`."""
        return [
            ops.reshape(state, (batch_size, size))
            for state, size in zip(
                self.initial_states(batch_size), self.state_size, strict=True
            )
        ]

    def initial_states(self, batch_size):
        """Returns the states before the first step in their full shapes."""
        return [
            ops.zeros((batch_size, *shape), self.state_dtype)
            for shape in self.state_shapes
        ]

    def call(self, inputs, states, training=False):
        check_states(type(self).__name__, states, self.state_shapes)
        full = self.full_states(states, self.state_shapes)
        output, new_states, _ = self.step(self.project(inputs), full, training)
        as_given = [
            ops.reshape(ops.cast(new, old.dtype), ops.shape(old))
            for new, old in zip(new_states, states, strict=True)
        ]
        return ops.cast(output, self.dtype_policy.compute_dtype), as_given

    def full_states(self, states, shapes):
        """Gives flat states their full shapes, in the dtype of the states."""
        full = []
        for state, shape in zip(states, shapes, strict=True):
            state = ops.convert_to_tensor(state, dtype=self.state_dtype)
            shape = [-1 if size is None else size for size in shape]
            full.append(ops.reshape(state, (ops.shape(state)[0], *shape)))
        return full
