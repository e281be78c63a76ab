"""Associative recall against its rules, restated in plain Python."""

import numpy as np
import pytest

from keras_nam import datasets


def check_row(inputs, targets, weights, num_pairs, num_queries, num_overwrites, filler):
    memory, cell = {}, 0
    for _ in range(num_pairs + num_overwrites):
        key, value = inputs[cell : cell + 2]
        assert key % 2 == 1
        assert value % 2 == 0
        assert value not in (0, *memory.values())
        memory[key] = value
        cell += 2
    assert len(memory) == num_pairs
    np.testing.assert_array_equal(targets[:cell], inputs[:cell])
    assert not weights[:cell].any()
    asked = []
    for token, target, weight in zip(
        inputs[cell:], targets[cell:], weights[cell:], strict=True
    ):
        if weight:
            assert target == memory[token]
            asked.append(token)
        else:
            assert target == token
            assert token == 0 if filler == "blank" else token % 2 == 1
            assert token not in memory
    assert len(asked) == num_queries
    counts = [asked.count(key) for key in memory]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("filler", ["blank", "keys"])
@pytest.mark.parametrize(
    ("num_pairs", "num_queries", "num_overwrites", "length", "vocabulary_size"),
    [(1, 1, 0, 3, 5), (3, 7, 0, 29, 9), (4, 3, 5, 31, 33), (5, 5, 2, 19, 32)],
)
def test_rows(filler, num_pairs, num_queries, num_overwrites, length, vocabulary_size):
    arrays = datasets.associative_recall(
        50,
        num_pairs,
        length,
        vocabulary_size,
        num_queries=num_queries,
        num_overwrites=num_overwrites,
        filler=filler,
    )
    assert [array.dtype for array in arrays] == ["int32", "int32", "float32"]
    assert arrays[0].shape == (50, length)
    assert arrays[0].max() < vocabulary_size
    for row in zip(*arrays, strict=True):
        check_row(*row, num_pairs, num_queries, num_overwrites, filler)


def test_all_keys_and_values_come_alike_often():
    inputs, _, _ = datasets.associative_recall(4000, 3, 9, 15)
    for column in range(6):
        counts = np.bincount(inputs[:, column] // 2, minlength=8)
        counts = counts[counts > 0]
        assert len(counts) == 7
        assert abs(counts - 4000 / 7).max() < 120


@pytest.mark.parametrize("power", [0.01, 1.0, 2.5])
def test_gaps_follow_the_power_law(power):
    _, _, weights = datasets.associative_recall(
        20000, 1, 12, 255, num_queries=1, gap_power=power
    )
    found = weights[:, 2:].mean(axis=0)
    expected = np.arange(1, 11) ** (power - 1)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.02)


def test_overwritten_keys_are_asked_for():
    inputs, targets, weights = datasets.associative_recall(
        200, 4, 64, num_overwrites=4, seed=3
    )
    changed = 0
    for row, target, weight in zip(inputs, targets, weights, strict=True):
        first = {}
        for key, value in row[:16].reshape(8, 2):
            first.setdefault(key, value)
        cells = np.flatnonzero(weight)
        changed += sum(first[row[cell]] != target[cell] for cell in cells)
    # Of four keys, 4 (1 - (3/4)^4) = 2.7 are written again on the average.
    assert 2.4 < changed / 200 < 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_pairs": 0}, "num_pairs=0"),
        ({"length": 23}, "length=23"),
        ({"vocabulary_size": 16}, "vocabulary_size=16"),
        ({"vocabulary_size": 17, "filler": "keys"}, "vocabulary_size=17"),
        ({"vocabulary_size": 10**6}, "vocabulary_size=1000000"),
        ({"num_queries": 0}, "num_queries=0"),
        ({"num_queries": 49}, "length=64.*num_queries=49"),
        ({"gap_power": 0}, "gap_power=0"),
        ({"gap_power": float("nan")}, "gap_power=nan"),
        ({"gap_power": "1"}, "gap_power='1'"),
        ({"num_overwrites": -1}, "num_overwrites=-1"),
        ({"filler": "noise"}, "filler='noise'"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        datasets.associative_recall(2, **arguments)


def test_settings_reach_the_stored_rows(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    settings = {"gap_power": np.float64(0.5), "filler": "keys", "num_overwrites": 2}
    stored = datasets.load(
        "associative_recall",
        "train",
        train_examples=5,
        evaluation_examples=2,
        settings={"train": settings},
        data_dir=tmp_path,
    )
    expected, _, _ = datasets.load_task("associative_recall", "train", 5, **settings)
    rows = [row["inputs"].tolist() for row in stored.as_numpy_iterator()]
    assert sorted(rows) == sorted(expected.tolist())
