"""SequenceAccuracy against plain numpy, alone and in a compiled model."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_nam.metrics import SequenceAccuracy

CLASSES = 4


def expected_share(y_true, y_pred, sample_weight=None):
    """Loops over rows and positions. Returns `(right, count)`."""
    right = count = 0.0
    for i, scores in enumerate(y_pred):
        weights = np.ones(len(scores))
        if sample_weight is not None:
            weights = weights * sample_weight[i]
        positions = [t for t, weight in enumerate(weights) if weight != 0]
        if positions:
            row = max(weights)
            count += row
            if all(np.argmax(scores[t]) == y_true[i][t] for t in positions):
                right += row
    return right, count


def mostly_right(random, batch, time, share=0.8):
    """Targets, and scores that are right at most positions."""
    y_true = random.integers(0, CLASSES, (batch, time))
    guess = random.integers(0, CLASSES, (batch, time))
    best = np.where(random.random((batch, time)) < share, y_true, guess)
    scores = random.random((batch, time, CLASSES)) + 2 * np.eye(CLASSES)[best]
    return y_true, scores


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    time=st.integers(1, 5),
    kind=st.sampled_from(["none", "mask", "rows", "column", "both"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_merges_batches_of_any_size(sizes, time, kind, seed):
    random = np.random.default_rng(seed)
    metric = SequenceAccuracy()
    right = count = 0
    for batch in sizes:
        y_true, y_pred = mostly_right(random, batch, time)
        mask = random.integers(0, 2, (batch, time))
        rows = random.integers(0, 4, (batch, 1))
        sample_weight = {
            "none": None,
            "mask": mask,
            "rows": rows[:, 0],
            "column": rows,
            "both": mask * rows,
        }[kind]
        metric.update_state(y_true, y_pred, sample_weight)
        new = expected_share(y_true, y_pred, sample_weight)
        right, count = right + new[0], count + new[1]
    expected = right / count if count else 0
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-6)


def test_one_wrong_position_makes_a_row_wrong():
    y_true = np.zeros((1, 30), int)
    y_pred = np.zeros((1, 30, CLASSES))
    y_pred[..., 0] = 1
    metric = SequenceAccuracy()
    metric.update_state(y_true, y_pred)
    assert metric.result() == 1
    metric.reset_state()
    y_pred[0, 29, 1] = 2
    metric.update_state(y_true, y_pred)
    assert metric.result() == 0
    metric.reset_state()
    weights = np.ones((1, 30))
    weights[0, 29] = 0
    metric.update_state(y_true, y_pred, weights)
    assert metric.result() == 1


def test_rows_without_a_counted_position_are_left_out():
    y_true, y_pred = mostly_right(np.random.default_rng(0), 4, 3, share=1)
    y_true[1:] = (y_true[1:] + 1) % CLASSES
    weights = np.zeros((4, 3))
    metric = SequenceAccuracy()
    metric.update_state(y_true, y_pred, weights)
    assert metric.result() == 0
    weights[:2] = 1
    metric.update_state(y_true, y_pred, weights)
    assert metric.result() == 0.5


def test_all_positions_ignores_the_weights():
    y_true, y_pred = mostly_right(np.random.default_rng(0), 20, 3)
    plain, everything = SequenceAccuracy(), SequenceAccuracy(all_positions=True)
    plain.update_state(y_true, y_pred)
    everything.update_state(y_true, y_pred, np.zeros((20, 3)))
    assert (
        everything.result() == plain.result() == expected_share(y_true, y_pred)[0] / 20
    )
    assert 0 < plain.result() < 1


def test_all_positions_still_weighs_rows():
    y_true, y_pred = mostly_right(np.random.default_rng(0), 20, 3)
    rows = np.random.default_rng(1).integers(0, 3, 20)
    metric = SequenceAccuracy(all_positions=True)
    metric.update_state(y_true, y_pred, rows)
    right, count = expected_share(y_true, y_pred, rows)
    np.testing.assert_allclose(float(metric.result()), right / count, rtol=1e-6)


def test_not_a_number_is_never_right():
    y_pred = np.full((2, 3, CLASSES), np.nan)
    for target in range(CLASSES):
        metric = SequenceAccuracy()
        metric.update_state(np.full((2, 3), target), y_pred)
        assert metric.result() == 0
    # Where nothing counts it does no harm.
    y_true, y_pred = mostly_right(np.random.default_rng(0), 2, 3, share=1)
    y_pred[:, 0] = np.nan
    metric = SequenceAccuracy()
    metric.update_state(y_true, y_pred, [[0, 1, 1], [0, 1, 1]])
    assert metric.result() == 1


def test_config_holds_every_argument():
    metric = SequenceAccuracy(all_positions=True, name="whole", dtype="float64")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert type(again) is SequenceAccuracy
    assert again.get_config() == metric.get_config()
    assert (again.all_positions, again.name, again.dtype) == (True, "whole", "float64")
    assert SequenceAccuracy().get_config()["all_positions"] is False


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_in_a_compiled_model(jit_compile, policy):
    keras.config.set_dtype_policy(policy)
    random = np.random.default_rng(1)
    y_true, scores = mostly_right(random, 50, 6)
    weights = random.integers(0, 2, (50, 6)).astype("float32")
    model = keras.Sequential([keras.Input((6, CLASSES)), keras.layers.Identity()])
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[SequenceAccuracy(name="plain")],
        weighted_metrics=[
            SequenceAccuracy(),
            SequenceAccuracy(all_positions=True, name="everything"),
        ],
        jit_compile=jit_compile,
    )
    logs = model.evaluate(
        scores,
        y_true,
        sample_weight=weights,
        batch_size=16,
        return_dict=True,
        verbose=0,
    )
    right, count = expected_share(y_true, scores, weights)
    np.testing.assert_allclose(logs["sequence_accuracy"], right / count, rtol=1e-6)
    share = expected_share(y_true, scores)[0] / 50
    np.testing.assert_allclose(logs["plain"], share, rtol=1e-6)
    np.testing.assert_allclose(logs["everything"], share, rtol=1e-6)
    assert 0 < share < right / count < 1


def test_counts_are_exact_in_half_precision():
    metric = SequenceAccuracy(dtype="float16")
    y_true = np.zeros((3000, 1), int)
    y_pred = np.tile([1.0, 0.0], (3000, 1, 1)).astype("float16")
    y_pred[:1, 0, 0] = -1
    for _ in range(2):
        metric.update_state(y_true, y_pred)
    assert float(metric.count) == 6000
    assert float(metric.right) == 5998


@pytest.mark.parametrize(
    ("y_true", "y_pred", "sample_weight"),
    [
        ((4,), (4, 3), None),
        ((4, 5), (4, 5), None),
        ((4, 5), (4, 6, 3), None),
        ((4, 5, 1), (4, 5, 3), None),
        ((4, 5), (4, 5, 3), (5,)),
        ((4, 5), (4, 5, 3), (4, 3)),
        ((4, 5), (4, 5, 3), (4, 5, 1)),
    ],
)
def test_shapes_that_do_not_fit(y_true, y_pred, sample_weight):
    if sample_weight is not None:
        sample_weight = np.ones(sample_weight)
    with pytest.raises(ValueError, match="Received: "):
        SequenceAccuracy().update_state(
            np.zeros(y_true, int), np.zeros(y_pred), sample_weight
        )
