"""Training: weights of classes and samples, data of unknown size, states."""

import keras
import numpy as np
import pytest
from backends import needs_tensorflow
from keras import ops
from matrix import FEW
from matrix import PLAIN
from matrix import ROWS
from matrix import close
from matrix import rows

CLASSES = 3
WAYS_TO_FIT = [
    ("float32", True),
    ("mixed_float16", False),
    ("mixed_bfloat16", True),
    ("float16", True),
    ("bfloat16", False),
    ("float64", False),
]


def classifier(row, layer=None):
    """A model with a class for every row, however the layer's outputs look."""
    inputs = row.input()
    (x,) = row.call(row.built() if layer is None else layer, inputs)
    while len(x.shape) > 2:
        x = ops.mean(x, axis=1)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, name="classes")(x))
    for weight, seed in zip(model.get_layer("classes").weights, (0, 1), strict=True):
        weight.assign(np.random.default_rng(seed).normal(size=weight.shape))
    return model


def compiled(model, **arguments):
    # A sum over rows: a mean would depend on how many there are.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    model.compile(keras.optimizers.SGD(0.01), loss, **arguments)
    return model


def fitted(row, *data, **arguments):
    model = compiled(classifier(row), run_eagerly=True)
    model.fit(*data, verbose=0, shuffle=False, **arguments)
    return model.get_weights()


@rows("weighted", every_time=FEW)
def test_weights_of_classes_and_samples(row):
    x, y = row.draw(5, 4), np.array([0, 1, 2, 1, 0])
    classes = {0: 2.0, 1: 0.0, 2: 0.5}
    samples = np.array([classes[label] for label in y])
    kept = samples > 0
    weighted = fitted(row, x, y, class_weight=classes)
    close(weighted, fitted(row, x, y, sample_weight=samples))
    # A sample without weight is one that is not there.
    alone = fitted(row, x[kept], y[kept], sample_weight=samples[kept])
    close(weighted, alone)
    plain = fitted(row, x, y)
    assert any(np.abs(a - b).max() > 1e-5 for a, b in zip(weighted, plain, strict=True))


@pytest.mark.slow
@needs_tensorflow
@rows("cardinality", every_time=PLAIN)
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_of_unknown_cardinality_and_an_uneven_last_batch(row):
    import tensorflow as tf

    x, y = row.draw(5, 4), np.array([0, 1, 2, 1, 0])
    expected = fitted(row, x, y, batch_size=2)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    dataset = dataset.filter(lambda *_: True)
    assert dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY
    close(fitted(row, dataset), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "policy", "jit_compile"),
    [
        pytest.param(row, *way, id=f"{row.name}-{way[0]}".replace(" ", "-"))
        for i, row in enumerate(ROWS)
        # Variants take turns.
        for way in (WAYS_TO_FIT[i % 3 :: 3] if row.slow else WAYS_TO_FIT)
    ],
)
def test_fit(row, policy, jit_compile):
    keras.config.set_dtype_policy(policy)
    x, y = row.draw(6, 5), np.array([0, 1, 2, 1, 0, 1])
    learns = policy not in ("float16", "bfloat16")
    takes_dropout = "dropout" in row.make().get_config()
    # Which few rows would not learn from.
    dropout = {"dropout": 0.1} if takes_dropout and not learns else {}
    layer = row.built(dtype=policy, **dropout)
    model = compiled(classifier(row, layer), jit_compile=jit_compile)
    history = model.fit(x, y, batch_size=3, epochs=3, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    if learns:
        assert history["loss"][-1] < history["loss"][0]


@pytest.mark.slow
@rows("stateful")
@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_states_are_carried_by_fit_and_predict(row, jit_compile, tmp_path):
    x = row.draw(2, 9)
    plain = row.built()
    layer = row.built(stateful=True)
    inputs = row.input(2)
    model = keras.Model(inputs, row.call(layer, inputs)[0])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    (whole,) = row.call(plain, x)

    model.evaluate(x[:, :3], np.zeros((2, 3, whole.shape[-1])), verbose=0)
    second = model.predict(x[:, 3:6], batch_size=2, verbose=0)
    close(second, np.asarray(whole)[:, 3:6])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    last = model.predict(x[:, 6:], batch_size=2, verbose=0)
    close(last, np.asarray(whole)[:, 6:])
    # Files hold no states, as those of Keras' layers: what is loaded starts anew.
    first = loaded.predict(x[:, :3], batch_size=2, verbose=0)
    close(first, np.asarray(whole)[:, :3])

    layer.reset_state()
    weights = [np.asarray(weight) for weight in layer.trainable_weights]
    # The update of the first batch comes after its states.
    model.fit(x[:, :3], np.ones((2, 3, whole.shape[-1])), batch_size=2, verbose=0)
    moved = [np.asarray(weight) for weight in layer.trainable_weights]
    assert any(np.any(a != b) for a, b in zip(weights, moved, strict=True))
    for variable, value in zip(layer.trainable_weights, weights, strict=True):
        variable.assign(value)
    after = model.predict(x[:, 3:6], batch_size=2, verbose=0)
    close(after, np.asarray(whole)[:, 3:6])
