"""The loop over epochs and steps that the workers of a cluster run together."""

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from keras_nam.distribution.checkpoints import Checkpoints
from keras_nam.distribution.watchdog import Watchdog


class Trainer:
    """Trains a model on the workers of a cluster.

    Args:
        cluster: The `Cluster`.
        timeout: Number of seconds after which a process ends in which nothing happens.

    Attributes:
        model: The model, on all replicas.
    """

    def __init__(self, cluster, timeout):
        self.cluster = cluster
        self.checkpoints = None
        self.timeout = timeout
        self.watchdog = None
        self.doing = "waiting for the others"

    def connect(self, make_model, make_dataset):
        """Waits for the others and makes the model."""
        self.strategy = self.cluster.connect(self.timeout)
        if self.cluster.addresses:
            # Alone, there is nobody to wait for.
            self.watchdog = Watchdog(
                self.timeout,
                lambda: f"No step was done in {self.timeout} seconds. {self.lost()}",
            )
        self.doing = "making the model"
        self.make_dataset = make_dataset
        with self.strategy.scope():
            self.model = make_model()
            if not self.model.built or not self.model.compiled:
                raise ValueError(
                    "Argument `make_model` must return a model that is built and "
                    f"compiled. Received: {self.model}"
                )
            self.model.optimizer.build(self.model.trainable_variables)

    def fit(self, epochs, checkpoint_dir, steps_per_checkpoint, callbacks, verbose):
        """Trains up to an epoch and returns the history since the last start."""
        model = self.model
        history = keras.callbacks.History()
        dataset = self._dataset(epoch=0)
        callbacks = keras.callbacks.CallbackList(
            [*(callbacks or []), history],
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=int(dataset.cardinality()),
        )
        model.stop_training = False
        callbacks.on_train_begin()
        # As `fit` does, after callbacks have had their say and without AutoGraph.
        train_step = tf.function(
            self._train_step, reduce_retracing=True, autograph=False
        )
        # Metrics have no variables before they have seen data. Tracing is enough.
        train_step.get_concrete_function(next(iter(self._distribute(dataset))))
        self.checkpoints = Checkpoints(
            model, self.strategy, checkpoint_dir, self.cluster.is_chief
        )
        self.checkpoints.restore()
        logs, step = {}, self.checkpoints.step
        for epoch in range(self.checkpoints.epoch, epochs):
            if not step:
                model.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            dataset = self._dataset(epoch)
            steps = int(dataset.cardinality())
            batches = iter(self._distribute(dataset.skip(step)))
            while step < steps and not model.stop_training:
                self._begin_step(epoch, step)
                callbacks.on_train_batch_begin(step)
                callbacks.on_train_batch_end(step, train_step(next(batches)))
                step += 1
                if steps_per_checkpoint and step % steps_per_checkpoint == 0:
                    self._save(epoch, step)
            logs = {name: float(x) for name, x in model.get_metrics_result().items()}
            callbacks.on_epoch_end(epoch, logs)
            if step == steps:
                epoch, step = epoch + 1, 0
            self._save(epoch, step)
            if model.stop_training:
                break
        # Averages of weights, if there are such, take their place.
        model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end(logs)
        return history

    def stop(self):
        """Ends the watch over the other workers."""
        if self.watchdog is not None:
            self.watchdog.stop()

    def lost(self):
        """What to tell a user when another worker is lost."""
        advice = self.checkpoints.advice() if self.checkpoints else ""
        return (
            f"{self.cluster.name.capitalize()} has lost another one of the workers "
            f"{self.cluster.addresses} while {self.doing}: it was killed, hangs or "
            f"cannot be reached. {advice}"
        )

    def _train_step(self, data):
        logs = self.strategy.run(self.model.train_step, args=(data,))
        return {
            name: self.strategy.reduce("MEAN", value, axis=None)
            for name, value in logs.items()
        }

    def _dataset(self, epoch):
        dataset = self.make_dataset(epoch)
        replicas = self.strategy.num_replicas_in_sync
        sizes = {x.shape[0] for x in tree.flatten(dataset.element_spec)}
        if any(size is None or size % replicas for size in sizes):
            raise ValueError(
                f"Argument `make_dataset` must return batches of a known size that is "
                f"divided by the number of replicas, here {replicas}. Received: "
                f"{dataset.element_spec}"
            )
        if int(dataset.cardinality()) <= 0:
            raise ValueError(
                "Argument `make_dataset` must return a known number of batches. Use "
                "its methods `take` or `apply(tf.data.experimental.assert_cardinality"
                f"(n))`. Received: a cardinality of {int(dataset.cardinality())}"
            )
        return dataset

    def _save(self, epoch, step):
        """Saves, unless training was stopped for a loss that is not finite."""
        loss = self.model.get_metrics_result()["loss"]
        if not self.model.stop_training or np.isfinite(float(loss)):
            self.checkpoints.save(epoch, step)

    def _distribute(self, dataset):
        return self.strategy.experimental_distribute_dataset(dataset)

    def _begin_step(self, epoch, step):
        self.doing = f"training, step {step} of epoch {epoch}"
        if self.watchdog is not None:
            self.watchdog.feed()
