"""Teaches a trained classifier new classes, and counts its false alarms.

    python examples/few_shot.py                      # the fonts of matplotlib
    python examples/few_shot.py --fonts FOLDER --seeds 3
    python examples/few_shot.py --emoji FOLDER --base-classes 600 --shots 1 3
    python examples/few_shot.py --data digits --base-classes 5 --ways 3
    python examples/few_shot.py --table docs/few-shot-glyphs.json

A convolutional network learns base classes: a small one for characters, a residual one
for emoji, of which every vendor's drawing is an example. Then each kind of head is
trained on episodes, and is taught novel classes from a few examples. The table compares
the NAM head, and heads that erase in other ways, with cosine classifiers over the same
episodes: accuracies and false positives, and the area under the curve of the accuracy
on novel against that on base classes, which no bias between them can change. Every head
that was measured is kept in `--out`, so that a run that was broken off goes on.

Tables, plots, the `.keras` model and the teachable SavedModel go to `--out`. At the end
a new process teaches the SavedModel a class from image files without importing
`keras_nam`.
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
from finished_runs import finished_run
from keras import ops

import keras_nam
from keras_nam import datasets
from keras_nam import models
from keras_nam.metrics import base_novel_auc
from keras_nam.metrics import base_novel_curve
from keras_nam.metrics import confidence_interval
from keras_nam.metrics import rejection_auroc
from keras_nam.metrics import rejection_false_positive_rate


class ErasingBaseClasses(keras_nam.layers.NAMClassifier):
    """A NAM head that says by itself what an example takes from each base class.

    From base class `b` with the row `m`, an example with the key `k` takes
    `g (m . k) e`: its erase gate and how far `b` answers give `g`, and `e`, with
    `e . k = 1`, is `k`, or `C^-1 k` of that length if the head has seen base images
    with the covariance `C`: the change of `m` to which those answer least.
    """

    def build(self, features_shape):
        super().build(features_shape)
        self.whitening = self._add(
            "whitening", (features_shape[-1],) * 2, "identity", trainable=False
        )

    def see(self, features):
        features = np.asarray(ops.nn.normalize(features), "float64")
        covariance = features.T @ features / len(features)
        # Some is added in all directions, as there are few images for many features.
        mean = np.trace(covariance) / len(covariance)
        self.whitening.assign(
            np.linalg.inv(covariance + 0.1 * mean * np.eye(len(covariance)))
        )

    def gates(self, rows, keys, answers, erase_gates):
        return erase_gates[..., None]

    def write(self, memory, keys, values, write_gates, erase_gates):
        novel = values.shape[-1] - memory.shape[1] + self.num_novel_classes
        rows = memory[:, : values.shape[-1] - novel]
        answers = ops.matmul(keys, ops.swapaxes(rows, 1, 2))
        gates = self.gates(rows, keys, answers, erase_gates)
        erasing = ops.matmul(keys, self.whitening)
        length = ops.sum(erasing * keys, axis=-1, keepdims=True)
        # The key of a slot that holds no example is zero.
        erasing = ops.divide_no_nan(erasing, length)
        erased = ops.matmul(ops.swapaxes(gates * answers, 1, 2), erasing)
        written = ops.swapaxes(values * write_gates[..., None], 1, 2)
        memory = memory + ops.matmul(written, keys)
        return ops.concatenate(
            [memory[:, : rows.shape[1]] - erased, memory[:, rows.shape[1] :]], axis=1
        )


class ErasingWhereAnswered(ErasingBaseClasses):
    """Erases from the base classes that answer: gate times their softmax."""

    def gates(self, rows, keys, answers, erase_gates):
        return erase_gates[..., None] * ops.softmax(self.scale * answers)


class ErasingByBoth(ErasingBaseClasses):
    """Erases by a gate that sees example and base class, not the example alone."""

    def build(self, features_shape):
        super().build(features_shape)
        width = features_shape[-1]
        self.of_example, self.of_base, self.of_answer = (
            keras.layers.Dense(self.gate_units, use_bias=i == 0) for i in range(3)
        )
        self.gate = keras.layers.Dense(1, "sigmoid")
        for layer, size in (
            (self.of_example, width),
            (self.of_base, width),
            (self.of_answer, 1),
            (self.gate, self.gate_units),
        ):
            layer.build((None, size))

    def gates(self, rows, keys, answers, erase_gates):
        hidden = (
            self.of_example(keys)[:, :, None]
            + self.of_base(rows)[:, None]
            + self.of_answer(answers[..., None])
        )
        return erase_gates[..., None] * self.gate(ops.relu(hidden))[..., 0]


WHITENED = "whitened keys"
# The same head, trained as before, whose erase gates are closed when it is measured:
# what is left of a difference does not come from erasing.
CLOSED = "then closed"
HEADS = {
    "NAM": (keras_nam.layers.NAMClassifier, {}),
    "NAM, in order": (keras_nam.layers.NAMClassifier, {"erase": "in_order"}),
    f"NAM, {WHITENED}": (ErasingBaseClasses, {}),
    "NAM, erase where answered": (ErasingWhereAnswered, {}),
    f"NAM, where answered, {WHITENED}": (ErasingWhereAnswered, {}),
    f"NAM, where answered, {WHITENED}, {CLOSED}": (ErasingWhereAnswered, {}),
    "NAM, gates see both": (ErasingByBoth, {}),
    "cosine": (keras_nam.layers.CosineClassifier, {}),
    "cosine, averaging": (
        keras_nam.layers.CosineClassifier,
        {"generator": "feature_averaging"},
    ),
    "cosine, attention": (
        keras_nam.layers.CosineClassifier,
        {"generator": "attention"},
    ),
}
MEASURES = (
    "area",
    "accuracy",
    "accuracy on novel",
    "accuracy on base",
    "base answered novel",
    "novel answered base",
)
TABLE = ("accuracy", "base answered novel", "novel answered base")
QUERIES = 75
# What the others are compared with, episode by episode.
REFERENCE = "cosine"
GRID = np.linspace(0, 1, 101)


def load_images(arguments):
    if arguments.emoji:
        return load_emoji(arguments.emoji)
    if arguments.data == "digits":
        return datasets.digits()
    return datasets.glyphs(arguments.fonts)


def load_emoji(folder, drawings=5):
    """Emoji of a folder each, in colour, that as many vendors draw.

    An emoji of several codes is a variant of others, like a flag, a family, a
    profession or a gender, and is left out.
    """
    images, labels = datasets.load_images(folder, 32, channels=3)
    names = sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
    counts = np.bincount(labels, minlength=len(names))
    single = np.array(["-" not in name for name in names])
    kept = np.isin(labels, np.flatnonzero(single & (counts == drawings)))
    return images[kept], labels[kept]


def split_data(images, labels, arguments, seed):
    """Splits classes into base and novel ones; 30 % of base images are held out."""
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


def build_features(image_shape):
    """A convolutional network that sees every image a little distorted."""
    distortions = [
        keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
        keras.layers.RandomZoom(0.15, fill_mode="constant"),
        keras.layers.RandomRotation(0.03, fill_mode="constant"),
    ]
    x = inputs = keras.Input(image_shape)
    for layer in distortions:
        x = layer(x)
    if image_shape[-1] == 3:
        network = models.residual_features(image_shape, (16, 32, 64, 128))
    else:
        network = models.conv_features(image_shape, (32, 32, 32, 32), num_pools=3)
    x = keras.layers.Dropout(0.3)(network(x))
    return keras.Model(inputs, x, name="features")


def fix_gate(network, value):
    """Makes a gate say the same for every example."""
    for weight in network.weights:
        weight.assign(ops.zeros_like(weight))
    value = min(max(value, 1e-6), 1 - 1e-6)
    network.bias.assign([np.log(value / (1 - value))])


def build_constant(head, base, gate):
    """A NAM head that writes everything and erases by a gate that is never trained."""
    head.build(base.head.kernel.shape)
    head.kernel.assign(base.head.kernel)
    fix_gate(head.writer, 1.0)
    fix_gate(head.eraser, gate)
    return head


def on_features(model):
    """The head of a model by itself: features in, scores out."""
    inputs = keras.Input(model.feature_extractor.output_shape[1:])
    identity = keras.Model(inputs, keras.layers.Identity()(inputs))
    return models.FewShotClassifier(identity, model.head)


def evaluate(model, features, labels, data, ways, shots, count, seed):
    """Measures of each episode, the curve, and rejection of unknown classes."""
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
    rows, everything, unknown = [], [], []
    confusion = np.zeros((2, 3))
    for inputs, targets in dataset:
        asked = strangers[rng.integers(len(strangers), size=(len(targets), QUERIES))]
        inputs = {
            **inputs,
            "images": np.concatenate([inputs["images"], asked], axis=1),
        }
        scores = head.predict_on_batch(inputs)
        unknown.append(scores[:, 2 * QUERIES :].max(-1).ravel())
        scores, targets = scores[:, : 2 * QUERIES], targets.numpy()
        everything.append((targets, scores))
        answers = scores.argmax(-1)
        right, novel = answers == targets, targets >= num_base
        crossed = (answers >= num_base) != novel
        for t, x, r, n, c in zip(targets, scores, right, novel, crossed, strict=True):
            values = r.mean(), r[n].mean(), r[~n].mean(), c[~n].mean(), c[n].mean()
            rows.append((base_novel_auc(t, x, ways), *values))
        for i, group in enumerate((~novel, novel)):
            wrong = ~right & ~crossed
            for j, kind in enumerate((right, wrong, crossed)):
                confusion[i, j] += (kind & group).sum()
    targets, scores = (np.concatenate(x) for x in zip(*everything, strict=True))
    known, unknown = scores.max(-1).ravel(), np.concatenate(unknown)
    # One bias for all episodes, as one has to choose it.
    _, base, novel = base_novel_curve(
        targets.ravel(), scores.reshape(-1, scores.shape[-1]), ways
    )
    curve = np.interp(GRID, base[::-1], novel[::-1], right=0)
    return {
        "episodes": np.round(rows, 6).tolist(),
        "curve": np.round(curve, 4).tolist(),
        "confusion": (confusion / confusion.sum(1, keepdims=True)).tolist(),
        "AUROC": rejection_auroc(known, unknown),
        "FPR95": rejection_false_positive_rate(known, unknown),
    }


def print_overlap(kernel, features, labels, data):
    """How an example's key answers to images of its class, and of the nearest base."""
    head = ErasingBaseClasses(*kernel.shape[:1])
    head.build(features["train"].shape)
    head.see(features["train"])
    whitening = ops.convert_to_numpy(head.whitening)
    images, rows = (
        ops.convert_to_numpy(ops.nn.normalize(x)) for x in (features["test"], kernel)
    )
    found = []
    for label in data["novel"]:
        key, *others = images[labels == label]
        nearest = data["base"][int((rows @ key).argmax())]
        for erased in (key, whitening @ key):
            erased = erased / (erased @ key)
            groups = np.stack(others), images[labels == nearest]
            found.append([(group @ erased).mean() for group in groups])
    found = np.mean(np.reshape(found, (-1, 2, 2)), axis=0)
    for name, (own, other) in zip(("key", WHITENED), found, strict=True):
        print(
            f"{name}: answers {own:.3f} to other images of its class and {other:.3f} "
            "to images of the base class that it resembles most"
        )


