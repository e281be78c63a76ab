"""The tasks of the Long Range Arena: what is drawn, and what is refused."""

import numpy as np
import pytest

from keras_nam import datasets
from keras_nam.datasets import load_long_range
from keras_nam.datasets.splits import CORPUS_SPLITS

SMALL = {
    "listops": {"min_length": 3, "max_length": 20, "max_depth": 3},
    "pathfinder": {},
}


@pytest.mark.parametrize("task", ["listops", "pathfinder"])
def test_generated(task):
    info = datasets.long_range_info(task)
    seen = []
    for split in CORPUS_SPLITS:
        inputs, labels = load_long_range(task, split, num_examples=20, **SMALL[task])
        again, _ = load_long_range(task, split, num_examples=20, **SMALL[task])
        np.testing.assert_array_equal(inputs, again)
        assert inputs.dtype == labels.dtype == np.int32
        assert inputs.shape == (20, 20 if task == "listops" else 1024)
        assert labels.shape == (20,)
        assert 0 <= inputs.min() <= inputs.max() < info.vocabulary_size
        assert 0 <= labels.min() <= labels.max() < info.num_classes
        other, _ = load_long_range(task, split, num_examples=20, seed=1, **SMALL[task])
        assert not np.array_equal(inputs, other)
        seen.append({row.tobytes() for row in inputs})
    assert not seen[0] & (seen[1] | seen[2])


@pytest.mark.parametrize("task", ["listops", "pathfinder"])
def test_no_rows(task):
    inputs, labels = load_long_range(task, num_examples=0, **SMALL[task])
    assert inputs.shape == (0, 20 if task == "listops" else 1024)
    assert labels.shape == (0,)
    assert inputs.dtype == labels.dtype == np.int32


def test_generated_lengths():
    whole, _ = load_long_range("listops", num_examples=5, **SMALL["listops"])
    for length in (7, 30):
        inputs, _ = load_long_range(
            "listops", num_examples=5, length=length, **SMALL["listops"]
        )
        assert inputs.shape == (5, length)
        shared = min(length, 20)
        np.testing.assert_array_equal(inputs[:, :shared], whole[:, :shared])
        assert not inputs[:, 20:].any()
    inputs, _ = load_long_range("pathfinder", num_examples=2, length=40**2)
    assert inputs.shape == (2, 1600)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("sorting", {}, "task='sorting'"),
        ("text", {"source": "digits"}, "source='digits'"),
        ("listops", {"split": "id"}, "split='id'"),
        ("listops", {"folder": "x"}, "folder='x'"),
        ("listops", {"num_dashes": 3}, r"\['num_dashes'\]"),
        ("listops", {"download": True}, r"\['download'\]"),
        ("listops", {"length": 0}, "length=0"),
        ("listops", {"num_examples": -1}, "num_examples=-1"),
        ("listops", {"seed": None}, "seed=None"),
        ("pathfinder", {"length": 1000}, "length=1000"),
        ("pathfinder", {"length": 900}, "length=900"),
        ("text", {"source": "imdb_reviews", "download": 1}, "download=1"),
    ],
)
def test_refused(task, arguments, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        load_long_range(task, **{"num_examples": 2, **arguments})


def test_info():
    assert datasets.long_range_info("text")[:3] == (257, 2, 0)
    assert datasets.long_range_info("matching").sources == (
        "aan",
        "brown",
        "generated",
    )
    assert datasets.long_range_info("pixels").padding_token is None
    assert datasets.long_range_info("listops").num_classes == 10
    with pytest.raises(ValueError, match="Received: task='images'"):
        datasets.long_range_info("images")
