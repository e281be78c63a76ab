"""Stops on a loss that is not finite, and says where it comes from."""

import functools

import keras
import numpy as np
from keras import ops
from keras import tree

from keras_nam.arguments import check_boolean
from keras_nam.optional import tf

NEVER = np.iinfo("int64").max
INPUTS, OUTPUTS = range(2)


class StopOnNaN(keras.callbacks.Callback):
    """Stops training on a loss that is NaN or infinite and names the layer.

    `keras.callbacks.TerminateOnNaN` says that it happened; this says where. The train
    function is traced anew and notes, on the device, the first step at which a weight,
    or what a layer is called on or returns, is not finite. When the loss is not finite,
    the first of these is named: a weight, which the update before has spoiled, the
    inputs of the model, a layer whose output is not finite although its inputs are, or
    else what is left, the targets and the loss. All values are looked at once more,
    which takes little time beside the layers themselves, and no memory.

    The model keeps the weights that the step left, which are mostly NaN: begin again
    from a checkpoint if the run shall go on.

    Layers are named on the TensorFlow backend, with and without XLA, with several steps
    per execution and under `tf.distribute.MirroredStrategy`; layers that are called
    inside of a loop, as the cells of recurrent layers, by what they stand in. On other
    backends, the first weight that is not finite is named.

    Args:
        raise_error: Boolean. Whether to raise a `RuntimeError` instead of ending `fit`
            in good order.

    Attributes:
        message: String, what was found, or `None`. It is printed, too.

    Example:

    ```python
    stop = keras_nam.callbacks.StopOnNaN()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="score")])
    model.compile("sgd", "mse")
    x = np.ones((8, 3))
    x[5] = np.nan
    model.fit(x, np.ones(8), batch_size=2, shuffle=False, callbacks=[stop], verbose=0)
    stop.message  # 'The loss is nan at batch 2 of epoch 0. ... the inputs ...'
    ```
    """

    def __init__(self, raise_error=False):
        super().__init__()
        self.raise_error = check_boolean("raise_error", raise_error)
        self.message = None
        self._operations = []
        # Layers in the order in which they return.
        self._called = []

    def on_train_begin(self, logs=None):
        self.message = None
        if keras.backend.backend() == "tensorflow":
            self._watch()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_test_begin(self, logs=None):
        self._pauses = True

    def on_test_end(self, logs=None):
        self._pauses = False

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None or np.isfinite(loss):
            return
        self.message = (
            f"The loss is {float(loss)} at batch {batch} of epoch {self._epoch}. "
            f"{self._find(batch) if self._called else self._find_weight()}"
        )
        self.on_train_end()
        if self.raise_error:
            raise RuntimeError(self.message)
        print(f"\n{self.message} Training is stopped.")
        self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self._operations:
            for operation in self._operations:
                vars(operation).pop("call", None)
            self._operations = []
            self.model.make_train_function(force=True)

    def _find_weight(self):
        bad = [v.path for v in self.model.weights if not ops.all(ops.isfinite(v))]
        return f"Weight `{bad[0]}` is not finite." if bad else ""

    def _watch(self):
        """Gives every layer a `call` of its own, which the step is traced with."""
        self._pauses = False
        self._called = []
        self._graph = None
        self._operations = _find_operations(self.model)
        self._first = {id(x): self._make(2) for x in self._operations}
        self._first_weights = self._make(len(self.model.weights))
        self._steps = self._make(1, 0)
        for operation in self._operations:
            call = type(operation).call.__get__(operation)
            vars(operation)["call"] = functools.partial(self._call, operation, call)
        self.model.make_train_function(force=True)

    def _make(self, size, value=NEVER):
        """A variable, as for the first steps at which something was not finite."""
        with self.model.distribute_strategy.scope():
            return tf.Variable(
                tf.fill([size], tf.constant(value, "int64")),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

    def _call(self, operation, call, *args, **kwargs):
        graph = tf.compat.v1.get_default_graph()
        if operation is self.model and not self._pauses:
            self._graph = graph
            self._steps.assign_add([1])
            if self.model.weights:
                self._note(self._first_weights, *self.model.weights)
        outputs = call(*args, **kwargs)
        # What is traced in a graph of its own may run many times, or side by side.
        if self._pauses or graph is not self._graph:
            return outputs
        self._note(self._first[id(operation)], (args, kwargs), outputs)
        self._called.append(operation)
        return outputs

    def _note(self, variable, *structures):
        bad = tf.stack([_is_bad(structure) for structure in structures])
        is_first = tf.logical_and(bad, tf.equal(variable, NEVER))
        variable.assign(tf.where(is_first, self._steps, variable))

    def _read(self, variable):
        results = self.model.distribute_strategy.experimental_local_results(variable)
        return np.min([x.numpy() for x in results], axis=0)

    def _find(self, batch):
        """What happened at the first step at which something was not finite."""
        first = {key: self._read(value) for key, value in self._first.items()}
        weights = self._read(self._first_weights)
        step = min([*weights, *np.ravel(list(first.values()))])
        if step == NEVER:
            return (
                "All outputs of layers are finite, so it is the targets, the sample "
                "weights, a regularizer or the loss function."
            )
        batch -= int(self._read(self._steps)[0] - step)
        began = f"{f'Batch {batch}' if batch >= 0 else 'An earlier epoch'} began it:"

        def has(operation, what):
            return first[id(operation)][what] == step

        if step in weights:
            weight = self.model.weights[list(weights).index(step)]
            return (
                f"{began} weight `{weight.path}` was not finite before it. If it did "
                "not begin like this, the gradient of the batch before has spoiled it."
            )
        if has(self.model, INPUTS):
            return f"{began} the inputs of the model are not finite."
        for operation in self._called:
            if has(operation, OUTPUTS) and not has(operation, INPUTS):
                return (
                    f"{began} the output of {_describe(operation)} is the first that "
                    "is not finite, although its inputs are."
                )
        return f"{began} what is not finite is made between the layers."


def _find_operations(model):
    """The layers of a model and the operations between them, at every depth."""
    found = {}

    def visit(x):
        if isinstance(x, (list, tuple)):
            for item in x:
                visit(item)
        elif isinstance(x, dict):
            visit(list(x.values()))
        elif isinstance(x, keras.Operation) and id(x) not in found:
            found[id(x)] = x
            visit(list(vars(x).values()))

    visit(model)
    return list(found.values())


def _describe(operation):
    kind = "Layer" if isinstance(operation, keras.Layer) else "Operation"
    name = getattr(operation, "path", None) or operation.name
    return f"{kind} `{name}` ({type(operation).__name__})"


def _is_bad(structure):
    """Whether any tensor of floating-point numbers holds one that is not finite."""
    bad = [tf.constant(False)]
    for x in tree.flatten(structure):
        if tf.is_tensor(x) or isinstance(x, keras.Variable):
            x = tf.convert_to_tensor(x)
            if x.dtype.is_floating:
                bad.append(tf.reduce_any(~tf.math.is_finite(x)))
    return tf.reduce_any(tf.stack(bad))
