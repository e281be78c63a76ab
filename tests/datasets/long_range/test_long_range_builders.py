"""The Long Range Arena through TensorFlow Datasets, without a network."""

import socket

import long_range_folders
import numpy as np
import pytest

from keras_nam import datasets
from keras_nam.datasets.splits import CORPUS_SPLITS

SIZES = {"train_examples": 6, "evaluation_examples": 4}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def tfds():
    return pytest.importorskip("tensorflow_datasets")


@pytest.fixture
def config():
    return pytest.importorskip("keras_nam.datasets.builders").LongRangeConfig


@pytest.mark.parametrize(
    ("task", "source", "arguments"),
    [
        ("pathfinder", None, {}),
        ("pathfinder", "generated", {"settings": {"num_distractors": 1}, "seed": 3}),
        ("text", "spam", {"length": 20}),
        ("matching", "brown", {"length": 40}),
        ("text", "generated", {"length": 70}),
        ("matching", "generated", {"length": 80}),
        ("pixels", "digits", {}),
    ],
)
def test_splits_hold_the_rows_of_load_long_range(
    tfds, config, tmp_path, task, source, arguments
):
    if source == "digits":
        pytest.importorskip("sklearn")
    folder = None
    if source in ("spam", "brown"):
        folder = tmp_path / "files"
        folder.mkdir()
        getattr(long_range_folders, f"write_{source}")(folder)
    chosen = config(source=source, folder=folder, **SIZES, **arguments)
    loaded = tfds.load(
        f"nam_{task}",
        data_dir=tmp_path / "data",
        as_supervised=True,
        builder_kwargs={"config": chosen},
    )
    assert set(loaded) == set(CORPUS_SPLITS)
    settings = arguments.pop("settings", {})
    for split, dataset in loaded.items():
        count = 6 if split == "train" else 4
        inputs, labels = datasets.load_long_range(
            task, split, source, folder, num_examples=count, **arguments, **settings
        )
        expected = sorted(zip(inputs.tolist(), labels.tolist(), strict=True))
        found = sorted(
            (row.tolist(), int(label)) for row, label in dataset.as_numpy_iterator()
        )
        assert found == expected


def test_names_tell_configs_apart(config):
    assert config().name == config(settings={}).name == "benchmark"
    names = [
        config(**arguments).name
        for arguments in (
            {},
            {"source": "spam"},
            {"source": "spam", "folder": "a"},
            {"source": "spam", "folder": "b"},
            {"length": 3},
            {"length": 3, "seed": 1},
            {"train_examples": 3},
            {"evaluation_examples": 3},
            {"settings": {"num_dashes": 3}},
        )
    ]
    assert len(set(names)) == len(names)
    assert config(length=np.int64(3)).name == config(length=3).name


@pytest.mark.parametrize(
    "arguments",
    [{"length": 0}, {"seed": -1}, {"train_examples": 0}, {"evaluation_examples": 1.5}],
)
def test_refused(config, arguments):
    with pytest.raises(ValueError, match="Received: "):
        config(**arguments)


@pytest.mark.parametrize("task", ["text", "matching"])
def test_missing_data_is_told_at_once(tfds, config, tmp_path, task):
    with pytest.raises(ValueError, match="needs the argument `folder`"):
        tfds.load(f"nam_{task}", data_dir=tmp_path)
    assert not list(tmp_path.rglob("*.tfrecord*"))


@pytest.mark.parametrize(
    ("task", "source"), [("text", "imdb_reviews"), ("pixels", "cifar10")]
)
def test_nothing_is_downloaded_unasked(tfds, config, tmp_path, task, source):
    chosen = config(source=source, folder=tmp_path)
    with pytest.raises(ValueError, match="download=True"):
        tfds.load(f"nam_{task}", data_dir=tmp_path, builder_kwargs={"config": chosen})
