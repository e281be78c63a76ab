"""Metrics by length, against the same metrics on chosen rows."""

import keras
import numpy as np
import pytest

from keras_nam.metrics import LengthBucket
from keras_nam.metrics import MaskedPerplexity
from keras_nam.metrics import SequenceAccuracy

CLASSES = 6
METRICS = {
    "perplexity": MaskedPerplexity,
    "papers": lambda: MaskedPerplexity(base=2, all_positions=True),
    "sequence": SequenceAccuracy,
    "tokens": lambda: keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
}


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    lengths = random.integers(1, 9, 60)
    y_true = random.integers(1, CLASSES, (60, 8))
    y_true[np.arange(8) >= lengths[:, None]] = 0
    y_pred = random.normal(size=(60, 8, CLASSES)).astype("float32")
    y_pred += 3 * np.eye(CLASSES)[y_true]
    weights = (random.random((60, 8)) < 0.3) & (y_true != 0)
    return lengths, y_true, y_pred, weights.astype("float32")


def test_what_is_not_in_the_bucket_may_be_anything(rows):
    lengths, y_true, y_pred, _ = rows
    chosen = (lengths >= 3) & (lengths <= 5)
    y_pred[~chosen] = np.nan
    build = keras.metrics.SparseCategoricalCrossentropy
    metric = LengthBucket(build(from_logits=True), 3, 5)
    expected = build(from_logits=True)
    metric.update_state(y_true, y_pred)
    expected.update_state(y_true[chosen], y_pred[chosen])
    np.testing.assert_allclose(metric.result(), expected.result(), rtol=1e-5)


@pytest.mark.parametrize("build", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("weighted", ["none", "rows", "positions"])
def test_counts_the_rows_of_its_lengths_alone(build, weighted, rows):
    lengths, y_true, y_pred, positions = rows
    weights = {
        "none": None,
        "rows": np.random.default_rng(1).random(60).astype("float32"),
        "positions": positions,
    }[weighted]
    for low, high in ((3, 5), (6, None), (20, 30)):
        metric = LengthBucket(build(), low, high)
        for part in (slice(0, 25), slice(25, 60)):
            metric.update_state(
                y_true[part],
                y_pred[part],
                None if weights is None else weights[part],
            )
        chosen = (lengths >= low) & (lengths <= (high or 99))
        expected = build()
        if chosen.any():
            expected.update_state(
                y_true[chosen],
                y_pred[chosen],
                None if weights is None else weights[chosen],
            )
        np.testing.assert_allclose(metric.result(), expected.result(), rtol=1e-5)
        metric.reset_state()
        assert float(metric.result()) == 0


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_in_a_compiled_model(jit_compile, rows):
    lengths, y_true, y_pred, weights = rows
    model = keras.Sequential(
        [keras.Input((None, CLASSES)), keras.layers.Activation("linear")]
    )
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[
            LengthBucket(MaskedPerplexity(), 1, 4),
            LengthBucket(MaskedPerplexity(), 5),
            LengthBucket(
                keras.metrics.SparseCategoricalAccuracy(name="accuracy"), 5, name="long"
            ),
        ],
        jit_compile=jit_compile,
    )
    for _ in range(2):
        logs = model.evaluate(
            y_pred, y_true, 16, sample_weight=weights, verbose=0, return_dict=True
        )
        for name, chosen in (("1_4", lengths <= 4), ("5_up", lengths > 4)):
            expected = MaskedPerplexity()
            expected.update_state(y_true[chosen], y_pred[chosen], weights[chosen])
            np.testing.assert_allclose(
                logs[f"masked_perplexity_{name}"], expected.result(), rtol=1e-5
            )
        counted = (weights * (lengths > 4)[:, None]).astype(bool)
        right = (y_pred.argmax(-1) == y_true)[counted].mean()
        np.testing.assert_allclose(logs["long"], right, rtol=1e-5)


def test_padding_of_other_tasks():
    metric = LengthBucket(SequenceAccuracy(), 2, 2, padding_token=11)
    y_true = [[0, 0, 11], [0, 0, 0]]
    y_pred = keras.ops.one_hot([[0, 0, 11], [1, 1, 1]], 12)
    assert float(metric(y_true, y_pred)) == 1


def test_config_holds_every_argument():
    metric = LengthBucket(
        MaskedPerplexity(base=2), 3, 7, padding_token=11, name="b", dtype="float64"
    )
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert again.get_config() == metric.get_config()
    assert again.metric.base == 2
    assert (again.min_length, again.max_length, again.padding_token) == (3, 7, 11)
    assert (again.name, again.dtype) == ("b", "float64")


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"must be a Keras metric. Received: "):
        LengthBucket("accuracy", 1)
    for lengths in ((-1, None), (3, 2)):
        with pytest.raises(ValueError, match=r"`min_length` must.*Received: "):
            LengthBucket(MaskedPerplexity(), *lengths)
    with pytest.raises(ValueError, match=r"`y_true` must have shape.*Received: "):
        LengthBucket(MaskedPerplexity(), 1).update_state([1], [[0.0, 1.0]])
