"""What the recurrent layers share: everything around the recurrence itself."""

import keras
from keras import ops
from keras import tree

from keras_nam import backend
from keras_nam.layers.arguments import check_state
from keras_nam.layers.arguments import fits


class MemoryRNN(keras.layers.RNN):
    """Base class of the recurrent layers, a `keras.layers.RNN` with a `MemoryCell`.

    It differs from the stock layer where a memory needs it: states keep their full
    shapes and their precision under every dtype policy; an implicit mask is honoured
    together with `initial_state`; sequences of length 0 give zeros; `reset_state`
    goes back to the initial states, which need not be zeros; and `trajectory` returns
    what happened at every step.

    Subclasses may override `run`, the recurrence over time.
    """

    def __init__(self, cell, **kwargs):
        # States are wider than the inputs under a mixed policy, and must not be cast.
        super().__init__(cell, autocast=False, **kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    @staticmethod
    def cell_arguments(kwargs):
        """The arguments of a layer that its cell takes over."""
        return {
            "dtype": kwargs.get("dtype"),
            "trainable": kwargs.get("trainable", True),
            "name": "cell",
        }

    def call(
        self,
        sequences,
        initial_state=None,
        mask=None,
        training=False,
        sequences_mask=None,
    ):
        sequences, states, mask = self._prepare(
            sequences, initial_state, mask, sequences_mask
        )
        projected = self.cell.project(sequences)
        outputs, states = self.run(projected, states, mask)
        outputs = ops.cast(outputs, self.compute_dtype)
        if mask is not None:
            outputs = self._fill_masked(outputs, mask)
        if self.stateful:
            for variable, state in zip(self.states, states, strict=True):
                variable.assign(ops.reshape(state, ops.shape(variable)))
        if not self.return_sequences:
            outputs = _last_step(outputs)
        return (outputs, *states) if self.return_state else outputs

    def run(self, projected, states, mask):
        """Runs the recurrence over time.

        Args:
            projected: What `cell.project` returns, `(batch, time, ...)` each.
            states: List of states in their full shapes.
            mask: Boolean tensor of shape `(batch, time)`, or `None`.

        Returns:
            `(outputs, states)`: `(batch, time, output_size)`, where outputs of masked
            steps may hold anything, and the states after the last step.
        """
        outputs, states, _ = self._run_steps(projected, states, mask)
        return outputs, states

    def trajectory(self, sequences, initial_state=None, mask=None):
        """Returns what the memory did at every step.

        The layer's own step is run over the sequence once more and its inner
        quantities are returned; nothing is kept on the layer.

        Args:
            sequences: Tensor of shape `(batch, time, features)`.
            initial_state: List of states, as in a call of the layer.
            mask: Boolean tensor of shape `(batch, time)`.

        Returns:
            Dictionary from names to tensors of shape `(batch, time, ...)`. Of a layer
            with `go_backwards=True`, time runs as the layer runs.
        """
        if not self.built:
            self.build(tuple(ops.shape(ops.convert_to_tensor(sequences))))
        sequences, states, mask = self._prepare(sequences, initial_state, mask)
        _, _, record = self._run_steps(self.cell.project(sequences), states, mask)
        return record

    def reset_state(self):
        """Sets the states of a stateful layer back to the initial ones."""
        if self.states is not None:
            batch_size = self.states[0].shape[0]
            initial = self.get_initial_state(batch_size)
            for variable, state in zip(self.states, initial, strict=True):
                variable.assign(state)

    def compute_output_spec(
        self,
        sequences,
        initial_state=None,
        mask=None,
        training=False,
        sequences_mask=None,
    ):
        if initial_state is not None:
            self._check_states(tree.flatten(initial_state))
        batch, length, _ = sequences.shape
        steps = (batch, length) if self.return_sequences else (batch,)
        output = keras.KerasTensor(
            (*steps, self.cell.output_size), dtype=self.compute_dtype
        )
        if not self.return_state:
            return output
        return (
            output,
            *(
                keras.KerasTensor((batch, *shape), dtype=self.cell.compute_dtype)
                for shape in self.state_shapes(sequences.shape)
            ),
        )

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        batch, length = sequences_shape[:2]
        steps = (batch, length) if self.return_sequences else (batch,)
        output = (*steps, self.cell.output_size)
        if not self.return_state:
            return output
        states = [(batch, *shape) for shape in self.state_shapes(sequences_shape)]
        return (output, *states)

    def state_shapes(self, sequences_shape):
        """The shapes of the states without the batch axis."""
        return self.cell.state_shapes

    def initial_states(self, sequences):
        """The states before the first step of `sequences`, in their full shapes."""
        return self.cell.initial_states(ops.shape(sequences)[0])

    def get_config(self):
        config = super().get_config()
        cell_config = self.cell.get_config()
        for name in ("cell", "input_spec"):
            config.pop(name, None)
        for name in ("name", "trainable", "dtype"):
            cell_config.pop(name)
        return {**config, **cell_config}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def _prepare(self, sequences, initial_state, mask, sequences_mask=None):
        """Checks and converts what a call was given, and turns time around."""
        sequences = ops.cast(sequences, self.compute_dtype)
        if self.unroll and sequences.shape[1] is None:
            raise ValueError(
                "A layer with `unroll=True` needs sequences of a known length. "
                f"Received: sequences.shape={tuple(sequences.shape)}"
            )
        # Keras fills `mask` from an implicit mask only if `sequences` is the single
        # tensor that was passed, but always fills `<argument>_mask`.
        mask = sequences_mask if mask is None else mask
        if mask is not None:
            mask = tree.flatten(mask)[0]
            if not fits(tuple(mask.shape), tuple(sequences.shape[:2])):
                raise ValueError(
                    "Argument `mask` must have shape (batch, time), here "
                    f"{tuple(sequences.shape[:2])}. "
                    f"Received: mask.shape={tuple(mask.shape)}"
                )
            mask = ops.cast(mask, "bool")
        states = self._states_before(sequences, initial_state)
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        return sequences, states, mask

    def _states_before(self, sequences, initial_state):
        if initial_state is None and self.stateful:
            expected, received = self.states[0].shape[0], sequences.shape[0]
            if received is not None and received != expected:
                raise ValueError(
                    f"The batch size of a stateful layer is fixed, here {expected}. "
                    f"Received: sequences.shape={tuple(sequences.shape)}"
                )
            initial_state = [variable.value for variable in self.states]
        if initial_state is None:
            return self.initial_states(sequences)
        states = tree.flatten(initial_state)
        self._check_states(states)
        for state in states:
            if not fits(tuple(state.shape[:1]), tuple(sequences.shape[:1])):
                raise ValueError(
                    "The states and the sequences must have the same batch size. "
                    f"Received: a state of shape {tuple(state.shape)} and "
                    f"sequences.shape={tuple(sequences.shape)}"
                )
        return self.cell.full_states(states)

    def _check_states(self, states):
        shapes = self.cell.state_shapes
        if len(states) != len(shapes):
            raise ValueError(
                f"Argument `initial_state` must be a list of {len(shapes)} states. "
                f"Received: {len(states)} states"
            )
        for state, shape in zip(states, shapes, strict=True):
            check_state(type(self).__name__, state, shape)

    def _run_steps(self, projected, states, mask):
        """Runs the cell step by step and keeps its outputs and its trajectory."""

        def step(states, elements):
            output, new_states, record = self.cell.step(elements[0], states)
            if mask is not None:
                valid = elements[1]
                new_states = [
                    ops.where(_expand(valid, new), new, old)
                    for new, old in zip(new_states, states, strict=True)
                ]
            return list(new_states), (output, record)

        sequences = (projected,) if mask is None else (projected, mask)
        states, (outputs, record) = backend.scan(
            step, states, _swap_batch_and_time(sequences), unroll=self.unroll
        )
        return _swap_batch_and_time(outputs), states, _swap_batch_and_time(record)

    def _fill_masked(self, outputs, mask):
        """Gives masked steps the output of the last valid step, as Keras does."""
        valid = ops.expand_dims(mask, -1)
        if self.zero_output_for_mask:
            return ops.where(valid, outputs, 0.0)
        # Sorting puts the valid steps first; how many there are up to a step tells
        # which of them was the last.
        length = ops.shape(outputs)[1]
        steps = ops.arange(length, dtype="int32")
        sorted_steps = ops.sort(ops.where(mask, steps, length + steps), axis=1)
        count = ops.cumsum(ops.cast(mask, "int32"), axis=1)
        last = ops.take_along_axis(sorted_steps, ops.maximum(count - 1, 0), axis=1)
        last = ops.where(count > 0, last, 0)
        filled = ops.take_along_axis(outputs, ops.expand_dims(last, -1), axis=1)
        return ops.where(ops.expand_dims(count > 0, -1), filled, 0.0)


def _swap_batch_and_time(tensors):
    return tree.map_structure(lambda x: ops.swapaxes(x, 0, 1), tensors)


def _expand(valid, like):
    """Adds axes to `(batch,)` until it broadcasts against `like`."""
    return ops.reshape(valid, (-1, *[1] * (len(like.shape) - 1)))


def _last_step(outputs):
    """The last time step, zeros of a sequence without steps."""
    if outputs.shape[1] is not None and outputs.shape[1] > 0:
        return outputs[:, -1]
    padded = ops.pad(outputs, ((0, 0), (1, 0), (0, 0)))
    return padded[:, -1]
