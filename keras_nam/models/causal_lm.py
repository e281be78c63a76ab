"""Causal language models: a text in, what comes next out."""

import keras
import numpy as np
from keras import ops
from keras import tree

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_instance
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_rate
from keras_nam.metrics.positions import convert_batch
from keras_nam.models.core import causal_arguments
from keras_nam.models.core import list_layers
from keras_nam.models.core import tokenizer_of
from keras_nam.models.token_tagger import classify_tokens
from keras_nam.ops.segments import starts_of
from keras_nam.tokenizers.tokenizer import Tokenizer

# By its name the models from here are known among all that hold a tokenizer.
OUTPUT = "next_token"


def causal_lm(
    core,
    tokenizer,
    width,
    dropout=0.0,
    tie_embeddings=False,
    packed=False,
    embeddings_initializer="uniform",
    name=None,
):
    """Builds a functional model that predicts the next token at every step.

    The model embeds the tokens, runs `core`, which sees the past alone, and maps its
    output to logits of the token that follows. The tokenizer stands in the model and is
    saved with it, so that `generate` and `export_causal_lm` take and give texts.

    Train it on a `keras_nam.datasets.packed_language_dataset`. Padding needs no mask,
    for it comes after all that counts.

    Args:
        core: A layer or a list of layers that map `(batch, time, features)` to
            `(batch, time, features)`, and an output of which depends on no later input:
            any of this package or of Keras. Those that take `use_causal_mask` are
            called with it. Recurrent layers need `return_sequences=True`.
        tokenizer: A `keras_nam.tokenizers.Tokenizer`, or one of your own.
        width: Positive integer, the width of the embedding.
        dropout: Float, the rate of dropout after the embedding and after the core.
        tie_embeddings: Boolean. Whether the logits are the inner products of the core's
            outputs, which have `width` features then, and the embeddings.
        packed: Boolean. Whether rows may hold several documents, which `segment_ids`
            tell apart. Every layer of `core` that is no function of single time steps
            has to take them.
        embeddings_initializer: Initializer for the embedding.
        name: String, the name of the model.

    Returns:
        A `keras.Model` from integer tokens of shape `(batch, time)`, of any length, to
        float32 logits of shape `(batch, time, vocabulary_size)`. If `packed`, it takes
        a dictionary of `"tokens"` and, of the same shape, `"segment_ids"`, which may be
        `None`.

    Example:

    ```python
    sentences = keras_nam.datasets.generated_sentences(100)
    tokenizer = keras_nam.tokenizers.ByteTokenizer()
    core = keras_nam.layers.NAM(
        32, num_heads=2, decay="head", return_sequences=True
    )
    model = keras_nam.models.causal_lm(core, tokenizer, width=32, packed=True)
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=[keras_nam.metrics.MaskedPerplexity(name="perplexity")],
    )
    dataset = keras_nam.datasets.packed_language_dataset(
        sentences, tokenizer, length=128, training=True
    )
    model.fit(dataset, epochs=1, shuffle=False, verbose=0)  # It shuffles itself.
    texts = keras_nam.models.generate(model, ["two old dogs"], max_new_tokens=20)
    ```

    Raises:
        ValueError: If a layer of `core` does not return sequences alone, sees what
            follows, or mixes the documents of a packed row, or an argument is wrong.
    """
    check_instance("tokenizer", tokenizer, Tokenizer)
    width = check_integer("width", width)
    dropout = check_rate("dropout", dropout)
    tie_embeddings = check_boolean("tie_embeddings", tie_embeddings)
    packed = check_boolean("packed", packed)
    size = tokenizer.vocabulary_size()
    layers = list_layers(core)

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    segment_ids = keras.Input((None,), dtype="int32", name="segment_ids", optional=True)
    calls, units = [], width
    for layer in layers:
        arguments, takes_segments, units = causal_arguments(layer, units, packed)
        segments = {"segment_ids": segment_ids} if takes_segments else {}
        calls.append({**arguments, **segments})
    if tie_embeddings and units != width:
        raise ValueError(
            "With `tie_embeddings=True` the outputs of `core` must have `width` "
            f"features. Received: width={width}, and a core of {units} features"
        )
    logits = classify_tokens(
        tokenizer(tokens),
        layers,
        size,
        width,
        size,
        None,
        dropout,
        embeddings_initializer,
        calls,
        tie_embeddings,
        OUTPUT,
    )
    inputs = {"tokens": tokens, "segment_ids": segment_ids} if packed else tokens
    return keras.Model(inputs, logits, name=name)


