"""Where models are traced for runtimes that know fewer operators than TensorFlow."""

import contextvars

_is_open = contextvars.ContextVar("keras_nam_portable_scope", default=False)


class PortableScope:
    """Makes the memories use operators that ONNX and LiteRT have, too.

    The fastest forms of the memories take triangular systems and nested loops, which
    other runtimes than TensorFlow lack. What is traced in this scope uses matrix
    products and one plain loop over the time instead, or no loop where
    `unroll=True` or a short sequence of known length spare it. The numbers are the
    same. The scope is for exports: without it, everything is faster, and a loop of
    unknown length may have no step at all.

    Example:

    ```python
    core = keras_nam.layers.NAM(16, num_heads=2, return_sequences=True)
    model = keras_nam.models.token_tagger(core, vocabulary_size=16, width=16)
    with keras_nam.ops.PortableScope():
        onnx_like = model(np.array([[1, 2, 3]]))  # or model.export(format="onnx")
    ```
    """

    def __enter__(self):
        self._token = _is_open.set(True)
        return self

    def __exit__(self, *exception):
        _is_open.reset(self._token)


def in_portable_scope():
    return _is_open.get()
