"""Where the rows of the Long Range Arena come from: one function per source.

Each is called with `(split, length, num_examples, seed, **settings)` and returns
`(inputs, labels)`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from keras_nam.datasets.byte_tokens import encode_bytes
from keras_nam.datasets.dashed_paths import pathfinder
from keras_nam.datasets.document_matching import draw_brown_pairs
from keras_nam.datasets.document_matching import read_aan
from keras_nam.datasets.expressions import listops
from keras_nam.datasets.folders import EXPECTED
from keras_nam.datasets.generated_texts import draw_reviews
from keras_nam.datasets.generated_texts import draw_tales
from keras_nam.datasets.held_out import GENERATED_SPLITS
from keras_nam.datasets.held_out import choose
from keras_nam.datasets.pixels import read_cifar
from keras_nam.datasets.pixels import read_digits
from keras_nam.datasets.pixels import read_fashion
from keras_nam.datasets.text_classification import read_imdb
from keras_nam.datasets.text_classification import read_reviews
from keras_nam.datasets.text_classification import read_spam
from keras_nam.datasets.text_classification import read_stored_imdb


class Source(NamedTuple):
    """A source of rows.

    `expects` says what the folder must hold, `None` where it may be left out.
    """

    load: Callable
    takes_folder: bool = False
    expects: str | None = None
    settings: frozenset = frozenset()


_TEXT_LENGTH = 1000
_AAN_LENGTH = 4000
_GENERATED_TEXT_LENGTH = 256
_MAX_EXPRESSION_LENGTH = 2000
_IMAGE_SIDE = 32
_DRAWN_ROWS = {
    "listops": {"train": 96000, "validation": 2000, "test": 2000},
    "pathfinder": {"train": 160000, "validation": 20000, "test": 20000},
    "brown": {"train": 16000, "validation": 2000, "test": 2000},
    "generated": {"train": 8000, "validation": 1000, "test": 1000},
}


def _count(name, split, num_examples):
    return _DRAWN_ROWS[name][split] if num_examples is None else num_examples


def _listops(
    split, length, num_examples, seed, max_length=_MAX_EXPRESSION_LENGTH, **settings
):
    inputs, labels, _ = listops(
        _count("listops", split, num_examples),
        max_length=max_length,
        seed=seed,
        split=GENERATED_SPLITS[split],
        **settings,
    )
    if length is not None:
        inputs = inputs[:, :length]
        inputs = np.pad(inputs, [(0, 0), (0, length - inputs.shape[1])])
    return inputs, labels


def _pathfinder(split, length, num_examples, seed, **settings):
    side = _IMAGE_SIDE if length is None else math.isqrt(length)
    if length is not None and (side < _IMAGE_SIDE or side * side != length):
        raise ValueError(
            "Argument `length` must be the number of pixels of a square image of side "
            f"{_IMAGE_SIDE} or more. Received: length={length}"
        )
    images, labels = pathfinder(
        _count("pathfinder", split, num_examples),
        side,
        seed=seed,
        split=GENERATED_SPLITS[split],
        **settings,
    )
    return images.reshape(len(images), side * side).astype(np.int32), labels


def _pixels(read, split, length, num_examples, seed, **settings):
    images, labels = read(split, **settings)
    pixels = math.prod(images.shape[1:])
    if length not in (None, pixels):
        raise ValueError(
            f"Argument `length` must be {pixels}, the number of pixels, or `None`. "
            f"Received: length={length}"
        )
    rows = choose(len(images), num_examples, "pixels", split, seed)
    inputs = images[rows].reshape(len(rows), pixels)
    return inputs.astype(np.int32), labels[rows].astype(np.int32)


def _text(read, split, length, num_examples, seed, **settings):
    texts, labels = read(split, **settings)
    rows = choose(len(texts), num_examples, "text", split, seed)
    inputs = encode_bytes([texts[row] for row in rows], length or _TEXT_LENGTH)
    return inputs, labels[rows].astype(np.int32)


def _aan(split, length, num_examples, seed, **settings):
    pairs, labels = read_aan(split, **settings)
    rows = choose(len(pairs), num_examples, "matching", split, seed)
    inputs = _encode_pairs([pairs[row] for row in rows], length or _AAN_LENGTH)
    return inputs, labels[rows].astype(np.int32)


def _brown(split, length, num_examples, seed, folder):
    length = length or _TEXT_LENGTH
    count = _count("brown", split, num_examples)
    pairs, labels = draw_brown_pairs(split, folder, length, count, seed)
    return _encode_pairs(pairs, length), labels.astype(np.int32)


def _generated_text(split, length, num_examples, seed):
    length = length or _GENERATED_TEXT_LENGTH
    count = _count("generated", split, num_examples)
    texts, labels = draw_reviews(split, length, count, seed)
    return encode_bytes(texts, length), labels.astype(np.int32)


def _generated_matching(split, length, num_examples, seed):
    length = length or _GENERATED_TEXT_LENGTH
    count = _count("generated", split, num_examples)
    pairs, labels = draw_tales(split, length, count, seed)
    return _encode_pairs(pairs, length), labels.astype(np.int32)


def _encode_pairs(pairs, length):
    texts = [text for pair in pairs for text in pair]
    return encode_bytes(texts, length).reshape(len(pairs), 2, length)


def _from_files(name, load):
    return Source(load, takes_folder=True, expects=EXPECTED[name])


def _from_tfds(load):
    return Source(load, takes_folder=True, settings=frozenset({"download"}))


SOURCES = {
    "listops": {
        "generated": Source(
            _listops,
            settings=frozenset({"max_depth", "max_args", "min_length", "max_length"}),
        ),
    },
    "text": {
        "imdb": _from_files("imdb", partial(_text, read_imdb)),
        "imdb_reviews": _from_tfds(partial(_text, read_stored_imdb)),
        "reviews": _from_files("reviews", partial(_text, read_reviews)),
        "spam": _from_files("spam", partial(_text, read_spam)),
        "generated": Source(_generated_text),
    },
    "matching": {
        "aan": _from_files("aan", _aan),
        "brown": _from_files("brown", _brown),
        "generated": Source(_generated_matching),
    },
    "pixels": {
        "digits": Source(partial(_pixels, read_digits)),
        "fashion": _from_files("fashion", partial(_pixels, read_fashion)),
        "cifar10": _from_tfds(partial(_pixels, read_cifar)),
    },
    "pathfinder": {
        "generated": Source(
            _pathfinder, settings=frozenset({"num_dashes", "num_distractors"})
        ),
    },
}
