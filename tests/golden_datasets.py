"""The rows of masked sentences that the papers' own generators made."""

from pathlib import Path

import numpy as np

FILES = {"ptbw": "ptb.train.txt", "ptbc": "ptb.char.train.txt"}


def published(name, key):
    """Returns an array of the published rows `name`."""
    file = Path(__file__).parent / "golden" / "datasets.npz"
    with np.load(file) as arrays:
        return arrays[f"ibert.{name}.{key}"]


def plain(name, line):
    """Returns the sentence that a line of the published corpus stands for."""
    words = str(line).split()
    return " ".join(words) if name == "ptbw" else "".join(words).replace("_", " ")


def corpus_file(name, folder):
    """Writes the published corpus to a file of the name that it usually has."""
    path = folder / FILES[name]
    path.write_text("".join(published(name, "corpus")))
    return path
