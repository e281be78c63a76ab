"""Metrics of few-shot learning against counting by hand."""

import keras
import numpy as np
import pytest

from keras_nam import metrics

TRUE = np.array([[0, 1, 2, 3], [4, 4, 1, 3]])
ANSWERS = np.array([[0, 3, 1, 3], [3, 0, 1, 4]])


def one_hot(answers):
    return np.eye(5)[answers] + 0.1


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (metrics.GroupAccuracy(2, "base"), 2 / 4),
        (metrics.GroupAccuracy(2, "novel"), 1 / 4),
        (metrics.FalsePositiveRate(2, "base"), 1 / 4),
        (metrics.FalsePositiveRate(2, "novel"), 1 / 4),
    ],
)
def test_counts(metric, expected):
    for true, answers in zip(TRUE, ANSWERS, strict=True):
        metric.update_state(true, one_hot(answers))
    assert float(metric.result()) == pytest.approx(expected)
    again = type(metric).from_config(metric.get_config())
    assert again.name == metric.name
    again.update_state(TRUE, one_hot(ANSWERS), sample_weight=np.ones(TRUE.shape))
    assert float(again.result()) == pytest.approx(expected)


def test_nan_is_never_right_nor_an_alarm():
    scores = np.full((1, 5), np.nan)
    for group, true in (("base", [0]), ("novel", [4])):
        assert float(metrics.GroupAccuracy(2, group)(true, scores)) == 0
        assert float(metrics.FalsePositiveRate(2, group)(true, scores)) == 0


def test_metrics_of_a_model():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(5)])
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[
            metrics.GroupAccuracy(2, "base"),
            metrics.FalsePositiveRate(2, "base"),
        ],
    )
    results = model.evaluate(np.ones((8, 3)), TRUE.ravel(), verbose=0, return_dict=True)
    assert {"base_accuracy", "base_answered_novel"} <= set(results)


@pytest.mark.parametrize("metric", [metrics.GroupAccuracy, metrics.FalsePositiveRate])
def test_wrong_arguments(metric):
    for arguments in ((0, "base"), (2, "other"), (True, "base")):
        with pytest.raises(ValueError, match="Received"):
            metric(*arguments)
    with pytest.raises(ValueError, match="Received"):
        metric(5, "base").update_state(TRUE, one_hot(ANSWERS))
    with pytest.raises(ValueError, match="Received"):
        metric(2, "base").update_state(TRUE[0], one_hot(ANSWERS))


def test_rejection_against_all_pairs():
    rng = np.random.default_rng(0)
    known, unknown = rng.integers(0, 20, 50), rng.integers(0, 15, 40)
    pairs = (known[:, None] > unknown) + 0.5 * (known[:, None] == unknown)
    assert metrics.rejection_auroc(known, unknown) == pytest.approx(pairs.mean())
    rates = [np.mean(unknown >= t) for t in set(known) if np.mean(known >= t) >= 0.9]
    found = metrics.rejection_false_positive_rate(known, unknown, 0.9)
    assert found == pytest.approx(min(rates))
    least = metrics.rejection_false_positive_rate(known, unknown, 1e-10)
    assert least == np.mean(unknown >= known.max())


def test_rejection_wrong_arguments():
    for function in (metrics.rejection_auroc, metrics.rejection_false_positive_rate):
        for known, unknown in (([], [1]), ([1], []), ([np.nan], [1])):
            with pytest.raises(ValueError, match="Received"):
                function(known, unknown)
    with pytest.raises(ValueError, match="recall"):
        metrics.rejection_false_positive_rate([1], [1], 0)


@pytest.mark.parametrize(
    ("count", "quantile"),
    [(2, 12.7062047), (3, 4.30265273), (11, 2.22813885), (121, 1.97993041)]
    + [(1001, 1.96233906)],
)
def test_student_quantiles(count, quantile):
    values = np.random.default_rng(0).normal(size=count)
    _, width = metrics.confidence_interval(values)
    standard_error = values.std(ddof=1) / np.sqrt(count)
    assert width / standard_error == pytest.approx(quantile, rel=1e-6)
    _, width = metrics.confidence_interval(values, distribution="normal")
    assert width / standard_error == pytest.approx(1.95996398)


def test_confidence_interval_wrong_arguments():
    for arguments in (([1.0],), ([1, np.nan],), ([1, 2], 1.0), ([1, 2], 0.9, "z")):
        with pytest.raises(ValueError, match="Received"):
            metrics.confidence_interval(*arguments)


def test_shapes_that_would_broadcast_are_refused():
    metric = metrics.GroupAccuracy(1, "base")
    scores = np.zeros((4, 3), "float32")
    for weight in (np.ones((4, 1)), np.ones(3), 1.0):
        with pytest.raises(ValueError, match=r"`sample_weight` must.*Received: "):
            metric.update_state(np.zeros(4, "int32"), scores, weight)
    for labels in (np.zeros(3, "int32"), np.zeros((4, 1), "int32"), 0):
        with pytest.raises(ValueError, match=r"(?s)`y_true` must hold.*Received: "):
            metric.update_state(labels, scores)


@pytest.mark.parametrize("name", ["y_true", "y_pred", "sample_weight"])
@pytest.mark.parametrize("wrong", ["x", [[1], [1, 2]], object()])
def test_what_holds_no_numbers_is_refused(name, wrong):
    tokens = {"y_true": [[0, 1]], "y_pred": np.zeros((1, 2, 3)), name: wrong}
    for metric in (metrics.SequenceAccuracy(), metrics.GroupAccuracy(1, "base")):
        with pytest.raises(ValueError, match=f"`{name}` must be a tensor.*Received: "):
            metric.update_state(**tokens)


def test_the_curve_of_base_and_novel_accuracy():
    rng = np.random.default_rng(0)
    # Few different scores, so that there are ties, and sums without rounding.
    y_true, scores = rng.integers(0, 5, 60), rng.integers(0, 6, (60, 5)) / 4
    scores[np.arange(60), y_true] += 0.5
    bias, base, novel = metrics.base_novel_curve(y_true, scores, 2)
    assert (base[-1], novel[0]) == (0, 0)
    is_novel = y_true >= 3
    for i, shift in enumerate(bias[:-1]):
        shifted = scores + [0, 0, 0, shift, shift]
        right = shifted.argmax(1) == y_true
        assert base[i] == pytest.approx(right[~is_novel].mean())
        assert novel[i] == pytest.approx(right[is_novel].mean())
    base_right = scores[:, :3].argmax(1) == y_true
    novel_right = scores[:, 3:].argmax(1) + 3 == y_true
    leaning = scores[:, :3].max(1) - scores[:, 3:].max(1)
    a, b = leaning[~is_novel][:, None], leaning[is_novel]
    pairs = ((a > b) + 0.5 * (a == b)) * base_right[~is_novel][:, None]
    pairs = pairs * novel_right[is_novel]
    found = metrics.base_novel_auc(y_true, scores, 2)
    assert found == pytest.approx(pairs.mean())
    assert 0 < found < 1


def test_the_curve_needs_rows_of_both_groups():
    for y_true, scores in (
        ([0, 1], np.eye(3)[:2]),
        ([0, 2], np.full((2, 3), np.nan)),
        ([0, 2, 2], np.eye(3)[:2]),
        ([0, 2], np.zeros(2)),
        ([0, 3], np.eye(3)[:2]),
    ):
        with pytest.raises(ValueError, match="Received"):
            metrics.base_novel_curve(y_true, scores, 1)
    with pytest.raises(ValueError, match="of novel classes"):
        metrics.base_novel_auc([0, 2], np.eye(3)[:2], 3)
