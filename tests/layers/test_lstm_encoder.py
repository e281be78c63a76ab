"""The LSTM of both directions against that of Keras."""

import keras
import numpy as np
import pytest
from backends import differentiate
from backends import needs_tensorflow
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops

from keras_nam.layers import LSTMEncoder

UNITS, FEATURES = 4, 3


def make_pair(bidirectional):
    """Ours and Keras' with the same weights, and a map of gradients to ours."""
    theirs = keras.layers.LSTM(UNITS, return_sequences=True, bias_initializer="normal")
    if bidirectional:
        theirs = keras.layers.Bidirectional(theirs)
    theirs.build((None, None, FEATURES))
    ours = LSTMEncoder(UNITS, bidirectional=bidirectional)
    ours.build((None, None, FEATURES))
    ours.set_weights(by_direction(theirs.get_weights()))
    return ours, theirs


def by_direction(weights):
    return [np.stack(weights[i::3]) for i in range(3)]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("static", [pytest.param(False, marks=needs_tensorflow), True])
@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("masked", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_outputs_and_gradients(masked, jit_compile, static, bidirectional):
    rng = np.random.default_rng(0)
    ours, theirs = make_pair(bidirectional)
    x = rng.normal(size=(5, 7, FEATURES)).astype("float32")
    mask = rng.uniform(size=(5, 7)) < 0.6 if masked else None

    def evaluate(layer, **how):
        def loss_and_outputs(x):
            y = layer(x, mask=mask)
            if masked:
                y = ops.where(mask[..., None], y, 0.0)
            return ops.sum(y**3), y

        return differentiate(loss_and_outputs, [x], layer.weights, **how)

    shapes = None if static else [(None, None, FEATURES)]
    y, (x_gradient,), gradients = evaluate(ours, jit_compile=jit_compile, shapes=shapes)
    reference = evaluate(theirs, trace=False)
    np.testing.assert_allclose(y, reference[0], atol=1e-5)
    np.testing.assert_allclose(x_gradient, reference[1][0], atol=1e-5)
    for a, b in zip(gradients, by_direction(reference[2]), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


@settings(max_examples=20, deadline=None)
@given(left=st.integers(0, 3), right=st.integers(0, 3), length=st.integers(1, 6))
def test_padding_on_either_side_changes_nothing(left, right, length):
    layer = LSTMEncoder(UNITS)
    x = np.random.default_rng(length).normal(size=(2, length, FEATURES))
    padded = np.pad(x, ((0, 0), (left, right), (0, 0)), constant_values=np.nan)
    mask = np.isfinite(padded[..., 0])
    y = layer(ops.convert_to_tensor(padded, "float32"), mask=mask)
    expected = layer(ops.convert_to_tensor(x, "float32"))
    np.testing.assert_allclose(y[:, left : left + length], expected, atol=1e-6)
    assert np.isfinite(y).all()


def test_directions_are_drawn_apart_and_forget_nothing_at_first():
    layer = LSTMEncoder(UNITS)
    layer.build((None, None, FEATURES))
    for weight in (layer.kernel, layer.recurrent_kernel):
        forward, backward = np.asarray(weight)
        assert np.abs(forward - backward).max() > 0.01
    np.testing.assert_array_equal(layer.bias, [[0] * 4 + [1] * 4 + [0] * 8] * 2)
    plain = LSTMEncoder(UNITS, unit_forget_bias=False)
    plain.build((None, None, FEATURES))
    np.testing.assert_array_equal(plain.bias, np.zeros((2, 16)))


def test_empty_sequences():
    assert LSTMEncoder(UNITS)(np.zeros((2, 0, FEATURES), "float32")).shape == (2, 0, 8)


@pytest.mark.parametrize("units", [0, 1.5, "4", None])
def test_bad_units(units):
    with pytest.raises(ValueError, match="Received: units="):
        LSTMEncoder(units)
