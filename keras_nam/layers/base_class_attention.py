"""Describing an example by the base classes that it resembles."""

import keras
from keras import initializers
from keras import ops

from keras_nam.layers.initialization import clone_initializer
from keras_nam.ops import unit_normalize


class BaseClassAttention(keras.layers.Layer):
    """Attention of examples over the weights of the base classes.

    Computes `sum_j softmax_j(s u(f W + b) . u(key_j)) G_j`, with a key for every base
    class and a learned sharpness `s`.

    Args:
        num_base_classes: Positive integer, the number of keys.
        kernel_initializer: Initializer for the queries' projection and the keys.

    Call arguments:
        features: Tensor of shape `(batch, num_examples, features)`.
        base: Tensor of shape `(batch, num_base_classes, features)`.
        base_classes: Integers of shape `(batch, num_base_classes)`, the keys that the
            rows of `base` belong to. `None` means all.

    Returns:
        Tensor of shape `(batch, num_examples, features)`.
    """

    def __init__(self, num_base_classes, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.num_base_classes = num_base_classes
        self.kernel_initializer = initializers.get(kernel_initializer)

    def build(self, features_shape):
        width = features_shape[-1]
        self.query_dense = keras.layers.Dense(
            width,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            dtype=self.dtype_policy,
            name="query",
        )
        self.query_dense.build((None, width))
        self.keys = self.add_weight(
            shape=(self.num_base_classes, width),
            initializer=clone_initializer(self.kernel_initializer),
            name="keys",
        )
        self.scale = self.add_weight(
            shape=(), initializer=initializers.Constant(10.0), name="scale"
        )

    def call(self, features, base, base_classes=None):
        queries = unit_normalize(self.query_dense(features))
        keys = unit_normalize(self.keys)
        keys = keys[None] if base_classes is None else ops.take(keys, base_classes, 0)
        similarities = ops.matmul(queries, ops.swapaxes(keys, -1, -2))
        attention = ops.softmax(self.scale * similarities)
        return ops.matmul(attention, ops.cast(base, attention.dtype))
