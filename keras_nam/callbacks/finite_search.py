"""Finds what is not finite first when a training step is run again."""

import contextlib
import inspect
from typing import NamedTuple

import keras
from keras import tree

from keras_nam.optional import tf


class Call(NamedTuple):
    """A call of a layer or of an operation.

    Attributes:
        operation: The layer or `keras.Operation`.
        first: Integer, the index of the first call that was made inside it.
        inputs: List of floating-point tensors.
        outputs: List of floating-point tensors.
    """

    operation: keras.Operation
    first: int
    inputs: list
    outputs: list

    def __str__(self):
        kind = "Layer" if isinstance(self.operation, keras.Layer) else "Operation"
        name = getattr(self.operation, "path", None) or self.operation.name
        return f"{kind} `{name}` ({type(self.operation).__name__})"

    @property
    def weights(self):
        return getattr(self.operation, "trainable_weights", [])


def find_in_step(model, data, weights_after):
    """Says what was not finite first in a training step.

    Args:
        model: A compiled model with the weights from before the step.
        data: What its `train_step` was given, for all replicas.
        weights_after: List of the values that its variables had after the step.

    Returns:
        A sentence, or `None` if all is finite.
    """
    for variable in model.weights:
        if not is_finite(tf.convert_to_tensor(variable)):
            return f"weight `{variable.path}` was not finite before it."
    replicas = split_replicas(data, model.distribute_strategy)
    for replica, piece in enumerate(replicas):
        found = _find_in_data(model, piece)
        if found:
            return found if len(replicas) == 1 else f"(replica {replica}) {found}"
    for variable, value in zip(model.variables, weights_after, strict=True):
        if not is_finite(value):
            return (
                f"the optimizer made weight `{variable.path}` not finite, although its "
                "gradient is finite."
            )
    return None


def split_replicas(data, strategy):
    """The data of each replica, without the optionals that stand for nothing."""
    flat = [
        [None]
        if isinstance(x, tf.experimental.Optional)
        else strategy.experimental_local_results(x)
        for x in tree.flatten(data)
    ]
    return [
        tree.pack_sequence_as(data, [x[min(i, len(x) - 1)] for x in flat])
        for i in range(max(map(len, flat)))
    ]


def _find_in_data(model, data):
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape, recorded_calls() as calls:
        y_pred = _call(model, x)
        outputs = _floating(y_pred)
        loss = model.compute_loss(
            x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
        )
    found = _find_in_calls(calls, x)
    if found or not is_finite(loss):
        return found or _find_in_loss(model, y, sample_weight, calls)
    return _find_in_gradients(model, tape, loss, outputs, calls)


def _call(model, x):
    if "training" in inspect.signature(model.call).parameters:
        return model(x, training=True)
    return model(x)


def _find_in_calls(calls, x):
    for call in calls:
        bad = _first_bad(call.outputs)
        if bad is None:
            continue
        if _first_bad(call.inputs) is None:
            return (
                f"the output of {call} is the first that is not finite, although its "
                f"inputs are: {describe(bad)}."
            )
        given = _first_bad(_floating(x))
        if given is not None:
            return f"the inputs of the model are not finite: {describe(given)}."
        return f"{call} was called on what is not finite: {describe(bad)}."
    return None


def _find_in_loss(model, y, sample_weight, calls):
    for name, value in (("targets", y), ("sample weights", sample_weight)):
        bad = _first_bad(_floating(value))
        if bad is not None:
            return f"the {name} are not finite: {describe(bad)}."
    for call in calls:
        if _first_bad(_floating(getattr(call.operation, "losses", []))) is not None:
            return f"a loss that {call} adds, as regularizers do, is not finite."
    return "the loss is not finite, although all outputs of the model are."


def _find_in_gradients(model, tape, loss, outputs, calls):
    def on_first_device(variable):
        return model.distribute_strategy.experimental_local_results(variable.value)[0]

    weights = list(map(on_first_device, model.trainable_weights))
    tensors = [x for call in calls for x in (*call.outputs, *call.inputs)]
    sources = [*weights, *outputs, *tensors]
    gradients = tape.gradient(loss, sources)
    bad = {
        id(source)
        for source, gradient in zip(sources, gradients, strict=True)
        if gradient is not None and not is_finite(tf.convert_to_tensor(gradient))
    }
    if not bad:
        return None
    if any(id(x) in bad for x in outputs):
        return "the gradient of the loss by the outputs of the model is not finite."

    def spoils(call):
        backward = [*call.inputs, *map(on_first_device, call.weights)]
        return any(id(x) in bad for x in backward) and not any(
            id(x) in bad for x in call.outputs
        )

    # Backwards from the loss; then what was called inside that, again from its end.
    first, last = 0, len(calls)
    culprit = None
    while True:
        inside = [i for i in range(first, last) if spoils(calls[i])]
        if not inside:
            break
        culprit = calls[inside[-1]]
        first, last = culprit.first, inside[-1]
    if culprit is not None:
        return (
            f"{culprit} is the first through which the gradient stops to be finite, on "
            "the way back from the loss."
        )
    for variable, weight in zip(model.trainable_weights, weights, strict=True):
        if id(weight) in bad:
            return f"the gradient of weight `{variable.path}` is not finite."
    return None


@contextlib.contextmanager
def recorded_calls():
    """Lists the calls of all layers and operations, inner ones before outer ones."""
    calls = []
    original = keras.Operation.__call__

    def recorded(operation, *args, **kwargs):
        first = len(calls)
        outputs = original(operation, *args, **kwargs)
        calls.append(
            Call(operation, first, _floating((args, kwargs)), _floating(outputs))
        )
        return outputs

    keras.Operation.__call__ = recorded
    try:
        yield calls
    finally:
        keras.Operation.__call__ = original


def is_finite(x):
    """Whether all values of a tensor are finite, as those of integers are."""
    x = tf.convert_to_tensor(x)
    return not x.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(x)))


def describe(x):
    """How many values of a tensor are not finite, and where the first one is."""
    places = tf.where(~tf.math.is_finite(x)).numpy()
    return (
        f"{len(places)} of {tf.size(x)} values, the first, "
        f"{float(x[tuple(places[0])])}, at {places[0].tolist()}"
    )


def _floating(structure):
    return [
        x
        for x in tree.flatten(structure)
        if tf.is_tensor(x) and x.dtype.is_floating and not tf.is_symbolic_tensor(x)
    ]


def _first_bad(tensors):
    return next((x for x in tensors if not is_finite(x)), None)