def train_base(arguments, data, seed, folder):
    """The model of the base classes, from `folder` if it is there."""
    keras.utils.set_random_seed(seed)
    images, labels = data["train"]
    num_base = len(data["base"])
    model = models.FewShotClassifier(
        build_features(images.shape[1:]),
        keras_nam.layers.CosineClassifier(num_base, arguments.ways),
    )
    weights = folder / f"base-{seed}.weights.h5"
    if weights.exists():
        model.load_weights(weights)
        return model
    start = time.perf_counter()
    history, _ = models.fit_few_shot(
        model,
        images,
        labels,
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
    model.save_weights(weights)
    return model


def run(arguments, images, labels, seed):
    """Trains once, and every head after it; returns results by (shots, head)."""
    data = split_data(images, labels, arguments, seed)
    num_base, out = len(data["base"]), arguments.out
    base = train_base(arguments, data, seed, out)
    extractor = base.feature_extractor
    features = {
        name: extractor.predict(data[name][0], verbose=0) for name in ("train", "test")
    }

    print_overlap(base.head.kernel, features, data["test"][1], data)

    def measure(shots, name):
        # What a head learns does not depend on the ones before it.
        keras.utils.set_random_seed(seed)
        if name in HEADS:
            layer, options = HEADS[name]
            head = layer(num_base, arguments.ways, **options)
            model = models.FewShotClassifier(extractor, head)
            if WHITENED in name:
                head.see(features["train"])
            head.kernel.assign(base.head.kernel)
            head.scale.assign(base.head.scale)
            models.fit_few_shot(
                on_features(model),
                features["train"],
                data["train"][1],
                data["base"],
                num_ways=arguments.ways,
                num_shots=shots,
                epochs=0,
                episode_epochs=arguments.episode_epochs,
                episodes_per_epoch=800,
                seed=seed,
                verbose=0,
            )
        else:
            head = keras_nam.layers.NAMClassifier(num_base, arguments.ways)
            head = build_constant(head, base, float(name.split()[-1]))
            model = models.FewShotClassifier(extractor, head)
        if CLOSED in name:
            fix_gate(head.eraser, 0.0)
        if name == "NAM":
            model.save(out / "model.keras")
        return evaluate(
            model,
            features["test"],
            data["test"][1],
            data,
            ways=arguments.ways,
            shots=shots,
            count=arguments.episodes,
            seed=seed,
        )

    names = [*arguments.heads, *(f"erase gate {g:g}" for g in arguments.erase_gates)]
    settings = [
        f"{name}={value}"
        for name, value in vars(arguments).items()
        if name not in ("seeds", "shots", "heads", "erase_gates", "out")
    ]
    results = {}
    for shots in arguments.shots:
        for name in names:
            record = out / f"{seed}-{shots}-{name.replace(' ', '_')}.json"
            results[shots, name] = finished_run(
                record,
                [f"{shots} shot, {name}, seed {seed}", *settings],
                functools.partial(measure, shots, name),
            )
    return results, data


def summarize(runs):
    """What the table needs of the episodes: sums over those of every seed."""
    summary = {}
    for shots, name in runs[0]:
        parts = [np.array(r[shots, name]["episodes"]) for r in runs]
        references = [np.array(r[shots, REFERENCE]["episodes"]) for r in runs]
        # The areas of the same episodes.
        more = [x[:, 0] - y[:, 0] for x, y in zip(parts, references, strict=True)]
        summary[f"{shots} shot, {name}"] = {
            "episodes": [len(part) for part in parts],
            "mean": {
                measure: [_moments(part[:, i]) for part in parts]
                for i, measure in enumerate(MEASURES)
            },
            f"less {REFERENCE}": [_moments(x) for x in more],
            "curve": mean_curve([r[shots, name]["curve"] for r in runs]),
            **{
                key: np.mean([r[shots, name][key] for r in runs], axis=0).tolist()
                for key in ("confusion", "AUROC", "FPR95")
            },
        }
    return summary


def mean_curve(curves):
    """Means over seeds of both accuracies, where one is as many times the other."""
    means = np.zeros((2, len(GRID)))
    for novel in np.array(curves):
        end = np.flatnonzero(novel)[-1] + 1
        base, novel = GRID[:end][::-1], novel[:end][::-1]
        share = base / (base + novel)
        means += [np.interp(GRID, share[::-1], x[::-1]) for x in (base, novel)]
    return np.round(means / len(curves), 4).tolist()


def _moments(values):
    return [round(float(values.mean()), 6), round(float(values.std()), 6)]


def pooled_interval(moments, counts):
    """Mean and half its confidence interval in percent, from the seeds' moments."""
    means, deviations = 100 * np.array(moments).T
    counts = np.array(counts)
    mean = counts @ means / counts.sum()
    squares = counts @ (deviations**2 + (means - mean) ** 2)
    # As many values with the same mean and the same variance.
    spread = np.sqrt(squares / counts.sum())
    values = mean + spread * np.resize([1.0, -1.0], 2 * (counts.sum() // 2))
    return mean, confidence_interval(values)[1]


def table_rows(summary):
    """Means over all episodes of all seeds, with 95 % confidence intervals."""
    less = f"area less that of {REFERENCE}"
    columns = ["", "area", less, "over seeds", *TABLE, "AUROC", "FPR95"]
    yield "| " + " | ".join(columns) + " |"
    yield "|---" * len(columns) + "|"
    for name, result in summary.items():
        counts, means = result["episodes"], result["mean"]
        less = result[f"less {REFERENCE}"]
        seeds = [100 * mean for mean, _ in less]
        area, *cells = (
            "{:.1f} ± {:.1f}".format(*pooled_interval(means[measure], counts))
            for measure in ("area", *TABLE)
        )
        cells = [
            name,
            area,
            "{:+.2f} ± {:.2f}".format(*pooled_interval(less, counts)),
            f"{min(seeds):+.2f} to {max(seeds):+.2f}",
            *cells,
            *(f"{100 * result[key]:.1f}" for key in ("AUROC", "FPR95")),
        ]
        yield "| " + " | ".join(cells) + " |"


def shots_and_names(summary):
    """The heads that were measured, by shots."""
    by_shots = {}
    for key in summary:
        shots, name = key.split(" shot, ")
        by_shots.setdefault(int(shots), []).append(name)
    return by_shots


def plot_curves(summary, path):
    from matplotlib.figure import Figure

    by_shots = shots_and_names(summary)
    figure = Figure(figsize=(5 * len(by_shots), 4.6), layout="constrained")
    grid = figure.subplots(1, len(by_shots), squeeze=False)[0]
    for axes, (shots, names) in zip(grid, by_shots.items(), strict=True):
        for name in (n for n in names if n in HEADS):
            result = summary[f"{shots} shot, {name}"]
            style = "--" if name.startswith("cosine") else "-"
            base, novel = 100 * np.array(result["curve"])
            (line,) = axes.plot(base, novel, style, label=name)
            point = [
                np.mean([mean for mean, _ in result["mean"][f"accuracy on {group}"]])
                for group in ("base", "novel")
            ]
            axes.plot(*(100 * np.array(point)), "o", color=line.get_color())
        # Nobody wants to know the one group alone.
        axes.set_xlim(left=0.6 * base.max())
        axes.set_ylim(bottom=0.6 * novel.max())
        axes.set_xlabel("accuracy on base classes (%)")
        axes.set_ylabel("accuracy on novel classes (%)")
        axes.set_title(f"{shots} example(s) of a novel class")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3
    )
    figure.savefig(path, dpi=150)


def plot_confusion(summary, path):
    from matplotlib.figure import Figure

    by_shots = shots_and_names(summary)
    figure = Figure(figsize=(5 * len(by_shots), 4.6), layout="constrained")
    grid = figure.subplots(1, len(by_shots), squeeze=False, sharey=True)[0]
    for axes, (shots, names) in zip(grid, by_shots.items(), strict=True):
        names = [name for name in names if name in HEADS]
        confusions = np.array(
            [summary[f"{shots} shot, {name}"]["confusion"] for name in names]
        )
        for group, offset in ((0, -0.2), (1, 0.2)):
            label = ("base answered novel", "novel answered base")[group]
            places, values = np.arange(len(names)) + offset, confusions[:, group, 2]
            bars = axes.barh(places, 100 * values, 0.38, label=label)
            axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        axes.set_yticks(range(len(names)), names)
        axes.margins(x=0.15)
        axes.set_xlabel("queries answered with the other group (%)")
        axes.set_title(f"{shots} example(s) of a novel class")
    axes.invert_yaxis()
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
    support = inputs["support_images"][0].numpy()
    support = support.reshape(ways, shots, *support.shape[1:])
    queries, targets = inputs["images"][0].numpy(), targets[0].numpy()
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
    parser.add_argument("--emoji", help="a folder with a folder of each emoji's images")
    parser.add_argument("--fonts", help="a folder of font files; default: matplotlib's")
    parser.add_argument("--base-classes", type=int, default=64)
    parser.add_argument("--max-novel-classes", type=int, default=200)
    parser.add_argument("--heads", nargs="+", default=list(HEADS), choices=HEADS)
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
    parser.add_argument(
        "--table", type=Path, help="only print and draw what such a file holds"
    )
    arguments = parser.parse_args()
    if REFERENCE not in arguments.heads:
        arguments.heads.append(REFERENCE)
    out, table = arguments.out, arguments.__dict__.pop("table")
    out.mkdir(parents=True, exist_ok=True)

    if table is None:
        images, labels = load_images(arguments)
        runs = []
        for seed in range(arguments.seeds):
            results, data = run(arguments, images, labels, seed)
            runs.append(results)
        summary = summarize(runs)
        (out / "results.json").write_text(json.dumps(summary))
    else:
        summary = json.loads(table.read_text())
    print(*table_rows(summary), sep="\n")
    plot_curves(summary, out / "curves.png")
    plot_confusion(summary, out / "confusion.png")
    if table is None:
        plot_episode(data, arguments.ways, max(arguments.shots), out / "episode.png")
    if (out / "model.keras").exists() and table is None:
        model = keras.saving.load_model(out / "model.keras")
        models.export_teachable(model, out / "saved_model")
        print()
        teach_in_new_process(out / "saved_model", data, out)


if __name__ == "__main__":
    main()
