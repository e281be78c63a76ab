"""Training one model on several machines."""

import keras
import tensorflow as tf

from keras_nam.arguments import check_destination
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_list
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_positive
from keras_nam.arguments import check_verbose
from keras_nam.distribution.cluster import Cluster
from keras_nam.distribution.errors import WorkerLostError
from keras_nam.distribution.trainer import Trainer
from keras_nam.distribution.watchdog import end_process_at_exit

# What TensorFlow raises when another worker does not take part any more.
LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


def fit_multi_worker(
    make_model,
    make_dataset,
    epochs,
    checkpoint_dir,
    steps_per_checkpoint=None,
    callbacks=None,
    timeout=600,
    verbose="auto",
):
    """Trains a model on several machines with TensorFlow.

    `model.fit` does not work under `tf.distribute.MultiWorkerMirroredStrategy` in Keras
    3; this takes its place. Every machine runs the same script. Each worker takes its
    share of every batch, their gradients are added up, and all of them have the same
    weights after each step: losses are those of one process, up to rounding.

    Who takes part is in the environment variable `TF_CONFIG`, as everywhere in
    TensorFlow, here for the second of two:

    ```json
    {"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]},
     "task": {"type": "worker", "index": 1}}
    ```

    Without it, the process trains alone. Training begins when all workers are there.
    This must come before all other work of TensorFlow in the process.

    A worker that is killed, hangs or cannot be reached ends all others. A death is
    noticed within seconds, mostly at once, and raised as a `WorkerLostError`; a process
    that has waited for the others for `timeout` seconds says so and ends with status 1.
    The same command, run again on all machines, goes on from the last checkpoint, in
    the order of data and with the random numbers that it would have had.

    Args:
        make_model: Function without arguments that returns a compiled and built model.
            Seed it, so that a run can be repeated. Gradients are clipped by each worker
            before they are added up, and the model is not compiled with XLA.
        make_dataset: Function of the number of an epoch that returns its
            `tf.data.Dataset` of batches `(inputs, targets)` or `(inputs, targets,
            sample_weight)`, the same ones on all workers. Their size is that of all
            workers together, is known (`drop_remainder=True`), and is divided by the
            number of replicas. Shuffle with a seed made from the epoch.
        epochs: Positive integer, when to stop, counted from the very beginning.
        checkpoint_dir: String or path of a folder that all machines share. A
            checkpoint is written after every epoch, and where a callback stops the
            training, unless for a loss that is not finite.
        steps_per_checkpoint: Positive integer. Checkpoints are also written whenever
            that many steps of an epoch are done. `None` means only after epochs.
        callbacks: List of `keras.callbacks.Callback`. They run on all workers, which
            see the same losses and metrics.
        timeout: Number of seconds that workers wait for each other, or that a step,
            the first one with its tracing, may take at most.
        verbose: As in `keras.Model.fit`. Only the chief prints.

    Returns:
        A tuple `(model, history)`: an ordinary model with the trained weights and the
        state of its optimizer, which can be saved and trained further, and the
        `keras.callbacks.History` of the epochs since the last start.

    Example:

    ```python
    import tensorflow as tf

    def make_model():
        keras.utils.set_random_seed(0)
        core = keras_nam.layers.NAM(16, num_heads=2, return_sequences=True)
        model = keras_nam.models.token_tagger(core, vocabulary_size=16, width=16)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        return model

    def make_dataset(epoch):
        rows = keras_nam.datasets.load_task("reverse", "train", 64, digits=4)
        dataset = tf.data.Dataset.from_tensor_slices(rows)
        return dataset.shuffle(64, seed=epoch).batch(16, drop_remainder=True)

    model, history = keras_nam.distribution.fit_multi_worker(
        make_model, make_dataset, epochs=2, checkpoint_dir="checkpoints"
    )
    ```

    Raises:
        ValueError: If `TF_CONFIG`, the model or the dataset are not as described, or
            the checkpoints are of another model or optimizer.
        WorkerLostError: If another worker is lost.
        RuntimeError: If the workers do not see the same checkpoints.
    """
    epochs = check_integer("epochs", epochs)
    steps_per_checkpoint = check_optional_integer(
        "steps_per_checkpoint", steps_per_checkpoint
    )
    functions = {"make_model": make_model, "make_dataset": make_dataset}
    for name, function in functions.items():
        if not callable(function):
            raise ValueError(
                f"Argument `{name}` must be a function. Received: {name}={function!r}"
            )
    checkpoint_dir = check_destination("checkpoint_dir", checkpoint_dir)
    if callbacks is not None:
        kind = keras.callbacks.Callback
        check_list("callbacks", callbacks, kind, "a list of callbacks")
    timeout = check_positive("timeout", timeout)
    verbose = check_verbose(verbose)
    cluster = Cluster()
    trainer = Trainer(cluster, timeout)
    try:
        trainer.connect(make_model, make_dataset)
        history = trainer.fit(
            epochs,
            checkpoint_dir,
            steps_per_checkpoint,
            callbacks,
            (1 if verbose == "auto" else verbose) if cluster.is_chief else 0,
        )
        weights = trainer.model.get_weights()
        trained = trainer.model.optimizer.variables
        optimizer = [keras.ops.convert_to_numpy(variable) for variable in trained]
    except LOST as error:
        if not cluster.addresses:
            raise
        end_process_at_exit()
        raise WorkerLostError(trainer.lost()) from error
    finally:
        trainer.stop()
    model = make_model()
    model.set_weights(weights)
    model.optimizer.build(model.trainable_variables)
    for variable, value in zip(model.optimizer.variables, optimizer, strict=True):
        variable.assign(value)
    return model, history
