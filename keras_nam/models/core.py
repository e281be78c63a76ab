"""The layers that a model is built around."""

import inspect

import keras
import numpy as np

from keras_nam.backend import numbers_of
from keras_nam.tokenizers.tokenizer import Tokenizer


def list_layers(core):
    """Returns `core`, a layer or a list of layers, as a list.

    Raises:
        ValueError: If there is something else, or a layer does not return sequences
            alone.
    """
    layers = list(core) if isinstance(core, (list, tuple)) else [core]
    for layer in layers:
        _check_layer(layer)
    return layers


def _check_layer(layer):
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            "Argument `core` must be a Keras layer or a list of Keras layers. "
            f"Received: {layer} (of type {type(layer)})"
        )
    returns_sequences = getattr(layer, "return_sequences", True)
    returns_state = getattr(layer, "return_state", False)
    if not returns_sequences or returns_state:
        raise ValueError(
            "A recurrent layer of `core` needs `return_sequences=True` and "
            f"`return_state=False`. Received: layer {layer.name} with "
            f"return_sequences={returns_sequences}, return_state={returns_state}"
        )
    parameters = inspect.signature(layer.call).parameters.values()
    required = [
        x.name
        for x in parameters
        if x.default is x.empty and not x.kind.name.startswith("VAR_")
    ]
    if len(required) > 1:
        raise ValueError(
            "A layer of `core` must take one tensor; put an attention into a "
            f"`keras_nam.layers.TransformerBlock`. Received: layer {layer.name}, which "
            f"takes {', '.join(required)}"
        )


def causal_arguments(layer, width, packed):
    """Returns the arguments with which a layer of a causal core is called.

    What a layer sees is tried on numbers, whatever its class.

    Args:
        layer: A layer from `list_layers`.
        width: Integer, the number of its input features.
        packed: Boolean. Whether rows hold several sequences.

    Returns:
        `(arguments, takes_segments, units)`: a dictionary, whether there is an argument
        `segment_ids` besides, and the number of output features.

    Raises:
        ValueError: If an output depends on inputs that follow it or, with `packed`, on
            an earlier sequence.
    """
    parameters = inspect.signature(layer.call).parameters
    arguments = {"use_causal_mask": True} if "use_causal_mask" in parameters else {}
    takes_segments = packed and "segment_ids" in parameters
    x = np.random.default_rng(0).normal(size=(1, 6, width)).astype("float32")
    whole = layer(x, **arguments)
    changed = layer(np.concatenate([x[:, :3], -x[:, 3:]], axis=1), **arguments)
    if not _equal(whole[:, :3], changed[:, :3]):
        raise ValueError(
            "Every layer of a causal `core` must see the past alone. Received: layer "
            f"'{layer.name}' of type {type(layer)}, whose first outputs change with "
            "the last inputs"
        )
    if packed:
        ids = np.array([[0, 0, 0, 1, 1, 1]], "int32")
        segments = {"segment_ids": ids} if takes_segments else {}
        last, alone = layer(x, **arguments, **segments), layer(x[:, 3:], **arguments)
        if not _equal(last[:, 3:], alone):
            raise ValueError(
                "With `packed=True` every layer of `core` must take `segment_ids` or "
                "treat every time step by itself. Received: layer "
                f"'{layer.name}' of type {type(layer)}, whose outputs change with an "
                "earlier sequence of the row"
            )
    return arguments, takes_segments, whole.shape[-1]


def tokenizer_of(model, function, output):
    """Returns the tokenizer in a model.

    Args:
        model: A model.
        function: String, the name of the function that made it.
        output: String, the name of the last layer of such models.

    Raises:
        ValueError: If the model is another one.
    """
    layers = getattr(model, "layers", [])
    tokenizers = [layer for layer in layers if isinstance(layer, Tokenizer)]
    if len(tokenizers) != 1 or output not in [layer.name for layer in layers]:
        raise ValueError(
            f"Argument `model` must be a model from `{function}`, which holds a "
            f"tokenizer. Received: model={model} (of type {type(model)})"
        )
    return tokenizers[0]


def _equal(ours, theirs):
    ours, theirs = numbers_of(ours), numbers_of(theirs)
    if ours is None or theirs is None:
        return True  # In a graph there is nothing to try.
    ours, theirs = ours.astype("float32"), theirs.astype("float32")
    return np.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())
