"""Stops on a loss that is not finite, and says where it comes from."""

import collections
import itertools
from typing import NamedTuple

import keras
import numpy as np
from keras import ops


class StopOnNaN(keras.callbacks.Callback):
    """Stops training on a loss that is NaN or infinite and names the layer.

    `keras.callbacks.TerminateOnNaN` says that it happened; this says where. While all
    is well it looks at the loss of every batch, and remembers the batch and the weights
    from before it, which costs memory for the weights once or twice more and hardly any
    time. When the loss is not finite, the last batches are run again without
    compilation, each with the weights that it had, and the first of these is named:
    an input or target that is not finite, a weight, a layer whose output is not finite
    although its inputs are, the loss, a layer through which the gradient stops to be
    finite, or the optimizer.

    The model is left with the weights from before that batch. The state of the
    optimizer is not, so begin again from a checkpoint if the run shall go on.

    It looks for the layer on the TensorFlow backend, with and without XLA, with
    several steps per execution and under `tf.distribute.MirroredStrategy`. On other
    backends it names the first weight that is not finite.

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
        self.raise_error = raise_error
        self.message = None
        self._watched = None

    def on_train_begin(self, logs=None):
        self.message = None
        self._unwatch()
        if keras.backend.backend() == "tensorflow":
            self._watched = WatchedTrainFunction(self.model)
            self.model.train_function = self._watched

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self._watched is not None:
            self._watched.begin(epoch)

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None or np.isfinite(loss):
            return
        self.message = (
            f"The loss is {float(loss)} at batch {batch} of epoch {self._epoch}. "
            f"{self._find()}"
        )
        self._unwatch()
        if self.raise_error:
            raise RuntimeError(self.message)
        print(f"\n{self.message} Training is stopped.")
        self.model.stop_training = True

    def on_train_end(self, logs=None):
        self._unwatch()

    def _find(self):
        if self._watched is not None:
            return self._watched.find()
        bad = [v.path for v in self.model.weights if not ops.all(ops.isfinite(v))]
        return f"Weight `{bad[0]}` is not finite." if bad else "All weights are finite."

    def _unwatch(self):
        # An interrupted `fit` does not end, and leaves its function behind.
        while isinstance(self.model.train_function, WatchedTrainFunction):
            self.model.train_function = self.model.train_function.train_function
        self._watched = None


class Step(NamedTuple):
    """A training step that was taken.

    Attributes:
        epoch, batch: Integers, when.
        data: What the iterator gave, on every replica.
        weights: The values of the variables of the model before it.
    """

    epoch: int
    batch: int
    data: object
    weights: list


class WatchedTrainFunction:
    """The train function of a model, remembering its last steps."""

    def __init__(self, model):
        self.model = model
        self.train_function = model.train_function
        # The steps of an execution and the one before them: what spoils the weights
        # shows in the loss of the batch that follows.
        self.steps = collections.deque(maxlen=model.steps_per_execution + 1)
        self.begin(epoch=0)

    def begin(self, epoch):
        self.epoch = epoch
        self.batch = 0

    def __call__(self, iterator):
        outputs = None
        for data in itertools.islice(iterator, self.model.steps_per_execution):
            self.steps.append(Step(self.epoch, self.batch, data, self._weights()))
            self.batch += 1
            outputs = self.train_function([data])
        if outputs is None:
            raise StopIteration
        return outputs

    def find(self):
        """Says what was not finite first, and leaves the weights from before it."""
        # This import would make TensorFlow a requirement of the other backends.
        from keras_nam.callbacks.finite_search import find_in_step

        weights_after = [step.weights for step in self.steps][1:] + [self._weights()]
        for step, after in zip(self.steps, weights_after, strict=True):
            self._assign(step.weights)
            found = find_in_step(self.model, step.data, after)
            if found:
                self._assign(step.weights)
                return f"Run again, batch {step.batch} of epoch {step.epoch}: {found}"
        self._assign(self.steps[-1].weights)
        return (
            "Run again without compilation, the last batches are finite in all layers, "
            "gradients and weights."
        )

    def _weights(self):
        return [ops.copy(variable) for variable in self.model.variables]

    def _assign(self, weights):
        for variable, value in zip(self.model.variables, weights, strict=True):
            variable.assign(value)
