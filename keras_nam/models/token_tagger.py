"""Tokens in, a class per token out."""

import keras

from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_rate
from keras_nam.layers.embedding import TokenEmbedding
from keras_nam.models.core import list_layers


def token_tagger(
    core,
    vocabulary_size,
    width,
    num_classes=None,
    mask_token=None,
    dropout=0.0,
    embeddings_initializer="uniform",
    name=None,
):
    """Builds a functional model that classifies every token of a sequence.

    The model embeds the tokens, runs `core` and maps its output to logits.

    Args:
        core: A layer or a list of layers that map `(batch, time, features)` to
            `(batch, time, features)`: any of this package or of Keras. Recurrent
            layers need `return_sequences=True`.
        vocabulary_size: Positive integer, the number of tokens.
        width: Positive integer, the width of the embedding.
        num_classes: Positive integer. `None` means `vocabulary_size`.
        mask_token: Integer, the token that is padding and is skipped by layers that
            honour masks. `None` means that padding is read like any other token.
        dropout: Float, the rate of dropout after the embedding and after the core.
        embeddings_initializer: Initializer for the embedding.
        name: String, the name of the model.

    Returns:
        A `keras.Model` from integer tokens of shape `(batch, time)`, of any length, to
        float32 logits of shape `(batch, time, num_classes)`.

    Example:

    ```python
    core = keras_nam.layers.NAMTM(64, num_tapes=2, return_sequences=True)
    model = keras_nam.models.token_tagger(core, vocabulary_size=16, width=64)
    model(np.array([[10, 1, 2, 3, 10]])).shape  # (1, 5, 16)
    ```

    Raises:
        ValueError: If a size is not a positive integer, or a layer of `core` does not
            return sequences alone.
    """
    vocabulary_size = check_integer("vocabulary_size", vocabulary_size)
    width = check_integer("width", width)
    num_classes = check_optional_integer("num_classes", num_classes)
    dropout = check_rate("dropout", dropout)
    layers = list_layers(core)

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    logits = classify_tokens(
        tokens,
        layers,
        vocabulary_size,
        width,
        num_classes or vocabulary_size,
        mask_token,
        dropout,
        embeddings_initializer,
    )
    return keras.Model(tokens, logits, name=name)


def classify_tokens(
    tokens,
    layers,
    vocabulary_size,
    width,
    num_classes,
    mask_token,
    dropout,
    embeddings_initializer,
    calls=None,
    tie_embeddings=False,
    name="logits",
):
    """Maps tokens through an embedding and `layers` to logits of their classes.

    `calls` are the arguments with which each of the layers is called. With
    `tie_embeddings` the classes are the tokens, and the embedding makes the logits.
    """
    embedding = TokenEmbedding(
        vocabulary_size,
        width,
        mask_token,
        embeddings_initializer=embeddings_initializer,
        name="embedding",
    )
    x = embedding(tokens)
    if dropout:
        x = keras.layers.Dropout(dropout, name="embedding_dropout")(x)
    for layer, arguments in zip(layers, calls or [{}] * len(layers), strict=True):
        x = layer(x, **arguments)
    if dropout:
        x = keras.layers.Dropout(dropout, name="core_dropout")(x)
    if tie_embeddings:
        # The layer that is known by this name.
        return keras.layers.Identity(dtype="float32", name=name)(
            embedding(x, reverse=True)
        )
    return keras.layers.Dense(num_classes, dtype="float32", name=name)(x)
