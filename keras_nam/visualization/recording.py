"""What a recurrent layer does inside a model."""

import keras
from keras import ops
from keras import tree

from keras_nam.visualization.search import find_layer


def trajectory(model, inputs, layer=None):
    """Returns what a memory inside a model did at every step.

    The model is run up to the layer, without dropout, and the layer's own
    `trajectory` is called on what arrives there: sequences, initial states and mask.
    Nothing is kept on the layer. Upstream layers that are stateful advance their
    states, as in any call of the model.

    Args:
        model: A Functional or Sequential model, or a recurrent layer of this package.
        inputs: What the model takes, as tensors or arrays.
        layer: The recurrent layer: itself, its name or, where names repeat, the names
            on the way to it joined by slashes. It may stand in a nested model or be
            one direction of a `keras.layers.Bidirectional`. `None` means the only one.
            Of a layer that is called several times, the first call is looked at.

    Returns:
        Dictionary from names to arrays of shape `(batch, time, ...)`: what
        `layer.trajectory` returns and, if a mask arrives, that `"mask"`, `False` for
        steps that are skipped. If the layer goes backwards, time runs as the layer
        runs.

    Example:

    ```python
    model = keras_nam.models.namtm_tagger(width=16, num_tapes=2)
    trajectory = keras_nam.visualization.trajectory(model, np.array([[10, 1, 2, 3]]))
    trajectory["read_position"].shape  # (1, 4, 2, 32)
    trajectory["write_gate"].shape  # (1, 4, 2)
    ```

    Raises:
        ValueError: If the model holds no such layer or several, in which case the
            message lists them, or cannot be run up to it.
    """
    found = find_layer(model, layer)
    arguments = _run_up_to(found, inputs) if found.models else [inputs]
    sequences, states, mask = _sort(arguments)
    if states and found.call is not found.layer:
        # A bidirectional layer gives either direction half of its states.
        half = len(states) // 2
        backward = found.layer is found.call.backward_layer
        states = states[half:] if backward else states[:half]

    recorded = found.layer.trajectory(
        sequences, initial_state=states or None, mask=mask
    )
    if mask is not None:
        mask = ops.cast(mask, "bool")
        recorded["mask"] = ops.flip(mask, 1) if found.layer.go_backwards else mask
    return {name: ops.convert_to_numpy(value) for name, value in recorded.items()}


def _run_up_to(found, inputs):
    """The tensors that reach the layer, masks as tensors of booleans among them."""
    calls = [*found.models[1:], found.call]
    for depth, (model, call) in enumerate(zip(found.models, calls, strict=True)):
        run = _model_up_to(model, call, nested=depth > 0)
        if depth == 0:
            reached = tree.flatten(run(inputs, training=False))
        else:
            # What follows the inputs are their masks, which they carry themselves.
            reached = tree.flatten(run(reached[: len(model.inputs)]))
    return reached


def _model_up_to(model, call, nested):
    """What computes the arguments of the first call of a layer inside a model."""
    inputs = getattr(model, "inputs", None)
    if inputs is None:
        raise ValueError(
            "A model must be Functional, or Sequential and built, to be run up to one "
            f"of its layers. Received: {model}"
        )
    # A functional model has its inputs as its `input`, and not those of its call.
    arguments = tree.flatten(keras.Operation.input.fget(call))
    try:
        if nested:
            # A model would warn of masks that it passes on by itself.
            return keras.Function(inputs, arguments)
        if isinstance(model, keras.Sequential):
            return keras.Model(inputs[0], arguments)
        return keras.Model(model.input, arguments)
    except ValueError as error:
        raise ValueError(
            f"The first call of `{call.name}` is not a part of `{model.name}`, so "
            "what reaches it there is unknown. Build the model from a layer of its "
            f"own. Received: {model}"
        ) from error


def _sort(arguments):
    """Tells the arguments of a recurrent layer's call apart."""
    sequences, *others = arguments
    masks = [x for x in others if keras.backend.standardize_dtype(x.dtype) == "bool"]
    states = [x for x in others if keras.backend.standardize_dtype(x.dtype) != "bool"]
    return sequences, states, masks[0] if masks else MaskReader()(sequences)


class MaskReader(keras.layers.Layer):
    """Returns the mask that a tensor carries, or `None`."""

    def __init__(self):
        super().__init__(autocast=False)
        self.supports_masking = True

    def call(self, sequences, mask=None):
        return mask
