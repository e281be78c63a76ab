"""A convolutional encoder with growing fields of view."""

import keras
from keras import ops

from keras_nam.arguments import check_divisible
from keras_nam.baselines.encoder import FixedDepthEncoder
from keras_nam.layers.attention_masks import clear_masked
from keras_nam.layers.attention_masks import padding_of

DILATIONS = (1, 2, 4, 1, 2, 4)
EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="keras_nam")
class ConvolutionalEncoder(FixedDepthEncoder):
    """Residual blocks of dilated convolutions.

        x = norm(inputs)
        x = x + dropout(expand(dilate(reduce(x))))               in each of the blocks

    where each of `reduce` (one tap, half the width), `dilate` (five taps) and `expand`
    (one tap) is a convolution, a batch normalisation and a relu.

    Args:
        dropout: Float, the rate of dropout.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`, with an even number of
            features, which is also that of the outputs.
        padding_mask: Boolean tensor of shape `(batch, time)`. Masked (`False`) steps
            count as the zeros beyond the ends of a row, and not at all in the
            normalisation. `None` means the mask of the inputs.
        training: Boolean. Whether dropout is active and batches are normalised by
            themselves.
        mask: The implicit mask of the inputs, which Keras passes.

    Returns:
        A tensor of the shape of `inputs`.

    Example:

    ```python
    encoder = keras_nam.baselines.ConvolutionalEncoder()
    encoder(keras.random.normal((2, 10, 8))).shape  # (2, 10, 8)
    ```

    Raises:
        ValueError: If the number of features is odd, or a mask has another shape.
    """

    def build(self, inputs_shape):
        *leading, width = inputs_shape
        check_divisible("features", width, "halves", 2)
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: width})
        self.input_norm = keras.layers.LayerNormalization(
            epsilon=EPSILON, dtype=self.dtype_policy, name="input_norm"
        )
        self.input_norm.build(inputs_shape)
        half = width // 2
        self.blocks = [
            [
                self._convolution(f"reduce_{i}", width, half, 1, 1),
                self._convolution(f"dilate_{i}", half, half, 5, dilation),
                self._convolution(f"expand_{i}", half, width, 1, 1),
            ]
            for i, dilation in enumerate(DILATIONS)
        ]

    def call(self, inputs, padding_mask=None, training=None, mask=None):
        mask = padding_of(inputs, padding_mask, mask)
        mask = None if mask is None else ops.cast(mask, "bool")
        inputs = ops.cast(inputs, self.compute_dtype)
        x = self.input_norm(clear_masked(inputs, mask))
        for block in self.blocks:
            y = x
            for convolution, norm in block:
                y = convolution(clear_masked(y, mask))
                y = ops.relu(norm(y, training=training, mask=mask))
            x = x + self.dropout_layer(y, training=training)
        return x

    def _convolution(self, name, features, filters, taps, dilation):
        convolution = keras.layers.Conv1D(
            filters,
            taps,
            padding="same",
            dilation_rate=dilation,
            dtype=self.dtype_policy,
            name=name,
        )
        convolution.build((None, None, features))
        norm = keras.layers.BatchNormalization(
            epsilon=EPSILON, dtype=self.dtype_policy, name=f"{name}_norm"
        )
        norm.build((None, None, filters))
        return convolution, norm
