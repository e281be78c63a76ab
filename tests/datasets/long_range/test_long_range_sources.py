"""The sources of the Long Range Arena, small folders in the real formats."""

import sys

import long_range_folders
import numpy as np
import pytest

from keras_nam import datasets
from keras_nam.datasets import load_long_range
from keras_nam.datasets.long_range.images import grey
from keras_nam.datasets.shared_sources import EXPECTED
from keras_nam.datasets.splits import CORPUS_SPLITS
from keras_nam.datasets.splits import split_of

FILE_SOURCES = {
    "imdb": "text",
    "reviews": "text",
    "spam": "text",
    "aan": "matching",
    "brown": "matching",
    "fashion": "pixels",
}


@pytest.fixture
def folder(tmp_path):
    def write(source):
        getattr(long_range_folders, f"write_{source}")(tmp_path)
        return tmp_path

    return write


def texts_of(inputs):
    return [bytes((row[row > 0] - 1).astype(np.uint8).tolist()) for row in inputs]


def load_all(task, source, folder, **arguments):
    return {
        split: load_long_range(task, split, source, folder, **arguments)
        for split in CORPUS_SPLITS
    }


def test_digits():
    pytest.importorskip("sklearn")
    splits = {split: load_long_range("pixels", split) for split in CORPUS_SPLITS}
    assert sum(len(labels) for _, labels in splits.values()) == 1797
    for split, (inputs, labels) in splits.items():
        assert inputs.shape == (len(labels), 64)
        assert (inputs.min(), inputs.max()) == (0, 255)
        assert set(labels) == set(range(10))
        assert {split_of(row.astype(np.uint8).tobytes()) for row in inputs} == {split}
    assert len(splits["train"][1]) > 1350


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"pip install keras_nam\[images\]"):
        load_long_range("pixels")


def test_fashion(folder):
    splits = load_all("pixels", None, folder("fashion"))
    counts = [len(splits[split][1]) for split in CORPUS_SPLITS]
    assert counts == [18, 2, 4]
    expected = np.random.default_rng(0).integers(0, 256, (20, 28, 28))
    by_pixels = {image.tobytes(): i % 10 for i, image in enumerate(expected)}
    for split in ("train", "validation"):
        for row, label in zip(*splits[split], strict=True):
            image = row.reshape(32, 32)
            assert not image[:2].any()
            assert not image[-2:].any()
            assert not image[:, :2].any()
            assert not image[:, -2:].any()
            assert by_pixels[image[2:-2, 2:-2].astype(np.int64).tobytes()] == label
    assert sorted(splits["validation"][1]) == [8, 9]


def test_fashion_files_that_are_none(folder):
    path = folder("fashion")
    file = path / "train-images-idx3-ubyte.gz"
    file.write_bytes((path / "train-labels-idx1-ubyte.gz").read_bytes())
    with pytest.raises(ValueError, match="Received"):
        load_long_range("pixels", source="fashion", folder=path)


def test_imdb(folder):
    splits = load_all("text", None, folder("imdb"), length=50)
    for split, (inputs, labels) in splits.items():
        part = "train" if split == "train" else "test"
        assert inputs.shape == (6, 50)
        for text, label in zip(texts_of(inputs), labels, strict=True):
            assert text.decode().startswith(f"A {('neg', 'pos')[label]} review, {part}")
            assert text.decode().endswith("Caf\u00e9")


def test_texts_are_cut_and_padded(folder):
    path = folder("imdb")
    whole, _ = load_long_range("text", folder=path)
    assert whole.shape == (6, 1000)
    assert not whole[:, 60:].any()
    cut, _ = load_long_range("text", folder=path, length=5)
    np.testing.assert_array_equal(cut, whole[:, :5])
    assert bytes((cut[0] - 1).tolist()).startswith(b"A ")


def test_reviews(folder):
    splits = load_all("text", "reviews", folder("reviews"))
    texts = [text for inputs, _ in splits.values() for text in texts_of(inputs)]
    assert len(texts) == len(set(texts)) == 200
    expected = {
        f"Sentence {long_range_folders.words(index)} tr\u00e8s": 1 - index % 2
        for index in range(200)
    }
    for inputs, labels in splits.values():
        assert len(labels) > 5
        for text, label in zip(texts_of(inputs), labels, strict=True):
            assert expected[text.decode()] == label


def test_spam(folder):
    splits = load_all("text", "spam", folder("spam"))
    texts = [text for inputs, _ in splits.values() for text in texts_of(inputs)]
    assert len(texts) == len(set(texts)) == 200
    for inputs, labels in splits.values():
        assert len(labels) > 5
        for text, label in zip(texts_of(inputs), labels, strict=True):
            assert text.startswith(b"Dear ")
            assert text.endswith((b"good", b"bad")[label])
            assert b"\r" not in text


