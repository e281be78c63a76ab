"""The paper's sequence model with long short-term attention memories."""

import keras
from keras import ops

from keras_nam.arguments import check_integer
from keras_nam.arguments import check_rate
from keras_nam.layers.embedding import TokenEmbedding
from keras_nam.layers.lsam import LSAM
from keras_nam.models.sizes import get_size

EPSILON = 1e-5


def lsam_tagger(
    vocabulary_size=16,
    size="tiny",
    width=None,
    num_heads=None,
    intermediate_dim=2048,
    mask_token=None,
    dropout=0.1,
    name="lsam_tagger",
):
    """Builds the LSAM sequence model of the paper as a functional model.

    A bidirectional encoder writes the sequence to its memories and hands them to a
    decoder, which starts from them and runs over the encoder's output.

    Args:
        vocabulary_size: Positive integer, the number of tokens.
        size: String, one of `"tiny"`, `"mini"`, `"small"`, `"medium"` and `"base"`,
            which sets what is `None` below.
        width: Positive even integer. In the paper, twice the width of the size.
        num_heads: Positive even integer. In the paper, the heads of the size.
        intermediate_dim: Positive integer, the width of the encoder's feed-forward
            part.
        mask_token: Integer, the token that is padding and is skipped. `None`, as in
            the paper, means that padding is read like any other token.
        dropout: Float, the rate of dropout.
        name: String, the name of the model.

    Returns:
        A `keras.Model` from integer tokens of shape `(batch, time)`, of any length, to
        float32 logits of shape `(batch, time, vocabulary_size)`.

    Example:

    ```python
    model = keras_nam.models.lsam_tagger(width=64, num_heads=2, intermediate_dim=128)
    model(np.array([[10, 1, 2, 3, 10]])).shape  # (1, 5, 16)
    ```

    Raises:
        ValueError: If width or heads cannot be split between the two directions.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    paper_width, heads, _ = get_size(size)
    vocabulary_size = check_integer("vocabulary_size", vocabulary_size)
    width = check_integer("width", 2 * paper_width if width is None else width)
    num_heads = check_integer("num_heads", heads if num_heads is None else num_heads)
    intermediate_dim = check_integer("intermediate_dim", intermediate_dim)
    dropout = check_rate("dropout", dropout)

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = TokenEmbedding(
        vocabulary_size,
        width,
        mask_token,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
        name="embedding",
    )(tokens)
    x, memory = lsam_encoder(x, width, num_heads, intermediate_dim, dropout)
    x = lsam_decoder(x, memory, width, num_heads, dropout)
    logits = keras.layers.Dense(vocabulary_size, dtype="float32", name="logits")(x)
    return keras.Model(tokens, logits, name=name)


def lsam_encoder(x, width, num_heads, intermediate_dim, dropout=0.0):
    """Applies the encoder layer to `x`, `(batch, time, width)`.

    Returns:
        `(outputs, memory)`: `(batch, time, width)`, and the memories of both
        directions side by side, `(batch, num_heads, dim, dim)`.
    """
    y, memory = bidirectional_lsam(x, width, num_heads, dropout)
    y = keras.layers.Dropout(dropout, name="memory_dropout")(y)
    x = keras.layers.Add(name="memory_residual")([x, y])
    y = keras.layers.Dense(intermediate_dim, "relu", name="intermediate")(x)
    y = keras.layers.Dropout(dropout, name="intermediate_dropout")(y)
    y = keras.layers.Dense(width, name="feedforward")(y)
    y = keras.layers.Dropout(dropout, name="feedforward_dropout")(y)
    x = keras.layers.Add(name="feedforward_residual")([x, y])
    x = keras.layers.LayerNormalization(epsilon=EPSILON, name="encoder_norm")(x)
    return x, memory


def bidirectional_lsam(x, width, num_heads, dropout=0.0):
    """Applies an LSAM in either direction, of half the width and heads each."""
    if width % 2 or num_heads % 2:
        raise ValueError(
            "Arguments `width` and `num_heads` must be even: each direction takes "
            f"half of them. Received: width={width}, num_heads={num_heads}"
        )
    outputs, _, forward_memory, _, backward_memory = keras.layers.Bidirectional(
        LSAM(
            width // 2,
            num_heads=num_heads // 2,
            return_sequences=True,
            return_state=True,
        ),
        name="encoder",
    )(x)
    y = keras.layers.Dense(width, name="encoder_output")(outputs)
    y = keras.layers.Dropout(dropout, name="encoder_dropout")(y)
    y = keras.layers.ReLU(name="encoder_relu")(y)
    return y, ops.concatenate([forward_memory, backward_memory], axis=1)


def lsam_decoder(x, memory, width, num_heads, dropout=0.0):
    """Applies the decoder to `x`, starting from the encoder's memory."""
    x = LSAM(width, num_heads=num_heads, return_sequences=True, name="decoder")(
        x, initial_state=memory
    )
    x = keras.layers.Dense(width, name="decoder_output")(x)
    x = keras.layers.Dropout(dropout, name="decoder_dropout")(x)
    x = keras.layers.ReLU(name="decoder_relu")(x)
    return keras.layers.LayerNormalization(epsilon=EPSILON, name="decoder_norm")(x)
