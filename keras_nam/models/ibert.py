"""I-BERT as a model of tokens."""

import keras

from keras_nam.arguments import check_integer
from keras_nam.layers.ibert import IBERTEncoder
from keras_nam.models.sizes import get_size
from keras_nam.models.token_tagger import token_tagger


def ibert_tagger(
    vocabulary_size=16,
    size="tiny",
    width=None,
    num_heads=None,
    num_layers=None,
    intermediate_dim=2048,
    mask_token=None,
    dropout=0.1,
    name="ibert_tagger",
    **kwargs,
):
    """Builds the I-BERT of the paper as a functional model that classifies tokens.

    Args:
        vocabulary_size: Positive integer, the number of tokens.
        size: String, one of `"tiny"`, `"mini"`, `"small"`, `"medium"` and `"base"`,
            which sets what is `None` below.
        width: Positive integer, the width of embedding and encoder.
        num_heads: Positive integer, the number of heads.
        num_layers: Positive integer, the number of blocks.
        intermediate_dim: Positive integer, the width of the feed-forward parts.
        mask_token: Integer, the token that is padding and is skipped. `None`, as in
            the paper, means that padding is read like any other token.
        dropout: Float, the rate of dropout.
        name: String, the name of the model.
        **kwargs: Further arguments of `keras_nam.layers.IBERTEncoder`.

    Returns:
        A `keras.Model` from integer tokens of shape `(batch, time)`, of any length, to
        float32 logits of shape `(batch, time, vocabulary_size)`.

    Example:

    ```python
    model = keras_nam.models.ibert_tagger(width=64, intermediate_dim=128)
    model(np.array([[10, 1, 2, 3, 10]])).shape  # (1, 5, 16)
    ```

    Raises:
        ValueError: If a size is not a positive integer, or `size` is unknown.

    Reference:

    - [I-BERT](https://arxiv.org/abs/2006.10220)
    """
    paper_width, heads, layers = get_size(size)
    width = check_integer("width", paper_width if width is None else width)
    encoder = IBERTEncoder(
        num_layers=layers if num_layers is None else num_layers,
        num_heads=heads if num_heads is None else num_heads,
        intermediate_dim=intermediate_dim,
        dropout=dropout,
        name="encoder",
        **kwargs,
    )
    return token_tagger(
        [encoder, keras.layers.ReLU(name="output_relu")],
        vocabulary_size,
        width,
        mask_token=mask_token,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
        name=name,
    )
