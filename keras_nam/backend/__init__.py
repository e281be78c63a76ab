"""What `keras.ops` does not have, for the backend of Keras."""

from keras_nam.backend.tensorflow import after
from keras_nam.backend.tensorflow import computed_alike
from keras_nam.backend.tensorflow import exclusive
from keras_nam.backend.tensorflow import require
from keras_nam.backend.tensorflow import scan
from keras_nam.backend.tensorflow import variable

__all__ = [
    "after",
    "computed_alike",
    "exclusive",
    "require",
    "scan",
    "variable",
]
