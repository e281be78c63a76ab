"""What a memory writes has a price in training, where asked."""

import keras
import numpy as np
import pytest

from keras_nam import layers

X = np.random.default_rng(0).normal(size=(3, 7, 5)).astype("float32")
MASK = np.arange(7) < [[7], [4], [0]]


def loss_of(layer, *arguments, **keywords):
    layer(*arguments, **keywords)
    return np.asarray(sum(layer.losses))


@pytest.mark.parametrize("write_gate", ["head", "channel"])
@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_loss_is_that_of_the_gates(policy, unroll, write_gate):
    layer = layers.NAM(
        6,
        num_heads=2,
        write_gate=write_gate,
        write_regularizer=keras.regularizers.L1(0.1),
        unroll=unroll,
        dtype=policy,
    )
    gates = np.array(layer.trajectory(X)["write_gate"], "float32")
    loss = loss_of(layer, X, training=True)
    assert loss.dtype == np.float32
    np.testing.assert_allclose(loss, 0.1 * gates.sum() / 3, rtol=2e-3)
    unknown = np.where(MASK[..., None], X, np.nan)
    loss = loss_of(layer, unknown, mask=MASK, training=True)
    np.testing.assert_allclose(loss, 0.1 * gates[MASK].sum() / 3, rtol=2e-3)


def test_it_costs_nothing_outside_of_training():
    layer = layers.NAM(4, write_regularizer="l1")
    assert loss_of(layer, X) == 0
    assert loss_of(layer, X[:, :0], training=True) == 0
    layer.stream(X, state=layer.initial_stream_state(3))
    assert not layer.losses
    plain = layers.NAM(4)
    assert loss_of(plain, X, training=True) == 0


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_training_closes_the_gate(jit_compile):
    targets = np.random.default_rng(1).normal(size=(3, 7, 4)).astype("float32")
    gates = {}
    for regularizer in (None, keras.regularizers.L1(0.1)):
        keras.utils.set_random_seed(0)
        layer = layers.NAM(4, write_regularizer=regularizer, return_sequences=True)
        model = keras.Sequential([keras.Input((None, 5)), layer])
        model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=jit_compile)
        model.fit(X, targets, epochs=20, verbose=0)
        gates[regularizer is None] = np.mean(layer.trajectory(X)["write_gate"])
    assert gates[False] < 0.2 < 0.3 < gates[True]
