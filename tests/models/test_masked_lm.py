"""Masked language models: training, vocabularies that are kept, masks filled."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_nam
from keras_nam import datasets
from keras_nam import metrics
from keras_nam import models
from keras_nam import tokenizers

SENTENCES = datasets.generated_sentences(300, max_words=12)
CORES = {
    "lstm": lambda: keras.layers.Bidirectional(
        keras.layers.LSTM(8, return_sequences=True)
    ),
    "encoder": lambda: keras_nam.layers.NAMTransformerEncoder(32, num_heads=2),
}


def make_tokenizer(level):
    if level == "characters":
        return tokenizers.CharacterTokenizer()
    tokenizer = tokenizers.WordTokenizer()
    tokenizer.adapt(SENTENCES)
    return tokenizer


def make(core="lstm", level="words", **kwargs):
    return models.masked_lm(CORES[core](), make_tokenizer(level), 16, **kwargs)


def compile_model(model, **kwargs):
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            metrics.MaskedPerplexity(),
            metrics.LengthBucket(metrics.MaskedPerplexity(), 0, 50),
        ],
        **kwargs,
    )


@pytest.mark.parametrize(
    ("core", "level"),
    [
        ("lstm", "words"),
        pytest.param("encoder", "words", marks=pytest.mark.slow),
        pytest.param("lstm", "characters", marks=pytest.mark.slow),
    ],
)
def test_fit_on_masks_alone(core, level):
    model = make(core, level)
    compile_model(model, jit_compile=False)
    train = datasets.masked_language_dataset(
        SENTENCES, make_tokenizer(level), training=True
    )
    validation = datasets.masked_language_dataset(
        SENTENCES[:50], make_tokenizer(level), batch_size=50
    )
    history = model.fit(
        train, validation_data=validation, epochs=3, shuffle=False, verbose=0
    ).history
    assert history["loss"][-1] < history["loss"][0]
    assert 1 < history["val_masked_perplexity"][-1] < model.output_shape[-1]
    # One batch: the loss is the mean over the masked tokens.
    np.testing.assert_allclose(
        np.exp(history["val_loss"]), history["val_masked_perplexity"], rtol=1e-4
    )
    assert history["val_masked_perplexity_0_50"][-1] > 1


@pytest.mark.slow
def test_training_repeats_by_seed():
    losses = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = make()
        compile_model(model, jit_compile=False)
        train = datasets.masked_language_dataset(
            SENTENCES[:96], make_tokenizer("words"), training=True
        )
        history = model.fit(train, epochs=2, shuffle=False, verbose=0).history
        losses.append(history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.slow
def test_xla_and_fixed_length():
    model = make()
    compile_model(model, jit_compile=True)
    train = datasets.masked_language_dataset(
        SENTENCES[:64], make_tokenizer("words"), length=20, training=True
    )
    history = model.fit(train, epochs=2, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("mask_padding", [True, False])
def test_padding_is_read_only_if_asked_for(mask_padding):
    model = make(mask_padding=mask_padding)
    tokens = make_tokenizer("words").tokenize(["two dogs greet one cat"]).numpy()
    padded = np.pad(tokens, ((0, 0), (0, 4)))
    off = np.abs(model(padded)[:, : tokens.shape[1]] - model(tokens)).max()
    assert (off < 1e-5) == mask_padding


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("level", ["words", "characters"])
def test_a_saved_model_keeps_its_vocabulary(core, level, tmp_path):
    model = make(core, level)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    text = "two <mask> greet one c<mask>t"
    expected = models.fill_masks(model, [text])
    filled = models.fill_masks(loaded, [text])
    assert filled["sentences"] == expected["sentences"]
    np.testing.assert_allclose(filled["scores"][0], expected["scores"][0], rtol=1e-5)


def test_words_fill_their_masks():
    tokenizer = make_tokenizer("words")
    model = make()
    texts = ["Zebras <mask> one <mask>", "no mask", "<mask>"]
    filled = models.fill_masks(model, texts, num_candidates=3)
    assert [c.shape for c in filled["candidates"]] == [(2, 3), (0, 3), (1, 3)]
    assert [s.shape for s in filled["scores"]] == [(2, 3), (0, 3), (1, 3)]
    first = filled["candidates"][0][:, 0]
    # Words that the vocabulary does not have stay as they are.
    assert filled["sentences"][0] == f"zebras {first[0]} one {first[1]}"
    assert filled["sentences"][1] == "no mask"
    logits = model(tokenizer.tokenize(texts)).numpy()[0, 2]
    logits[:6] = -np.inf
    best = np.argsort(-logits)[:3]
    chosen = [tokenizer.id_to_token(token) for token in best]
    assert filled["candidates"][0][0].tolist() == chosen
    odds = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(filled["scores"][0][0], odds[best], rtol=1e-4)


def test_half_precision_fills_masks():
    keras.config.set_dtype_policy("mixed_float16")
    filled = models.fill_masks(make(), ["two <mask> greet"], num_candidates=50)
    np.testing.assert_allclose(filled["scores"][0].sum(), 1, rtol=1e-3)


def test_characters_fill_their_masks():
    model = make(level="characters")
    filled = models.fill_masks(model, ["Two d<mask><mask>s"], num_candidates=100)
    # Every character but those that are no answer to anything.
    assert filled["candidates"][0].shape == (2, 34)
    assert not {"_", "<unk>", "<etc>", "<mask>"} & set(filled["candidates"][0].flat)
    first, second = filled["candidates"][0][:, 0]
    assert filled["sentences"] == [f"two d{first}{second}s"]


SERVE = """
import json
import sys

