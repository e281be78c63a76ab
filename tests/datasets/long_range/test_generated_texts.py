"""Made-up reviews and tales, read back word by word."""

import numpy as np
import pytest

from keras_nam import datasets
from keras_nam.datasets.long_range.generated_texts import _BLAME
from keras_nam.datasets.long_range.generated_texts import _DEEDS
from keras_nam.datasets.long_range.generated_texts import _PLACES
from keras_nam.datasets.long_range.generated_texts import _PRAISE
from keras_nam.datasets.splits import CORPUS_SPLITS


def load(task, split="train", num_examples=200, **arguments):
    inputs, labels = datasets.load_long_range(
        task, split, "generated", num_examples=num_examples, **arguments
    )
    rows = inputs.reshape(-1, inputs.shape[-1])
    texts = [bytes((row[row > 0] - 1).tolist()).decode() for row in rows]
    if task == "matching":
        texts = list(zip(texts[::2], texts[1::2], strict=True))
    return texts, labels


def names_of(tale):
    known = set(" ".join((*_DEEDS, *_PLACES)).split())
    return {word for word in tale.replace(".", " ").split() if word not in known}


def test_reviews_mean_what_their_labels_say():
    texts, labels = load("text")
    by_adjectives = []
    for text, label in zip(texts, labels, strict=True):
        praises, plain = [], 0
        for sentence in text.rstrip(".").split(". "):
            words = sentence.split()
            assert words[-1] in (*_PRAISE, *_BLAME)
            is_negated = bool({"not", "never", "hardly"} & set(words))
            praises.append((words[-1] in _PRAISE) != is_negated)
            plain += 1 if words[-1] in _PRAISE else -1
        assert len(praises) % 2 == 1
        assert (2 * sum(praises) > len(praises)) == label
        by_adjectives.append(plain > 0)
    assert labels.sum() == 100
    assert abs(np.mean(np.array(by_adjectives) == labels) - 0.5) < 0.15


def test_tales_are_about_one_cast_or_two():
    pairs, labels = load("matching")
    assert labels.sum() == 100
    for (first, second), label in zip(pairs, labels, strict=True):
        casts = names_of(first), names_of(second)
        assert max(map(len, casts)) <= 4
        assert (len(casts[0] | casts[1]) <= 4) == label


def test_no_text_and_no_cast_is_in_two_splits():
    reviews, casts = {}, {}
    for split in CORPUS_SPLITS:
        reviews[split], casts[split] = set(), set()
        for seed in range(3):
            # Reviews of one sentence, of which there are few.
            reviews[split] |= set(load("text", split, 300, length=50, seed=seed)[0])
            for pair in load("matching", split, 50, seed=seed, length=400)[0]:
                casts[split] |= {frozenset(names_of(tale)) for tale in pair}
    for found in (reviews, casts):
        assert min(map(len, found.values())) > 20
        assert not found["train"] & found["validation"]
        assert not found["train"] & found["test"]
        assert not found["validation"] & found["test"]


@pytest.mark.parametrize("task", ["text", "matching"])
def test_lengths_and_seeds(task):
    for length in (None, 45, 300):
        arguments = {"length": length, "num_examples": 10, "source": "generated"}
        inputs, _ = datasets.load_long_range(task, **arguments)
        again, _ = datasets.load_long_range(task, **arguments)
        other, _ = datasets.load_long_range(task, seed=1, **arguments)
        np.testing.assert_array_equal(inputs, again)
        assert not np.array_equal(inputs, other)
        assert inputs.shape[-1] == (length or 256)
        # Nothing is cut off.
        assert {last_byte(row) for row in inputs.reshape(-1, length or 256)} == {46}
    with pytest.raises(ValueError, match="Received: length=20"):
        datasets.load_long_range(task, source="generated", length=20)


def last_byte(row):
    """The last byte of a row, which should be a full stop."""
    return row[row > 0][-1] - 1
