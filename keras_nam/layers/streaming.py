"""How a layer goes on from where it stopped.

A layer that carries something from step to step joins by two methods:

- `initial_stream_state(batch_size)` returns all that the layer keeps of the past before
    the first step, a list of tensors whose first axis is the batch;
- `stream(*args, state, **kwargs)` takes the arguments of `call` and such a list, and
    returns what `call` returns for these steps, and the list after them. Of several
    outputs, the first has the steps, unless `return_sequences` is an attribute of the
    layer and false; the others are what holds after them.

A sequence in pieces, each from the state after the one before, gives what `call` gives
for the whole. The sizes of the states do not depend on the number of steps, a masked
step changes none of them, and nothing is kept on the layer. Inputs arrive in the dtype
in which `call` would get them, and states as they were returned. What cannot be
continued raises a `ValueError` that says why.
"""

import keras
from keras import ops
from keras import tree

RECURRENT = (
    keras.layers.LSTM,
    keras.layers.GRU,
    keras.layers.SimpleRNN,
    keras.layers.RNN,
)


def streaming(layer):
    """Returns what streams in place of `layer`: itself, or a twin of a Keras layer.

    Raises:
        ValueError: If the layer cannot be continued.
    """
    if type(layer) in RECURRENT:
        return _StreamingRNN(layer)
    if type(layer) is keras.layers.Conv1D:
        return _StreamingConvolution(layer)
    classes = type(layer).__mro__
    # A subclass with a `call` of its own does not compute what it inherited.
    for cls in classes:
        if "stream" in vars(cls):
            return layer
        if "call" in vars(cls):
            break
    raise ValueError(
        f"Layer '{layer.name}' of type {type(layer)} has no method `stream`, which "
        "would go on from a state"
    )


def check_forwards(layer):
    """Raises a `ValueError` if a recurrent layer needs the end of a sequence first."""
    if layer.go_backwards:
        raise ValueError("`go_backwards=True` needs the end of a sequence first")


def check_initial_state(initial_state):
    """Raises a `ValueError` if a stream is to start from a state of the caller's."""
    if initial_state is not None:
        raise ValueError(
            "an `initial_state` from elsewhere would take the place of the state after "
            "the piece before"
        )


def check_no_segments(segment_ids):
    """Raises a `ValueError` if a stream is to hold several sequences in a row."""
    if segment_ids is not None:
        raise ValueError(
            "with `segment_ids` a piece would have to know in which sequence the one "
            "before ended"
        )


def continue_outputs(layer, outputs, mask, last_output):
    """Makes outputs of a recurrent layer go on from those of the piece before.

    Args:
        layer: A `keras.layers.RNN`.
        outputs: Tensor of shape `(batch, time, features)`.
        mask: Boolean tensor of shape `(batch, time)`, or `None`.
        last_output: Tensor of shape `(batch, features)`, what masked steps repeat
            before the first valid one.

    Returns:
        `(outputs, last_output)`: what the layer returns, all steps or the last, and the
        last output, which is the old one if there are no steps.
    """
    last_output = ops.cast(last_output, outputs.dtype)
    if mask is not None and not layer.zero_output_for_mask:
        any_yet = ops.cumsum(ops.cast(mask, "int32"), axis=1) > 0
        outputs = ops.where(any_yet[..., None], outputs, last_output[:, None])
    last_output = ops.concatenate([last_output[:, None], outputs], axis=1)[:, -1]
    return (outputs if layer.return_sequences else last_output), last_output


class _StreamingRNN(keras.layers.RNN):
    """A recurrent layer of Keras on the same cell, which takes and returns states."""

    def __init__(self, layer):
        check_forwards(layer)
        # Between pieces, states are to be no narrower than those of the cell.
        super().__init__(
            layer.cell,
            return_sequences=True,
            return_state=True,
            zero_output_for_mask=layer.zero_output_for_mask,
            dtype=keras.backend.result_type(layer.compute_dtype, "float32"),
            name=layer.name,
        )
        self.layer = layer
        self.built = True

    def initial_stream_state(self, batch_size):
        states = tree.flatten(self.get_initial_state(batch_size))
        last_output = ops.zeros((batch_size, self.cell.output_size))
        return [ops.cast(x, self.compute_dtype) for x in (*states, last_output)]

    def stream(
        self, sequences, initial_state=None, mask=None, training=False, *, state
    ):
        check_initial_state(initial_state)
        *states, last_output = state
        batch = ops.shape(sequences)[0]
        nested = tree.pack_sequence_as(self.get_initial_state(batch), states)
        steps, valid, length = sequences, mask, ops.shape(sequences)[1]
        if not sequences.shape[1]:
            # Keras' loop does not take what has no steps: then it gets a masked one.
            known = sequences.shape[1] is not None
            extra = 1 if known else ops.maximum(1 - length, 0)
            none = ops.zeros((batch, extra, *steps.shape[2:]), steps.dtype)
            steps = ops.concatenate([steps, none], axis=1)
            valid = ops.ones((batch, length), "bool") if mask is None else mask
            valid = ops.concatenate([valid, ops.zeros((batch, extra), "bool")], axis=1)
        outputs, *states = self(
            steps, initial_state=nested, mask=valid, training=training
        )
        outputs = outputs[:, :length]
        outputs, last_output = continue_outputs(self.layer, outputs, mask, last_output)
        outputs = ops.cast(outputs, self.layer.compute_dtype)
        returned = (outputs, *states) if self.layer.return_state else outputs
        return returned, [*tree.flatten(states), last_output]


class _StreamingConvolution:
    """A causal convolution of Keras, which keeps the steps that its kernel reaches."""

    def __init__(self, layer):
        if layer.padding != "causal":
            raise ValueError("only `padding='causal'` looks at no later step")
        if layer.strides != (1,) or layer.data_format != "channels_last":
            raise ValueError(
                "a convolution goes on from a state with `strides=1` and "
                "`data_format='channels_last'`"
            )
        self.layer = layer
        self.past = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]

    def initial_stream_state(self, batch_size):
        channels = self.layer.input_spec.axes[-1]
        return [ops.zeros((batch_size, self.past, channels), self.layer.compute_dtype)]

    def stream(self, inputs, *, state):
        (before,) = state
        steps = ops.concatenate([ops.cast(before, inputs.dtype), inputs], axis=1)
        outputs = self.layer(steps)[:, self.past :]
        return outputs, [steps[:, ops.shape(inputs)[1] :]]
