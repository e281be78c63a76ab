"""A small training run that tests start as the workers of a cluster.

    python multi_worker_run.py FOLDER [--die EPOCH STEP] [--timeout SECONDS]

With `--die` the process kills itself in the given step as `kill -9` would.
"""

import argparse
import json
import os
import signal
from pathlib import Path

import keras
import tensorflow as tf

from keras_nam import datasets
from keras_nam import distribution
from keras_nam import layers
from keras_nam import models

EPOCHS = 3


def make_model():
    keras.utils.set_random_seed(0)
    core = layers.NAM(8, num_heads=2, return_sequences=True)
    model = models.token_tagger(core, vocabulary_size=16, width=8)
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def make_dataset(epoch):
    rows = datasets.load_task("reverse", "train", 32, digits=3)
    dataset = tf.data.Dataset.from_tensor_slices(rows)
    return dataset.shuffle(32, seed=epoch).batch(8, drop_remainder=True)


class Die(keras.callbacks.Callback):
    def __init__(self, epoch, step):
        super().__init__()
        self.place = (epoch, step)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            os.kill(os.getpid(), signal.SIGKILL)


def fit(folder, **kwargs):
    return distribution.fit_multi_worker(
        make_model,
        make_dataset,
        epochs=EPOCHS,
        checkpoint_dir=Path(folder) / "checkpoints",
        steps_per_checkpoint=2,
        **kwargs,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--die", type=int, nargs=2)
    parser.add_argument("--timeout", type=float, default=200)
    arguments = parser.parse_args()
    callbacks = [Die(*arguments.die)] if arguments.die else []
    model, history = fit(
        arguments.folder, callbacks=callbacks, timeout=arguments.timeout, verbose=2
    )
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    result = {"epochs": history.epoch, "history": history.history}
    (arguments.folder / f"{index}.json").write_text(json.dumps(result))
    model.save_weights(arguments.folder / f"{index}.weights.h5")


if __name__ == "__main__":
    main()
