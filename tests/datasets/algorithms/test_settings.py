"""Settings other than those of the papers, as arrays and as stored datasets."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import keras_nam
from keras_nam import datasets

SIZES = {"train_examples": 9, "evaluation_examples": 5}
SMALL_TREES = {"min_length": 3, "max_length": 20, "max_depth": 3, "max_args": 4}


@pytest.fixture
def builders():
    return pytest.importorskip("keras_nam.datasets.builders")


def assert_same(arrays, others):
    for array, other in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_longer_strings(factor):
    length = 10 * factor
    arrays = datasets.load_task(
        "reverse", "far", 6, digits=10, min_digits=length, max_digits=length
    )
    assert arrays[0].shape == (6, 2 * length + 3)
    assert (arrays[2].sum(axis=1) == length).all()
    assert_same(arrays, datasets.reverse(6, length, length, split="far"))


def test_one_end_of_the_range_is_kept():
    expected = datasets.addition(6, 17, 30, split="far")
    assert_same(datasets.load_task("addition", "far", 6, max_digits=30), expected)
    expected = datasets.addition(6, 3, 10)
    assert_same(datasets.load_task("addition", num_examples=6, min_digits=3), expected)


def test_settings_of_single_tasks():
    inputs, _, _ = datasets.load_task("repeated_copy", "far", 2, repeats=2)
    assert inputs.shape == (2, 2 * 2 * 23 + 1)
    inputs, _, _ = datasets.load_task("dyck", "far", 2, max_length=100)
    assert inputs.shape == (2, 112)
    arrays = datasets.load_task("listops", "id", 4, **SMALL_TREES)
    assert_same(arrays, datasets.listops(4, **SMALL_TREES, split="id"))


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("reverse", {"repeats": 3}, r"\['repeats'\]"),
        ("dyck", {"max_digits": 3}, r"\['max_digits'\]"),
        ("listops", {"pad": 3}, r"\['pad'\]"),
        ("reverse", {"max_digits": 0}, "max_digits=0"),
        ("reverse", {"min_digits": 11}, "min_digits=11, max_digits=10"),
        ("listops", {"max_args": None}, "max_args=None"),
    ],
)
def test_settings_refused(task, settings, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        datasets.load_task(task, num_examples=1, **settings)


def test_stored_datasets_follow_the_settings(builders, tmp_path):
    settings = {split: SMALL_TREES for split in datasets.SPLITS}
    for maximum in (20, 30):
        settings["far"] = {**SMALL_TREES, "max_length": maximum}
        loaded = datasets.load("listops", settings=settings, data_dir=tmp_path, **SIZES)
        for split, length in (("train", 20), ("far", maximum)):
            rows = list(loaded[split].as_numpy_iterator())
            count = 9 if split == "train" else 5
            expected, _, _ = datasets.load_task(
                "listops", split, count, **settings[split]
            )
            assert expected.shape == (count, length)
            stored = sorted(row["inputs"].tolist() for row in rows)
            assert stored == sorted(expected.tolist())


def test_names_tell_configs_apart(builders):
    assert builders.TaskConfig(settings={"far": {}}).name == "paper"
    names = [
        builders.TaskConfig(**arguments).name
        for arguments in (
            {},
            {"digits": 3},
            {"digits": 3, "seed": 1},
            {"train_examples": 3},
            {"evaluation_examples": 3},
            {"settings": {"id": {"max_digits": 3}}},
            {"settings": {"far": {"max_digits": 3}}},
            {"settings": {"far": {"min_digits": 3}}},
            {"settings": {"far": {"min_digits": 3}}, "digits": 3},
        )
    ]
    assert len(set(names)) == len(names)


def test_names_do_not_depend_on_order_and_stay_short(builders):
    forwards = {split: dict(SMALL_TREES) for split in datasets.SPLITS}
    backwards = {
        split: dict(reversed(SMALL_TREES.items()))
        for split in reversed(datasets.SPLITS)
    }
    name = builders.TaskConfig(settings=forwards, **SIZES).name
    assert name == builders.TaskConfig(settings=backwards, **SIZES).name
    assert len(name) < 120


@pytest.mark.parametrize(
    "settings",
    [
        {"test": {"max_digits": 3}},
        {"far": {"max_digits": True}},
        {"far": {"max_digits": 3.0}},
        {"far": {"max_depth": 3}},
        {"far": {"max_digits": 2}},
    ],
)
def test_settings_of_stored_datasets_refused(builders, tmp_path, settings):
    with pytest.raises(ValueError, match="Received"):
        datasets.load("copy", settings=settings, data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_arrays_need_numpy_alone():
    package = str(Path(keras_nam.__file__).parent)
    program = f"""
        import sys
        import types

        # A bare package, so that only what the datasets import themselves is loaded.
        package = sys.modules["keras_nam"] = types.ModuleType("keras_nam")
        package.__path__ = [{package!r}]
        import keras_nam.datasets

        keras_nam.datasets.addition(3)
        print({{"keras", "tensorflow", "tensorflow_datasets"}} & set(sys.modules))
    """
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stdout == "set()\n", finished.stderr
