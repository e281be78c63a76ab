"""Checkpoints of a training run that several workers share."""

import tempfile

import tensorflow as tf

# What TensorFlow raises on other variables: fewer, or of another shape or dtype.
MISFITS = (AssertionError, ValueError, tf.errors.InvalidArgumentError)


class Checkpoints:
    """Saves and restores a model, its optimizer and metrics, and the place in time.

    Args:
        model: A compiled model of which all variables exist.
        strategy: The strategy that it is trained with.
        directory: String, a folder that all workers see.
        is_chief: Boolean, whether this is the worker that writes there.

    Attributes:
        epoch, step: Integers, the step of the epoch that comes next.
    """

    def __init__(self, model, strategy, directory, is_chief):
        self.strategy = strategy
        self.directory = directory
        self._place = tf.Variable([0, 0], dtype="int64", trainable=False)
        variables = [
            *model.variables,
            *model.metrics_variables,
            *model.optimizer.variables,
        ]
        self._checkpoint = tf.train.Checkpoint(
            place=self._place, variables=[variable.value for variable in variables]
        )
        # Variables that differ between replicas are reduced while they are saved, so
        # that all workers have to save, be it for nothing.
        self._unread = None if is_chief else tempfile.TemporaryDirectory()
        self._manager = tf.train.CheckpointManager(
            self._checkpoint,
            self.directory if is_chief else self._unread.name,
            max_to_keep=2,
        )

    @property
    def epoch(self):
        return int(self._place[0])

    @property
    def step(self):
        return int(self._place[1])

    @property
    def latest(self):
        """The path of the last checkpoint, or `None`."""
        return tf.train.latest_checkpoint(self.directory)

    def restore(self):
        """Restores the last checkpoint, if there is one, on all workers."""
        path = self.latest
        if path:
            try:
                self._checkpoint.restore(path).assert_consumed()
            except MISFITS as error:
                raise ValueError(
                    "Argument `checkpoint_dir` must be a folder of checkpoints of this "
                    "model and its optimizer, or an empty one. Received: "
                    f"checkpoint_dir={self.directory}, of which the last one does not "
                    f"fit: {error}"
                ) from error
        place = tf.cast(self._place, "float64")
        mean = self.strategy.reduce("MEAN", place, axis=None)
        if tf.reduce_any(mean != place):
            raise RuntimeError(
                "All workers must see the same checkpoints. Here the last one is "
                f"{path} (epoch {self.epoch}, step {self.step}), elsewhere another "
                "one. Pass a `checkpoint_dir` that all machines share."
            )

    def save(self, epoch, step):
        """Saves what goes on with a step of an epoch."""
        self._place.assign([epoch, step])
        self._manager.save()

    def advice(self):
        """What to tell a user whose training has broken off."""
        return (
            f"The last checkpoint is {self.latest}. Start all "
            "workers again with the same arguments to go on from there."
        )
