"""What the recurrent layers share: everything around the recurrence itself."""

import keras
from keras import ops
from keras import tree

from keras_nam import backend
from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_mask
from keras_nam.arguments import check_rank
from keras_nam.arguments import check_segment_ids
from keras_nam.arguments import check_states
from keras_nam.arguments import fits
from keras_nam.layers.streaming import check_forwards
from keras_nam.layers.streaming import check_initial_state
from keras_nam.layers.streaming import check_no_segments
from keras_nam.layers.streaming import continue_outputs
from keras_nam.ops.segments import latest
from keras_nam.ops.segments import starts_of
from keras_nam.portable_scope import in_portable_scope

FLAGS = (
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "zero_output_for_mask",
)


class MemoryRNN(keras.layers.RNN):
    """Base class of the recurrent layers, a `keras.layers.RNN` with a `MemoryCell`.

    It differs from the stock layer where a memory needs it: states keep their full
    shapes and their precision under every dtype policy; an implicit mask is honoured
    together with `initial_state`; sequences of length 0 give zeros; `reset_state`
    goes back to the initial states, which need not be zeros; `trajectory` returns what
    happened at every step; `stream` goes on from the states of an earlier piece; and
    rows may hold several sequences, which `segment_ids` tell apart.

    Subclasses may override `run`, the recurrence over time, and the states that it
    starts from.
    """

    # Which of the states is the memory that may be given alone as `initial_state`.
    memory_index = 0
    # Whether `run` has an equivalent in other runtimes than TensorFlow.
    run_is_portable = False
    # Whether `run` has `segment_ids` as a last argument, for rows of several sequences.
    run_takes_segments = False

    def __init__(self, cell, **kwargs):
        for name in FLAGS:
            check_boolean(name, kwargs.get(name, False))
        # States are wider than the inputs under a mixed policy, and must not be cast.
        super().__init__(cell, autocast=False, **kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    @property
    def variable_dtype(self):
        """The dtype of the variables beside those of the cell: the states."""
        return self.cell.state_dtype

    def build(self, sequences_shape, initial_state_shape=None):
        super().build(sequences_shape, initial_state_shape)
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: sequences_shape[-1]})

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
        segment_ids=None,
    ):
        # Keras fills `mask` from an implicit mask only if `sequences` is the single
        # tensor that was passed, but it always fills `<argument>_mask`.
        mask = sequences_mask if mask is None else mask
        outputs, states = self._outputs_and_states(
            sequences, initial_state, mask, training, segment_ids
        )
        if self.stateful:
            for variable, state in zip(self.states, states, strict=True):
                variable.assign(ops.reshape(state, ops.shape(variable)))
        if not self.return_sequences:
            outputs = _last_step(outputs)
        return (outputs, *states) if self.return_state else outputs

    def initial_stream_state(self, batch_size):
        check_forwards(self)
        last_output = ops.zeros((batch_size, self.cell.output_size), self.compute_dtype)
        return [*self.cell.initial_states(batch_size), last_output]

    def stream(
        self,
        sequences,
        initial_state=None,
        mask=None,
        training=False,
        sequences_mask=None,
        segment_ids=None,
        *,
        state,
    ):
        check_initial_state(initial_state)
        check_no_segments(segment_ids)
        mask = sequences_mask if mask is None else mask
        *states, last_output = state
        outputs, states = self._outputs_and_states(sequences, states, mask, training)
        outputs, last_output = continue_outputs(self, outputs, mask, last_output)
        returned = (outputs, *states) if self.return_state else outputs
        return returned, [*states, last_output]

    def run(self, projected, states, mask, training=False):
        """Runs the recurrence over time.

        Args:
            projected: What `cell.project` returns, `(batch, time, ...)` each.
            states: List of states in their full shapes.
            mask: Boolean tensor of shape `(batch, time)`, or `None`.
            training: Boolean, whether the model is being trained.

        Returns:
            `(outputs, states)`: `(batch, time, output_size)`, where outputs of masked
            steps may hold anything, and the states after the last step.
        """
        outputs, states, _ = self.run_steps(projected, states, mask, training)
        return outputs, states

    def regularize(self, projected, mask, training):
        """Adds what `projected` costs to the loss of a training."""

    def trajectory(self, sequences, initial_state=None, mask=None):
        """Returns what the memory did at every step.

        The cell is run over the sequence step by step, and its inner quantities are
        returned; nothing is kept on the layer.

        Args:
            sequences: Tensor of shape `(batch, time, features)`.
            initial_state: List of states, as in a call of the layer.
            mask: Boolean tensor of shape `(batch, time)`.

        Returns:
            Dictionary from names to tensors of shape `(batch, time, ...)`. If
            `go_backwards`, time runs as the layer runs. What stands at a masked step
            did not take place: the states stay those of the last valid step.
        """
        if not self.built:
            self.build(tuple(ops.convert_to_tensor(sequences).shape))
        sequences, states, mask, _ = self._prepare(sequences, initial_state, mask)
        projected = self.cell.project(sequences)
        return self.run_steps(projected, states, mask, record=True)[2]

    def states_before(self, sequences):
        """The states before the first step of `sequences`, in their full shapes."""
        return self.cell.initial_states(ops.shape(sequences)[0])

    def states_with(self, memory):
        """The initial states but for the memory."""
        states = self.cell.initial_states(ops.shape(memory)[0])
        states[self.memory_index] = memory
        return states

    def shapes_of_states(self, sequences_shape, initial_state_shape=None):
        """The shapes of the states without the batch axis."""
        return self.cell.state_shapes

    def reset_state(self):
        """Sets the states of a stateful layer back to the initial ones."""
        if self.states is not None:
            initial = self.get_initial_state(self.states[0].shape[0])
            for variable, state in zip(self.states, initial, strict=True):
                variable.assign(state)

    def compute_output_spec(
        self,
        sequences,
        initial_state=None,
        mask=None,
        training=False,
        sequences_mask=None,
        segment_ids=None,
    ):
        self._check_arguments(sequences, initial_state, mask, segment_ids)
        state_shapes = None
        if initial_state is not None:
            state_shapes = [tuple(x.shape) for x in tree.flatten(initial_state)]
        shapes = self.compute_output_shape(sequences.shape, state_shapes)
        if not self.return_state:
            return keras.KerasTensor(shapes, dtype=self.compute_dtype)
        output, *states = shapes
        return (
            keras.KerasTensor(output, dtype=self.compute_dtype),
            *(keras.KerasTensor(s, dtype=self.cell.state_dtype) for s in states),
        )

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        batch, length = sequences_shape[:2]
        steps = (batch, length) if self.return_sequences else (batch,)
        output = (*steps, self.cell.output_size)
        if not self.return_state:
            return output
        shapes = self.shapes_of_states(sequences_shape, initial_state_shape)
        return (output, *((batch, *shape) for shape in shapes))

    def get_config(self):
        config = {**super().get_config(), **self.cell.get_config()}
        del config["cell"]
        # The cell shares these, but for its name.
        return {**config, **keras.layers.Layer.get_config(self)}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def _outputs_and_states(
        self, sequences, initial_state, mask, training, segment_ids=None
    ):
        """The outputs of all steps, and the states after the last one."""
        sequences, states, mask, segment_ids = self._prepare(
            sequences, initial_state, mask, segment_ids
        )
        # TensorFlow's own optimizer divides by the number of rows that it knows.
        if 0 in sequences.shape[:2]:
            shape = (*ops.shape(sequences)[:2], self.cell.output_size)
            outputs = ops.zeros(shape, self.compute_dtype)
        else:
            projected = self.cell.project(sequences)
            self.regularize(projected, mask, training)
            arguments = [projected, states, mask, training]
            by_steps = self.unroll or (in_portable_scope() and not self.run_is_portable)
            if segment_ids is not None and self.run_takes_segments and not by_steps:
                arguments.append(segment_ids)
            elif segment_ids is not None:
                by_steps = True
                starts = starts_of(segment_ids, mask)
                arguments.append((starts, self.states_before(sequences)))
            run = self.run_steps if by_steps else self.run
            outputs, states, *_ = run(*arguments)
            outputs = ops.cast(outputs, self.compute_dtype)
        if mask is not None:
            outputs = self._fill_masked(outputs, mask)
        return outputs, states

    def _prepare(self, sequences, initial_state, mask, segment_ids=None):
        """Checks and converts what a call was given, and turns time around."""
        self._check_arguments(sequences, initial_state, mask, segment_ids)
        sequences = ops.cast(sequences, self.compute_dtype)
        if initial_state is not None:
            states = tree.flatten(initial_state)
            shapes = self._shapes_of(states)
            states = self.cell.full_states(states, shapes)
            if len(shapes) < len(self.cell.state_shapes):
                states = self.states_with(*states)
        elif self.stateful:
            states = [state.value for state in self.states]
            states = self.cell.full_states(states, self.cell.state_shapes)
        else:
            states = self.states_before(sequences)
        if mask is not None:
            mask = ops.cast(_first(mask), "bool")
            # What stands under a mask may be infinite or NaN, and must not spread.
            sequences = ops.where(ops.expand_dims(mask, -1), sequences, 0.0)
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=1)
            mask, segment_ids = (
                None if x is None else ops.flip(x, axis=1) for x in (mask, segment_ids)
            )
        return sequences, states, mask, segment_ids

    def _check_arguments(self, sequences, initial_state, mask, segment_ids=None):
        check_rank("sequences", sequences, 3, "(batch, time, features)")
        batch, length = tuple(sequences.shape)[:2]
        if self.unroll and length is None:
            raise ValueError(
                "A layer with `unroll=True` needs sequences of a known length. "
                f"Received: sequences.shape={tuple(sequences.shape)}"
            )
        if mask is not None:
            check_mask("mask", _first(mask), (batch, length))
        check_segment_ids(segment_ids, (batch, length))
        if initial_state is not None:
            states = tree.flatten(initial_state)
            check_states(type(self).__name__, states, self._shapes_of(states))
        elif self.stateful and self.states is not None:
            states = self.states
        else:
            return
        for state in states:
            if not fits(tuple(state.shape)[:1], (batch,)):
                raise ValueError(
                    "The states and the sequences must have the same batch size, and "
                    "that of a stateful layer is fixed. Received: a state of shape "
                    f"{tuple(state.shape)} and sequences of shape "
                    f"{tuple(sequences.shape)}"
                )

    def _shapes_of(self, states):
        """The shapes of given states: all of them, or the memory alone."""
        shapes = self.cell.state_shapes
        return [shapes[self.memory_index]] if len(states) == 1 else shapes

    def run_steps(
        self, projected, states, mask, training=False, segments=None, record=False
    ):
        """As `run`, cell by cell, with the trajectory as a third result if `record`.

        Rows of several sequences have `segments`, booleans of shape `(batch, time)`
        where one starts, and the states that it starts with.
        """

        def step(states, elements):
            projected, valid, start = elements
            if start:
                states = [
                    ops.where(_expand(start[0], old), new, old)
                    for new, old in zip(segments[1], states, strict=True)
                ]
            output, new_states, trajectory = self.cell.step(projected, states, training)
            if valid:
                new_states = [
                    ops.where(_expand(valid[0], new), new, old)
                    for new, old in zip(new_states, states, strict=True)
                ]
            return list(new_states), (output, trajectory if record else {})

        valid, start = [] if mask is None else [mask], list((segments or ())[:1])
        sequences = [projected, valid, start]
        states, (outputs, trajectory) = backend.scan(
            step, list(states), _swap_batch_and_time(sequences), unroll=self.unroll
        )
        return _swap_batch_and_time(outputs), states, _swap_batch_and_time(trajectory)

    def _fill_masked(self, outputs, mask):
        """Gives masked steps the output of the last valid step, as Keras does."""
        valid = ops.expand_dims(mask, -1)
        if self.zero_output_for_mask:
            return ops.where(valid, outputs, 0.0)
        last, any_yet = latest(mask)
        last = ops.expand_dims(last, -1)
        filled = ops.take_along_axis(outputs, last, axis=1)
        return ops.where(ops.expand_dims(any_yet, -1), filled, 0.0)


def _first(mask):
    """The mask of the sequences, which Keras hands over with those of the states."""
    return mask[0] if isinstance(mask, (list, tuple)) and mask else mask


def _swap_batch_and_time(tensors):
    return tree.map_structure(lambda x: ops.swapaxes(x, 0, 1), tensors)


def _expand(valid, like):
    """Adds axes to `(batch,)` until it broadcasts against `like`."""
    return ops.reshape(valid, (-1, *[1] * (len(like.shape) - 1)))


def _last_step(outputs):
    """The last time step; zeros for a sequence without steps."""
    if outputs.shape[1]:
        return outputs[:, -1]
    return ops.pad(outputs, ((0, 0), (1, 0), (0, 0)))[:, -1]
