"""Masked language models: sentences in, the words that are missing out."""

import keras
import numpy as np
from keras import ops

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_destination
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_list
from keras_nam.arguments import check_rate
from keras_nam.models.core import list_layers
from keras_nam.models.core import tokenizer_of
from keras_nam.models.token_tagger import classify_tokens
from keras_nam.tokenizers.sentences import SentenceTokenizer


def masked_lm(
    core,
    tokenizer,
    width,
    dropout=0.0,
    mask_padding=True,
    embeddings_initializer="uniform",
    name=None,
):
    """Builds a functional model that finds out the masked tokens of a sentence.

    It is a `token_tagger` over a vocabulary that it keeps: the tokenizer stands in the
    model and is saved with it, so that `fill_masks` and `export_masked_lm` take and
    give sentences.

    Train it on a `keras_nam.datasets.masked_language_dataset`, whose sample weights
    are 1 at the masks alone. With `reduction="mean_with_sample_weight"` the loss is
    the mean over the masked tokens.

    Args:
        core: A layer or a list of layers that map `(batch, time, features)` to
            `(batch, time, features)`: any of this package or of Keras. Recurrent
            layers need `return_sequences=True`.
        tokenizer: A `WordTokenizer` or a `CharacterTokenizer` that has a vocabulary.
        width: Positive integer, the width of the embedding.
        dropout: Float, the rate of dropout after the embedding and after the core.
        mask_padding: Boolean. Whether layers that honour masks skip padding. `False`
            lets them read it like any other token, as in the paper.
        embeddings_initializer: Initializer for the embedding.
        name: String, the name of the model.

    Returns:
        A `keras.Model` from integer tokens of shape `(batch, time)`, of any length, to
        float32 logits of shape `(batch, time, vocabulary_size)`.

    Example:

    ```python
    sentences = keras_nam.datasets.generated_sentences(100)
    tokenizer = keras_nam.tokenizers.WordTokenizer()
    tokenizer.adapt(sentences)
    lstm = keras.layers.LSTM(32, return_sequences=True)
    model = keras_nam.models.masked_lm(keras.layers.Bidirectional(lstm), tokenizer, 32)
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=["accuracy", keras_nam.metrics.MaskedPerplexity()],
    )
    dataset = keras_nam.datasets.masked_language_dataset(
        sentences, tokenizer, training=True
    )
    model.fit(dataset, epochs=1, shuffle=False, verbose=0)  # It shuffles itself.
    keras_nam.models.fill_masks(model, ["two dogs <mask> one cat"])["sentences"]
    ```

    Raises:
        ValueError: If a layer of `core` does not return sequences alone, the tokenizer
            has no vocabulary, or an argument is wrong.

    Reference:

    - [I-BERT](https://arxiv.org/abs/2006.10220)
    """
    if not isinstance(tokenizer, SentenceTokenizer):
        raise ValueError(
            "Argument `tokenizer` must be a `WordTokenizer` or a `CharacterTokenizer`; "
            "a model of tokens without a vocabulary is `token_tagger`. Received: "
            f"tokenizer={tokenizer} (of type {type(tokenizer)})"
        )
    width = check_integer("width", width)
    dropout = check_rate("dropout", dropout)
    size = tokenizer.vocabulary_size()
    layers = list_layers(core)
    mask_padding = check_boolean("mask_padding", mask_padding)
    mask_token = tokenizer.pad_token_id if mask_padding else None

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    logits = classify_tokens(
        tokenizer(tokens),
        layers,
        size,
        width,
        size,
        mask_token,
        dropout,
        embeddings_initializer,
    )
    return keras.Model(tokens, logits, name=name)


