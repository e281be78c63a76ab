"""Trains a Transformer encoder on a long-range task, with the attention you name.

    python examples/long_range.py                                # digits as pixels
    python examples/long_range.py --task listops --attention softmax
    python examples/long_range.py --task text --source spam --folder FOLDER --length 512
    python examples/long_range.py --task pixels --source cifar10 --preset paper

The preset `cpu` says something in minutes on two cores; `long` has rows of 1,024 bytes
or of `--length`, and as many tokens in a step at every length; `paper` has the settings
of the Long Range Arena. Prints accuracy, steps per second, the seconds of the processor
in a step, peak memory, and how the accuracy rose in training.
"""

import argparse
import json
import math
import os
import resource
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from keras_nam import datasets
from keras_nam import layers
from keras_nam import models

TASKS = {
    task: datasets.long_range_info(task)
    for task in ("pixels", "listops", "text", "matching", "pathfinder")
}
PRESETS = {
    "cpu": {
        "listops": {
            "width": 64, "heads": 4, "layers": 2, "intermediate": 128, "batch": 64,
            "steps": 1500, "learning_rate": 2e-3, "schedule": "cosine", "warmup": 100,
            "decay": 0.01, "dropout": 0.0, "pooling": "mean",
            "positions": "sinusoidal", "length": None,
            "settings": {"min_length": 5, "max_length": 50, "max_depth": 4},
        },
        "text": {
            "width": 64, "heads": 4, "layers": 2, "intermediate": 128, "batch": 32,
            "steps": 800, "learning_rate": 1e-3, "schedule": "cosine", "warmup": 100,
            "decay": 0.01, "dropout": 0.1, "pooling": "mean",
            "positions": "sinusoidal", "length": 512, "settings": {},
        },
        "pixels": {
            "width": 64, "heads": 4, "layers": 2, "intermediate": 128, "batch": 64,
            "steps": 1000, "learning_rate": 2e-3, "schedule": "cosine", "warmup": 100,
            "decay": 0.01, "dropout": 0.1, "pooling": "mean", "positions": "learned",
            "length": None, "settings": {},
        },
    },
    "paper": {
        "listops": {
            "width": 256, "heads": 4, "layers": 4, "intermediate": 1024, "batch": 2,
            "steps": 80_000, "learning_rate": 0.05, "schedule": "rsqrt",
            "warmup": 1000, "decay": 0.01, "dropout": 0.1, "pooling": "cls",
            "positions": "sinusoidal", "length": 1000, "settings": {},
        },
        "text": {
            "width": 256, "heads": 4, "layers": 4, "intermediate": 1024, "batch": 3,
            "steps": 240_000, "learning_rate": 0.05, "schedule": "rsqrt",
            "warmup": 80_000, "decay": 0.01, "dropout": 0.1, "pooling": "cls",
            "positions": "sinusoidal", "length": 1000, "settings": {},
        },
        "matching": {
            "width": 128, "heads": 4, "layers": 4, "intermediate": 512, "batch": 3,
            "steps": 50_000, "learning_rate": 0.05, "schedule": "rsqrt",
            "warmup": 8000, "decay": 0.01, "dropout": 0.1, "pooling": "cls",
            "positions": "sinusoidal", "length": 4000, "settings": {},
        },
        # One epoch of warm-up, of 45,000 and of 160,000 images.
        "pixels": {
            "width": 128, "heads": 8, "layers": 1, "intermediate": 128, "batch": 4,
            "key_dim": 8, "steps": 1_125_000, "learning_rate": 5e-4,
            "schedule": "cosine", "warmup": 11_250, "decay": 0.0, "dropout": 0.3,
            "pooling": "cls", "positions": "learned", "length": None, "settings": {},
        },
        "pathfinder": {
            "width": 32, "heads": 4, "layers": 4, "intermediate": 32, "batch": 512,
            "key_dim": 4, "steps": 62_500, "learning_rate": 1e-3,
            "schedule": "cosine", "warmup": 312, "decay": 0.0, "dropout": 0.2,
            "pooling": "mean", "positions": "sinusoidal", "length": None,
            "settings": {},
        },
    },
}  # fmt: skip
PRESETS["cpu"]["matching"] = PRESETS["cpu"]["text"]
PRESETS["cpu"]["pathfinder"] = {**PRESETS["cpu"]["pixels"], "batch": 32}
PRESETS["long"] = {
    task: {**preset, "tokens": 8192, "steps": 400, "dropout": 0.0, "length": 1024}
    for task, preset in PRESETS["cpu"].items()
}
PRESETS["long"]["listops"] |= {
    "length": 512,
    "settings": {"min_length": 256, "max_length": 512, "max_depth": 10},
}
# The attentions of the blocks. A memory that forgets needs an order to do it in.
ATTENTIONS = {
    "nam": {},
    "nam_no_gates": {"use_gates": False},
    "nam_decay": {"decay": "head"},
    "softmax": {"attention": "softmax"},
    "linear": {"attention": "linear"},
}
MOST_ROWS = 20_000
POINTS = 20


