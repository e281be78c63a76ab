"""Training a few-shot classifier in two stages."""

import numbers

import keras
import numpy as np

from keras_nam.arguments import check_instance
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_jit_compile
from keras_nam.arguments import check_list
from keras_nam.arguments import check_number
from keras_nam.arguments import check_positive
from keras_nam.arguments import check_verbose
from keras_nam.arguments import fits
from keras_nam.datasets.few_shot.episodes import episodes
from keras_nam.metrics import FalsePositiveRate
from keras_nam.metrics import GroupAccuracy
from keras_nam.models.few_shot import FewShotClassifier


def fit_few_shot(
    model,
    images,
    labels,
    base_classes=None,
    num_ways=5,
    num_shots=1,
    epochs=60,
    episode_epochs=60,
    episodes_per_epoch=8000,
    batch_size=256,
    episode_batch_size=8,
    feature_views=0,
    learning_rate=0.1,
    weight_decay=5e-4,
    seed=0,
    jit_compile="auto",
    verbose="auto",
):
    """Trains a model on base classes, then its head on learning new ones.

    First the whole model learns to tell the base classes apart. Then the feature
    extractor is frozen, and the head learns from episodes in which some of the base
    classes play novel ones (`keras_nam.datasets.episodes`): this is what its gates and
    scales are trained by. As the features are frozen, they are computed once. Either
    stage is a `fit`, with SGD, Nesterov momentum of 0.9, and a learning rate that falls
    to 6 %, 1.2 % and 0.24 % after a third, two thirds and five sixths of the epochs.
    The defaults are those of the paper.

    Args:
        model: A `FewShotClassifier`. What it was taught is forgotten.
        images: Array of shape `(n, ...)`.
        labels: Integers of shape `(n,)`.
        base_classes: Integers, the labels of the base classes, in the order of the
            rows of the head. `None` means all labels, in their order.
        num_ways: Positive integer, the novel classes in an episode, as many as the head
            has room for, or fewer.
        num_shots: Positive integer, the examples of a novel class in an episode.
        epochs: Non-negative integer, the epochs of the first stage; 0 leaves it out.
        episode_epochs: Non-negative integer, the epochs of the second stage.
        episodes_per_epoch: Positive integer.
        batch_size: Positive integer, the images in a batch of the first stage.
        episode_batch_size: Positive integer, the episodes in a batch of the second.
        feature_views: Non-negative integer, how often the features of every image are
            computed for the second stage, with augmentation and dropout active. Classes
            that the features were trained on look easier than new ones will; this
            makes them harder. 0 means once, with both inactive.
        learning_rate: Number above 0.
        weight_decay: Number of at least 0.
        seed: Non-negative integer, for the episodes.
        jit_compile: As in `keras.Model.compile`.
        verbose: As in `keras.Model.fit`.

    Returns:
        A tuple of two histories of `keras.Model.fit`, `None` for a stage left out.

    Example:

    ```python
    model = keras_nam.models.FewShotClassifier(
        keras_nam.models.conv_features((28, 28, 1), filters=(8, 8, 8, 8)),
        keras_nam.layers.NAMClassifier(10, num_novel_classes=2),
    )
    images, labels = np.random.uniform(size=(60, 28, 28, 1)), np.arange(60) % 10
    history, episode_history = keras_nam.models.fit_few_shot(
        model, images, labels, num_ways=2, epochs=1, episode_epochs=1,
        episodes_per_epoch=8, verbose=0,
    )
    ```

    Raises:
        ValueError: If the model is something else, or its head has another number of
            base classes, or too few novel ones.
    """
    check_instance("model", model, FewShotClassifier)
    images, labels, base_classes = _check_examples(model, images, labels, base_classes)
    num_ways = check_integer("num_ways", num_ways)
    if num_ways > model.head.num_novel_classes:
        raise ValueError(
            f"The head has room for {model.head.num_novel_classes} novel classes. "
            f"Received: num_ways={num_ways}"
        )
    num_shots = check_integer("num_shots", num_shots)
    epochs = check_integer("epochs", epochs, at_least=0)
    episode_epochs = check_integer("episode_epochs", episode_epochs, at_least=0)
    episodes_per_epoch = check_integer("episodes_per_epoch", episodes_per_epoch)
    batch_size = check_integer("batch_size", batch_size)
    episode_batch_size = check_integer("episode_batch_size", episode_batch_size)
    feature_views = check_integer("feature_views", feature_views, at_least=0)
    learning_rate = check_positive("learning_rate", learning_rate)
    weight_decay = check_number("weight_decay", weight_decay, at_least=0)
    seed = check_integer("seed", seed, at_least=0)
    jit_compile = check_jit_compile(jit_compile)
    verbose = check_verbose(verbose)
    rows = np.flatnonzero(np.isin(labels, base_classes))
    places = {label: place for place, label in enumerate(base_classes)}
    targets = np.array([places[label] for label in labels[rows]], "int32")
    if episode_epochs:
        # What makes no episodes is to be known before anything is trained.
        views = np.tile(labels[rows], max(feature_views, 1))
        episodes(
            np.zeros((len(views), 1), "float32"),
            views,
            base_classes,
            num_ways=num_ways,
            num_shots=num_shots,
            batch_size=episode_batch_size,
            seed=seed,
        )
    model.reset()

    def compile_(trained, steps, metrics):
        trained.compile(
            keras.optimizers.SGD(
                _schedule(learning_rate, steps),
                momentum=0.9,
                nesterov=True,
                weight_decay=weight_decay,
            ),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy", *metrics],
            jit_compile=jit_compile,
        )

    history = episode_history = None
    if epochs:
        compile_(model, epochs * -(-len(rows) // batch_size), [])
        history = model.fit(
            images[rows],
            targets,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
        )
    if episode_epochs:
        features, targets = _frozen_features(
            model.feature_extractor, images[rows], targets, feature_views, batch_size
        )
        steps = -(-episodes_per_epoch // episode_batch_size)
        dataset = episodes(
            features,
            targets,
            range(len(base_classes)),
            num_ways=num_ways,
            num_shots=num_shots,
            batch_size=episode_batch_size,
            seed=seed,
        )
        inputs = keras.Input(features.shape[1:])
        trained = FewShotClassifier(
            keras.Model(inputs, keras.layers.Identity()(inputs)), model.head
        )
        # The head scores as many novel classes as it has room for.
        novel = model.head.num_novel_classes
        compile_(
            trained,
            episode_epochs * steps,
            [GroupAccuracy(novel, "novel"), GroupAccuracy(novel, "base")]
            + [FalsePositiveRate(novel, "base"), FalsePositiveRate(novel, "novel")],
        )
        episode_history = trained.fit(
            dataset,
            steps_per_epoch=steps,
            epochs=episode_epochs,
            shuffle=False,
            verbose=verbose,
        )
    return history, episode_history


def _check_examples(model, images, labels, base_classes):
    """Returns the examples as arrays and the base classes as a list, or explains."""
    images, labels = np.asarray(images), np.asarray(labels)
    wanted = model.feature_extractor.input_shape[1:]
    if images.dtype.kind not in "fiu" or not fits(images.shape[1:], wanted):
        raise ValueError(
            f"Argument `images` must be numbers of shape (n, ...), here {wanted} each. "
            f"Received: images of shape {images.shape} and dtype {images.dtype}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise ValueError(
            "Argument `labels` must be integers of shape (n,), one for each of the "
            f"{len(images)} images. Received: labels of shape {labels.shape} and dtype "
            f"{labels.dtype}"
        )
    expected = "a list of integers, the labels of base classes"
    if base_classes is None:
        base_classes = np.unique(labels)
    classes = check_list("base_classes", base_classes, numbers.Integral, expected)
    repeated = len(set(classes)) < len(classes)
    wanted = model.head.num_base_classes
    if len(classes) != wanted or repeated or set(classes) - set(labels):
        raise ValueError(
            f"Argument `base_classes` must be {expected}: as many as the head has, "
            f"{wanted}, each once, and examples of each among `labels`. "
            f"Received: base_classes={classes}"
        )
    return images, labels, classes


def _frozen_features(extractor, images, targets, views, batch_size):
    """Features of every image, several times with noise or once without."""
    starts = range(0, len(images), batch_size)
    # The extractor itself is not frozen: whoever trains it again finds it as it was.
    frozen = keras.models.clone_model(extractor)
    frozen.set_weights(extractor.get_weights())
    frozen.trainable = False
    features = [
        frozen(images[i : i + batch_size], training=views > 0)
        for _ in range(max(views, 1))
        for i in starts
    ]
    return np.concatenate(features), np.tile(targets, max(views, 1))


def _schedule(learning_rate, steps):
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [steps // 3, 2 * steps // 3, 5 * steps // 6],
        [learning_rate * factor for factor in (1.0, 0.06, 0.012, 0.0024)],
    )