def fill_masks(model, sentences, num_candidates=5):
    """Fills the masks in sentences with what a masked language model expects there.

    Args:
        model: A model from `masked_lm`, or one loaded from a file of it.
        sentences: List of strings with `<mask>` in the place of each missing word, or,
            for a `CharacterTokenizer`, of each missing character.
        num_candidates: Positive integer, how many words to return for each mask.

    Returns:
        A dictionary:

        - `"sentences"`: list of the sentences as the tokenizer reads them (in lower
          case, as a rule), with the best word in the place of each mask. Several masks
          are filled independently of each other.
        - `"candidates"`: list of an array of strings of shape `(masks,
          num_candidates)` for each sentence, the best words first (fewer candidates
          where the vocabulary has fewer words);
        - `"scores"`: list of an array of the same shape for each sentence, the
          probabilities of the candidates among all words of the vocabulary.

    Example:

    ```python
    tokenizer = keras_nam.tokenizers.WordTokenizer(["the", "dog", "cat", "runs"])
    core = keras_nam.layers.NAM(16, return_sequences=True)
    model = keras_nam.models.masked_lm(core, tokenizer, 16)
    filled = keras_nam.models.fill_masks(model, ["The <mask> runs"], num_candidates=3)
    filled["sentences"]  # once it is trained, ['the dog runs']
    filled["candidates"][0].shape  # (1, 3)
    ```

    Raises:
        ValueError: If the model holds no tokenizer, or an argument is wrong.
    """
    tokenizer = tokenizer_of(model, "masked_lm", "logits")
    num_candidates = check_integer("num_candidates", num_candidates)
    sentences = check_list(
        "sentences", sentences, str, "a list of strings, of at least one", at_least=1
    )
    filled = _fill(model, tokenizer, sentences, num_candidates)
    filled = {key: ops.convert_to_numpy(value) for key, value in filled.items()}
    # A type is needed where there is no mask at all.
    decode = np.vectorize(bytes.decode, otypes=[str])
    counts = [np.sum(row[:, 0] != b"") for row in filled["candidates"]]
    return {
        "sentences": [sentence.decode() for sentence in filled["sentences"]],
        "candidates": [
            decode(row[:count])
            for row, count in zip(filled["candidates"], counts, strict=True)
        ],
        "scores": [
            row[:count] for row, count in zip(filled["scores"], counts, strict=True)
        ],
    }


def export_masked_lm(model, path, num_candidates=5, verbose=False):
    """Exports a SavedModel that fills masks where this package is not installed.

    It has two signatures:

    - `fill(sentences)` takes strings of shape `(batch,)` with `<mask>` in the place of
      what is missing, see `fill_masks`. It returns `"sentences"` of shape `(batch,)`,
      and `"candidates"` and `"scores"` of shape `(batch, masks, num_candidates)`.
      `masks` is the largest number of masks in a sentence; rows with fewer are filled
      up with `""` and 0.
    - `serve(tokens)` returns logits, as of `model.export`.

    Args:
        model: A model from `masked_lm`.
        path: String, the folder to write to.
        num_candidates: Positive integer, how many words to return for each mask.
        verbose: Boolean. Whether to print the signatures.

    Example:

    ```python
    tokenizer = keras_nam.tokenizers.WordTokenizer(["the", "dog", "cat", "runs"])
    core = keras_nam.layers.NAM(16, return_sequences=True)
    model = keras_nam.models.masked_lm(core, tokenizer, 16)
    keras_nam.models.export_masked_lm(model, "masked_lm", num_candidates=2)

    import tensorflow as tf

    served = tf.saved_model.load("masked_lm")
    served.fill(tf.constant(["The <mask> runs"]))["candidates"].shape  # (1, 1, 2)
    ```

    Raises:
        ValueError: If the model holds no tokenizer, or an argument is wrong.
    """
    tokenizer = tokenizer_of(model, "masked_lm", "logits")
    num_candidates = check_integer("num_candidates", num_candidates)
    verbose = check_boolean("verbose", verbose)
    path = check_destination("path", path)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "fill",
        lambda sentences: _fill(model, tokenizer, sentences, num_candidates),
        input_signature=[keras.InputSpec("string", (None,), name="sentences")],
    )
    archive.add_endpoint(
        "serve",
        lambda tokens: model(tokens, training=False),
        input_signature=[keras.InputSpec("int32", (None, None), name="tokens")],
    )
    archive.write_out(path, verbose=verbose)


def _fill(model, tokenizer, sentences, num_candidates):
    tokens = tokenizer.tokenize(sentences)
    logits = model(tokens, training=False)
    # Neither a mask nor a word that is not known is an answer.
    is_answer = tokenizer.is_answer()
    logits = ops.where(is_answer, logits, -np.inf)
    best = ops.argmax(logits, axis=-1)

    # The masks of each row first, in their order, and no more positions than needed.
    is_mask = ops.equal(tokens, tokenizer.mask_token_id)
    positions = ops.arange(ops.shape(tokens)[1])
    order = ops.argsort(ops.where(is_mask, 0, ops.shape(tokens)[1]) + positions, axis=1)
    order = order[:, : ops.max(ops.sum(ops.cast(is_mask, "int32"), axis=1))]
    is_mask = ops.take_along_axis(is_mask, order, axis=1)[..., None]
    scores = ops.softmax(ops.take_along_axis(logits, order[..., None], axis=1))
    scores, words = ops.top_k(scores, min(num_candidates, int(is_answer.sum())))
    return {
        "sentences": tokenizer.replace_masks(sentences, best),
        "candidates": ops.where(is_mask, tokenizer.symbols(words), ""),
        "scores": ops.where(is_mask, scores, 0.0),
    }
