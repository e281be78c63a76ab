"""The LSTM scan against `keras.layers.LSTM`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_nam.ops.scan_lstm import lstm_scan

UNITS, FEATURES = 5, 3


def scan_with(lstm):
    def run(x, hidden, carry, mask):
        kernel, recurrent_kernel, bias = (w.value for w in lstm.weights)
        projected = ops.matmul(x, kernel) + bias
        return lstm_scan(projected, recurrent_kernel, hidden, carry, mask)

    return run


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("length", [1, 2, 13])
@pytest.mark.parametrize("masked", [False, True])
def test_outputs_states_and_gradients(masked, length, jit_compile, static):
    rng = np.random.default_rng(length)
    lstm = keras.layers.LSTM(
        UNITS, return_sequences=True, return_state=True, bias_initializer="normal"
    )
    lstm.build((None, None, FEATURES))
    x = rng.normal(size=(4, length, FEATURES)).astype("float32")
    hidden, carry = rng.normal(size=(2, 4, UNITS)).astype("float32")
    mask = rng.uniform(size=(4, length)) < 0.6 if masked else None
    signature = [
        tf.TensorSpec(s if static else [None, *([None] if len(s) == 3 else []), s[-1]])
        for s in (x.shape, hidden.shape, carry.shape)
    ]

    def evaluate(run):
        def call(x, hidden, carry):
            variables = [w.value for w in lstm.weights]
            with tf.GradientTape() as tape:
                tape.watch([x, hidden, carry])
                outputs, *states = run(x, hidden, carry, mask)
                if masked:
                    outputs = ops.where(mask[..., None], outputs, 0.0)
                loss = sum(ops.sum(y**3) for y in (outputs, *states))
            return (
                outputs,
                *states,
                *tape.gradient(loss, [x, hidden, carry, *variables]),
            )

        return call

    ours = tf.function(
        evaluate(scan_with(lstm)), jit_compile=jit_compile, input_signature=signature
    )(x, hidden, carry)
    theirs = evaluate(
        lambda x, hidden, carry, mask: lstm(x, initial_state=[hidden, carry], mask=mask)
    )(*(tf.constant(y) for y in (x, hidden, carry)))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1, np.abs(b).max()))


def test_length_zero_keeps_the_states():
    lstm = keras.layers.LSTM(UNITS)
    lstm.build((None, None, FEATURES))
    states = np.ones((2, 4, UNITS), "float32")
    outputs, *after = tf.function(
        scan_with(lstm),
        input_signature=[tf.TensorSpec((4, None, FEATURES))]
        + [tf.TensorSpec((4, UNITS))] * 2
        + [tf.TensorSpec((4, None), "bool")],
    )(np.zeros((4, 0, FEATURES), "float32"), *states, np.ones((4, 0), bool))
    assert outputs.shape == (4, 0, UNITS)
    np.testing.assert_array_equal(after, states)
