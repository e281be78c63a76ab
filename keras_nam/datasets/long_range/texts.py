"""Texts with two classes, as byte strings and labels."""

import json

import numpy as np

from keras_nam.datasets.shared_sources import find_files
from keras_nam.datasets.shared_sources import read_stored
from keras_nam.datasets.splits import split_of

_NO_LETTERS = bytes(byte for byte in range(128) if not chr(byte).isalpha())


def read_imdb(split, folder):
    """Reads film reviews from a folder in the layout of aclImdb; 1 is positive.

    As published, the test reviews are for validation too.
    """
    part = "train" if split == "train" else "test"
    texts, labels = [], []
    for label, name in enumerate(("neg", "pos")):
        for path in find_files("imdb", folder, f"{part}/{name}/*.txt"):
            texts.append(path.read_bytes())
            labels.append(label)
    return texts, np.array(labels)


def read_stored_imdb(split, folder=None, download=False):
    """Reads the same reviews from TensorFlow Datasets."""
    part = "train" if split == "train" else "test"
    texts, labels = read_stored(
        "imdb_reviews", part, ("text", "label"), folder, download
    )
    return texts, np.array(labels)


def read_reviews(split, folder):
    """Reads sentences of film reviews; 1 where their mean rating is above 0.

    Sentences rated 0 and sentences that come again are left out.
    """
    [path, *_] = find_files("reviews", folder, "movieReviewSnippets_GroundTruth.txt")
    texts, labels = [], []
    for line in path.read_text(encoding="latin-1").split("\n"):
        pieces = line.split("\t", 2)
        if len(pieces) < 3:
            continue
        rating = float(pieces[1])
        if rating != 0:
            texts.append(pieces[2].strip().encode())
            labels.append(int(rating > 0))
    return _distinct(texts, labels, split)


def read_spam(split, folder):
    """Reads mails without their headers, which would tell the class; 1 is spam.

    Mails whose text comes again, apart from digits and the like, are left out.
    """
    texts, labels = [], []
    for path in find_files("spam", folder, "*am*/[0-9]*.*"):
        is_copy = path.suffix == ".json" and path.with_suffix(".txt").exists()
        if is_copy or not ("ham" in path.parent.name or "spam" in path.parent.name):
            continue
        mail = path.read_bytes()
        if path.suffix == ".json":
            mail = json.loads(mail)["text"].encode("utf-8", "surrogatepass")
        _, _, body = mail.replace(b"\r\n", b"\n").partition(b"\n\n")
        texts.append(body.strip())
        labels.append(int("spam" in path.parent.name))
    return _distinct(texts, labels, split)


def _distinct(texts, labels, split):
    """Keeps the texts of a split, each once, and none that has no letter.

    Texts that differ in blanks, digits or punctuation alone count as one: mass mails
    often come with another number in each.
    """
    first = {}
    for text, label in zip(texts, labels, strict=True):
        first.setdefault(text.lower().translate(None, _NO_LETTERS), (text, label))
    kept = [pair for key, pair in first.items() if key and split_of(key) == split]
    return [text for text, _ in kept], np.array([label for _, label in kept], int)
