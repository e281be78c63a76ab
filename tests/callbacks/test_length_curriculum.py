"""Rows grow as the curriculum says, and models are compiled once a stage."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_nam import datasets
from keras_nam import models
from keras_nam.callbacks import LengthCurriculum
from keras_nam.callbacks.seen_batches import seen_batches

PAD = 11


def tagger():
    return models.token_tagger(keras.layers.Dense(8), vocabulary_size=16, width=8)


def compiled(model, **kwargs):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(**{"optimizer": "adam", "loss": loss, **kwargs})
    return model


def numbered_rows(count=40, longest=10):
    """Row `i` is as long as `1 + i % longest`, in tokens 1 to 9."""
    lengths = 1 + np.arange(count) % longest
    valid = np.arange(longest) < lengths[:, None]
    inputs = np.where(valid, 1 + np.arange(count)[:, None] % 9, 0).astype("int32")
    return inputs, inputs + valid, valid.astype("float32"), lengths


def test_arrays_are_filtered_cut_and_repeated():
    inputs, targets, weight, _ = numbered_rows()
    curriculum = LengthCurriculum({0: 3, 2: 10})
    dataset = curriculum.batches((inputs, targets, weight), 8, seed=1)
    assert int(dataset.cardinality()) == 5
    for x, y, w in dataset:
        assert x.shape == y.shape == w.shape == (8, 3)
        assert (np.sum(w, axis=1) <= 3).all()
        np.testing.assert_array_equal(y, x.numpy() + (w.numpy() > 0))
    curriculum.on_epoch_begin(1)
    assert {x.shape[1] for x, *_ in dataset} == {3}
    curriculum.on_epoch_begin(2)
    seen = np.concatenate([np.sum(w, axis=1) for _, _, w in dataset])
    assert sorted(seen) == sorted([*range(1, 11)] * 4)


def test_every_epoch_shuffles_anew_and_a_seed_repeats():
    rows = numbered_rows()[:3]

    def epochs(**kwargs):
        dataset = LengthCurriculum({0: 10}).batches(rows, 40, **kwargs)
        return [next(iter(dataset))[0].numpy() for _ in range(2)]

    first, second = epochs(seed=3)
    assert (first != second).any()
    np.testing.assert_array_equal(epochs(seed=3), [first, second])
    np.testing.assert_array_equal(epochs(shuffle=False), [rows[0], rows[0]])


@pytest.mark.parametrize("padded", [False, True])
def test_a_pipeline_of_rows_gives_the_same_batches_as_arrays(padded):
    inputs, targets, weight, lengths = numbered_rows()
    if padded:
        dataset = tf.data.Dataset.from_tensor_slices((inputs, targets, weight))
    else:
        dataset = tf.data.Dataset.from_generator(
            lambda: (
                (inputs[i, :n], targets[i, :n], weight[i, :n])
                for i, n in enumerate(lengths)
            ),
            output_signature=(
                tf.TensorSpec((None,), "int32"),
                tf.TensorSpec((None,), "int32"),
                tf.TensorSpec((None,), "float32"),
            ),
        )
    curriculum = LengthCurriculum({0: 4, 1: 7})
    arrays = curriculum.batches((inputs, targets, weight), 6, shuffle=False)
    pipeline = curriculum.batches(dataset, 6)
    assert int(pipeline.cardinality()) == (
        7 if padded else tf.data.INFINITE_CARDINALITY
    )
    for epoch, length in [(0, 4), (1, 7)]:
        curriculum.on_epoch_begin(epoch)
        for ours, theirs in zip(arrays, pipeline, strict=False):
            for a, b in zip(ours, theirs, strict=True):
                assert a.shape == (6, length)
                np.testing.assert_array_equal(a, b)


def test_truncated_rows_and_parts_without_time():
    inputs = {"features": np.random.normal(size=(12, 9, 2)), "tokens": np.ones((12, 9))}
    classes = np.arange(12)
    curriculum = LengthCurriculum({0: 4, 3: 20}, truncate=True)
    dataset = curriculum.batches((inputs, classes, None), 5, shuffle=False)
    x, y = next(iter(dataset))
    assert x["features"].shape == (5, 4, 2)
    np.testing.assert_array_equal(x["features"], inputs["features"][:5, :4])
    np.testing.assert_array_equal(y, classes[:5])
    # Rows never become longer than the arrays are.
    curriculum.on_epoch_begin(3)
    assert next(iter(dataset))[0]["tokens"].shape == (5, 9)


def test_the_answers_of_the_tasks_are_never_cut():
    rows = datasets.load_task("reverse", "train", 300)
    curriculum = LengthCurriculum({0: 11}, padding_value=PAD)
    answers = {tuple(y[w > 0]) for _, y, w in zip(*rows, strict=True)}
    for _, y, w in curriculum.batches(rows, 50):
        for target, weight in zip(y.numpy(), w.numpy(), strict=True):
            assert tuple(target[weight > 0]) in answers


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_fit_traces_once_and_has_one_shape_a_stage(jit_compile):
    rows = datasets.load_task("reverse", "train", 100)
    curriculum = LengthCurriculum({0: 11, 1: 15, 3: 23}, padding_value=PAD, verbose=1)
    shapes = []
    model = compiled(tagger(), jit_compile=jit_compile)
    traced = []
    call = model.call
    model.call = lambda tokens, **kwargs: (
        traced.append(tokens.shape) or call(tokens, **kwargs)
    )
    dataset = curriculum.batches(rows, 20)
    history = model.fit(
        dataset.map(lambda *row: (shapes_of(shapes, row[0]), *row[1:])),
        epochs=4,
        callbacks=[curriculum],
        shuffle=False,
        verbose=0,
    )
    assert history.history["length"] == [11, 15, 15, 23]
    # Keras takes the first batch to see its shape.
    assert shapes[-20:] == [11] * 5 + [15] * 10 + [23] * 5
    assert {tuple(shape) for shape in traced} == {(20, None)}
    assert len(traced) <= 2
    assert np.isfinite(history.history["loss"]).all()


def shapes_of(shapes, tokens):
    def note(tokens):
        shapes.append(tokens.shape[1])
        return tokens

    noted = tf.numpy_function(note, [tokens], tokens.dtype)
    noted.set_shape(tokens.shape)
    return noted


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_stages_by_steps_also_after_a_restart(steps_per_execution):
    rows = datasets.load_task("reverse", "train", 80)
    model = compiled(tagger(), steps_per_execution=steps_per_execution)
    lengths = []

    def fit(**kwargs):
        curriculum = LengthCurriculum({0: 11, 6: 23}, "step", padding_value=PAD)
        dataset = curriculum.batches(rows, 20)
        del lengths[:]
        model.fit(
            dataset.map(lambda *row: (shapes_of(lengths, row[0]), *row[1:])),
            callbacks=[curriculum],
            shuffle=False,
            verbose=0,
            **kwargs,
        )
        return list(lengths)

    assert fit(epochs=2)[-8:] == [11] * 6 + [23] * 2
    assert fit(epochs=3, initial_epoch=2)[-4:] == [23] * 4


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_batches_whose_gradients_are_accumulated_are_counted_one_by_one(policy):
    keras.config.set_dtype_policy(policy)
    optimizer = keras.optimizers.SGD(1e-3, gradient_accumulation_steps=4)
    model = compiled(tagger(), optimizer=optimizer)
    # In the middle of an epoch, and of an update.
    curriculum = LengthCurriculum({0: 11, 7: 23}, "step", padding_value=PAD)
    rows = datasets.load_task("reverse", "train", 50)
    history = model.fit(
        curriculum.batches(rows, 10),
        callbacks=[curriculum],
        epochs=3,
        shuffle=False,
        verbose=0,
    )
    assert history.history["length"] == [11, 23, 23]
    assert seen_batches(model.optimizer) == 15


def test_a_copy_governs_the_same_batches():
    # As Keras Tuner makes one for every trial.
    rows = datasets.load_task("reverse", "train", 40)
    curriculum = LengthCurriculum({0: 11, 1: 23}, padding_value=PAD)
    dataset = curriculum.batches(rows, 20)
    lengths = []
    dataset = dataset.map(lambda *row: (shapes_of(lengths, row[0]), *row[1:]))
    for _ in range(2):
        del lengths[:]
        model, copied = compiled(tagger()), copy.deepcopy(curriculum)
        model.fit(dataset, epochs=2, shuffle=False, callbacks=[copied], verbose=0)
        assert lengths[-4:] == [11, 11, 23, 23]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": {}}, "begins at 0"),
        ({"lengths": {1: 5}}, "begins at 0"),
        ({"lengths": {0: 5, 2: 5}}, "greater length"),
        ({"lengths": {0: 0}}, "positive integer"),
        ({"lengths": {0: 5}, "unit": "batch"}, "must be one of"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LengthCurriculum(**arguments)


def test_rows_that_do_not_fit():
    curriculum = LengthCurriculum({0: 2})
    rows = np.ones((4, 5), "int32")
    with pytest.raises(ValueError, match="rows of at least 5 steps"):
        curriculum.batches((rows, rows), 2)
    with pytest.raises(ValueError, match="same number of rows"):
        curriculum.batches((rows, rows[:3]), 2)
    with pytest.raises(ValueError, match="must be a tuple"):
        curriculum.batches(rows, 2)
    with pytest.raises(ValueError, match="shape \\(time"):
        curriculum.batches(tf.data.Dataset.from_tensors((1.0, 2.0)), 2)
    dataset = curriculum.batches(tf.data.Dataset.from_tensor_slices((rows, rows)), 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="No row is short enough"):
        next(iter(dataset))
