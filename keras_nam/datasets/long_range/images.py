"""Grey images as sequences of tokens: the intensities 0 to 255, row by row."""

import gzip

import numpy as np

from keras_nam.datasets.shared_sources import find_files
from keras_nam.datasets.shared_sources import read_digits
from keras_nam.datasets.shared_sources import read_stored
from keras_nam.datasets.splits import split_of

_CIFAR_SPLITS = {"train": "train[:90%]", "validation": "train[90%:]", "test": "test"}
_FASHION_SIDE = 32


def select_digits(split):
    """Takes the digits of a split, as a hash of each image decides."""
    images, labels = read_digits()
    images = np.rint(images * 255).astype(np.uint8)
    kept = [split_of(image.tobytes()) == split for image in images]
    return images[kept], labels[kept]


def read_fashion(split, folder):
    """Reads Fashion-MNIST from its IDX files, with a border up to 32x32.

    The last tenth of the training images is for validation.
    """
    part = "t10k" if split == "test" else "train"
    images, labels = (
        _read_idx(find_files("fashion", folder, f"{part}-{name}-ubyte.gz")[0])
        for name in ("images-idx3", "labels-idx1")
    )
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(
            "The files must hold images and one label each. "
            f"Received: arrays of shapes {images.shape} and {labels.shape}"
        )
    if split != "test":
        border = len(images) * 9 // 10
        rows = slice(border) if split == "train" else slice(border, None)
        images, labels = images[rows], labels[rows]
    missing = [max(0, _FASHION_SIDE - side) for side in images.shape[1:]]
    borders = [(width // 2, width - width // 2) for width in missing]
    return np.pad(images, [(0, 0), *borders]), labels


def read_cifar(split, folder=None, download=False):
    """Reads CIFAR-10 from TensorFlow Datasets, as grey images.

    The last tenth of the training images is for validation.
    """
    images, labels = read_stored(
        "cifar10", _CIFAR_SPLITS[split], ("image", "label"), folder, download
    )
    return grey(np.stack(images)), np.array(labels)


def grey(images):
    """Turns uint8 colours `(..., 3)` into grey as `tf.image.rgb_to_grayscale` does.

    The intensity is `0.2989 red + 0.587 green + 0.114 blue`, in float32.
    """
    weights = np.array([0.2989, 0.5870, 0.1140], np.float32)
    intensity = (images.astype(np.float32) * np.float32(1 / 255)) @ weights
    # TensorFlow multiplies by 255.5 and cuts off, so that 1.0 becomes 255.
    return (intensity * np.float32(255.5)).astype(np.uint8)


def _read_idx(path):
    """Reads an array of bytes from a gzipped IDX file."""
    with gzip.open(path) as file:
        content = file.read()
    if content[:3] != b"\x00\x00\x08":
        raise ValueError(
            f"An IDX file of bytes must start with 0, 0, 8. Received: {path} with "
            f"{list(content[:3])}"
        )
    rank = content[3]
    start = 4 + 4 * rank
    shape = np.frombuffer(content[4:start], ">i4")
    values = np.frombuffer(content[start:], np.uint8)
    if values.size != shape.prod():
        raise ValueError(
            f"The file must hold {shape.prod()} values. Received: {path} with "
            f"{values.size}"
        )
    return values.reshape(shape)
