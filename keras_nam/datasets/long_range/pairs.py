"""Pairs of texts that belong together or do not, as byte strings and labels."""

import ast

import numpy as np

from keras_nam.datasets.shared_sources import BROWN_FILES
from keras_nam.datasets.shared_sources import find_files
from keras_nam.datasets.shared_sources import read_brown
from keras_nam.datasets.splits import DRAWN_SPLITS
from keras_nam.datasets.splits import random_generator
from keras_nam.datasets.splits import split_of

_AAN_PARTS = {"train": "train", "validation": "eval", "test": "test"}


def read_aan(split, folder):
    """Reads pairs of papers of the ACL Anthology Network; 1 where one cites the other.

    Each line of a file is `label, id1, id2, text1, text2`, with tabs between. Texts
    may be Python literals of bytes, `b'...'`, as in the published files.
    """
    name = f"new_aan_pairs.{_AAN_PARTS[split]}.tsv"
    [path, *_] = find_files("aan", folder, name)
    pairs, labels = [], []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            pieces = line.rstrip(b"\r\n").split(b"\t")
            if len(pieces) != 5:
                raise ValueError(
                    "A line must hold a label, two ids and two texts, with tabs "
                    f"between. Received: line {number} of {path} with {len(pieces)} "
                    "pieces"
                )
            labels.append(int(float(pieces[0])))
            pairs.append((_written_out(pieces[3]), _written_out(pieces[4])))
    return pairs, np.array(labels)


def _written_out(text):
    """Returns what a literal of bytes stands for, and any other text as it is."""
    if text[:2] in (b"b'", b'b"'):
        try:
            return ast.literal_eval(text.decode("ascii"))
        except (SyntaxError, ValueError):
            pass
    return text


def draw_brown_pairs(split, length, num_examples, seed, folder):
    """Draws pairs of passages of the Brown corpus; 1 for passages of one document.

    A document is cut into passages that fill `length` bytes up to their last word.
    Two passages of a pair are at different places of their documents, whatever the
    label, and labels are balanced.
    """
    documents = []
    for path in find_files("brown", folder, BROWN_FILES):
        text = " ".join(read_brown(path)).encode()
        if split_of(text) == split:
            documents.append(_passages(text, length))
    documents = [passages for passages in documents if len(passages) > 1]
    if len(documents) < 2:
        raise ValueError(
            f"Split '{split}' must have at least two documents of two passages each. "
            f"Received: {len(documents)} such documents with length={length}"
        )
    random = random_generator("matching", DRAWN_SPLITS[split], seed)
    labels = random.permutation(np.arange(num_examples) % 2)
    pairs = []
    for label in labels:
        first, other = random.choice(len(documents), 2, replace=False)
        second = first if label else other
        place = random.integers(len(documents[first]))
        # Every place of the second document but the one taken in the first.
        places = [i for i in range(len(documents[second])) if i != place]
        place_of_second = places[random.integers(len(places))]
        pairs.append((documents[first][place], documents[second][place_of_second]))
    return pairs, labels


def _passages(text, length):
    """Cuts a text between words into passages of at most `length` bytes, all full."""
    passages = []
    while len(text) > length:
        end = text.rfind(b" ", 0, length + 1)
        if end <= 0:
            end = length
        passages.append(text[:end])
        text = text[end:].lstrip()
    return passages
