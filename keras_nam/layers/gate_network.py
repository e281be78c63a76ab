"""A gate that looks at all features."""

import keras
from keras import ops


class GateNetwork(keras.layers.Layer):
    """Computes `sigmoid(relu(f W + b) . w + c)`.

    Args:
        hidden_units: Positive integer.

    Call arguments:
        features: Tensor of shape `(..., features)`.

    Returns:
        Tensor of shape `(...)`, between 0 and 1.
    """

    def __init__(self, hidden_units, **kwargs):
        super().__init__(**kwargs)
        self.hidden_units = hidden_units

    def build(self, features_shape):
        self.hidden_kernel = self.add_weight(
            shape=(features_shape[-1], self.hidden_units), name="hidden_kernel"
        )
        self.hidden_bias = self.add_weight(
            shape=(self.hidden_units,), initializer="zeros", name="hidden_bias"
        )
        self.kernel = self.add_weight(shape=(self.hidden_units, 1), name="kernel")
        self.bias = self.add_weight(shape=(1,), initializer="zeros", name="bias")

    def call(self, features):
        hidden = ops.relu(ops.matmul(features, self.hidden_kernel) + self.hidden_bias)
        return ops.sigmoid(ops.matmul(hidden, self.kernel) + self.bias)[..., 0]