import tensorflow as tf

served = tf.saved_model.load(sys.argv[1])
texts = ["two <mask> greet", "many cats call all geese that find <mask> <mask>"]
filled = served.signatures["fill"](sentences=tf.constant(texts))
assert "keras_nam" not in sys.modules
filled = {key: value.numpy().tolist() for key, value in filled.items()}
json.dump(filled, sys.stdout, default=bytes.decode)
"""


@pytest.mark.slow
@pytest.mark.parametrize("level", ["words", "characters"])
def test_serving_strings_without_the_package(level, tmp_path):
    model = make(level=level)
    path = str(tmp_path / "exported")
    models.export_masked_lm(model, path, num_candidates=2)
    result = subprocess.run(
        [sys.executable, "-c", SERVE, path],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    served = json.loads(result.stdout)
    texts = ["two <mask> greet", "many cats call all geese that find <mask> <mask>"]
    filled = models.fill_masks(model, texts, num_candidates=2)
    assert served["sentences"] == filled["sentences"]
    assert served["candidates"][0][0] == filled["candidates"][0][0].tolist()
    assert served["candidates"][0][1] == ["", ""]
    assert served["candidates"][1] == filled["candidates"][1].tolist()
    np.testing.assert_allclose(served["scores"][1], filled["scores"][1], rtol=1e-4)
    assert served["scores"][0][1] == [0, 0]


def test_wrong_arguments():
    core = CORES["lstm"]()
    for tokenizer in (100, tokenizers.ByteTokenizer()):
        with pytest.raises(ValueError, match=r"`tokenizer` must be.*Received: "):
            models.masked_lm(core, tokenizer, 16)
    with pytest.raises(ValueError, match=r"no vocabulary yet"):
        models.masked_lm(core, tokenizers.WordTokenizer(), 16)
    with pytest.raises(ValueError, match=r"`width` must be.*Received: "):
        models.masked_lm(core, make_tokenizer("words"), 0)
    with pytest.raises(ValueError, match=r"`return_sequences=True`.*Received: "):
        models.masked_lm(keras.layers.LSTM(8), make_tokenizer("words"), 16)
    tagger = models.token_tagger(core, 10, 8)
    with pytest.raises(ValueError, match=r"holds a tokenizer. Received: "):
        models.fill_masks(tagger, ["<mask>"])
    with pytest.raises(ValueError, match=r"holds a tokenizer. Received: "):
        models.export_masked_lm(tagger, "exported")
    model = make()
    with pytest.raises(ValueError, match=r"list of strings.*Received: "):
        models.fill_masks(model, "<mask>")
    with pytest.raises(ValueError, match=r"Received: num_candidates=0"):
        models.fill_masks(model, ["<mask>"], num_candidates=0)