@keras.saving.register_keras_serializable(package="long_range")
class CausalEncoder(layers.NAMTransformerEncoder):
    """The same block, in which a position sees only those up to it."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, mask, use_causal_mask=True, training=training)


class Clock(keras.callbacks.Callback):
    """Notes the time of steps, and how the accuracy rises.

    `steps` has the processor's time of each step. A GPU goes on after a step has
    returned: `epochs` has the time by the clock of all steps of an epoch.
    """

    def __init__(self):
        super().__init__()
        self.curve, self.steps, self.epochs = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch_begin = time.perf_counter()

    def on_train_batch_begin(self, batch, logs=None):
        self.begin = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(time.process_time() - self.begin)

    def on_epoch_end(self, epoch, logs=None):
        self.curve.append(float(logs["accuracy"]))
        self.epochs.append(time.perf_counter() - self.epoch_begin)


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The schedules of the Long Range Arena: a warm-up, then `rsqrt` or `cosine`."""

    def __init__(self, base, kind, warmup, steps):
        self.base, self.kind, self.warmup, self.steps = base, kind, warmup, steps

    def __call__(self, step):
        step = keras.ops.cast(step, "float32") + 1.0
        rate = self.base * keras.ops.minimum(1.0, step / self.warmup)
        if self.kind == "rsqrt":
            return rate / keras.ops.sqrt(keras.ops.maximum(step, self.warmup))
        progress = keras.ops.maximum(step - self.warmup, 0.0) / self.steps
        return rate * 0.5 * (1.0 + keras.ops.cos(math.pi * (progress % 1.0)))

    def get_config(self):
        names = ("base", "kind", "warmup", "steps")
        return {name: getattr(self, name) for name in names}


def load(task, split, rows, length, source, folder, settings, seed):
    inputs, labels = datasets.load_long_range(
        task,
        split,
        source=source,
        folder=folder,
        length=length,
        num_examples=rows,
        seed=seed,
        **settings,
    )
    return ([inputs[:, 0], inputs[:, 1]] if task == "matching" else inputs), labels


def build_model(task, attention, preset, length):
    info, options = TASKS[task], ATTENTIONS[attention]
    block = CausalEncoder if "decay" in options else layers.NAMTransformerEncoder
    blocks = [
        block(
            preset["intermediate"],
            preset["heads"],
            key_dim=preset.get("key_dim"),
            dropout=preset["dropout"],
            use_attention_bias=False,
            **options,
        )
        for _ in range(preset["layers"])
    ]
    build = (
        models.matching_classifier if task == "matching" else models.sequence_classifier
    )
    return build(
        blocks,
        info.vocabulary_size,
        preset["width"],
        num_classes=info.num_classes,
        pooling=preset["pooling"],
        positions=preset["positions"],
        max_length=length if preset["positions"] == "learned" else None,
        mask_token=info.padding_token,
        head_dim=preset["intermediate"],
        dropout=preset["dropout"],
        name=f"{task}_{attention}",
    )


