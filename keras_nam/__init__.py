"""Neural networks with a memory that can be read and written, as Keras layers."""

import importlib
import importlib.metadata

from keras_nam import baselines
from keras_nam import callbacks
from keras_nam import datasets
from keras_nam import layers
from keras_nam import metrics
from keras_nam import models
from keras_nam import ops
from keras_nam import tokenizers
from keras_nam import tuning
from keras_nam import visualization

__all__ = [
    "__version__",
    "baselines",
    "callbacks",
    "datasets",
    "distribution",
    "layers",
    "metrics",
    "models",
    "ops",
    "tokenizers",
    "tuning",
    "visualization",
]


def __getattr__(name):
    if name == "__version__":
        return importlib.metadata.version("keras-nam")
    # It needs TensorFlow, which other backends do without.
    if name == "distribution":
        return importlib.import_module("keras_nam.distribution")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
