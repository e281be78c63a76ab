"""Trains models on one device and on two, in a process of its own.

    python mirrored_run.py FOLDER

Logical devices have to be made before anything else. What came out goes to
`FOLDER/losses.json`; then a run with backups is killed in its third epoch, as `kill -9`
would, and goes on when this is started again.
"""

import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_nam import callbacks
from keras_nam import datasets
from keras_nam import layers
from keras_nam import models

EPOCHS = 2
BACKUP_EPOCHS = 5
FEATURES = 6


def classify(*core):
    return models.sequence_classifier(
        list(core), 16, FEATURES, num_classes=3, pooling="cls", mask_token=0
    )


def tag(core):
    return models.token_tagger(core, 16, FEATURES, num_classes=3)


def few_shot(head):
    inputs = keras.Input((8, 8, 1))
    features = keras.layers.Dense(FEATURES)(keras.layers.Flatten()(inputs))
    return models.FewShotClassifier(keras.Model(inputs, features), head)


# A tagger, a classifier of sequences, and one that learns from episodes; all layers
# are in the matrix of tests/conformance.
MODELS = {
    "NAM": lambda: tag(layers.NAM(6, num_heads=2, return_sequences=True)),
    "NAMTransformerEncoder": lambda: classify(layers.NAMTransformerEncoder(8, 2)),
    "NAMClassifier": lambda: few_shot(layers.NAMClassifier(6, 2)),
}


def data_for(model):
    random = np.random.default_rng(0)
    if isinstance(model, models.FewShotClassifier):
        return datasets.episodes(
            random.normal(size=(60, 8, 8, 1)).astype("float32"),
            np.arange(60) % 6,
            range(6),
            num_ways=2,
            num_shots=2,
            batch_size=4,
            num_episodes=16,
        )
    # The last batch is not full: a row for each device.
    tokens = random.integers(1, 16, (14, 7)).astype("int32")
    classes = tokens % 3 if len(model.output_shape) == 3 else tokens[:, 0] % 3
    return tf.data.Dataset.from_tensor_slices((tokens, classes)).batch(4)


def compile_(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    return model


def make(name):
    keras.utils.set_random_seed(1)
    return compile_(MODELS[name]())


def fit(model, **kwargs):
    arguments = {"epochs": EPOCHS, "shuffle": False, "verbose": 0, **kwargs}
    return model.fit(data_for(model), **arguments).history


def find_nan():
    """What the callback says of a layer that is broken, on the second replica."""

    class Broken(keras.layers.Layer):
        def call(self, x):
            return x / keras.ops.cast(x < 100, x.dtype)

    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1)(Broken(name="broken")(inputs)))
    model.compile("sgd", "mse")
    x = np.ones((8, 3))
    x[7] = 200
    stop = callbacks.StopOnNaN()
    model.fit(x, x, batch_size=4, shuffle=False, callbacks=[stop], verbose=0)
    return stop.message


def grow():
    """The lengths and losses of a curriculum."""
    keras.utils.set_random_seed(1)
    rows = datasets.load_task("reverse", "train", 32, digits=4)
    curriculum = callbacks.LengthCurriculum({0: 7, 1: 11}, padding_value=11)
    model = compile_(models.token_tagger(layers.NAM(6, return_sequences=True), 16, 6))
    return model.fit(
        curriculum.batches(rows, 8, shuffle=False),
        epochs=2,
        shuffle=False,
        callbacks=[curriculum],
        verbose=0,
    ).history


class Die(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def main():
    folder = Path(sys.argv[1])
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    # A second strategy would not work in the same process.
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.HierarchicalCopyAllReduce()
    )
    losses, backups = folder / "losses.json", folder / "backups.json"
    restarted = losses.exists()
    if not restarted:
        results = {"one": {}, "two": {}}
        for name in MODELS:
            print(name, flush=True)
            results["one"][name] = fit(make(name))
            print("two", flush=True)
            with strategy.scope():
                model = make(name)
            results["two"][name] = fit(model)
        results["one"]["curriculum"] = grow()
        with strategy.scope():
            results["two"]["curriculum"] = grow()
            results["nan"] = find_nan()
        losses.write_text(json.dumps(results))

    with strategy.scope():
        model = make("NAM")
    backup = keras.callbacks.BackupAndRestore(folder / "backup", double_checkpoint=True)
    restored = fit(
        model,
        epochs=BACKUP_EPOCHS,
        callbacks=[backup] if restarted else [backup, Die()],
    )
    uninterrupted = fit(make("NAM"), epochs=BACKUP_EPOCHS)
    backups.write_text(json.dumps([restored, uninterrupted]))


if __name__ == "__main__":
    main()
