"""I-BERT beyond its golden arrays."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_nam
from keras_nam.layers import IBERTEncoder

WIDTH = 8


def make_encoder(**kwargs):
    return IBERTEncoder(2, num_heads=2, intermediate_dim=12, **kwargs)


def test_every_recurrent_layer_takes_the_initializer():
    encoder = make_encoder(feedforward="lstm", recurrent_initializer="zeros")
    encoder.build((None, None, WIDTH))
    kernels = [w for w in encoder.weights if w.name.endswith("recurrent_kernel")]
    assert len(kernels) == 3
    assert not any(np.any(kernel) for kernel in kernels)


def test_every_position_sees_both_sides():
    encoder = make_encoder()
    x = np.random.default_rng(0).normal(size=(1, 9, WIDTH)).astype("float32")
    for changed in (0, 8):
        other = x.copy()
        other[0, changed] += 1.0
        difference = np.asarray(ops.abs(encoder(x) - encoder(other))).max(axis=(0, 2))
        assert (difference > 1e-7).all()


@pytest.mark.parametrize("recurrent", ["lstm", "nam"])
def test_order_matters(recurrent):
    encoder = make_encoder(recurrent=recurrent)
    x = np.random.default_rng(0).normal(size=(1, 9, WIDTH)).astype("float32")
    forward, backward = encoder(x), encoder(x[:, ::-1])
    assert ops.max(ops.abs(forward - ops.flip(backward, axis=1))) > 1e-3


def test_blocks_start_from_numbers_of_their_own():
    encoder = make_encoder()
    encoder.build((None, None, WIDTH))
    first, second = (block.intermediate_dense.kernel for block in encoder.blocks)
    assert not np.array_equal(first, second)


def test_a_given_layer_sets_the_width():
    recurrent = keras.layers.Bidirectional(keras.layers.GRU(5, return_sequences=True))
    encoder = IBERTEncoder(1, 2, 12, recurrent=recurrent)
    assert encoder(np.zeros((2, 3, WIDTH), "float32")).shape == (2, 3, 10)
    assert encoder.compute_output_shape((2, 3, WIDTH)) == (2, 3, 10)


def test_a_table_of_positions_ends():
    encoder = make_encoder(max_length=5)
    assert encoder(np.zeros((2, 5, WIDTH), "float32")).shape == (2, 5, WIDTH)
    with pytest.raises(ValueError, match="max_length=5"):
        encoder(np.zeros((2, 6, WIDTH), "float32"))


@pytest.mark.parametrize("size", keras_nam.models.SIZES)
def test_sizes(size):
    width, num_heads, num_layers = keras_nam.models.SIZES[size]
    model = keras_nam.models.ibert_tagger(size=size, width=24, intermediate_dim=8)
    encoder = model.get_layer("encoder")
    assert (encoder.num_heads, encoder.num_layers) == (num_heads, num_layers)
    assert model(np.array([[1, 2, 3]])).shape == (1, 3, 16)
    assert width > 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_layers": 0}, "num_layers"),
        ({"num_heads": -1}, "num_heads"),
        ({"intermediate_dim": 2.0}, "intermediate_dim"),
        ({"recurrent": "rnn"}, "recurrent"),
        ({"feedforward": "conv"}, "feedforward"),
        ({"max_length": 0}, "max_length"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        IBERTEncoder(
            **{"num_layers": 1, "num_heads": 2, "intermediate_dim": 4, **arguments}
        )


def test_bad_widths():
    for width, name in ((7, "directions"), (6, "num_heads")):
        with pytest.raises(ValueError, match=name):
            IBERTEncoder(1, 4, 4)(np.zeros((1, 2, width), "float32"))
