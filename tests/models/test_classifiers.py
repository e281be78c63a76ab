"""Classifiers of sequences and of pairs of them."""

import keras
import numpy as np
import pytest

from keras_nam import layers
from keras_nam.models import matching_classifier
from keras_nam.models import sequence_classifier

TOKENS = np.random.default_rng(0).integers(0, 8, (4, 12)).astype("int32")


def block(**kwargs):
    return layers.NAMTransformerEncoder(16, 2, **kwargs)


@pytest.mark.parametrize("attention", ["nam", "softmax", "linear"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_changes_nothing(attention, pooling):
    model = sequence_classifier(
        [block(attention=attention), block(attention=attention)],
        9,
        8,
        num_classes=3,
        pooling=pooling,
        mask_token=8,
    )
    padded = np.concatenate([TOKENS, np.full((4, 5), 8)], axis=1)
    assert model(TOKENS).shape == (4, 3)
    np.testing.assert_allclose(model(padded), model(TOKENS), atol=1e-5)
    order = model(TOKENS[:, ::-1].copy())
    assert np.abs(order - model(TOKENS)).max() > 1e-4


@pytest.mark.parametrize(
    "core",
    [
        lambda: layers.NAM(8, return_sequences=True),
        pytest.param(
            lambda: keras.layers.Bidirectional(layers.LSAM(8, return_sequences=True)),
            marks=pytest.mark.slow,
        ),
        lambda: [keras.layers.Conv1D(6, 3, padding="same"), block()],
    ],
)
def test_any_core(core, tmp_path):
    model = sequence_classifier(core(), 9, 8, 2, positions=None, dropout=0.1)
    loss = keras.losses.SparseCategoricalCrossentropy(True)
    model.compile("adam", loss, run_eagerly=True)
    model.fit(TOKENS, TOKENS[:, 0] % 2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(TOKENS), model(TOKENS))


def test_a_pair_shares_one_encoder(tmp_path):
    model = matching_classifier(block(), 9, 8, mask_token=8, pooling="cls")
    other = TOKENS[::-1].copy()
    assert model([TOKENS, other]).shape == (4, 2)
    padded = np.concatenate([other, np.full((4, 5), 8)], axis=1)
    np.testing.assert_allclose(
        model([TOKENS, padded]), model([TOKENS, other]), atol=1e-5
    )
    single = sequence_classifier(block(), 9, 8, 2, mask_token=8, pooling="cls")
    hidden = 8 * 8 * 3
    assert model.count_params() == single.count_params() + hidden
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded([TOKENS, other]), model([TOKENS, other]))


def test_learned_positions_and_their_end():
    model = sequence_classifier(
        block(), 9, 8, 2, positions="learned", max_length=12, pooling="cls"
    )
    assert model(TOKENS).shape == (4, 2)
    with pytest.raises(ValueError, match="max_length"):
        model(np.zeros((1, 13), "int32"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "max"}, "pooling"),
        ({"positions": "rotary"}, "positions"),
        ({"positions": "learned"}, "max_length"),
        ({"max_length": 5}, "max_length"),
        ({"num_classes": 0}, "num_classes"),
        ({"head_dim": -1}, "head_dim"),
        ({"head_dim": 0}, "head_dim"),
        ({"core": "nam"}, "core"),
        ({"core": keras.layers.LSTM(4)}, "return_sequences"),
        ({"core": layers.NAMAttention(2, 4)}, "TransformerBlock.*query, value"),
    ],
)
def test_wrong_arguments(arguments, message):
    core = {"core": None if "core" in arguments else block()}
    sizes = {"vocabulary_size": 9, "width": 8, "num_classes": 2}
    with pytest.raises(ValueError, match=message):
        sequence_classifier(**{**core, **sizes, **arguments})
