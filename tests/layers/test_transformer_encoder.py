"""The encoder block, positions and pooling."""

import keras
import numpy as np
import pytest
from backends import needs_tensorflow
from keras import ops

from keras_nam import layers


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_the_block_is_what_its_equations_say():
    block = layers.NAMTransformerEncoder(12, 2, dropout=0.5)
    x = ops.convert_to_tensor(normal(2, 5, 8))
    block(x)
    attended = x + block.attention_layer(*[block.attention_norm(x)] * 2)
    hidden = block.intermediate_dense(block.feedforward_norm(attended))
    expected = attended + block.output_dense(keras.ops.gelu(hidden, approximate=True))
    np.testing.assert_allclose(block(x), expected, atol=1e-6)


def test_sinusoids_alternate_by_channel():
    outputs = np.asarray(layers.PositionEmbedding()(np.zeros((1, 50, 7), "float32")))
    for channel in range(7):
        angle = np.arange(50) / 10000 ** (2 * (channel // 2) / 7)
        expected = np.cos(angle) if channel % 2 else np.sin(angle)
        np.testing.assert_allclose(outputs[0, :, channel], expected, atol=1e-5)


def test_learned_positions_have_an_end():
    layer = layers.PositionEmbedding(max_length=6)
    x = normal(2, 6, 4)
    np.testing.assert_allclose(layer(x[:, :3]), layer(x)[:, :3], atol=1e-6)
    with pytest.raises(ValueError, match="max_length=6"):
        layer(normal(2, 7, 4))
    with pytest.raises(ValueError, match="max_length"):
        layers.PositionEmbedding(max_length=0)


@needs_tensorflow
def test_learned_positions_have_an_end_at_unknown_lengths():
    import tensorflow as tf

    for each in (layers.PositionEmbedding(max_length=n) for n in (6, 1)):
        for jit_compile in (False, True):
            unknown = tf.function(
                each,
                jit_compile=jit_compile,
                input_signature=[tf.TensorSpec((None, None, 4))],
            )
            with pytest.raises(tf.errors.InvalidArgumentError):
                unknown(normal(2, 7, 4))


def test_pooling_honours_masks():
    x, mask = (
        normal(3, 4, 2),
        np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool),
    )
    x[~mask] = np.nan
    pooled = layers.MeanPooling()(x, mask=mask)
    np.testing.assert_allclose(pooled[0], x[0, :2].mean(0), atol=1e-6)
    np.testing.assert_array_equal(pooled[2], [0, 0])
    token = layers.ClassToken("ones")
    outputs = token(x, mask=mask)
    np.testing.assert_array_equal(outputs[:, 0], np.ones((3, 2)))
    np.testing.assert_array_equal(
        token.compute_mask(x, mask), np.pad(mask, ((0, 0), (1, 0)), constant_values=1)
    )


def test_wrong_arguments():
    for arguments, message in (
        ({"intermediate_dim": 0, "num_heads": 2}, "intermediate_dim"),
        ({"intermediate_dim": 4, "num_heads": 2, "attention": "soft"}, "attention"),
        ({"intermediate_dim": 4, "num_heads": 2, "dropout": -0.1}, "dropout"),
        (
            {"intermediate_dim": 4, "num_heads": 2, "attention": "linear"}
            | {"use_erase": True},
            "erase",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            layers.NAMTransformerEncoder(**arguments)
    with pytest.raises(ValueError, match="divisible"):
        layers.NAMTransformerEncoder(4, 3)(normal(1, 2, 8))
    with pytest.raises(ValueError, match="use_causal_mask"):
        layers.NAMTransformerEncoder(4, 2, use_erase=True)(normal(1, 2, 8))
    attention = layers.NAMAttention(2, 4)
    for arguments, message in (
        ({"attention": "nam", "feedforward": 4}, "attention"),
        ({"attention": attention, "feedforward": 0}, "feedforward"),
        ({"attention": attention, "feedforward": "lstm"}, "feedforward"),
    ):
        with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
            layers.TransformerBlock(**arguments)


@pytest.mark.parametrize("normalize_first", [False, True])
def test_a_block_is_made_of_parts(normalize_first):
    x, mask = normal(3, 7, 8), np.arange(7) < np.array([[7], [3], [5]])
    expected = layers.NAMTransformerEncoder(12, 2, normalize_first=normalize_first)
    block = layers.TransformerBlock(
        layers.NAMAttention(2, 4), 12, normalize_first=normalize_first
    )
    expected.build(x.shape)
    block.build(x.shape)
    block.set_weights(expected.get_weights())
    np.testing.assert_array_equal(
        block(x, padding_mask=mask), expected(x, padding_mask=mask)
    )
    part = layers.LSTMEncoder(4)
    block = layers.TransformerBlock(
        layers.NAMAttention(2, 4), part, normalize_first=normalize_first
    )
    y = ops.convert_to_numpy(block(x, padding_mask=mask))
    other = np.where(mask[..., None], x, np.nan)
    np.testing.assert_array_equal(block(other, padding_mask=mask)[mask], y[mask])
    assert {id(w) for w in part.weights} <= {id(w) for w in block.weights}


@pytest.mark.parametrize(
    "layer",
    [
        layers.PositionEmbedding(9),
        layers.PositionEmbedding(),
        layers.ClassToken("random_normal"),
        layers.MeanPooling(),
    ],
)
def test_integers_are_numbers(layer):
    x = np.random.default_rng(0).integers(9, size=(2, 5, 4))
    np.testing.assert_array_equal(layer(x), layer(x.astype("float32")))
