"""The recurrent layers inside a model."""

import dataclasses

import keras

from keras_nam.layers.namtm import NAMTM
from keras_nam.layers.recurrent import MemoryRNN


@dataclasses.dataclass(frozen=True)
class FoundLayer:
    """A recurrent layer and where it stands.

    Attributes:
        layer: The `MemoryRNN`.
        call: The layer that the innermost model calls: `layer`, or the
            `keras.layers.Bidirectional` around it.
        models: Tuple of the models around it, outermost first.
    """

    layer: MemoryRNN
    call: keras.layers.Layer
    models: tuple = ()

    @property
    def path(self):
        """The names on the way to the layer, joined by slashes."""
        inner = [model.name for model in self.models[1:]]
        wrapper = [self.call.name] if self.call is not self.layer else []
        return "/".join([*inner, *wrapper, self.layer.name])


def find_layer(model, layer=None):
    """Returns the one `FoundLayer` of `model` that `layer` describes.

    Args:
        model: A model or a layer.
        layer: A layer, its name or its path, or `None` for the only one.

    Raises:
        ValueError: If there is no such layer, or several.
    """
    candidates = find_layers(model)
    matching = [found for found in candidates if _matches(found, layer)]
    if len(matching) == 1:
        return matching[0]
    name = getattr(layer, "name", layer)
    paths = [found.path for found in candidates]
    if not candidates:
        problem = "`model` must hold a recurrent layer of `keras_nam.layers`"
    elif not matching:
        problem = f"Argument `layer` must name one of the layers {paths}"
    else:
        problem = f"Choose one of the layers {paths} by the argument `layer`"
    raise ValueError(f"{problem}. Received: model={model}, layer={name}")


def find_machines(model, problem):
    """Returns the cells of every `NAMTM` in `model`.

    Raises:
        ValueError: If there is none, with what is the `problem` then.
    """
    layers = [found.layer for found in find_layers(model)]
    cells = [layer.cell for layer in layers if isinstance(layer, NAMTM)]
    if not cells:
        raise ValueError(f"{problem}. Received: model={model}")
    return cells


def find_layers(model):
    """Returns every `MemoryRNN` in `model` once, as a list of `FoundLayer`."""
    found = {}
    for candidate in _walk(model, ()):
        found.setdefault(id(candidate.layer), candidate)
    return list(found.values())


def _walk(layer, models):
    if isinstance(layer, MemoryRNN):
        yield FoundLayer(layer, layer, models)
    elif isinstance(layer, keras.layers.Bidirectional):
        for direction in (layer.forward_layer, layer.backward_layer):
            if isinstance(direction, MemoryRNN):
                yield FoundLayer(direction, layer, models)
    elif isinstance(layer, keras.Model):
        for inner in layer.layers:
            yield from _walk(inner, (*models, layer))


def _matches(found, layer):
    if layer is None:
        return True
    if isinstance(layer, str):
        return layer in (found.layer.name, found.path)
    return layer is found.layer
