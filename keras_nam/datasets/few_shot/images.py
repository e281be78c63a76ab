"""Labelled images from folders, data sets and packages, as arrays."""

import operator
import os

import numpy as np

from keras_nam.arguments import check_cells
from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_path
from keras_nam.datasets.shared_sources import read_digits
from keras_nam.datasets.shared_sources import read_stored
from keras_nam.datasets.splits import CORPUS_SPLITS
from keras_nam.optional import tf

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
# How bright red, green and blue look.
_LUMA = (0.299, 0.587, 0.114)
# The folders of mini-ImageNet by split.
_MINI_IMAGENET_FOLDERS = {"train": "train", "validation": "val", "test": "test"}


def load_images(source, image_size=28, channels=1):
    """Loads labelled images of one size into memory.

    Args:
        source: A folder with a folder of `.png`, `.jpg`, `.bmp` or `.gif` files for
            each class; or a `tf.data.Dataset` of `(image, label)`, or of dictionaries
            with `"image"` and `"label"`, as TensorFlow Datasets has them. Their images
            are integers from 0 to 255 or floats from 0 to 1, of one to four channels:
            grey or red, green and blue, either with how opaque they are after it.
        image_size: Positive integer, the height and width to resize to.
        channels: 1 or 3. Colours become as bright a grey as they look; what is not
            opaque is before black.

    Returns:
        A tuple `(images, labels)`: float32 from 0 to 1 of shape `(n, size, size,
        channels)`, and int32 of shape `(n,)`. Folders are numbered in the order of
        their names.

    Example:

    ```python
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensors((tf.zeros((8, 8, 3), "uint8"), 3))
    images, labels = keras_nam.datasets.load_images(dataset)
    images.shape  # (1, 28, 28, 1)
    ```

    Raises:
        ValueError: If there are no images, or an argument is wrong.
    """
    image_size = _check_size(image_size)
    if check_integer("channels", channels) not in (1, 3):
        raise ValueError(
            f"Argument `channels` must be 1 or 3. Received: channels={channels}"
        )
    expected = ValueError(
        "Argument `source` must hold images: a folder with a folder of "
        f"{', '.join(_SUFFIXES)} files for each class, or a data set of (image, "
        f"label). Received: source={source!r}"
    )
    if isinstance(source, (str, os.PathLike)):
        pairs = _read_folder(check_path("source", source))
    else:
        pairs = _read_dataset(source, expected)
    images, labels = [], []
    for image, label in pairs:
        images.append(_convert(image, image_size, channels))
        labels.append(label)
    if not images:
        raise expected
    return np.stack(images), np.array(labels, "int32")


def digits(image_size=28):
    """The handwritten digits that come with scikit-learn.

    Args:
        image_size: Positive integer, the height and width to resize to.

    Returns:
        A tuple `(images, labels)` of 1,797 images, as `load_images` returns them.

    Example:

    ```python
    images, labels = keras_nam.datasets.digits()
    images.shape  # (1797, 28, 28, 1)
    ```

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    image_size = _check_size(image_size, count=1797)
    images, labels = read_digits()
    images = _convert(images[..., None], image_size, 1)
    return images, labels.astype("int32")


def load_omniglot(split="train", image_size=28, folder=None, download=False):
    """Omniglot, handwritten characters of many alphabets, 20 of each.

    Args:
        split: `"train"` (964 characters) or `"test"` (659 others).
        image_size: Positive integer, the height and width to resize to.
        folder: String or path, the folder of TensorFlow Datasets. `None` means its
            default.
        download: Boolean. Whether to download what is not there.

    Returns:
        A tuple `(images, labels)`, as `load_images` returns them, white on black.

    Example:

    ```python
    images, labels = keras_nam.datasets.load_omniglot("train", download=True)
    ```

    Raises:
        ImportError: If TensorFlow Datasets is not installed.
        ValueError: If the data is not there and `download` is false.
    """
    check_choice("split", split, ("train", "test"))
    image_size = _check_size(image_size)
    stored = read_stored("omniglot", split, ("image", "label"), folder, download)
    images, labels = load_images(zip(*stored, strict=True), image_size)
    return 1 - images, labels


def load_mini_imagenet(folder, split="train", image_size=84):
    """mini-ImageNet from a folder: it may not be passed on, so that it has no download.

    Args:
        folder: String or path with the folders `train` (64 classes), `val` (16) and
            `test` (20), each with a folder of images for each class.
        split: String, one of `"train"`, `"validation"`, `"test"`.
        image_size: Positive integer, the height and width to resize to.

    Returns:
        A tuple `(images, labels)`, as `load_images` returns them, in colour.

    Example:

    ```python
    images, labels = keras_nam.datasets.load_mini_imagenet("mini-imagenet", "train")
    ```

    Raises:
        ValueError: If the folder is not there.
    """
    check_choice("split", split, CORPUS_SPLITS)
    image_size = _check_size(image_size)
    root = check_path("folder", folder) / _MINI_IMAGENET_FOLDERS[split]
    if not root.is_dir():
        raise ValueError(
            "Argument `folder` must hold the folders "
            f"{tuple(_MINI_IMAGENET_FOLDERS.values())}, each with a folder of images "
            f"for each class. Received: folder={str(folder)!r}"
        )
    return load_images(root, image_size, channels=3)


def _check_size(image_size, count=1):
    image_size = check_integer("image_size", image_size)
    check_cells((count, image_size, image_size, 3), image_size=image_size)
    return image_size


def _read_folder(root):
    import keras

    if not root.is_dir():
        return
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    for label, folder in enumerate(folders):
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in _SUFFIXES:
                image = keras.utils.load_img(path, color_mode="rgba")
                yield keras.utils.img_to_array(image) / 255, label


def _read_dataset(dataset, expected):
    try:
        rows = iter(dataset)
    except TypeError:
        raise expected from None
    for row in rows:
        try:
            pair = (row["image"], row["label"]) if isinstance(row, dict) else row
            image, label = pair
            image, label = np.asarray(image), operator.index(np.asarray(label)[()])
        except (KeyError, TypeError, ValueError):
            raise expected from None
        if image.ndim == 2:
            image = image[..., None]
        if image.ndim != 3 or image.dtype.kind not in "uif" or 0 in image.shape:
            raise expected
        if image.shape[-1] > 4:
            raise ValueError(
                "Images of `source` must have one to four channels. "
                f"Received: an image of shape {image.shape}"
            )
        image = image / (1 if image.dtype.kind == "f" else 255)
        if not 0 <= image.min() <= image.max() <= 1:
            raise ValueError(
                "Images of `source` must be integers from 0 to 255 or floats from 0 to "
                f"1. Received: values that become {image.min()} to {image.max()}"
            )
        yield image, label


def _convert(image, image_size, channels):
    if image.shape[-1] in (2, 4):
        # Files have any colour where nothing is to be seen.
        image = image[..., :-1] * image[..., -1:]
    if image.shape[-1] == 3 and channels == 1:
        image = (image @ _LUMA)[..., None]
    image = np.broadcast_to(image, (*image.shape[:-1], channels)).astype("float32")
    size = (image_size, image_size)
    return tf.image.resize(image, size, antialias=True).numpy()
