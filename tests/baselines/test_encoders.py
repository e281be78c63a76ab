"""The comparison models: what holds for all of them, and their positions."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_nam
from keras_nam import baselines

WIDTH = 8


def make_encoder(name):
    return baselines.make_encoder(name, 2, 2, 12)


def draw(length=6, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(3, length, WIDTH)).astype("float32")


@pytest.mark.parametrize("name", ["no_positions", "rotary", "alibi", "xlnet"])
def test_only_positions_tell_the_order(name):
    encoder = make_encoder(name)
    x = draw()
    order = np.array([3, 1, 5, 0, 4, 2])
    difference = np.abs(encoder(x[:, order]) - np.asarray(encoder(x))[:, order]).max()
    assert (difference < 1e-5) == (name == "no_positions")


def test_scores_of_rotary_attention_depend_on_the_distance_alone():
    layer = baselines.RotaryAttention(2, 4)
    query, key = np.random.default_rng(0).normal(size=(2, 1, 1, 2, 4))
    everywhere = [
        ops.convert_to_tensor(np.broadcast_to(x, (1, 9, 2, 4)), "float32")
        for x in (query, key)
    ]
    scores = np.asarray(layer.scores(*everywhere))
    for distance in range(-8, 9):
        diagonal = np.diagonal(scores, distance, axis1=2, axis2=3)
        np.testing.assert_allclose(
            diagonal, diagonal[..., :1].repeat(9 - abs(distance), -1), atol=1e-5
        )
    np.testing.assert_allclose(
        scores[0, :, 0, 0], np.sum(query * key, axis=-1)[0, 0], atol=1e-5
    )


@pytest.mark.parametrize("length", [0, 1, 4, 5, 6, 23])
def test_a_window_hides_what_is_further_back(length):
    layer, window = baselines.RotaryAttention(2, 4), baselines.RotaryAttention(2, 4, 5)
    x = draw(length)
    expected = layer(x, x)
    window.build(x.shape)
    window.set_weights(layer.get_weights())
    query, key, value = (
        dense(x) for dense in (layer.query_dense, layer.key_dense, layer.value_dense)
    )
    distance = np.arange(length)[:, None] - np.arange(length)
    visible = (distance >= 0) & (distance < 5)
    seen = layer.probabilities(layer.scores(query, key), [visible], False)
    read = ops.einsum("bnts,bsnd->btnd", seen, value)
    ours = window(x, x, use_causal_mask=True)
    np.testing.assert_allclose(ours, layer.output_dense(read), atol=1e-5)
    with pytest.raises(ValueError, match="window=5, use_causal_mask=False"):
        window(x, x)
    if length > 5:
        assert np.abs(ours - expected).max() > 1e-3


@pytest.mark.parametrize(
    ("attention", "causal"),
    [
        (lambda: baselines.RotaryAttention(2, 4, window=4), True),
        (lambda: baselines.RotaryAttention(2, 4), True),
        (lambda: baselines.RotaryAttention(2, 4), False),
        (lambda: baselines.ALiBiAttention(2, 4), False),
    ],
)
def test_sequences_of_a_row_do_not_see_each_other(attention, causal):
    layer, x = attention(), draw(23)
    ids = np.repeat([[0, 1, 0]], [9, 2, 12], axis=1).repeat(3, axis=0)
    holes = np.random.default_rng(1).random((3, 23)) < 0.6
    holes[:, 9] = True
    for mask in (np.ones((3, 23), bool), holes):
        if mask is holes and isinstance(layer, baselines.ALiBiAttention):
            continue  # It counts masked steps.
        masks = {"query_mask": mask, "value_mask": mask}
        ours = np.asarray(layer(x, x, **masks, use_causal_mask=causal, segment_ids=ids))
        for row in range(3):
            for part in (slice(0, 9), slice(9, 11), slice(11, 23)):
                valid = mask[row, part]
                alone = x[row : row + 1, part][:, valid]
                np.testing.assert_allclose(
                    ours[row, part][valid],
                    layer(alone, alone, use_causal_mask=causal)[0],
                    atol=1e-5,
                )
    with pytest.raises(ValueError, match="`segment_ids` must have shape"):
        layer(x, x, use_causal_mask=causal, segment_ids=ids[:, 1:])


def test_scores_of_alibi_fall_with_the_distance():
    layer = baselines.ALiBiAttention(2, 4)
    zeros = np.zeros((1, 5, 2, 4), "float32")
    distances = np.abs(np.arange(5)[:, None] - np.arange(5))
    slopes = np.array([1 / 16, 1 / 256])[:, None, None]
    np.testing.assert_allclose(
        layer.scores(zeros, zeros)[0] / 2.0, -slopes * distances, rtol=1e-6
    )


def test_batch_statistics_leave_out_what_is_masked():
    encoder = baselines.ConvolutionalEncoder()
    encoder.build((None, None, WIDTH))
    x = draw(10)
    padded = np.pad(x, ((0, 0), (0, 4), (0, 0)))
    mask = np.arange(14) < 10
    y = encoder(padded, mask=np.broadcast_to(mask, (3, 14)), training=True)
    np.testing.assert_allclose(y[:, :10], encoder(x, training=True), atol=1e-4)


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: name='bert'"):
        baselines.make_encoder("bert", 1, 2, 4)
    with pytest.raises(ValueError, match="Received: positions='absolute'"):
        baselines.TransformerEncoder(1, 2, 4, positions="absolute")
    with pytest.raises(ValueError, match="Received: key_dim=3"):
        baselines.RotaryAttention(2, 3)
    with pytest.raises(ValueError, match="Received: window=1"):
        baselines.RotaryAttention(2, 4, window=1)
    for layer in (baselines.LSTMStack(), baselines.LSTMAttentionEncoder()):
        with pytest.raises(ValueError, match="Received: features=7"):
            layer(np.zeros((1, 2, 7), "float32"))
    with pytest.raises(ValueError, match="max_length=4"):
        baselines.TransformerEncoder(1, 2, 4, max_length=4)(ops.zeros((1, 5, 4)))


@pytest.mark.parametrize("name", [*baselines.ENCODERS, "LSTMEncoder", "block"])
def test_a_mask_has_the_shape_of_the_steps(name):
    if name == "LSTMEncoder":
        encoder = keras_nam.layers.LSTMEncoder(3)
    elif name == "block":
        encoder = keras_nam.layers.NAMTransformerEncoder(12, 2)
    else:
        encoder = make_encoder(name)
    x = draw()
    mask = np.arange(6) < np.array([[6], [2], [4]])
    expected = encoder(x, mask=mask)
    np.testing.assert_array_equal(encoder(x, padding_mask=mask), expected)
    for wrong in (mask[:, :3], mask[:, :1], mask[:2], mask[0], mask[:, None]):
        for argument in ("padding_mask", "mask"):
            with pytest.raises(ValueError, match=r"(?s)\(batch, time\).*Received"):
                encoder(x, **{argument: wrong})
    with pytest.raises(ValueError, match="expected ndim=3"):
        encoder(x[0])


ATTENTIONS = pytest.mark.parametrize(
    "attention",
    [
        baselines.RotaryAttention,
        baselines.ALiBiAttention,
        baselines.XLNetAttention,
    ],
)


@ATTENTIONS
def test_a_position_is_seen_that_no_mask_hides(attention):
    layer, x = attention(2, 4), draw()
    of_values, of_keys = np.random.default_rng(0).random((2, 3, 6)) < 0.7
    expected = layer(x, x, value_mask=of_values & of_keys)
    value = np.where(of_values[..., None], x, np.nan)
    ours = layer(x, value, key=x, value_mask=of_values, key_mask=of_keys)
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    with pytest.raises(ValueError, match="`value_mask` must have shape"):
        layer(x, x, value_mask=of_values[:, :5], key_mask=of_keys)


@ATTENTIONS
def test_what_is_hidden_has_no_weight_however_large_the_scores(attention):
    layer, x, other = attention(2, 4), 1e6 * draw(), 1e6 * draw(seed=1)
    later = np.concatenate([x[:, :3], other[:, 3:]], axis=1)
    before = np.asarray(layer(x, x, use_causal_mask=True))
    after = np.asarray(layer(later, later, use_causal_mask=True))
    np.testing.assert_array_equal(after[:, :3], before[:, :3])
    shown = np.arange(6)[None].repeat(3, 0) < 3
    np.testing.assert_array_equal(
        layer(x, later, value_mask=shown), layer(x, x, value_mask=shown)
    )


@ATTENTIONS
def test_attention_takes_keys_of_their_own(attention):
    layer = attention(2, 4)
    x, key = draw(), draw(seed=1)
    np.testing.assert_array_equal(layer(x, x, key=x), layer(x, x))
    assert np.abs(layer(x, x, key=key) - layer(x, x)).max() > 1e-4
    # With equal values, it does not matter what is attended.
    value = np.ones_like(x)
    np.testing.assert_allclose(
        layer(x, value, key=key), layer(x, value), rtol=1e-4, atol=1e-5
    )
    for arguments in ({"value": x[:, :5]}, {"value": x, "key": x[:, :5]}):
        with pytest.raises(ValueError, match="as `query`.*Received"):
            layer(x, **arguments)


def test_relative_positions_have_no_longest_length_and_are_no_choice():
    with pytest.raises(ValueError, match=r"`max_length`.*Received: max_length=9"):
        baselines.XLNetEncoder(1, 2, 8, max_length=9)
    with pytest.raises(ValueError, match=r"Received: positions='rotary'"):
        baselines.UniversalTransformerEncoder(1, 2, 8, positions="rotary")


@pytest.mark.parametrize("name", baselines.ENCODERS)
def test_integers_are_numbers(name):
    encoder = make_encoder(name)
    x = np.random.default_rng(0).integers(9, size=(2, 5, WIDTH)).astype("int32")
    np.testing.assert_array_equal(encoder(x), encoder(x.astype("float32")))


@pytest.mark.parametrize("name", baselines.ENCODERS)
def test_the_features_must_be_known_and_stay_as_many(name):
    with pytest.raises(ValueError, match="Received|fully-defined"):
        make_encoder(name)(keras.Input((None, None)))
    encoder = make_encoder(name)
    encoder(draw())
    with pytest.raises(ValueError, match="expected axis -1 of input shape"):
        encoder(draw()[..., :6])
