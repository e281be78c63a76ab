"""Checks of what the few-shot heads are taught and asked."""

import keras
from keras import ops

from keras_nam.arguments import check_dense
from keras_nam.arguments import fits
from keras_nam.backend import numbers_of
from keras_nam.backend import require


def check_width(name, features, width):
    """Raises a `ValueError` unless the last axis of `features` is `width`."""
    check_dense(name, features)
    if len(features.shape) < 2 or features.shape[-1] != width:
        raise ValueError(
            f"Argument `{name}` must have shape (..., features), here (..., {width}). "
            f"Received: {name}.shape={tuple(features.shape)}"
        )


def check_episode(support_features, support_labels, base_classes, num_novel_classes):
    """Raises a `ValueError` unless the parts of an episode fit together."""
    if support_labels is None:
        raise ValueError(
            "`support_features` need `support_labels`. Received: support_labels=None"
        )
    examples = tuple(support_features.shape)
    labels = tuple(support_labels.shape)
    if len(examples) != 3 or examples[1] == 0:
        raise ValueError(
            "Argument `support_features` must have shape (batch, num_examples, "
            "features), with at least one example, or (num_examples, features) for "
            f"features of two axes. Received: support_features.shape={examples}"
        )
    expected = (*examples[:2], num_novel_classes)[: len(labels)]
    if len(labels) not in (2, 3) or not fits(labels, expected):
        raise ValueError(
            "Argument `support_labels` must have shape (batch, num_examples), or "
            f"(batch, num_examples, {num_novel_classes}), with as many examples as "
            f"`support_features`. Received: support_labels.shape={labels}, "
            f"support_features.shape={examples}"
        )
    if base_classes is not None and not fits(base_classes.shape, (examples[0], None)):
        raise ValueError(
            "Argument `base_classes` must have shape (batch, num_base_classes), with "
            f"the batch of `support_features`, here {examples[0]}. "
            f"Received: base_classes.shape={tuple(base_classes.shape)}"
        )


def check_lesson(features, labels, width):
    """Returns features and labels as tensors, or fails if they cannot be taught."""
    features, labels = ops.convert_to_tensor(features), ops.convert_to_tensor(labels)
    if len(features.shape) != 2 or features.shape[-1] != width:
        raise ValueError(
            "Argument `features` must have shape (num_examples, features), here "
            f"(num_examples, {width}). Received: "
            f"features.shape={tuple(features.shape)}"
        )
    if len(labels.shape) != 1 or not _agree(labels.shape[0], features.shape[0]):
        raise ValueError(
            "Argument `labels` must have shape (num_examples,), with as many examples "
            f"as `features`. Received: labels.shape={tuple(labels.shape)}, "
            f"features.shape={tuple(features.shape)}"
        )
    _check_integers(labels)
    sizes = ops.shape(features)[0], ops.shape(labels)[0]
    labels = require(
        ops.logical_and(ops.equal(*sizes), ops.convert_to_tensor(sizes[0]) > 0),
        "There must be at least one example, and a label for each.",
        labels,
    )
    features = require(
        ops.all(ops.isfinite(features)),
        "Features to learn from must be finite. Received: NaN or infinity",
        features,
    )
    features = require(
        ops.all(ops.any(ops.not_equal(features, 0), axis=-1)),
        "Features to learn from must not be all zero.",
        features,
    )
    return features, labels


def check_novel(labels, first, count):
    """Returns int32 labels, or fails unless all are among the novel classes."""
    return _check_between("Labels of novel classes", labels, first, first + count - 1)


def check_base(base_classes, count):
    """Returns int32 classes, or fails unless all are among the base classes."""
    base_classes = ops.convert_to_tensor(base_classes)
    return _check_between("Base classes", base_classes, 0, count - 1)


def _check_between(name, labels, first, last):
    _check_integers(labels)
    return require(
        ops.all(ops.logical_and(labels >= first, labels <= last)),
        f"{name} must lie between {first} and {last}. Received: {shown(labels)}",
        ops.cast(labels, "int32"),
    )


def _check_integers(labels):
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if "int" not in dtype:
        raise ValueError(f"Labels must be integers. Received: labels of dtype {dtype}")


def shown(labels):
    """Labels as errors name them."""
    numbers = numbers_of(labels)
    # In a graph the labels are not known yet.
    return "another label" if numbers is None else numbers.tolist()


def _agree(size, other):
    return size is None or other is None or size == other
