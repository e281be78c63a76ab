"""Tokens in, one class out: of a sequence, or of a pair of sequences."""

import keras

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_rate
from keras_nam.layers.embedding import TokenEmbedding
from keras_nam.layers.pooling import ClassToken
from keras_nam.layers.pooling import MeanPooling
from keras_nam.layers.position_embedding import PositionEmbedding
from keras_nam.models.core import list_layers

POOLINGS = ("mean", "cls")
POSITIONS = ("sinusoidal", "learned", None)
EPSILON = 1e-6


def sequence_classifier(
    core,
    vocabulary_size,
    width,
    num_classes,
    pooling="mean",
    positions="sinusoidal",
    max_length=None,
    mask_token=None,
    head_dim=None,
    dropout=0.0,
    name=None,
):
    """Builds a functional model that classifies a sequence of tokens.

    The model embeds the tokens, adds positions, runs `core`, normalises, pools, and
    maps the pooled vector over a hidden layer with relu to logits.

    Args:
        core: A layer or a list of layers that map `(batch, time, width)` to
            `(batch, time, features)`: any of this package or of Keras, for example
            `NAMTransformerEncoder` blocks. Recurrent layers need
            `return_sequences=True`.
        vocabulary_size: Positive integer, the number of tokens.
        width: Positive integer, the width of the embedding.
        num_classes: Positive integer.
        pooling: String. `"mean"` over the tokens that are not padding, or `"cls"`, what
            `core` gives for a learned token in front, which has to see what follows.
        positions: String or `None`. `"sinusoidal"` for any length, `"learned"` for up
            to `max_length` tokens, `None` for cores that know the order by themselves.
        max_length: Positive integer, for `positions="learned"`.
        mask_token: Integer, the token that is padding. `None` means that padding is
            read like any other token.
        head_dim: Positive integer, the width of the hidden layer. `None` means
            `width`.
        dropout: Float, the rate of dropout after the embedding.
        name: String, the name of the model.

    Returns:
        A `keras.Model` from integer tokens of shape `(batch, time)` to float32 logits
        of shape `(batch, num_classes)`.

    Example:

    ```python
    blocks = [keras_nam.layers.NAMTransformerEncoder(64, num_heads=4) for _ in "12"]
    model = keras_nam.models.sequence_classifier(blocks, 256, 32, num_classes=10)
    model(np.zeros((2, 100), "int32")).shape  # (2, 10)
    ```

    Raises:
        ValueError: If a size is not a positive integer, `pooling` or `positions` is
            unknown, or a layer of `core` does not return sequences alone.
    """
    vocabulary = vocabulary_size, width, mask_token, dropout
    encode = _encoder(core, *vocabulary, pooling, positions, max_length)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    logits = _head(encode(tokens), width if head_dim is None else head_dim, num_classes)
    return keras.Model(tokens, logits, name=name)


def matching_classifier(
    core,
    vocabulary_size,
    width,
    num_classes=2,
    pooling="mean",
    positions="sinusoidal",
    max_length=None,
    mask_token=None,
    head_dim=None,
    dropout=0.0,
    name=None,
):
    """Builds a functional model that classifies a pair of sequences of tokens.

    Both go through one encoder, as in `sequence_classifier`, to vectors `a` and `b`;
    the hidden layer sees `[a, b, a * b, a - b]`.

    Args:
        core, vocabulary_size, width, num_classes, pooling, positions, max_length,
        mask_token, head_dim, dropout, name: As in `sequence_classifier`.

    Returns:
        A `keras.Model` from two tensors of integer tokens, named `"first"` and
        `"second"`, each of shape `(batch, time)`, to float32 logits of shape
        `(batch, num_classes)`.

    Example:

    ```python
    block = keras_nam.layers.NAMTransformerEncoder(64, num_heads=4)
    model = keras_nam.models.matching_classifier(block, 256, 32)
    texts = np.zeros((2, 100), "int32")
    model([texts, texts]).shape  # (2, 2)
    ```

    Raises:
        ValueError: As `sequence_classifier`.
    """
    vocabulary = vocabulary_size, width, mask_token, dropout
    encode = _encoder(core, *vocabulary, pooling, positions, max_length)
    texts = [keras.Input((None,), dtype="int32", name=n) for n in ("first", "second")]
    first, second = (encode(text) for text in texts)
    pair = keras.layers.Concatenate(name="pair")(
        [first, second, first * second, first - second]
    )
    logits = _head(pair, width if head_dim is None else head_dim, num_classes)
    return keras.Model(texts, logits, name=name)


def _encoder(
    core, vocabulary_size, width, mask_token, dropout, pooling, positions, max_length
):
    """A function from tokens to one vector, on one set of layers."""
    vocabulary_size = check_integer("vocabulary_size", vocabulary_size)
    width = check_integer("width", width)
    dropout = check_rate("dropout", dropout)
    check_choice("pooling", pooling, POOLINGS)
    check_choice("positions", positions, POSITIONS)
    max_length = check_optional_integer("max_length", max_length)
    if (positions == "learned") != (max_length is not None):
        raise ValueError(
            "Argument `max_length` must be given with `positions='learned'`, and only "
            f"then. Received: positions={positions}, max_length={max_length}"
        )
    layers = [
        TokenEmbedding(
            vocabulary_size,
            width,
            mask_token,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="embedding",
        )
    ]
    if pooling == "cls":
        layers.append(ClassToken(name="class_token"))
    if positions is not None:
        if pooling == "cls" and max_length is not None:
            max_length += 1
        layers.append(PositionEmbedding(max_length, name="positions"))
    if dropout:
        layers.append(keras.layers.Dropout(dropout, name="embedding_dropout"))
    layers += list_layers(core)
    layers.append(keras.layers.LayerNormalization(epsilon=EPSILON, name="norm"))
    mean = MeanPooling(name="pooling")

    def encode(x):
        for layer in layers:
            x = layer(x)
        return x[:, 0] if pooling == "cls" else mean(x)

    return encode


def _head(x, head_dim, num_classes):
    head_dim = check_integer("head_dim", head_dim)
    num_classes = check_integer("num_classes", num_classes)
    x = keras.layers.Dense(head_dim, "relu", name="head")(x)
    return keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
