"""What `keras.ops` does not have, for each backend of Keras that the package runs on.

The operations and layers above this folder are plain `keras.ops`. Each backend has its
own file with the same four functions:

- `scan`, the loop over time. `keras.ops.scan` cannot be differentiated under XLA on
    TensorFlow, and demands there that a step's output looks like its state.
- `custom_gradient`, for functions of several tensors with several results. That of
    Keras calls the gradient differently on every backend.
- `require`, a check of values that may be known only when a graph runs.
- `has_accelerator`, whether tensors live on a GPU or TPU.

What only a SavedModel can do stands in the file of TensorFlow.
"""

import keras
import numpy as np
from keras import ops

if keras.backend.backend() == "tensorflow":
    from keras_nam.backend.tensorflow import custom_gradient
    from keras_nam.backend.tensorflow import has_accelerator
    from keras_nam.backend.tensorflow import require
    from keras_nam.backend.tensorflow import scan
elif keras.backend.backend() == "jax":
    from keras_nam.backend.jax import custom_gradient
    from keras_nam.backend.jax import has_accelerator
    from keras_nam.backend.jax import require
    from keras_nam.backend.jax import scan
elif keras.backend.backend() == "torch":
    from keras_nam.backend.torch import custom_gradient
    from keras_nam.backend.torch import has_accelerator
    from keras_nam.backend.torch import require
    from keras_nam.backend.torch import scan
else:
    raise ImportError(
        "keras_nam runs on Keras' backends 'tensorflow', 'jax' and 'torch'. "
        f"Received: KERAS_BACKEND={keras.backend.backend()}"
    )

__all__ = ["custom_gradient", "has_accelerator", "numbers_of", "require", "scan"]


def numbers_of(tensor):
    """The numbers of a tensor, or `None` where there are none yet."""
    try:
        return np.asarray(ops.convert_to_numpy(tensor))
    except Exception:  # Each backend has an error of its own for symbolic tensors.
        return None
