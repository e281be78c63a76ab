"""The recurrent comparison models where they are built, and given states."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_nam import baselines
from keras_nam import layers

X = np.random.default_rng(0).normal(size=(3, 7, 6)).astype("float32")


@pytest.mark.parametrize("depth", [0, 1])
def test_a_stack_has_room_for_what_is_seen_of_it(depth):
    layer = baselines.StackRNN(5, num_stacks=3, return_state=True)
    hidden = ops.zeros((3, 5))
    stacks = ops.zeros((3, 3, depth))
    for call in (
        lambda: layer(X, initial_state=[stacks, hidden]),
        lambda: layer(X, initial_state=[ops.reshape(stacks, (3, 3 * depth)), hidden]),
        lambda: layer.cell(X[:, 0], [stacks, hidden]),
    ):
        layer(X)
        with pytest.raises(ValueError, match=f"at least 2. Received.*{depth}"):
            call()


@pytest.mark.parametrize("layer", [layers.LSAM, baselines.DNC, baselines.StackRNN])
def test_an_initializer_that_is_not_chosen_is_that_of_keras(layer):
    layer = layer(4, recurrent_initializer=None)
    assert np.isfinite(layer(X)).all()
    again = type(layer).from_config(layer.get_config())
    assert np.isfinite(again(X)).all()
    kernels = [w for w in layer.weights if "recurrent_kernel" in w.path]
    for kernel in kernels:
        # As of `glorot_uniform`: no number is larger.
        limit = (6 / sum(kernel.shape)) ** 0.5
        assert 0.8 * limit < np.abs(kernel).max() <= limit
    assert kernels or not isinstance(layer, (layers.LSAM, baselines.DNC))


@pytest.mark.parametrize("layer", [layers.NAM, layers.NAMTM, baselines.NTM])
def test_the_features_must_be_known(layer):
    with pytest.raises(ValueError, match="number of features.*Received"):
        layer(8)(keras.Input((None, None)))
