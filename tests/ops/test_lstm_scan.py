"""The LSTM scan against `keras.layers.LSTM`."""

import keras
import numpy as np
import pytest
from backends import differentiate
from backends import needs_tensorflow
from keras import ops

from keras_nam.ops.lstm_scan import lstm_scan

UNITS, FEATURES = 5, 3


def scan_with(lstm):
    def run(x, hidden, carry, mask):
        kernel, recurrent_kernel, bias = (w.value for w in lstm.weights)
        projected = ops.matmul(x, kernel) + bias
        return lstm_scan(projected, recurrent_kernel, hidden, carry, mask)

    return run


@pytest.mark.parametrize("static", [pytest.param(False, marks=needs_tensorflow), True])
@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("length", [1, 13, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("masked", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_outputs_states_and_gradients(masked, length, jit_compile, static):
    rng = np.random.default_rng(length)
    lstm = keras.layers.LSTM(
        UNITS, return_sequences=True, return_state=True, bias_initializer="normal"
    )
    lstm.build((None, None, FEATURES))
    x = rng.normal(size=(4, length, FEATURES)).astype("float32")
    hidden, carry = rng.normal(size=(2, 4, UNITS)).astype("float32")
    mask = rng.uniform(size=(4, length)) < 0.6 if masked else None
    given = [x, hidden, carry]
    unknown = [(None, None, FEATURES), (None, UNITS), (None, UNITS)]

    def evaluate(run, **how):
        def loss_and_outputs(x, hidden, carry):
            outputs, *states = run(x, hidden, carry, mask)
            if masked:
                outputs = ops.where(mask[..., None], outputs, 0.0)
            return sum(ops.sum(y**3) for y in (outputs, *states)), [outputs, *states]

        outputs, gradients, variable_gradients = differentiate(
            loss_and_outputs, given, lstm.weights, **how
        )
        return [*outputs, *gradients, *variable_gradients]

    shapes = None if static else unknown
    ours = evaluate(scan_with(lstm), jit_compile=jit_compile, shapes=shapes)
    theirs = evaluate(
        lambda x, hidden, carry, mask: lstm(
            x, initial_state=[hidden, carry], mask=mask
        ),
        trace=False,
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1, np.abs(b).max()))


def test_length_zero_keeps_the_states():
    lstm = keras.layers.LSTM(UNITS)
    lstm.build((None, None, FEATURES))
    states = np.ones((2, 4, UNITS), "float32")
    given = [np.zeros((4, 0, FEATURES), "float32"), *states, np.ones((4, 0), bool)]

    def run(*arguments):
        outputs, *after = scan_with(lstm)(*arguments)
        return ops.sum(outputs), [outputs, *after]

    shapes = [(4, None, FEATURES), (4, UNITS), (4, UNITS), (4, None)]
    (outputs, *after), _, _ = differentiate(run, given, shapes=shapes)
    assert outputs.shape == (4, 0, UNITS)
    np.testing.assert_array_equal(after, states)