def bits_by_position(model, dataset):
    """Measures how well a language model predicts, by the position in the context.

    This is `-log2 p` of the right tokens, the mean over a dataset for each position:
    bits per character where tokens are characters. The perplexity is 2 to the power of
    it.

    Args:
        model: A model from `causal_lm`, or one loaded from a file of it.
        dataset: A `tf.data.Dataset` of batches `(inputs, targets, sample_weight)` as of
            `keras_nam.datasets.packed_language_dataset`, all rows of the same length.

    Returns:
        `(bits, weights)`, float64 arrays of shape `(time,)`: the mean for each number
        of tokens that come before the last one read, in the same document where rows
        are packed, and the sum of the weights that it is the mean over. The mean is
        `nan` where there are none.

    Example:

    ```python
    tokenizer = keras_nam.tokenizers.ByteTokenizer()
    core = keras_nam.layers.NAM(8, return_sequences=True)
    model = keras_nam.models.causal_lm(core, tokenizer, 8, packed=True)
    dataset = keras_nam.datasets.packed_language_dataset(
        ["to be or not to be"] * 9, tokenizer, length=32
    )
    bits, weights = keras_nam.models.bits_by_position(model, dataset)
    bits.shape  # (32,)
    total = np.average(bits, weights=weights)  # of an untrained model about 8
    ```

    Raises:
        ValueError: If the model is not from `causal_lm`, or rows differ in length.
    """
    tokenizer_of(model, "causal_lm", OUTPUT)
    takes_segments = isinstance(model.input, dict)
    total, count = np.zeros(0), np.zeros(0)
    for batch in _batches(dataset):
        # Tensors of `tf.data` are those of one backend alone.
        inputs, targets, weights = tree.map_structure(np.asarray, batch)
        segment_ids = inputs["segment_ids"] if isinstance(inputs, dict) else None
        if takes_segments and segment_ids is None:
            inputs = {"tokens": inputs, "segment_ids": None}
        elif not takes_segments and segment_ids is not None:
            inputs = inputs["tokens"]
        logits = model.predict_on_batch(inputs)
        targets, logits, weights = convert_batch(targets, logits, weights)
        nats = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        positions = np.broadcast_to(np.arange(nats.shape[1]), nats.shape)
        if takes_segments and segment_ids is not None:
            starts = ops.convert_to_numpy(starts_of(segment_ids, None))
            first = np.where(starts, positions, 0)
            positions = positions - np.maximum.accumulate(first, axis=1)
        if not len(total):
            total, count = np.zeros(nats.shape[1]), np.zeros(nats.shape[1])
        elif len(total) != nats.shape[1]:
            raise ValueError(
                "All rows of `dataset` must have the same length. "
                f"Received: rows of {len(total)} and of {nats.shape[1]} tokens"
            )
        weights = ops.convert_to_numpy(weights).astype("float64")
        nats = np.where(weights, ops.convert_to_numpy(nats), 0) * weights
        np.add.at(total, positions, nats)
        np.add.at(count, positions, weights)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean / np.log(2), count


def _batches(dataset):
    try:
        iterator = iter(dataset)
    except TypeError:
        iterator = iter(())
    empty = True
    for batch in iterator:
        if not isinstance(batch, tuple) or len(batch) != 3:
            break
        empty = False
        yield batch
    else:
        if not empty:
            return
    raise ValueError(
        "Argument `dataset` must hold batches `(inputs, targets, sample_weight)`. "
        f"Received: dataset={dataset!r:.200}"
    )
