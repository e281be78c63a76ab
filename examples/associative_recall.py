"""What a memory holds: recall of many key-value pairs, with and without erasing.

    python examples/associative_recall.py
    python examples/associative_recall.py --key-dims 4 8 16 32 --steps 1600 --pairs 16

A one-layer `NAM` model reads key-value pairs, some of whose keys are written again with
another value, and answers what was last written under the keys that it is asked for.
Prints accuracy against the size of the memory and plots it. Steps are rounded up to
whole epochs of `--rows`.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from keras_nam import datasets
from keras_nam import layers
from keras_nam import models

BATCH_SIZE = 64
VOCABULARY_SIZE = 64


def load(split, rows, arguments):
    return datasets.associative_recall(
        rows,
        num_pairs=arguments.pairs,
        length=arguments.length,
        vocabulary_size=VOCABULARY_SIZE,
        num_overwrites=arguments.overwrites,
        seed=arguments.seed,
        split=split,
    )


def train(key_dim, use_erase, arguments):
    """Accuracy on the answers, on rows that were not trained on."""
    keras.utils.set_random_seed(arguments.seed)
    inputs, targets, weight = load("train", arguments.rows, arguments)
    # The convolution tells a value which key stands before it.
    core = [
        keras.layers.Conv1D(arguments.width, 2, padding="causal"),
        layers.NAM(
            arguments.width, key_dim=key_dim, use_erase=use_erase, return_sequences=True
        ),
        keras.layers.LayerNormalization(),
    ]
    model = models.token_tagger(core, VOCABULARY_SIZE, arguments.width)
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(5e-3, arguments.steps)
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    epoch_steps = -(-len(inputs) // BATCH_SIZE)
    model.fit(
        inputs,
        targets,
        sample_weight=weight,
        batch_size=BATCH_SIZE,
        epochs=-(-arguments.steps // epoch_steps),
    )
    inputs, targets, weight = load("id", 1000, arguments)
    _, accuracy = model.evaluate(inputs, targets, sample_weight=weight, verbose=0)
    return accuracy


def plot(results, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axis = figure.subplots()
    for label, points in results.items():
        axis.plot(list(points), [100 * a for a in points.values()], "o-", label=label)
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted(points), map(str, sorted(points)))
    axis.set_xlabel("key dimension")
    axis.set_ylabel("answers right, %")
    axis.set_ylim(0, 102)
    axis.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=len(results))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--key-dims", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--overwrites", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--rows", type=int, default=12_800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/recall.png"))
    arguments = parser.parse_args()
    results = {
        label: {d: train(d, use_erase, arguments) for d in arguments.key_dims}
        for label, use_erase in (("with erase", True), ("without erase", False))
    }
    print("\n| | " + " | ".join(f"key_dim {d}" for d in arguments.key_dims) + " |")
    print("|---|" + "---|" * len(arguments.key_dims))
    for label, points in results.items():
        cells = [f"{100 * accuracy:.1f}" for accuracy in points.values()]
        print(f"| {label} | " + " | ".join(cells) + " |")
    plot(results, arguments.out)


if __name__ == "__main__":
    main()
