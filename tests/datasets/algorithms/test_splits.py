"""Splits never overlap, rows repeat, arguments are checked."""

import numpy as np
import pytest

from keras_nam import datasets

OTHER_TASKS = ("dyck", "listops", "associative_recall")
DIGIT_TASKS = tuple(task for task in datasets.TASKS if task not in OTHER_TASKS)

# Small enough for the splits to run into each other if nothing kept them apart.
SMALL = {
    "addition": {"min_digits": 1, "max_digits": 1},
    "arithmetic": {"min_digits": 1, "max_digits": 1},
    "reverse": {"min_digits": 1, "max_digits": 2},
    "copy": {"min_digits": 1, "max_digits": 2},
    "repeated_copy": {"min_digits": 1, "max_digits": 1, "repeats": 2},
    "reduction": {"min_digits": 1, "max_digits": 2},
    "dyck": {"min_depth": 1, "max_depth": 2, "min_length": 2, "max_length": 7},
    "listops": {"max_depth": 2, "max_args": 2, "min_length": 1, "max_length": 6},
    "associative_recall": {"num_pairs": 2, "length": 7, "vocabulary_size": 9},
}


def draw(task, count=400, **kwargs):
    return getattr(datasets, task)(count, **{**SMALL[task], **kwargs})


def problems(task, inputs):
    """The rows without their shift and their padding."""
    return {text.strip(" .") for text in datasets.decode(inputs, task=task)}


@pytest.mark.parametrize("task", datasets.TASKS)
def test_no_problem_of_another_split_is_ever_trained_on(task):
    count = 30 if task == "listops" else 2000
    trained = set()
    for seed in range(3):
        trained |= problems(task, draw(task, count, seed=seed)[0])
    asked = set()
    for seed in range(3):
        for split in ("id", "ood", "far"):
            asked |= problems(task, draw(task, count, seed=seed, split=split)[0])
    assert trained
    assert asked
    assert not trained & asked
    # The seeds together have seen nearly all: the splits share out what there is.
    if task in ("reverse", "copy"):
        assert len(trained | asked) == 110
        assert 110 / 16 < len(asked) < 110 / 4


def test_a_larger_row_length_does_not_mix_the_splits():
    trained = problems("reverse", datasets.reverse(2000, 1, 2)[0])
    asked = problems("reverse", datasets.reverse(2000, 1, 6, split="id")[0])
    assert len([text for text in asked if text.count("M") <= 2]) > 5
    assert not trained & asked


@pytest.mark.parametrize("task", DIGIT_TASKS)
def test_shortest_rows_exist_in_every_split(task):
    for split in datasets.SPLITS:
        assert len(getattr(datasets, task)(50, 1, 1, split=split)[0]) == 50


@pytest.mark.parametrize("task", datasets.TASKS)
def test_same_seed_same_rows(task):
    count = 30
    rows = draw(task, count, seed=7)
    np.random.seed(1)
    for array, again in zip(rows, draw(task, count, seed=7), strict=True):
        np.testing.assert_array_equal(array, again)
    after = np.random.random()
    np.random.seed(1)
    assert np.random.random() == after, "the global random state was used"

    assert not np.array_equal(rows[0], draw(task, count, seed=8)[0])
    other = draw(task, count, seed=7, split="id")[0]
    assert not np.array_equal(rows[0], other)
    assert not np.array_equal(other, draw(task, count, seed=7, split="far")[0])


def test_a_problem_stays_on_its_side_from_version_to_version():
    # Trained models outlive a release: what was held out must remain so.
    asked = problems("reverse", datasets.reverse(2000, 1, 2, split="id")[0])
    strings = {text.replace(" ", "").split("_")[1] for text in asked}
    assert " ".join(sorted(strings)) == "10 26 27 59 60 62 65 67 69 70 75 84 9"


def test_split_lengths():
    assert datasets.split_lengths() == {
        "train": (1, 10),
        "id": (5, 10),
        "ood": (11, 16),
        "far": (17, 22),
    }
    assert datasets.split_lengths(1)["id"] == (1, 1)
    assert datasets.split_lengths(7)["id"] == (3, 7)


