"""The comparison models: what holds for all of them, and their positions."""

import keras
import numpy as np
import pytest
from keras import ops
from keras.src.testing import TestCase

import keras_nam
from keras_nam import baselines

WIDTH = 8
# Where a position is counted from the start of the row, padding before it counts.
COUNTED = {"learned", "sinusoid", "ibert_positions"}


def make_encoder(name, dropout=0.0):
    return baselines.make_encoder(name, 2, 2, 12, dropout=dropout)


def draw(length=6, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(3, length, WIDTH)).astype("float32")


@pytest.mark.parametrize("name", baselines.ENCODERS)
def test_padding_changes_nothing(name):
    encoder = make_encoder(name)
    x = draw()
    left = 0 if name in COUNTED else 2
    padded = np.pad(x, ((0, 0), (left, 3), (0, 0)), constant_values=np.nan)
    y = encoder(padded, mask=np.isfinite(padded[..., 0]))
    np.testing.assert_allclose(y[:, left : left + 6], encoder(x), atol=2e-6)


@pytest.mark.parametrize(
    ("name", "policy", "jit_compile"),
    [
        ("learned", "float32", False),
        pytest.param("ibert_positions", "float32", False, marks=pytest.mark.slow),
        pytest.param("lstm", "float32", False, marks=pytest.mark.slow),
        pytest.param("alibi", "float32", True, marks=pytest.mark.slow),
        pytest.param("rotary", "mixed_bfloat16", True, marks=pytest.mark.slow),
        pytest.param("xlnet", "mixed_float16", True, marks=pytest.mark.slow),
        pytest.param("lstm_attention", "mixed_bfloat16", True, marks=pytest.mark.slow),
        pytest.param("cnn", "mixed_float16", True, marks=pytest.mark.slow),
    ],
)
def test_fits_and_takes_any_length(name, policy, jit_compile):
    keras.config.set_dtype_policy(policy)
    core = make_encoder(name, dropout=0.1)
    model = keras_nam.models.token_tagger(core, 9, WIDTH, mask_token=0)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    tokens = np.random.default_rng(0).integers(0, 9, (8, 7))
    losses = model.fit(tokens, tokens, epochs=4, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert model.predict(tokens[:2, :3], verbose=0).shape == (2, 3, 9)


@pytest.mark.parametrize("name", baselines.ENCODERS)
def test_saved_model_gives_the_same_numbers(name, tmp_path):
    model = keras_nam.models.token_tagger(make_encoder(name), 9, WIDTH, mask_token=0)
    tokens = np.random.default_rng(0).integers(0, 9, (2, 7))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(tokens), model(tokens))


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


def test_scores_of_alibi_fall_with_the_distance():
    layer = baselines.ALiBiAttention(2, 4)
    zeros = np.zeros((1, 5, 2, 4), "float32")
    distances = np.abs(np.arange(5)[:, None] - np.arange(5))
    slopes = np.array([1 / 16, 1 / 256])[:, None, None]
    np.testing.assert_allclose(
        layer.scores(zeros, zeros)[0] / 2.0, -slopes * distances, rtol=1e-6
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_xlnet_distances_at_unknown_length(jit_compile):
    inputs = keras.Input((None, WIDTH))
    model = keras.Model(inputs, baselines.XLNetEncoder(1, 2, 12)(inputs))
    model.compile(jit_compile=jit_compile)
    for length in (1, 2, 5):
        x = draw(length)
        np.testing.assert_allclose(model.predict(x, verbose=0), model(x), atol=1e-5)


@pytest.mark.parametrize(
    "layer_class",
    [baselines.RotaryAttention, baselines.ALiBiAttention, baselines.XLNetAttention],
)
def test_attention_masks_and_config(layer_class):
    layer = layer_class(2, 4, dropout=0.2, use_bias=True, name="attention")
    x = draw()
    causal = layer(x, x, use_causal_mask=True)
    changed = x.copy()
    changed[:, 4:] += 1.0
    np.testing.assert_allclose(
        layer(changed, changed, use_causal_mask=True)[:, :4], causal[:, :4], atol=1e-6
    )
    assert np.isfinite(layer(x, x, key_mask=np.zeros((3, 6), bool))).all()
    config = layer.get_config()
    assert layer_class.from_config(config).get_config() == config
    assert config["dropout"] == 0.2


@pytest.mark.parametrize("name", ["ibert", "alibi", "xlnet", "lstm_attention", "cnn"])
def test_keras_conformance(name):
    encoder = make_encoder(name)
    config = encoder.get_config()
    TestCase().run_layer_test(
        type(encoder),
        init_kwargs={k: v for k, v in config.items() if k not in ("name", "dtype")},
        input_shape=(2, 5, WIDTH),
        supports_masking=True,
    )


@pytest.mark.parametrize("name", baselines.ENCODERS)
def test_config_survives(name):
    encoder = make_encoder(name, dropout=0.3)
    config = encoder.get_config()
    again = type(encoder).from_config(config)
    assert again.get_config() == config
    assert again.dropout == 0.3
    x = draw()
    encoder(x), again(x)
    assert [w.path for w in again.weights] == [w.path for w in encoder.weights]


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


@pytest.mark.parametrize(
    "attention",
    [
        baselines.RotaryAttention,
        baselines.ALiBiAttention,
        baselines.XLNetAttention,
    ],
)
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


def test_relative_positions_have_no_longest_length():
    with pytest.raises(ValueError, match=r"`max_length`.*Received: max_length=9"):
        baselines.XLNetEncoder(1, 2, 8, max_length=9)
