"""An LSTM in both directions."""

import keras
from keras import initializers
from keras import ops

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_integer
from keras_nam.layers.attention_masks import clear_masked
from keras_nam.layers.attention_masks import padding_of
from keras_nam.layers.initialization import DrawnWide
from keras_nam.layers.initialization import clone_initializer
from keras_nam.ops.lstm_scan import lstm_scan


@keras.saving.register_keras_serializable(package="keras_nam")
class LSTMEncoder(keras.layers.Layer):
    """LSTM over a whole sequence, in both directions or in one.

    It computes what `keras.layers.Bidirectional(keras.layers.LSTM(units,
    return_sequences=True))` computes,

        i, f, g, o = split(x_t W + h_{t-1} R + b)
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
        h_t = sigmoid(o) tanh(c_t)

    and runs everywhere under `jit_compile=True`, where cuDNN does not. There it is
    faster, for its gradient does outside of the loop all that does not depend on later
    steps; without XLA both take the same time on a CPU.

    Args:
        units: Positive integer, dimensionality of the output space of one direction.
        bidirectional: Boolean. Whether a second LSTM runs from the last step to the
            first.
        kernel_initializer: Initializer for the input kernels.
        recurrent_initializer: Initializer for the recurrent kernels.
        bias_initializer: Initializer for the biases.
        unit_forget_bias: Boolean. Whether 1 is added to the bias of the forget gate
            at the start.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        padding_mask: Boolean tensor of shape `(batch, time)`. A masked (`False`) step
            leaves the states untouched, and its output is that of the last valid step
            of the direction, zeros if there is none. `None` means the mask of the
            inputs.
        mask: The implicit mask of the inputs, which Keras passes.

    Returns:
        A tensor of shape `(batch, time, 2 * units)`, the forward direction first, or
        `(batch, time, units)` with `bidirectional=False`.

    Example:

    ```python
    x = keras.random.normal((2, 10, 8))
    keras_nam.layers.LSTMEncoder(16)(x).shape  # (2, 10, 32)
    ```

    Raises:
        ValueError: If `units` is not a positive integer, or inputs or mask have
            another shape.
    """

    def __init__(
        self,
        units,
        bidirectional=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        **kwargs,
    ):
        units = check_integer("units", units)
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.units = units
        self.bidirectional = check_boolean("bidirectional", bidirectional)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.unit_forget_bias = check_boolean("unit_forget_bias", unit_forget_bias)

    def build(self, inputs_shape):
        features = inputs_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: features})
        gates = 4 * self.units
        self.kernel = self._add_weight(
            "kernel", (features, gates), self.kernel_initializer
        )
        self.recurrent_kernel = self._add_weight(
            "recurrent_kernel", (self.units, gates), self.recurrent_initializer
        )
        self.bias = self._add_weight("bias", (gates,), self._draw_bias)

    def call(self, inputs, padding_mask=None, mask=None):
        mask = padding_of(inputs, padding_mask, mask)
        states = self._zeros(ops.shape(inputs)[0])
        forward, _ = self._run(0, inputs, mask, states)
        if not self.bidirectional:
            return forward
        # A loop of its own: loops that do not depend on each other run side by side.
        mask = None if mask is None else ops.flip(mask, axis=1)
        backward, _ = self._run(1, ops.flip(inputs, axis=1), mask, states)
        return ops.concatenate([forward, ops.flip(backward, axis=1)], axis=-1)

    def initial_stream_state(self, batch_size):
        if self.bidirectional:
            raise ValueError("`bidirectional=True` needs the end of a sequence first")
        return self._zeros(batch_size)

    def stream(self, inputs, padding_mask=None, mask=None, *, state):
        mask = padding_of(inputs, padding_mask, mask)
        return self._run(0, inputs, mask, state)

    @property
    def num_directions(self):
        return 2 if self.bidirectional else 1

    def compute_output_shape(self, inputs_shape):
        return (*inputs_shape[:-1], self.num_directions * self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "bidirectional": self.bidirectional,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "unit_forget_bias": self.unit_forget_bias,
        }

    def _zeros(self, batch_size):
        # Sums over many steps need more than half precision.
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        return [ops.zeros((batch_size, self.units), dtype) for _ in "hc"]

    def _run(self, direction, inputs, mask, states):
        """The outputs of one direction, and its states after the last step."""
        inputs, kernel, recurrent_kernel, bias = (
            ops.cast(x, self.compute_dtype)
            for x in (inputs, self.kernel, self.recurrent_kernel, self.bias)
        )
        inputs = clear_masked(inputs, mask)
        projected = ops.matmul(inputs, kernel[direction]) + bias[direction]
        outputs, *states = lstm_scan(
            projected, recurrent_kernel[direction], *states, mask
        )
        return ops.cast(outputs, self.compute_dtype), states

    def _add_weight(self, name, shape, initializer):
        # Every direction is drawn like an LSTM of its own.
        initializers_of_directions = [
            DrawnWide(clone_initializer(initializer))
            for _ in range(self.num_directions)
        ]

        def draw(shape, dtype=None):
            return ops.stack([f(shape[1:], dtype) for f in initializers_of_directions])

        return self.add_weight(
            name=name, shape=(self.num_directions, *shape), initializer=draw
        )

    def _draw_bias(self, shape, dtype=None):
        bias = clone_initializer(self.bias_initializer)(shape, dtype)
        if not self.unit_forget_bias:
            return bias
        gate = ops.arange(shape[0]) // self.units
        return bias + ops.cast(ops.equal(gate, 1), dtype)