@pytest.mark.parametrize(
    ("task", "row_lengths"),
    [
        ("addition", (39, 39, 57, 75)),
        ("arithmetic", (39, 39, 57, 75)),
        ("reverse", (23, 23, 35, 47)),
        ("copy", (23, 23, 35, 47)),
        ("repeated_copy", (67, 67, 103, 185)),
        ("reduction", (21, 21, 33, 45)),
        ("dyck", (40, 40, 72, 76)),
        ("listops", (2000, 2000, 3000, 4000)),
        ("associative_recall", (64, 64, 128, 256)),
    ],
)
def test_load_task_has_the_row_lengths_of_the_papers(task, row_lengths):
    for split, row_length in zip(datasets.SPLITS, row_lengths, strict=True):
        inputs, targets, sample_weight = datasets.load_task(task, split, 4)
        assert inputs.shape == (4, row_length)
        assert targets.shape == sample_weight.shape
        assert sample_weight.sum() > 0


def test_load_task_sweeps_the_lengths_of_the_split():
    for split, (low, high) in datasets.split_lengths(4).items():
        inputs, _, _ = datasets.load_task("reverse", split, 60, digits=4)
        expected = [low + (high - low + 1) * i // 60 for i in range(60)]
        np.testing.assert_array_equal((inputs == 14).sum(axis=1), expected)


def test_load_task_knows_the_four_sets_of_dyck():
    for split, depths, low, high in (
        ("train", range(2, 9), 8, 32),
        ("id", [8], 8, 32),
        ("ood", [8], 32, 64),
        ("far", range(9, 13), 32, 64),
    ):
        inputs, _, _ = datasets.load_task("dyck", split, 56)
        depth = (inputs == 9).sum(axis=1)
        length = (inputs < 8).sum(axis=1)
        np.testing.assert_array_equal(depth, np.repeat(depths, 56 // len(depths)))
        assert low < length.min()
        assert length.max() < high


def test_load_task_sizes():
    assert len(datasets.load_task("dyck")[0]) == 12800
    assert len(datasets.load_task("copy", "id")[0]) == 2560


@pytest.mark.parametrize("task", datasets.TASKS)
def test_no_rows(task):
    inputs, targets, sample_weight = datasets.load_task(task, "train", 0)
    full = datasets.load_task(task, "train", 1)
    assert inputs.shape == (0, *full[0].shape[1:])
    assert targets.shape == sample_weight.shape == (0, *full[1].shape[1:])
    assert [x.dtype for x in (inputs, targets, sample_weight)] == [
        x.dtype for x in full
    ]


@pytest.mark.parametrize("task", datasets.TASKS)
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_examples", -1),
        ("num_examples", 2.0),
        ("num_examples", True),
        ("seed", -1),
        ("seed", "0"),
        ("seed", None),
        ("split", "validation"),
        ("split", None),
        ("split", ["train"]),
    ],
)
def test_arguments_of_every_task(task, argument, value):
    arguments = {"num_examples": 2, argument: value}
    with pytest.raises(ValueError, match="Received: ") as error:
        getattr(datasets, task)(**arguments)
    assert f"{argument}={value!r}" in str(error.value)


@pytest.mark.parametrize("task", DIGIT_TASKS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_digits": -1}, "max_digits=-1"),
        ({"min_digits": 0}, "min_digits=0"),
        ({"min_digits": 4, "max_digits": 3}, "min_digits=4, max_digits=3"),
        ({"min_digits": True}, "min_digits=True"),
        ({"max_digits": "10"}, "max_digits='10'"),
    ],
)
def test_digits_out_of_range(task, arguments, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        getattr(datasets, task)(2, **arguments)


def test_numpy_integers_will_do():
    rows = datasets.reverse(np.int64(3), np.int32(1), np.int8(4), seed=np.uint8(2))
    np.testing.assert_array_equal(rows[0], datasets.reverse(3, 1, 4, seed=2)[0])


def test_repeats_out_of_range():
    with pytest.raises(ValueError, match="Received: repeats=0"):
        datasets.repeated_copy(2, repeats=0)


def test_load_task_arguments():
    with pytest.raises(ValueError, match="Received: task='sorting'"):
        datasets.load_task("sorting")
    with pytest.raises(ValueError, match="Received: split='test'"):
        datasets.load_task("copy", "test")
    with pytest.raises(ValueError, match="Received: digits=0"):
        datasets.load_task("copy", digits=0)
    for task in OTHER_TASKS:
        with pytest.raises(ValueError, match="Received: digits=10"):
            datasets.load_task(task, digits=10)
