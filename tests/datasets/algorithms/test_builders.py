"""The TensorFlow Datasets builders, without a network."""

import socket
import subprocess
import sys

import numpy as np
import pytest

from keras_nam import datasets

SIZES = {"train_examples": 9, "evaluation_examples": 5}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def tfds():
    return pytest.importorskip("tensorflow_datasets")


def sorted_rows(dataset):
    """All rows as tuples of bytes; on disk they are in another order."""
    return sorted(
        tuple(np.asarray(row[key]).tobytes() for key in ("inputs", "targets"))
        for row in dataset.as_numpy_iterator()
    )


@pytest.mark.parametrize("task", datasets.TASKS)
def test_splits_hold_the_rows_of_load_task(tfds, tmp_path, task):
    loaded = datasets.load(task, **SIZES, data_dir=tmp_path)
    assert set(loaded) == set(datasets.SPLITS)
    for split, dataset in loaded.items():
        count = 9 if split == "train" else 5
        inputs, targets, weights = datasets.load_task(task, split, count)
        expected = sorted(
            (x.tobytes(), y.tobytes()) for x, y in zip(inputs, targets, strict=True)
        )
        assert sorted_rows(dataset) == expected
        total = sum(row["sample_weight"].sum() for row in dataset.as_numpy_iterator())
        assert total == weights.sum()


def test_two_configs_do_not_collide(tfds, tmp_path):
    short = datasets.load("copy", "train", digits=2, **SIZES, data_dir=tmp_path)
    long = datasets.load("copy", "train", digits=4, **SIZES, data_dir=tmp_path)
    other = datasets.load("copy", "train", digits=4, seed=1, **SIZES, data_dir=tmp_path)
    assert {len(row["inputs"]) for row in short.as_numpy_iterator()} == {7}
    assert {len(row["inputs"]) for row in long.as_numpy_iterator()} == {11}
    assert sorted_rows(long) != sorted_rows(other)
    # What is on disk is found again, and is still what was asked for.
    again = datasets.load("copy", "train", digits=2, **SIZES, data_dir=tmp_path)
    assert sorted_rows(again) == sorted_rows(short)
    folders = {path.name for path in (tmp_path / "nam_copy").iterdir()}
    assert len({name for name in folders if name.startswith("digits")}) == 3


def test_load_passes_arguments_on(tfds, tmp_path):
    dataset, info = datasets.load(
        "reverse",
        "ood",
        digits=3,
        **SIZES,
        data_dir=tmp_path,
        as_supervised=True,
        batch_size=5,
        with_info=True,
    )
    inputs, targets, sample_weight = next(iter(dataset))
    assert inputs.shape == targets.shape == sample_weight.shape == (5, 2 * 9 + 3)
    assert info.splits["train"].num_examples == 9
    sliced = datasets.load("reverse", "train[:4]", digits=3, **SIZES, data_dir=tmp_path)
    assert len(sliced) == 4


def test_tfds_finds_the_builders_by_name(tfds, tmp_path):
    from keras_nam.datasets.builders import TaskConfig

    assert {f"nam_{task}" for task in datasets.TASKS} <= set(tfds.list_builders())
    config = TaskConfig(digits=3, **SIZES)
    dataset = tfds.load(
        "nam_addition",
        split="id",
        builder_kwargs={"config": config},
        data_dir=tmp_path,
    )
    inputs, targets, _ = datasets.load_task("addition", "id", 5, digits=3)
    assert sorted_rows(dataset) == sorted(
        (x.tobytes(), y.tobytes()) for x, y in zip(inputs, targets, strict=True)
    )
    default = tfds.builder("nam_addition", data_dir=tmp_path)
    assert default.builder_config.name == "paper"


def test_arguments_out_of_range(tfds, tmp_path):
    for arguments, message in (
        ({"task": "sorting"}, "task='sorting'"),
        ({"task": "copy", "digits": 0}, "digits=0"),
        ({"task": "copy", "seed": -1}, "seed=-1"),
        ({"task": "copy", "train_examples": 0}, "train_examples=0"),
        ({"task": "dyck", "digits": 5}, "digits=5"),
    ):
        with pytest.raises(ValueError, match=f"Received: {message}"):
            datasets.load(**arguments, data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_arrays_need_no_tensorflow_datasets():
    script = """
import sys
from keras_nam import datasets
assert datasets.addition(2)[0].shape == (2, 39)
assert "tensorflow_datasets" not in sys.modules

sys.modules["tensorflow_datasets"] = None
try:
    datasets.load("addition")
except ImportError as error:
    assert "pip install keras_nam[datasets]" in str(error), error
else:
    raise SystemExit("no error")
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
