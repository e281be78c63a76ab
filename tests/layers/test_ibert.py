"""I-BERT beyond its golden arrays."""

import keras
import numpy as np
import pytest
from backends import needs_tensorflow
from keras import ops

import keras_nam
from keras_nam.layers import IBERTEncoder

WIDTH = 8
KINDS = {
    "lstm": {},
    "one way": {"bidirectional": False},
    "gru": {"recurrent": "gru"},
    "lsam": {"recurrent": "lsam"},
    "ibert2": {"feedforward": "lstm"},
    "a layer": {"recurrent": keras.layers.SimpleRNN(WIDTH, return_sequences=True)},
    "a memory": {"recurrent": keras_nam.layers.NAM(WIDTH, return_sequences=True)},
}


def make_encoder(kind="lstm", **kwargs):
    arguments = dict(KINDS[kind])
    if isinstance(arguments.get("recurrent"), keras.layers.Layer):
        layer = arguments["recurrent"]
        arguments["recurrent"] = type(layer).from_config(layer.get_config())
    return IBERTEncoder(2, num_heads=2, intermediate_dim=12, **arguments, **kwargs)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_on_either_side_changes_nothing(kind):
    encoder = make_encoder(kind)
    x = np.random.default_rng(0).normal(size=(3, 6, WIDTH)).astype("float32")
    padded = np.pad(x, ((0, 0), (2, 3), (0, 0)), constant_values=np.nan)
    mask = np.isfinite(padded[..., 0])
    y = encoder(padded, padding_mask=mask)
    np.testing.assert_allclose(y[:, 2:8], encoder(x), atol=2e-6)


def test_every_recurrent_layer_takes_the_initializer():
    encoder = make_encoder("ibert2", recurrent_initializer="zeros")
    encoder.build((None, None, WIDTH))
    kernels = [w for w in encoder.weights if w.name.endswith("recurrent_kernel")]
    assert len(kernels) == 3
    assert not any(np.any(kernel) for kernel in kernels)


@pytest.mark.parametrize("kind", KINDS)
def test_saved(kind, tmp_path):
    core = make_encoder(kind)
    model = keras_nam.models.token_tagger(core, 9, WIDTH, mask_token=0)
    tokens = np.random.default_rng(0).integers(0, 9, (3, 7)).astype("int32")
    expected = model(tokens)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(tokens), expected)


@pytest.mark.slow
@needs_tensorflow
@pytest.mark.parametrize("kind", KINDS)
def test_exported_for_any_length(kind, tmp_path):
    import tensorflow as tf

    model = keras_nam.models.token_tagger(make_encoder(kind), 9, WIDTH, mask_token=0)
    tokens = np.random.default_rng(0).integers(0, 9, (3, 7)).astype("int32")
    model(tokens)
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    for length in (7, 2):
        np.testing.assert_allclose(
            served.serve(tokens[:2, :length]), model(tokens[:2, :length]), atol=1e-5
        )


@pytest.mark.parametrize(
    ("kind", "policy", "jit_compile"),
    [
        pytest.param("lstm", "float32", True, marks=pytest.mark.slow),
        ("lstm", "mixed_float16", False),
        pytest.param("gru", "mixed_bfloat16", True, marks=pytest.mark.slow),
        pytest.param("lsam", "float32", False, marks=pytest.mark.slow),
        pytest.param("ibert2", "mixed_bfloat16", False, marks=pytest.mark.slow),
    ],
)
def test_fit_under_every_policy(kind, policy, jit_compile):
    keras.config.set_dtype_policy(policy)
    model = keras_nam.models.token_tagger(
        make_encoder(kind, dropout=0.1), 9, WIDTH, mask_token=0
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    tokens = np.random.default_rng(0).integers(0, 9, (8, 7))
    losses = model.fit(tokens, tokens, epochs=10, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    # The first steps in float16 only find out how to scale the loss.
    assert losses[-1] < losses[0]


def test_every_position_sees_both_sides():
    encoder = make_encoder()
    x = np.random.default_rng(0).normal(size=(1, 9, WIDTH)).astype("float32")
    for changed in (0, 8):
        other = x.copy()
        other[0, changed] += 1.0
        difference = np.asarray(ops.abs(encoder(x) - encoder(other))).max(axis=(0, 2))
        assert (difference > 1e-7).all()


def test_order_matters():
    encoder = make_encoder()
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


@pytest.mark.parametrize("kind", ["lstm", "a layer", "ibert2"])
def test_a_built_encoder_is_made_again(kind):
    encoder = make_encoder(kind)
    x = np.random.default_rng(0).normal(size=(2, 3, WIDTH)).astype("float32")
    expected = encoder(x)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(encoder)
    )
    again.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(again(x), expected)


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
