"""TensorFlow where data and strings need it, whatever the backend of Keras is.

Importing the package under another backend does not need TensorFlow, so that it is
imported at the first use.
"""

import importlib


class _TensorFlow:
    def __getattr__(self, name):
        try:
            return getattr(importlib.import_module("tensorflow"), name)
        except ImportError as error:
            raise ImportError(
                "Strings and `tf.data` need TensorFlow, also under other backends of "
                "Keras: `pip install tensorflow`."
            ) from error


tf = _TensorFlow()