def test_aan(folder):
    path = folder("aan")
    splits = load_all("matching", None, path, length=30)
    for split, (inputs, labels) in splits.items():
        part = {"validation": "eval"}.get(split, split)
        assert inputs.shape == (6, 2, 30)
        for pair, label in zip(inputs, labels, strict=True):
            first, second = texts_of(pair)
            assert first.startswith(f"First {part}\n".encode())
            assert int(first.split()[-1]) % 2 == label
            assert second == b"It's"
    inputs, _ = load_long_range("matching", folder=path)
    assert inputs.shape == (6, 2, 4000)
    (path / "new_aan_pairs.test.tsv").write_text("1.0\ta\tb\tonly one\n")
    with pytest.raises(ValueError, match="Received: line 1 .* 4 pieces"):
        load_long_range("matching", "test", folder=path)


def test_brown(folder):
    splits = load_all("matching", "brown", folder("brown"), length=40, num_examples=100)
    owners = {}
    for split, (inputs, labels) in splits.items():
        assert inputs.shape == (100, 2, 40)
        assert labels.sum() == 50
        owners[split] = set()
        for pair, label in zip(inputs, labels, strict=True):
            first, second = texts_of(pair)
            documents = [
                {word.strip(b"Thenador/.") for word in text.split()}
                for text in (first, second)
            ]
            assert len(documents[0]) == len(documents[1]) == 1
            assert (documents[0] == documents[1]) == label
            owners[split] |= documents[0] | documents[1]
            assert b"/at" not in first
            assert b"and/or" in first
    assert all(len(documents) > 1 for documents in owners.values())
    assert len(set.union(*owners.values())) == sum(map(len, owners.values()))


def test_brown_passages_too_long(folder):
    with pytest.raises(ValueError, match="Received: 0 such documents.*length=5000"):
        load_long_range("matching", "train", "brown", folder("brown"), length=5000)


@pytest.mark.parametrize(("source", "task"), FILE_SOURCES.items())
def test_order_follows_the_seed(folder, source, task):
    path = folder(source)
    arguments = {"source": source, "folder": path, "num_examples": 5}
    if source == "brown":
        arguments["length"] = 40
    inputs, labels = load_long_range(task, **arguments, seed=1)
    again, same = load_long_range(task, **arguments, seed=1)
    np.testing.assert_array_equal(inputs, again)
    np.testing.assert_array_equal(labels, same)
    assert len(inputs) == len(labels) == 5
    assert inputs.dtype == labels.dtype == np.int32
    assert any(
        not np.array_equal(inputs, load_long_range(task, **arguments, seed=seed)[0])
        for seed in (2, 3)
    )


@pytest.mark.parametrize(("source", "task"), FILE_SOURCES.items())
def test_folders_that_do_not_hold_the_files(tmp_path, source, task):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(
            ValueError, match="Argument `folder` must .*Received"
        ) as error:
            load_long_range(task, "train", source, path)
        assert EXPECTED[source] in str(error.value)


@pytest.mark.parametrize("task", ["text", "matching"])
def test_no_folder(task):
    with pytest.raises(ValueError, match="Received: folder=None") as error:
        load_long_range(task)
    for source, owner in FILE_SOURCES.items():
        held = EXPECTED[source] in str(error.value)
        assert held == (owner == task)
    assert "'generated': nothing" in str(error.value)


def test_more_rows_than_there_are(folder):
    path = folder("fashion")
    for arguments, message in (
        ({"num_examples": 5}, "num_examples=5"),
        ({"length": 784}, "length=784"),
    ):
        with pytest.raises(ValueError, match=f"Received: {message}"):
            load_long_range("pixels", "test", "fashion", path, **arguments)


def test_grey_is_that_of_tensorflow():
    tf = pytest.importorskip("tensorflow")
    colours = np.random.default_rng(0).integers(0, 256, (90, 90, 3)).astype(np.uint8)
    colours[0] = 255
    expected = tf.image.rgb_to_grayscale(colours).numpy()[..., 0]
    np.testing.assert_array_equal(grey(colours), expected)


@pytest.mark.parametrize(
    ("task", "source", "length"),
    [("text", "imdb_reviews", 1000), ("pixels", "cifar10", 1024)],
)
def test_stored_datasets(task, source, length, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    with tfds.testing.mock_data(num_examples=5):
        for split in CORPUS_SPLITS:
            inputs, labels = load_long_range(task, split, source)
            assert inputs.shape == (5, length)
            assert inputs.dtype == labels.dtype == np.int32
            assert inputs.max() < datasets.long_range_info(task).vocabulary_size
    with pytest.raises(ValueError, match="download=True.*Received: folder="):
        load_long_range(task, source=source, folder=tmp_path)


def test_stored_datasets_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"pip install keras_nam\[datasets\]"):
        load_long_range("pixels", source="cifar10")
