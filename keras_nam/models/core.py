"""The layers that a model is built around."""

import keras


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
