"""What Keras puts around a layer, or changes inside of it."""

import keras
import numpy as np
import pytest
from backends import differentiate
from backends import dtype_of
from keras import ops
from matrix import FEW
from matrix import PLAIN
from matrix import close
from matrix import rows

DENSE = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding)


def inner_layers(layer):
    """The layers inside that Keras can adapt and quantize, the layer included."""
    found = {id(x): x for x in layer._flatten_layers() if isinstance(x, DENSE)}
    return list(found.values())


@rows("bidirectional", every_time=PLAIN)
def test_bidirectional(row):
    x, mask = row.draw(3, 6), np.arange(6) >= np.array([[0], [2], [5]])
    layer = keras.layers.Bidirectional(row.built())
    outputs = layer(x, mask=mask)
    forward = layer.forward_layer(x, mask=mask)
    backward = layer.backward_layer(x, mask=mask)
    expected = np.concatenate([forward, np.flip(backward, 1)], axis=-1)
    close(np.asarray(outputs)[mask], expected[mask])
    # The other direction is a layer that sees the steps the other way around.
    reversed_steps = row.built(go_backwards=False)
    reversed_steps.set_weights(layer.backward_layer.get_weights())
    flipped = reversed_steps(np.flip(x, 1), mask=np.flip(mask, 1))
    valid = np.flip(mask, 1)
    close(np.asarray(backward)[valid], np.asarray(flipped)[valid])


@rows("time distributed", every_time=PLAIN)
def test_time_distributed(row):
    layer, x = row.built(), np.stack([row.draw(2, 4, seed) for seed in range(3)], 1)
    outputs = keras.layers.TimeDistributed(layer)(x)
    expected = [row.call(layer, x[:, i])[0] for i in range(3)]
    close(outputs, np.stack(expected, axis=1))


def gradients(call, layer, x, **arguments):
    def loss_and_outputs(x):
        outputs = call(x)
        return sum(ops.sum(ops.sin(output)) for output in outputs), outputs

    outputs, (gradient,), gradients = differentiate(
        loss_and_outputs, [x], layer.trainable_variables, **arguments
    )
    return outputs, [] if gradient is None else gradient, gradients


@pytest.mark.slow
@rows("remat", every_time=PLAIN)
@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_remat(row, jit_compile):
    layer, x = row.built(), row.draw(2, 5)

    def call(x):
        return row.call(layer, x)

    close(
        gradients(keras.remat(call), layer, x, jit_compile=jit_compile),
        gradients(call, layer, x, trace=False),
        1e-4,
    )


@rows("lora", every_time=FEW)
def test_lora(row, tmp_path):
    layer, x = row.built(), row.draw(2, 5)
    model = row.model(layer)
    before = np.asarray(model(x))
    inner = inner_layers(layer)
    assert inner
    kernels = [np.asarray(each.get_weights()[0]) for each in inner]
    for each in inner:
        each.enable_lora(2)
    close(model(x), before)
    model.compile(keras.optimizers.Adam(0.05), "mse", run_eagerly=True)
    model.fit(x, before + 1.0, epochs=2, verbose=0)
    trained = np.asarray(model(x))
    assert np.abs(trained - before).max() > 1e-3
    for each, kernel in zip(inner, kernels, strict=True):
        embedding = isinstance(each, keras.layers.Embedding)
        stored = each._embeddings if embedding else each._kernel
        np.testing.assert_array_equal(stored, kernel)
    moved = [w for w in layer.weights if w.name.startswith("lora") and "_b" in w.name]
    assert len(moved) == len(inner)
    assert any(np.any(weight) for weight in moved)
    # Files hold the sum of the kernel and what was learned, and no state of training.
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    close(loaded(x), trained)


@pytest.mark.slow
@rows("int8", every_time=PLAIN)
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize")
def test_int8(row):
    layer, x = row.built(), row.draw(2, 5)
    model = row.model(layer)
    before, inner = np.asarray(model(x)), inner_layers(layer)
    wide = [w.path for w in layer.weights if dtype_of(w) != "int32"]
    model.quantize("int8")
    small = [w.path for w in layer.weights if dtype_of(w) == "int8"]
    expected = {"kernel", "embeddings"}
    assert len(small) == len(inner)
    assert {path.split("/")[-1] for path in small} <= expected
    assert all(dtype_of(w) != "int8" for w in layer.weights if w.path not in small)
    assert set(small) <= set(wide)
    error = np.sqrt(np.mean((model(x) - before) ** 2) / np.mean(before**2))
    # A quantum of 8 bits for each number that is rounded.
    assert error < 4 * 2.0**-7
