"""Positions for layers that do not know the order of their inputs."""

import keras
import numpy as np
from keras import initializers
from keras import ops

from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_rank
from keras_nam.backend import require


@keras.saving.register_keras_serializable(package="keras_nam")
class PositionEmbedding(keras.layers.Layer):
    """Adds a vector for its position to every token.

    Either a table of learned vectors, or sinusoids of geometric wavelengths for any
    length, which alternate between sine and cosine by channel:

        p_{t, 2i} = sin(t / 10000^{2i / features})
        p_{t, 2i + 1} = cos(t / 10000^{2i / features})

    Args:
        max_length: Positive integer, the rows of the learned table. `None` means
            sinusoids.
        embeddings_initializer: Initializer for the table.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.

    Returns:
        A tensor of the shape of `inputs`.

    Example:

    ```python
    x = keras.random.normal((2, 100, 32))
    keras_nam.layers.PositionEmbedding()(x).shape  # (2, 100, 32)
    ```

    Raises:
        ValueError: If `max_length` is not a positive integer, or the inputs are known
            to be longer.
    """

    def __init__(
        self,
        max_length=None,
        embeddings_initializer=None,
        **kwargs,
    ):
        max_length = check_optional_integer("max_length", max_length)
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.max_length = max_length
        self.embeddings_initializer = initializers.get(
            initializers.RandomNormal(stddev=0.02)
            if embeddings_initializer is None
            else embeddings_initializer
        )

    def build(self, inputs_shape):
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: inputs_shape[-1]})
        if self.max_length is not None:
            self.embeddings = self.add_weight(
                name="embeddings",
                shape=(self.max_length, inputs_shape[-1]),
                initializer=self.embeddings_initializer,
            )

    def call(self, inputs):
        check_rank("inputs", inputs, 3, "(batch, time, features)")
        inputs = ops.cast(inputs, self.compute_dtype)
        length = ops.shape(inputs)[1]
        if self.max_length is None:
            return inputs + self._sinusoids(ops.arange(length), inputs)
        self._check_length(inputs.shape[1])
        # Fails beyond the table, where `table[:length]` would be what there is of it,
        # and the sum repeat a table of one row.
        shape = (length, inputs.shape[-1])
        return inputs + ops.slice(self._table(inputs), (0, 0), shape)

    def initial_stream_state(self, batch_size):
        return [ops.zeros((batch_size,), "int32")]

    def stream(self, inputs, *, state):
        (start,) = state
        inputs = ops.cast(inputs, self.compute_dtype)
        length = ops.shape(inputs)[1]
        positions = ops.expand_dims(start, -1) + ops.arange(length, dtype="int32")
        if self.max_length is None:
            vectors = self._sinusoids(positions, inputs)
        else:
            positions = require(
                ops.all(positions < self.max_length),
                f"The table of positions has max_length={self.max_length} rows, and "
                "the stream is longer.",
                positions,
            )
            vectors = ops.take(self._table(inputs), positions, axis=0)
        return inputs + vectors, [start + length]

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "embeddings_initializer": initializers.serialize(
                self.embeddings_initializer
            ),
        }

    def _table(self, inputs):
        return ops.cast(ops.convert_to_tensor(self.embeddings), inputs.dtype)

    def _sinusoids(self, positions, inputs):
        channels = np.arange(inputs.shape[-1])
        rates = 10000.0 ** (-2.0 * (channels // 2) / inputs.shape[-1])
        shift = np.pi / 2 * (channels % 2)
        wide = keras.backend.result_type(inputs.dtype, "float32")
        positions = ops.expand_dims(ops.cast(positions, wide), -1)
        angles = positions * rates.astype(wide) + shift.astype(wide)
        return ops.cast(ops.sin(angles), inputs.dtype)

    def _check_length(self, length):
        if length is not None and length > self.max_length:
            raise ValueError(
                f"The table of positions has max_length={self.max_length} rows. "
                f"Received: inputs of length {length}"
            )
