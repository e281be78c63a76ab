"""Heads of Turing machines that become sharper in training."""

import keras

from keras_nam.arguments import check_integer
from keras_nam.arguments import check_positive
from keras_nam.callbacks.seen_batches import seen_batches
from keras_nam.visualization.search import find_machines

# In steps: the optimizer mostly finds the weights as it left them.
PERIOD = 50


class SharpenHeads(keras.callbacks.Callback):
    """Makes the heads of Turing machines sharper while they learn.

    A head that moves by a mixture of directions may answer all rows of the training
    lengths, and none that are longer. This callback multiplies, in the course of the
    first `steps` steps, the weights behind the logits of the directions, so that a
    machine has to find a way that works with heads which move by one cell or not at
    all. It is a matter of training alone: what comes out is a machine as any other,
    whose `sharpness` is to be chosen after it.

    Training that goes on, from a checkpoint or with `initial_epoch`, goes on with its
    step. Among callbacks that save within an epoch, this one comes first: what they
    save is to have the sharpness of its step.

    Args:
        factor: Positive number, the product of all that is multiplied.
        steps: Positive integer, the number of batches that this takes.

    Example:

    ```python
    model = keras_nam.models.namtm_tagger(width=16, num_tapes=2, tape_length=None)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs, targets, weight = keras_nam.datasets.load_task("reverse", "train", 3_200)
    sharpen = keras_nam.callbacks.SharpenHeads(4, steps=100)
    model.fit(inputs, targets, sample_weight=weight, callbacks=[sharpen], verbose=0)
    ```

    Raises:
        ValueError: If an argument is out of range or, when training begins, the model
            has no `keras_nam.layers.NAMTM`.
    """

    def __init__(self, factor, steps):
        super().__init__()
        self.factor = check_positive("factor", factor)
        self.steps = check_integer("steps", steps)

    def on_train_begin(self, logs=None):
        self._cells = find_machines(
            self.model, "`SharpenHeads` needs a model with a `keras_nam.layers.NAMTM`"
        )

    def on_epoch_begin(self, epoch, logs=None):
        # Not before: other callbacks restore a checkpoint when training begins.
        self._reached = self._steps_that_count()

    def on_train_batch_end(self, batch, logs=None):
        before, self._reached = self._reached, self._steps_that_count()
        if before == self._reached:
            return
        for cell in self._cells:
            cell.scale_directions(self._factor(self._reached) / self._factor(before))

    def _steps_that_count(self):
        """Whole periods of the batches so far, and in the end all of them."""
        step = seen_batches(self.model.optimizer)
        return self.steps if step >= self.steps else step // PERIOD * PERIOD

    def _factor(self, step):
        return 1 + (self.factor - 1) * step / self.steps
