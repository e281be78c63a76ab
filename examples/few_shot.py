"""Teaches a trained classifier new characters, and counts its false alarms.

    python examples/few_shot.py                      # the fonts of matplotlib
    python examples/few_shot.py --fonts FOLDER --seeds 3
    python examples/few_shot.py --data digits --base-classes 5 --ways 3
    python examples/few_shot.py --erase-gates 0 0.1 0.3 1    # what erasing does

A small convolutional network learns base classes. Then each kind of head is trained on
episodes, and is taught novel classes from 1 and from 5 examples. The table compares
the NAM head with cosine classifiers over the same episodes; tables, plots, the `.keras`
model and the teachable SavedModel go to `--out`. At the end a new process teaches the
SavedModel a class from image files without importing `keras_nam`.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import keras_nam
from keras_nam import datasets
from keras_nam import models
from keras_nam.metrics import confidence_interval
from keras_nam.metrics import rejection_auroc
from keras_nam.metrics import rejection_false_positive_rate

HEADS = {
    "NAM": (keras_nam.layers.NAMClassifier, {}),
    "NAM, in order": (keras_nam.layers.NAMClassifier, {"erase": "in_order"}),
    "cosine": (keras_nam.layers.CosineClassifier, {}),
    "averaging": (
        keras_nam.layers.CosineClassifier,
        {"generator": "feature_averaging"},
    ),
    "attention": (keras_nam.layers.CosineClassifier, {"generator": "attention"}),
}
MEASURES = (
    "accuracy, both",
    "accuracy, novel",
    "accuracy, base",
    "base answered novel",
    "novel answered base",
    "false positives",
)
QUERIES = 75


def load_data(arguments, seed):
    """Splits classes into base and novel ones; 30 % of base images are held out."""
    if arguments.data == "digits":
        images, labels = datasets.digits()
    else:
        images, labels = datasets.glyphs(arguments.fonts)
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.unique(labels))
    base = classes[: arguments.base_classes]
    novel = classes[arguments.base_classes :][: arguments.max_novel_classes]
    held_out = np.zeros(len(labels), bool)
    for label in base:
        rows = rng.permutation(np.flatnonzero(labels == label))
        held_out[rows[: len(rows) * 3 // 10]] = True
    train = np.isin(labels, base) & ~held_out
    test = (np.isin(labels, base) & held_out) | np.isin(labels, novel)
    return {
        "train": (images[train], labels[train]),
        "test": (images[test], labels[test]),
        "base": [int(c) for c in base],
        "novel": [int(c) for c in novel],
    }


def build_features():
    """A small convolutional network that sees every image a little distorted."""
    distortions = [
        keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
        keras.layers.RandomZoom(0.15, fill_mode="constant"),
        keras.layers.RandomRotation(0.03, fill_mode="constant"),
    ]
    x = inputs = keras.Input((28, 28, 1))
    for layer in distortions:
        x = layer(x)
    network = models.conv_features((28, 28, 1), (32, 32, 32, 32), num_pools=3)
    x = keras.layers.Dropout(0.3)(network(x))
    return keras.Model(inputs, x, name="features")


def build_constant(head, base, gate):
    """A NAM head that writes everything and erases by a gate that is never trained."""
    head.build(base.head.kernel.shape)
    head.kernel.assign(base.head.kernel)
    for network, value in ((head.writer, 1.0), (head.eraser, gate)):
        for weight in network.weights:
            weight.assign(keras.ops.zeros_like(weight))
        value = min(max(value, 1e-6), 1 - 1e-6)
        network.bias.assign([np.log(value / (1 - value))])
    return head


def on_features(model):
    """The head of a model by itself: features in, scores out."""
    inputs = keras.Input(model.feature_extractor.output_shape[1:])
    identity = keras.Model(inputs, keras.layers.Identity()(inputs))
    return models.FewShotClassifier(identity, model.head)


def evaluate(model, features, labels, data, ways, shots, count, seed):
    """Measures of each episode, the confusion, and rejection of unknown classes."""
    head, num_base = on_features(model), len(data["base"])
    # Half of the novel classes are taught, the other half is never taught.
    half = len(data["novel"]) // 2
    dataset = datasets.episodes(
        features,
        labels,
        data["base"],
        data["novel"][half:],
        num_ways=ways,
        num_shots=shots,
        num_queries=QUERIES,
        num_base_queries=QUERIES,
        batch_size=20,
        num_episodes=count,
        seed=seed,
    )
    strangers = features[np.isin(labels, data["novel"][:half])]
    rng = np.random.default_rng(seed)
    rows, known, unknown = [], [], []
    confusion = np.zeros((2, 3))
    for inputs, targets in dataset:
        asked = strangers[rng.integers(len(strangers), size=(len(targets), QUERIES))]
        inputs = {
            **inputs,
            "images": np.concatenate([inputs["images"], asked], axis=1),
        }
        scores = head.predict_on_batch(inputs)
        unknown.append(scores[:, 2 * QUERIES :].max(-1).ravel())
        scores = scores[:, : 2 * QUERIES]
        known.append(scores.max(-1).ravel())
        answers, targets = scores.argmax(-1), targets.numpy()
        right, novel = answers == targets, targets >= num_base
        crossed = (answers >= num_base) != novel
        for r, n, c in zip(right, novel, crossed, strict=True):
            values = r.mean(), r[n].mean(), r[~n].mean(), c[~n].mean(), c[n].mean()
            rows.append((*values, c.mean()))
        for i, group in enumerate((~novel, novel)):
            wrong = ~right & ~crossed
            for j, kind in enumerate((right, wrong, crossed)):
                confusion[i, j] += (kind & group).sum()
    known, unknown = np.concatenate(known), np.concatenate(unknown)
    return {
        "episodes": np.array(rows),
        "confusion": confusion / confusion.sum(1, keepdims=True),
        "auroc": rejection_auroc(known, unknown),
        "fpr95": rejection_false_positive_rate(known, unknown),
    }


def run(arguments, seed):
    """Trains once, and every head after it; returns results by (shots, head)."""
    keras.utils.set_random_seed(seed)
    data = load_data(arguments, seed)
    num_base = len(data["base"])
    extractor = build_features()
    base = models.FewShotClassifier(
        extractor, keras_nam.layers.CosineClassifier(num_base, arguments.ways)
    )
    start = time.perf_counter()
    history, _ = models.fit_few_shot(
        base,
        *data["train"],
        data["base"],
        num_ways=arguments.ways,
        epochs=arguments.epochs,
        episode_epochs=0,
        batch_size=64,
        verbose=0,
    )
    print(
        f"seed {seed}: {num_base} base and {len(data['novel'])} novel classes, base "
        f"training {time.perf_counter() - start:.0f} s, accuracy "
        f"{history.history['accuracy'][-1]:.3f}",
        flush=True,
    )
    features = extractor.predict(data["test"][0], verbose=0)
    measure = functools.partial(
        evaluate,
        features=features,
        labels=data["test"][1],
        data=data,
        ways=arguments.ways,
        count=arguments.episodes,
        seed=seed,
    )
    results, kept = {}, None
    for shots in arguments.shots:
        for name, (layer, options) in HEADS.items():
            head = layer(num_base, arguments.ways, **options)
            model = models.FewShotClassifier(extractor, head)
            head.kernel.assign(base.head.kernel)
            head.scale.assign(base.head.scale)
            models.fit_few_shot(
                model,
                *data["train"],
                data["base"],
                num_ways=arguments.ways,
                num_shots=shots,
                epochs=0,
                episode_epochs=arguments.episode_epochs,
                episodes_per_epoch=800,
                seed=seed,
                verbose=0,
            )
            results[shots, name] = measure(model, shots=shots)
            if name == "NAM":
                kept = model
        for gate in arguments.erase_gates:
            head = keras_nam.layers.NAMClassifier(num_base, arguments.ways)
            model = models.FewShotClassifier(
                extractor, build_constant(head, base, gate)
            )
            results[shots, f"erase gate {gate:g}"] = measure(model, shots=shots)
    return results, kept, data


def print_table(results, seeds):
    """Means over all episodes of all seeds, with 95 % confidence intervals."""
    print(f"\nPercent over episodes of {seeds} seed(s), with 95 % confidence intervals")
    print(
        f"{'':22}" + "".join(f"{m:>22}" for m in MEASURES) + f"{'AUROC':>9}{'FPR95':>9}"
    )
    table = {}
    for key, result in results.items():
        cells = [confidence_interval(100 * values) for values in result["episodes"].T]
        table[f"{key[0]} shot, {key[1]}"] = {
            **dict(zip(MEASURES, cells, strict=True)),
            "AUROC": result["auroc"],
            "FPR95": result["fpr95"],
        }
        text = "".join(f"{f'{m:.2f} +- {h:.2f}':>22}" for m, h in cells)
        tail = f"{100 * result['auroc']:9.1f}{100 * result['fpr95']:9.1f}"
        print(f"{f'{key[0]} shot, {key[1]}':22}{text}{tail}")
    return table


def merge(runs):
    merged = {}
    for key in runs[0]:
        parts = [r[key] for r in runs]
        merged[key] = {
            "episodes": np.concatenate([p["episodes"] for p in parts]),
            **{
                k: np.mean([p[k] for p in parts], axis=0)
                for k in ("confusion", "auroc", "fpr95")
            },
        }
    return merged


def plot_confusion(results, path):
    from matplotlib.figure import Figure

    shots = sorted({key[0] for key in results})
    figure = Figure(figsize=(5 * len(shots), 3.8), layout="constrained")
    for axes, k in zip(
        figure.subplots(1, len(shots), squeeze=False)[0], shots, strict=True
    ):
        names = [name for name in HEADS if (k, name) in results]
        for group, offset in ((0, -0.2), (1, 0.2)):
            values = [100 * results[k, n]["confusion"][group, 2] for n in names]
            label = ("base answered novel", "novel answered base")[group]
            bars = axes.barh(np.arange(len(names)) + offset, values, 0.38, label=label)
            axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel("queries answered with the other group (%)")
        axes.set_title(f"{k} example(s) of a novel class")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=2
    )
    figure.savefig(path, dpi=150)


def plot_episode(data, ways, shots, path):
    from matplotlib.figure import Figure

    dataset = datasets.episodes(
        *data["test"],
        data["base"],
        data["novel"],
        num_ways=ways,
        num_shots=shots,
        num_queries=2 * ways,
        num_base_queries=2 * ways,
        num_episodes=1,
    )
    inputs, targets = next(iter(dataset))
    num_base = len(data["base"])
    support = inputs["support_images"][0].numpy().reshape(ways, shots, 28, 28)
    queries, targets = inputs["images"][0].numpy()[..., 0], targets[0].numpy()
    figure = Figure(figsize=(1.1 * (shots + 4), 1.25 * ways), layout="constrained")
    grid = figure.subplots(ways, shots + 4, squeeze=False)
    for way in range(ways):
        novel = queries[targets == num_base + way][:2]
        base = queries[targets < num_base][2 * way : 2 * way + 2]
        titles = [f"class {num_base + way}"] * shots + ["asked"] * 2 + ["base"] * 2
        for axes, image, title in zip(
            grid[way], [*support[way], *novel, *base], titles, strict=True
        ):
            axes.imshow(image, cmap="gray")
            axes.set_title(title, fontsize=7)
            axes.axis("off")
    figure.suptitle("An episode: examples that are taught, then queries")
    figure.savefig(path, dpi=150)


def teach_in_new_process(exported, data, out):
    """Teaches the SavedModel in a process that knows nothing of this package."""
    images, labels = data["test"]
    files = {}
    for label in data["novel"][:2]:
        files[label] = []
        for i, image in enumerate(images[labels == label][:8]):
            path = out / "images" / f"class{label}_{i}.png"
            path.parent.mkdir(exist_ok=True)
            keras.utils.save_img(path, 255 * image, scale=False)
            files[label].append(str(path))
    taught, other = data["novel"][:2]
    script = Path(__file__).with_name("teach.py")
    command = [sys.executable, str(script), str(exported)]
    command += ["--label", str(len(data["base"])), "--teach", *files[taught][:5]]
    command += ["--classify", *files[taught][5:], *files[other][:2]]
    print("$ python", script.name, *command[2:], flush=True)
    subprocess.run(command, check=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=["glyphs", "digits"], default="glyphs")
    parser.add_argument("--fonts", help="a folder of font files; default: matplotlib's")
    parser.add_argument("--base-classes", type=int, default=64)
    parser.add_argument("--max-novel-classes", type=int, default=200)
    parser.add_argument("--ways", type=int, default=5)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--episode-epochs", type=int, default=4)
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--erase-gates",
        type=float,
        nargs="+",
        default=[],
        help="NAM heads with gates like these instead of trained ones, in the table",
    )
    parser.add_argument("--out", type=Path, default=Path("results/few_shot"))
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    runs = []
    for seed in range(arguments.seeds):
        results, model, data = run(arguments, seed)
        runs.append(results)
    results = merge(runs)
    table = print_table(results, arguments.seeds)
    (out / "results.json").write_text(json.dumps(table, indent=2))
    plot_confusion(results, out / "confusion.png")
    plot_episode(data, arguments.ways, max(arguments.shots), out / "episode.png")
    model.save(out / "model.keras")
    models.export_teachable(model, out / "saved_model")
    print()
    teach_in_new_process(out / "saved_model", data, out)


if __name__ == "__main__":
    main()
