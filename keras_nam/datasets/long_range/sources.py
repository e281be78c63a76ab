"""Where the rows of the Long Range Arena come from: one function per source.

Each is called with `(split, length, num_examples, seed, **settings)` and returns
`(inputs, labels)`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from keras_nam.arguments import check_cells
from keras_nam.datasets.algorithms.listops import listops
from keras_nam.datasets.long_range.generated_texts import draw_reviews
from keras_nam.datasets.long_range.generated_texts import draw_tales
from keras_nam.datasets.long_range.images import read_cifar
from keras_nam.datasets.long_range.images import read_fashion
from keras_nam.datasets.long_range.images import select_digits
from keras_nam.datasets.long_range.pairs import draw_brown_pairs
from keras_nam.datasets.long_range.pairs import read_aan
from keras_nam.datasets.long_range.pathfinder import pathfinder
from keras_nam.datasets.long_range.texts import read_imdb
from keras_nam.datasets.long_range.texts import read_reviews
from keras_nam.datasets.long_range.texts import read_spam
from keras_nam.datasets.long_range.texts import read_stored_imdb
from keras_nam.datasets.shared_sources import EXPECTED
from keras_nam.datasets.splits import DRAWN_SPLITS
from keras_nam.datasets.splits import choose
from keras_nam.optional import OptionalModule


class Source(NamedTuple):
    """A source of rows.

    `expects` says what the folder must hold, `None` where it may be left out.
    """

    load: Callable
    takes_folder: bool = False
    expects: str | None = None
    settings: frozenset = frozenset()


# Layers of Keras, which images and expressions can do without.
tokenizers = OptionalModule("keras_nam.tokenizers")

_TEXTS_AT_ONCE = 1024
_TEXT_LENGTH = 1000
_AAN_LENGTH = 4000
_DRAWN_LENGTHS = {"brown": _TEXT_LENGTH, "generated": 256}
_MAX_EXPRESSION_LENGTH = 2000
_IMAGE_SIDE = 32
_DRAWN_ROWS = {
    "listops": {"train": 96000, "validation": 2000, "test": 2000},
    "pathfinder": {"train": 160000, "validation": 20000, "test": 20000},
    "brown": {"train": 16000, "validation": 2000, "test": 2000},
    "generated": {"train": 8000, "validation": 1000, "test": 1000},
}


def _count(name, split, num_examples, length=1):
    count = _DRAWN_ROWS[name][split] if num_examples is None else num_examples
    check_cells((count, length), num_examples=count, length=length)
    return count


def _listops(
    split, length, num_examples, seed, max_length=_MAX_EXPRESSION_LENGTH, **settings
):
    inputs, labels, _ = listops(
        _count("listops", split, num_examples, length or 1),
        max_length=max_length,
        seed=seed,
        split=DRAWN_SPLITS[split],
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
        _count("pathfinder", split, num_examples, side * side),
        side,
        seed=seed,
        split=DRAWN_SPLITS[split],
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


def _read_texts(read, task, default_length, split, length, num_examples, seed, **kept):
    texts, labels = read(split, **kept)
    rows = choose(len(texts), num_examples, task, split, seed)
    inputs = _encode(task, [texts[row] for row in rows], length or default_length)
    return inputs, labels[rows].astype(np.int32)


def _draw_texts(draw, name, task, split, length, num_examples, seed, **kept):
    length = length or _DRAWN_LENGTHS[name]
    count = _count(name, split, num_examples, length)
    texts, labels = draw(split, length, count, seed, **kept)
    return _encode(task, texts, length), labels.astype(np.int32)


def _encode(task, texts, length):
    """Turns byte strings, or pairs of them, into int32 tokens, cut or padded."""
    shape = (len(texts), 2, length) if task == "matching" else (len(texts), length)
    check_cells(shape, length=length)
    if task == "matching":
        texts = [text for pair in texts for text in pair]
    tokenizer = tokenizers.ByteTokenizer(length)
    rows = np.full((len(texts), length), tokenizer.pad_token_id, np.int32)
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        tokens = tokenizer.tokenize(texts[start : start + _TEXTS_AT_ONCE]).numpy()
        rows[start : start + len(tokens), : tokens.shape[1]] = tokens
    return rows.reshape(shape)


def _texts(read):
    return partial(_read_texts, read, "text", _TEXT_LENGTH)


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
        "imdb": _from_files("imdb", _texts(read_imdb)),
        "imdb_reviews": _from_tfds(_texts(read_stored_imdb)),
        "reviews": _from_files("reviews", _texts(read_reviews)),
        "spam": _from_files("spam", _texts(read_spam)),
        "generated": Source(partial(_draw_texts, draw_reviews, "generated", "text")),
    },
    "matching": {
        "aan": _from_files(
            "aan", partial(_read_texts, read_aan, "matching", _AAN_LENGTH)
        ),
        "brown": _from_files(
            "brown", partial(_draw_texts, draw_brown_pairs, "brown", "matching")
        ),
        "generated": Source(partial(_draw_texts, draw_tales, "generated", "matching")),
    },
    "pixels": {
        "digits": Source(partial(_pixels, select_digits)),
        "fashion": _from_files("fashion", partial(_pixels, read_fashion)),
        "cifar10": _from_tfds(partial(_pixels, read_cifar)),
    },
    "pathfinder": {
        "generated": Source(
            _pathfinder, settings=frozenset({"num_dashes", "num_distractors"})
        ),
    },
}
