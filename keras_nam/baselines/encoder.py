"""What the encoders of a fixed depth share."""

import keras

from keras_nam.arguments import check_rate


class FixedDepthEncoder(keras.layers.Layer):
    """Base class: a layer of the shape of its inputs, with dropout.

    Args:
        dropout: Float, the rate of dropout.
    """

    def __init__(self, dropout=0.0, **kwargs):
        dropout = check_rate("dropout", dropout)
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.dropout = dropout
        self.dropout_layer = keras.layers.Dropout(
            dropout, dtype=self.dtype_policy, name="dropout"
        )

    def compute_output_shape(self, inputs_shape):
        return tuple(inputs_shape)

    def get_config(self):
        return {**super().get_config(), "dropout": self.dropout}
