"""The paper's sequence model with a NAM Turing machine."""

import keras

from keras_nam.arguments import check_integer
from keras_nam.arguments import check_rate
from keras_nam.layers.embedding import TokenEmbedding
from keras_nam.layers.namtm import NAMTM
from keras_nam.models.sizes import get_size

EPSILON = 1e-5


def namtm_tagger(
    vocabulary_size=16,
    size="tiny",
    width=None,
    num_tapes=None,
    tape_length=32,
    tape_dim=None,
    use_jump=True,
    use_shift=True,
    use_erase=True,
    use_gates=True,
    mask_token=None,
    embedding_dropout=0.2,
    dropout=0.1,
    name="namtm_tagger",
    sharpness=1.0,
    sharpen_training=False,
    num_layers=1,
    stay_bias=0.0,
):
    """Builds the NAM-TM sequence model of the paper as a functional model.

    The tokens are embedded, projected and normalised, run through one `NAMTM` layer,
    normalised again, and mapped to logits after a ReLU. There is no residual
    connection: all that reaches an output has been read from a tape.

    The controller of a layer sees its inputs, and never what the layer reads. With
    `num_layers=2`, that of a second layer sees what the first one read, so that the
    machine can do what depends on it, as to hand on a carry; what it reads itself is
    added to that: `x + NAMTM(norm(x))`.

    Args:
        vocabulary_size: Positive integer, the number of tokens.
        size: String, one of `"tiny"`, `"mini"`, `"small"`, `"medium"` and `"base"`,
            which sets what is `None` below.
        width: Positive integer. In the paper, twice the width of the size.
        num_tapes: Positive integer. In the paper, the number of heads of the size.
        tape_length: Positive integer, or `None` for a tape as long as the sequence.
        tape_dim: Positive integer. `None` means `width // num_tapes`.
        use_jump, use_shift, use_erase, use_gates: Booleans, see
            `keras_nam.layers.NAMTM`.
        mask_token: Integer, the token that is padding and is skipped. `None`, as in
            the paper, means that padding is read like any other token.
        embedding_dropout: Float, the rate of dropout after the first projection.
        dropout: Float, the rate of dropout before the ReLU.
        name: String, the name of the model.
        sharpness: Positive number, how sharp the heads are outside of training, see
            `keras_nam.layers.NAMTM`. 1, as in the paper, leaves them as they are.
        sharpen_training: Boolean. Whether `sharpness` acts in training as well.
        num_layers: Positive integer, the number of `NAMTM` layers. In the paper 1.
        stay_bias: Number that is added at the start to the biases of staying, see
            `keras_nam.layers.NAMTM`. In the paper 0.

    Returns:
        A `keras.Model` from integer tokens of shape `(batch, time)`, of any length, to
        float32 logits of shape `(batch, time, vocabulary_size)`.

    Example:

    ```python
    model = keras_nam.models.namtm_tagger(width=128, num_tapes=2)
    model(np.array([[10, 1, 2, 3, 10]])).shape  # (1, 5, 16)
    ```

    Raises:
        ValueError: If an argument is wrong.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """
    paper_width, heads, _ = get_size(size)
    vocabulary_size = check_integer("vocabulary_size", vocabulary_size)
    width = check_integer("width", 2 * paper_width if width is None else width)
    embedding_dropout = check_rate("embedding_dropout", embedding_dropout)
    dropout = check_rate("dropout", dropout)
    num_layers = check_integer("num_layers", num_layers)

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = TokenEmbedding(
        vocabulary_size,
        width,
        mask_token,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
        name="embedding",
    )(tokens)
    x = keras.layers.Dense(width, name="projection")(x)
    x = keras.layers.Dropout(embedding_dropout, name="embedding_dropout")(x)
    for number in range(1, num_layers + 1):
        suffix = f"_{number}" if number > 1 else ""
        machine = NAMTM(
            width,
            num_tapes=heads if num_tapes is None else num_tapes,
            tape_length=tape_length,
            tape_dim=tape_dim,
            use_jump=use_jump,
            use_shift=use_shift,
            use_erase=use_erase,
            use_gates=use_gates,
            sharpness=sharpness,
            sharpen_training=sharpen_training,
            stay_bias=stay_bias,
            return_sequences=True,
            name=f"namtm{suffix}",
        )
        norm = keras.layers.LayerNormalization(
            epsilon=EPSILON, name=f"input_norm{suffix}"
        )
        read = machine(norm(x))
        x = read if number == 1 else keras.layers.Add(name=f"add{suffix}")([x, read])
    x = keras.layers.LayerNormalization(epsilon=EPSILON, name="output_norm")(x)
    x = keras.layers.Dropout(dropout, name="output_dropout")(x)
    x = keras.layers.ReLU(name="relu")(x)
    logits = keras.layers.Dense(vocabulary_size, dtype="float32", name="logits")(x)
    return keras.Model(tokens, logits, name=name)
