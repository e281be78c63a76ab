"""MaskedPerplexity against plain numpy, alone and in a compiled model."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_nam.metrics import MaskedPerplexity

CLASSES = 5


def nats(y_true, logits):
    logits = np.asarray(logits, "float64")
    normalizer = np.log(np.exp(logits).sum(axis=-1))
    return normalizer - np.take_along_axis(logits, y_true[..., None], axis=-1)[..., 0]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    time=st.integers(1, 5),
    kind=st.sampled_from(["none", "mask", "rows", "fractions"]),
    from_logits=st.booleans(),
    base=st.sampled_from([None, 2, 10.0]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_merges_batches_of_any_size(sizes, time, kind, from_logits, base, seed):
    random = np.random.default_rng(seed)
    metric = MaskedPerplexity(from_logits=from_logits, base=base)
    total = count = 0
    for batch in sizes:
        y_true = random.integers(0, CLASSES, (batch, time))
        logits = random.normal(size=(batch, time, CLASSES))
        sample_weight = {
            "none": None,
            "mask": random.integers(0, 2, (batch, time)),
            "rows": random.random(batch),
            "fractions": random.random((batch, time)),
        }[kind]
        probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        y_pred = logits if from_logits else probabilities
        metric.update_state(y_true, y_pred, sample_weight)
        weights = np.ones((batch, time))
        if sample_weight is not None:
            weights = (weights.T * np.asarray(sample_weight).T).T
        total += (nats(y_true, logits) * weights).sum()
        count += weights.sum()
    expected = (np.e if base is None else base) ** (total / count) if count else 0
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-5)


def test_a_guess_is_as_perplexed_as_there_are_classes():
    metric = MaskedPerplexity()
    metric.update_state(np.zeros((2, 3), int), np.zeros((2, 3, CLASSES)))
    np.testing.assert_allclose(float(metric.result()), CLASSES, rtol=1e-6)
    papers = MaskedPerplexity(base=2)
    papers.update_state(np.zeros((2, 3), int), np.zeros((2, 3, CLASSES)))
    np.testing.assert_allclose(float(papers.result()), 2 ** np.log(CLASSES), rtol=1e-6)


def test_what_does_not_count_may_be_anything():
    y_true = np.array([[0, -1, 99]])
    y_pred = np.array([[[0.0, 0.0], [np.nan, np.inf], [-np.inf, np.nan]]])
    metric = MaskedPerplexity()
    metric.update_state(y_true, y_pred, [[1, 0, 0]])
    np.testing.assert_allclose(float(metric.result()), 2, rtol=1e-6)


def test_not_a_number_shows_where_it_counts():
    metric = MaskedPerplexity()
    metric.update_state([[0]], [[[np.nan, 1.0]]])
    assert np.isnan(float(metric.result()))


def test_all_positions_ignores_the_weights():
    random = np.random.default_rng(0)
    y_true = random.integers(0, CLASSES, (6, 4))
    logits = random.normal(size=(6, 4, CLASSES))
    metric = MaskedPerplexity(all_positions=True)
    metric.update_state(y_true, logits, np.zeros((6, 4)))
    expected = np.exp(nats(y_true, logits).mean())
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-5)


def test_all_positions_still_weighs_rows():
    random = np.random.default_rng(0)
    y_true = random.integers(0, CLASSES, (6, 4))
    logits = random.normal(size=(6, 4, CLASSES))
    rows = random.random(6)
    metric = MaskedPerplexity(all_positions=True)
    metric.update_state(y_true, logits, rows)
    expected = np.exp(np.average(nats(y_true, logits).mean(axis=1), weights=rows))
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-5)


def test_is_zero_before_anything_counts_and_after_a_reset():
    metric = MaskedPerplexity()
    assert metric.result() == 0
    metric.update_state([[0]], [[[1.0, 2.0]]], [[0]])
    assert metric.result() == 0
    metric.update_state([[0]], [[[1.0, 2.0]]])
    assert metric.result() > 1
    metric.reset_state()
    assert metric.result() == 0


def test_a_hopeless_model_does_not_overflow():
    metric = MaskedPerplexity()
    metric.update_state([[0, 0]], [[[-1000.0, 1000.0]] * 2])
    assert 1e30 < float(metric.result()) < np.inf
    probabilities = MaskedPerplexity(from_logits=False)
    probabilities.update_state([[0]], [[[0.0, 1.0]]])
    assert 1e6 < float(probabilities.result()) < np.inf


def test_config_holds_every_argument():
    metric = MaskedPerplexity(
        from_logits=False, base=2, all_positions=True, name="ppl", dtype="float64"
    )
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert type(again) is MaskedPerplexity
    assert again.get_config() == metric.get_config()
    assert again.from_logits is False
    assert (again.base, again.all_positions) == (2, True)
    assert (again.name, again.dtype) == ("ppl", "float64")


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_in_a_compiled_model(jit_compile, policy):
    keras.config.set_dtype_policy(policy)
    random = np.random.default_rng(1)
    y_true = random.integers(0, CLASSES, (50, 6))
    # Numbers that half precision holds exactly.
    logits = random.integers(-8, 9, (50, 6, CLASSES)) / 4
    weights = random.integers(0, 2, (50, 6)).astype("float32")
    model = keras.Sequential([keras.Input((6, CLASSES)), keras.layers.Identity()])
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[
            MaskedPerplexity(),
            MaskedPerplexity(base=2, all_positions=True, name="papers"),
        ],
        jit_compile=jit_compile,
    )
    logs = model.evaluate(
        logits,
        y_true,
        sample_weight=weights,
        batch_size=16,
        return_dict=True,
        verbose=0,
    )
    losses = nats(y_true, logits)
    expected = np.exp((losses * weights).sum() / weights.sum())
    np.testing.assert_allclose(logs["masked_perplexity"], expected, rtol=1e-5)
    np.testing.assert_allclose(logs["papers"], 2 ** losses.mean(), rtol=1e-5)


@pytest.mark.parametrize("base", [0, -1, float("nan"), float("inf"), "e"])
def test_base_out_of_range(base):
    with pytest.raises(ValueError, match=f"Received: base={base!r}"):
        MaskedPerplexity(base=base)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="Received: "):
        MaskedPerplexity().update_state(np.zeros((2, 3), int), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="Received: sample_weight.shape=\\(3,\\)"):
        MaskedPerplexity().update_state(
            np.zeros((2, 3), int), np.zeros((2, 3, CLASSES)), np.ones(3)
        )
