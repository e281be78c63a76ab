"""Causal language models: what they see, packed rows, and how well they predict."""

import keras
import numpy as np
import pytest

import keras_nam
from keras_nam import baselines
from keras_nam import datasets
from keras_nam import layers
from keras_nam import models
from keras_nam import tokenizers

VOCABULARY = [*"abcdefgh"]
CORES = {
    "nam": lambda: layers.NAM(8, num_heads=2, return_sequences=True),
    "decay": lambda: layers.NAM(8, num_heads=2, decay="channel", return_sequences=True),
    "transformer": lambda: [
        layers.NAMTransformerEncoder(16, 2, use_erase=True, decay="head")
        for _ in range(2)
    ],
    "hybrid": lambda: [
        layers.NAMTransformerEncoder(16, 2, use_erase=True, decay="head"),
        layers.TransformerBlock(baselines.RotaryAttention(2, 4, window=3), 16),
    ],
    "rotary": lambda: layers.TransformerBlock(baselines.RotaryAttention(2, 4), 16),
    "softmax": lambda: layers.NAMTransformerEncoder(16, 2, attention="softmax"),
    "gated_delta_net": lambda: layers.TransformerBlock(
        layers.GatedDeltaNet(num_heads=2, key_dim=4, value_dim=4), 16
    ),
}


def make(core="nam", tokenizer=None, **kwargs):
    core = CORES[core]() if isinstance(core, str) else core
    tokenizer = tokenizer or tokenizers.CharacterTokenizer(VOCABULARY)
    return models.causal_lm(core, tokenizer, 8, **kwargs)


def compile_model(model, **kwargs):
    model.compile(
        keras.optimizers.Adam(3e-2),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        **kwargs,
    )


