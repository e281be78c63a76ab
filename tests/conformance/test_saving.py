"""Copies, files, and layers inside of models of all kinds."""

import copy
import pickle

import keras
import numpy as np
from keras import tree
from matrix import FEW
from matrix import PLAIN
from matrix import applies
from matrix import rows


@keras.saving.register_keras_serializable(package="conformance")
class Around(keras.Model):
    """A subclassed model of a model or a layer."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        inner = keras.saving.serialize_keras_object(self.inner)
        return {**super().get_config(), "inner": inner}

    @classmethod
    def from_config(cls, config):
        inner = keras.saving.deserialize_keras_object(config.pop("inner"))
        return cls(inner, **config)


def same(ours, expected):
    for a, b in zip(tree.flatten(ours), tree.flatten(expected), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def reload(model, path):
    model.save(path)
    return keras.saving.load_model(path)


@rows("copies", every_time=FEW)
def test_copies_compute_the_same(row):
    model, x = row.model(), row.draw(2, 5)
    expected = model(x)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (clone, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        same(other(x), expected)
    layer = row.built()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        same(row.call(other, x), row.call(layer, x))


@rows("files", every_time=PLAIN)
def test_files_hold_all(row, tmp_path):
    model, x = row.model(), row.draw(2, 5)
    expected = model(x)
    same(reload(model, tmp_path / "model.keras")(x), expected)
    if applies("old files", row):
        same(reload(model, tmp_path / "model.h5")(x), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    other = row.model(row.built(seed=1))
    other.load_weights(tmp_path / "model.weights.h5")
    same(other(x), expected)


@rows("models", every_time=FEW)
def test_models_around_a_layer(row, tmp_path):
    layer, x = row.built(), row.draw(2, 5)
    model = row.model(layer)
    expected = model(x)
    inputs = row.input()
    nested = keras.Model(inputs, model(inputs))
    pair = [row.input(), row.input()]
    twice = keras.Model(pair, [row.call(layer, each)[0] for each in pair])
    assert len(twice.weights) == len(layer.weights)
    for name, around in (("nested", nested), ("subclassed", Around(model))):
        same(around(x), expected)
        same(reload(around, tmp_path / f"{name}.keras")(x), expected)
    again = reload(twice, tmp_path / "twice.keras")
    same(again([x, x]), [expected, expected])
    assert len(again.weights) == len(layer.weights)


@rows("trained", every_time=FEW)
def test_a_frozen_layer_stays_as_it_is(row, tmp_path):
    layer, x = row.built(), row.draw(2, 5)
    layer.trainable = False
    inputs = row.input()
    (outputs,) = row.call(layer, inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="after")(outputs))
    model.compile("sgd", "mse", run_eagerly=True)
    before, after = layer.get_weights(), model.get_layer("after").get_weights()
    model.fit(x, np.ones(model(x).shape), verbose=0)
    same(layer.get_weights(), before)
    assert np.any(model.get_layer("after").get_weights()[1] != after[1])
    same(reload(model, tmp_path / "model.keras")(x), model(x))
    # And a layer that is not frozen does learn.
    layer.trainable = True
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(x, np.ones(model(x).shape), verbose=0)
    assert any(np.any(a != b) for a, b in zip(layer.get_weights(), before, strict=True))
