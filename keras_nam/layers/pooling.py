"""From a sequence to one vector: a token of its own, or the mean."""

import keras
from keras import initializers
from keras import ops

from keras_nam.arguments import check_mask
from keras_nam.arguments import check_rank


@keras.saving.register_keras_serializable(package="keras_nam")
class ClassToken(keras.layers.Layer):
    """Puts a learned vector in front of a sequence, to be read at its place later.

    Args:
        embeddings_initializer: Initializer for the vector.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        mask: Boolean tensor of shape `(batch, time)`.

    Returns:
        A tensor of shape `(batch, time + 1, features)`. The vector is never masked.

    Example:

    ```python
    keras_nam.layers.ClassToken()(keras.random.normal((2, 10, 8))).shape  # (2, 11, 8)
    ```
    """

    def __init__(self, embeddings_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.embeddings_initializer = initializers.get(embeddings_initializer)

    def build(self, inputs_shape):
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: inputs_shape[-1]})
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(1, 1, inputs_shape[-1]),
            initializer=self.embeddings_initializer,
        )

    def call(self, inputs, mask=None):
        check_rank("inputs", inputs, 3, "(batch, time, features)")
        inputs = ops.cast(inputs, self.compute_dtype)
        if mask is not None:
            check_mask("mask", mask, tuple(inputs.shape[:2]))
        shape = (ops.shape(inputs)[0], 1, inputs.shape[-1])
        token = ops.cast(ops.convert_to_tensor(self.embeddings), inputs.dtype)
        return ops.concatenate([ops.broadcast_to(token, shape), inputs], axis=1)

    def compute_mask(self, inputs, mask=None):
        if mask is None:
            return None
        return ops.pad(ops.cast(mask, "bool"), ((0, 0), (1, 0)), constant_values=True)

    def compute_output_shape(self, inputs_shape):
        batch, length, features = inputs_shape
        return (batch, None if length is None else length + 1, features)

    def get_config(self):
        return {
            **super().get_config(),
            "embeddings_initializer": initializers.serialize(
                self.embeddings_initializer
            ),
        }


@keras.saving.register_keras_serializable(package="keras_nam")
class MeanPooling(keras.layers.Layer):
    """The mean over the time steps that are not masked; zeros if there are none.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        mask: Boolean tensor of shape `(batch, time)`.

    Returns:
        A tensor of shape `(batch, features)`.

    Example:

    ```python
    keras_nam.layers.MeanPooling()(keras.random.normal((2, 10, 8))).shape  # (2, 8)
    ```
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def call(self, inputs, mask=None):
        check_rank("inputs", inputs, 3, "(batch, time, features)")
        inputs = ops.cast(inputs, self.compute_dtype)
        valid = ops.ones(ops.shape(inputs)[:2], "bool")
        if mask is not None:
            check_mask("mask", mask, tuple(inputs.shape[:2]))
        valid = ops.expand_dims(valid if mask is None else ops.cast(mask, "bool"), -1)
        wide = keras.backend.result_type(inputs.dtype, "float32")
        x = ops.where(valid, ops.cast(inputs, wide), 0.0)
        count = ops.maximum(ops.sum(ops.cast(valid, wide), axis=1), 1.0)
        return ops.cast(ops.sum(x, axis=1) / count, inputs.dtype)

    def compute_mask(self, inputs, mask=None):
        return None

    def compute_output_shape(self, inputs_shape):
        return (inputs_shape[0], inputs_shape[-1])
