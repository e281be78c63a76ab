"""Initializers for layers that are made of several parts."""

import keras
from keras import initializers
from keras import ops


def clone_initializer(initializer):
    """Returns an initializer that draws anew: equal shapes get different numbers.

    An initializer with a seed of its own, or any other callable, is returned as it is.
    """
    if not isinstance(initializer, initializers.Initializer):
        return initializer
    return type(initializer).from_config(initializer.get_config())


@keras.saving.register_keras_serializable(package="keras_nam")
class DrawnWide(initializers.Initializer):
    """Draws in float32 what is to be in half precision.

    Orthogonal matrices, for one, are not to be had in bfloat16. `None` is what Keras
    draws where nothing is said.
    """

    def __init__(self, initializer):
        initializer = "glorot_uniform" if initializer is None else initializer
        self.initializer = initializers.get(initializer)

    def __call__(self, shape, dtype=None):
        dtype = keras.backend.standardize_dtype(dtype)
        wide = keras.backend.result_type(dtype, "float32")
        return ops.cast(self.initializer(shape, dtype=wide), dtype)

    def get_config(self):
        return {"initializer": initializers.serialize(self.initializer)}
