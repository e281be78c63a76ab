"""Teaches a trained classifier new classes, and counts its false alarms.

    python examples/few_shot.py                      # the fonts of matplotlib
    python examples/few_shot.py --fonts FOLDER --seeds 0 1 2
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
from few_shot_heads import CLOSED
from few_shot_heads import HEADS
from few_shot_heads import WHITENED
from few_shot_heads import ErasingBaseClasses
from few_shot_heads import build_constant
from few_shot_heads import fix_gate
from few_shot_results import GRID
from few_shot_results import REFERENCE
from few_shot_results import plot_confusion
from few_shot_results import plot_curves
from few_shot_results import summarize
from few_shot_results import table_rows
from finished_runs import finished_run
from keras import ops

import keras_nam
from keras_nam import datasets
from keras_nam import models
from keras_nam.metrics import base_novel_auc
from keras_nam.metrics import base_novel_curve
from keras_nam.metrics import rejection_auroc
from keras_nam.metrics import rejection_false_positive_rate

QUERIES = 75


# The arguments that say what the images and the base classes are.
DATA = ("data", "emoji", "fonts", "base_classes", "max_novel_classes")
TRAINING = ("ways", "epochs", "episode_epochs", "episodes")


def settings_of(arguments, *names):
    """Which run it is, among those of an earlier call."""
    return [f"{name}={getattr(arguments, name)}" for name in names]


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

    def fit():
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
        model.save_weights(weights)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "accuracy": history.history["accuracy"][-1]}

    settings = [f"base classes, seed {seed}"]
    settings += settings_of(arguments, *DATA, "ways", "epochs")
    trained = finished_run(weights.with_suffix(".json"), settings, fit)
    print(
        f"seed {seed}: {num_base} base and {len(data['novel'])} novel classes, base "
        f"training {trained['seconds']:.0f} s, accuracy {trained['accuracy']:.3f}",
        flush=True,
    )
    model.load_weights(weights)
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
            model.save(out / f"model-{seed}-{shots}.keras")
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
    settings = settings_of(arguments, *DATA, *TRAINING)
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
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
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
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    if arguments.table is None:
        images, labels = load_images(arguments)
        runs = []
        for seed in dict.fromkeys(arguments.seeds):
            results, data = run(arguments, images, labels, seed)
            runs.append(results)
        summary = summarize(runs)
        (out / "results.json").write_text(json.dumps(summary))
    else:
        summary = json.loads(arguments.table.read_text())
    print(*table_rows(summary), sep="\n")
    plot_curves(summary, out / "curves.png")
    plot_confusion(summary, out / "confusion.png")
    if arguments.table is not None:
        return
    plot_episode(data, arguments.ways, max(arguments.shots), out / "episode.png")
    if "NAM" in arguments.heads:
        model = out / f"model-{arguments.seeds[-1]}-{arguments.shots[-1]}.keras"
        model = keras.saving.load_model(model)
        models.export_teachable(model, out / "saved_model")
        print()
        teach_in_new_process(out / "saved_model", data, out)


if __name__ == "__main__":
    main()