def run(
    task,
    attention="nam",
    preset="cpu",
    length=None,
    batch=None,
    steps=None,
    source=None,
    folder=None,
    seed=0,
    test_rows=None,
    jit_compile=False,
    verbose=1,
):
    """Trains, and returns what came of it: `(results, model)`."""
    keras.utils.set_random_seed(seed)
    preset = PRESETS[preset][task]
    steps = preset["steps"] if steps is None else steps
    length = preset["length"] if length is None else length
    if batch is None:
        tokens = preset.get("tokens")
        batch = max(1, tokens // length) if tokens else preset["batch"]
    data = (length, source, folder, preset["settings"])
    rows = None if _has_fixed_rows(task, source) else min(MOST_ROWS, steps * batch)
    inputs, labels = load(task, "train", rows, *data, seed)
    first = inputs[0] if task == "matching" else inputs
    model = build_model(task, attention, preset, first.shape[1])
    model.compile(
        keras.optimizers.AdamW(
            Schedule(
                preset["learning_rate"], preset["schedule"], preset["warmup"], steps
            ),
            weight_decay=preset["decay"],
            beta_2=0.98,
            epsilon=1e-9,
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    clock, start = Clock(), time.perf_counter()
    steps_per_epoch = -(-steps // POINTS)
    model.fit(
        _repeat(inputs, labels, batch, seed),
        steps_per_epoch=steps_per_epoch,
        epochs=-(-steps // steps_per_epoch),
        callbacks=[clock],
        verbose=verbose,
    )
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if test_rows is None and not _has_fixed_rows(task, source):
        test_rows = 2000
    test_inputs, test_labels = load(task, "test", test_rows, *data, seed)
    _, accuracy = model.evaluate(test_inputs, test_labels, batch_size=batch, verbose=0)
    return {
        "task": task,
        "attention": attention,
        "length": int(first.shape[1]),
        "parameters": model.count_params(),
        "batch": batch,
        "steps": len(clock.steps),
        "seed": seed,
        "accuracy": float(accuracy),
        "seconds": seconds,
        "steps_per_second": len(clock.steps) / seconds,
        "seconds_per_step": statistics.median(clock.epochs) / steps_per_epoch,
        "processor_seconds_per_step": statistics.median(clock.steps),
        "peak_megabytes": peak,
        "curve": clock.curve,
    }, model


def _has_fixed_rows(task, source):
    return task == "pixels" or source in ("imdb", "imdb_reviews", "reviews", "spam")


def _repeat(inputs, labels, batch, seed):
    import tensorflow as tf

    features = tuple(inputs) if isinstance(inputs, list) else inputs
    rows = tf.data.Dataset.from_tensor_slices((features, labels))
    rows = rows.shuffle(len(labels), seed=seed, reshuffle_each_iteration=True)
    return rows.repeat().batch(batch, drop_remainder=True).prefetch(2)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=list(TASKS), default="pixels")
    parser.add_argument("--attention", choices=list(ATTENTIONS), default="nam")
    parser.add_argument("--preset", choices=list(PRESETS), default="cpu")
    parser.add_argument("--length", type=int, help="tokens; by default the preset's")
    parser.add_argument("--batch", type=int, help="rows of a step; likewise")
    parser.add_argument("--steps", type=int, help="likewise")
    parser.add_argument("--source", help="where the rows come from")
    parser.add_argument("--folder", type=Path, help="the folder of the source's files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-rows", type=int, help="by default 2,000, or all")
    parser.add_argument("--jit-compile", action="store_true", help="compile with XLA")
    parser.add_argument("--out", type=Path, help="where to save the .keras model")
    arguments = parser.parse_args()
    for name in ("length", "batch", "steps", "test_rows"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            flag = name.replace("_", "-")
            parser.error(f"--{flag} must be a positive integer, not {value}")
    return arguments


def main():
    arguments = vars(parse_arguments())
    out = arguments.pop("out")
    results, model = run(**arguments)
    print(json.dumps(results))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        model.save(out)


if __name__ == "__main__":
    main()