@pytest.mark.parametrize("core", CORES)
def test_packed_rows_are_rows_alone(core):
    model = make(core, packed=True)
    lengths = [3, 1, 5]
    tokens = np.random.default_rng(0).integers(0, 12, (2, sum(lengths)), "int32")
    ids = np.repeat([[1, 2, 1]], lengths, axis=1).repeat(2, axis=0).astype("int32")
    weights = np.random.default_rng(1).normal(size=(2, 9, 1)).astype("float32")

    def gradients(calls):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            logits = keras.ops.concatenate([model(x) for x in calls], axis=1)
            loss = keras.ops.sum(logits * weights)
        grads = tape.gradient(loss, model.trainable_variables)
        return [logits, *map(tf.convert_to_tensor, grads)]

    packed = gradients([{"tokens": tokens, "segment_ids": ids}])
    pieces = np.split(tokens, np.cumsum(lengths)[:-1], axis=1)
    alone = gradients([{"tokens": x, "segment_ids": None} for x in pieces])
    for ours, theirs in zip(packed, alone, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    mixed = model({"tokens": tokens, "segment_ids": None})
    assert np.abs(mixed[:, 3:] - packed[0][:, 3:]).max() > 1e-3


@pytest.mark.parametrize(
    ("core", "named"),
    [
        (lambda: layers.LSTMEncoder(4), "lstm_encoder"),
        (
            lambda: keras.layers.Bidirectional(
                keras.layers.GRU(4, return_sequences=True)
            ),
            "bidirectional",
        ),
        (lambda: layers.NAM(8, return_sequences=True, go_backwards=True), "nam"),
        (lambda: keras.layers.Conv1D(8, 3, padding="same"), "conv1d"),
        (lambda: layers.IBERTEncoder(1, 2, 8), "ibert_encoder"),
    ],
)
def test_a_core_that_sees_what_follows_is_refused(core, named):
    with pytest.raises(ValueError, match=f"past alone.*'{named}"):
        make(core())


@pytest.mark.parametrize(
    "core",
    [
        lambda: layers.LSTMEncoder(8, bidirectional=False),
        lambda: keras.layers.Conv1D(8, 3, padding="causal"),
        layers.PositionEmbedding,
        lambda: layers.TransformerBlock(layers.LSTMEncoder(8, bidirectional=False), 16),
    ],
)
def test_a_core_that_mixes_documents_is_refused(core):
    make(core())
    with pytest.raises(ValueError, match="takes? (no )?`segment_ids`"):
        make(core(), packed=True)


def test_what_leaves_time_alone_needs_no_segments():
    make([keras.layers.LayerNormalization(), keras.layers.Dense(8)], packed=True)


@pytest.mark.parametrize("tie", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_saved_model_is_the_same(tie, tmp_path):
    model = make("decay", packed=True, tie_embeddings=tie)
    names = [x.path for x in model.trainable_variables]
    assert any("next_token" in name for name in names) != tie
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    tokens = np.array([[1, 7, 8, 6]], "int32")
    inputs = {"tokens": tokens, "segment_ids": np.array([[1, 1, 2, 2]], "int32")}
    np.testing.assert_allclose(loaded(inputs), model(inputs), rtol=1e-5)
    texts = [models.generate(x, ["ab"], 5, temperature=0) for x in (model, loaded)]
    assert texts[0] == texts[1]


def test_tied_logits_are_inner_products():
    model = make([keras.layers.Identity()], tie_embeddings=True)
    table = model.get_layer("embedding").embeddings
    logits = model(np.array([[3, 4]]))
    np.testing.assert_allclose(logits[0], (table @ keras.ops.transpose(table))[3:5])
    with pytest.raises(ValueError, match="width=8, and a core of 6 features"):
        make(layers.NAM(6, return_sequences=True), tie_embeddings=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_quantized_tied_embeddings():
    model = make("nam", tie_embeddings=True)
    tokens = np.array([[1, 7, 8, 6]], "int32")
    before = np.array(model(tokens))
    model.quantize("int8")
    assert np.abs(model(tokens) - before).max() < 0.05 * np.abs(before).max()


@pytest.mark.slow
def test_training_learns_and_is_measured_by_position():
    # A letter is known after two: every text goes round.
    texts = ["abcdefgh" * 3, "hgfedcba" * 3] * 20
    tokenizer = tokenizers.CharacterTokenizer(VOCABULARY)
    model = make("decay", tokenizer, packed=True)
    compile_model(model, weighted_metrics=[keras_nam.metrics.MaskedPerplexity()])
    train = datasets.packed_language_dataset(texts, tokenizer, 40, 8, training=True)
    model.fit(train, epochs=8, shuffle=False, verbose=0)
    whole = datasets.packed_language_dataset(texts, tokenizer, 40, 8)
    bits, weights = models.bits_by_position(model, whole)
    results = model.evaluate(whole, return_dict=True, verbose=0)
    mean = np.nansum(bits * weights) / weights.sum()
    np.testing.assert_allclose(2**mean, results["masked_perplexity"], rtol=1e-4)
    # Not even the best can tell the two kinds before the first letter.
    assert bits[0] > 0.5
    assert bits[4] < bits[0] / 2
    assert models.generate(model, ["abc"], 5, temperature=0) == ["abcdefgh"]
    # Documents have 26 tokens, the last of which predicts none.
    assert weights[24] > 0
    assert not weights[25:].any()


def test_bits_of_rows_that_are_one_document():
    tokenizer = tokenizers.ByteTokenizer()
    rows = datasets.packed_language_dataset(["abcdefg", "hi"], tokenizer, 4, 1)
    model = make(keras.layers.LSTM(4, return_sequences=True), tokenizer)
    bits, weights = models.bits_by_position(model, rows)
    tokens = rows.map(lambda inputs, *others: (inputs["tokens"], *others))
    again, _ = models.bits_by_position(model, tokens)
    np.testing.assert_array_equal(bits, again)
    np.testing.assert_array_equal(weights, [2, 2, 1, 2])
    ours = model(np.array([[98, 99, 100, 101]]))[0, 1]
    expected = -keras.ops.log_softmax(ours)[100] / np.log(2)
    theirs = model(np.array([[102, 103, 104, 105]]))[0, 1]
    expected -= keras.ops.log_softmax(theirs)[104] / np.log(2)
    np.testing.assert_allclose(bits[1], expected / 2, rtol=1e-5)
