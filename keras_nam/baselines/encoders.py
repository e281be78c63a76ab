"""I-BERT and what it is compared with, by name."""

from keras_nam.arguments import check_choice
from keras_nam.baselines.convolutional import ConvolutionalEncoder
from keras_nam.baselines.lstm import LSTMAttentionEncoder
from keras_nam.baselines.lstm import LSTMStack
from keras_nam.baselines.transformer import TransformerEncoder
from keras_nam.baselines.transformer import XLNetEncoder
from keras_nam.baselines.universal_transformer import UniversalTransformerEncoder
from keras_nam.layers.ibert import IBERTEncoder

# From names to layers, and the arguments that tell them apart.
ENCODERS = {
    "ibert": (IBERTEncoder, {}),
    "ibert_unidirectional": (IBERTEncoder, {"bidirectional": False}),
    "ibert_gru": (IBERTEncoder, {"recurrent": "gru"}),
    "ibert_lsam": (IBERTEncoder, {"recurrent": "lsam"}),
    "ibert_nam": (IBERTEncoder, {"recurrent": "nam"}),
    "ibert_positions": (IBERTEncoder, {"max_length": 512}),
    "ibert2": (IBERTEncoder, {"feedforward": "lstm"}),
    "learned": (TransformerEncoder, {"positions": "learned"}),
    "sinusoid": (TransformerEncoder, {"positions": "sinusoid"}),
    "rotary": (TransformerEncoder, {"positions": "rotary"}),
    "alibi": (TransformerEncoder, {"positions": "alibi"}),
    "no_positions": (TransformerEncoder, {"positions": None}),
    "xlnet": (XLNetEncoder, {}),
    "universal": (UniversalTransformerEncoder, {}),
    "lstm_attention": (LSTMAttentionEncoder, {}),
    "lstm": (LSTMStack, {}),
    "cnn": (ConvolutionalEncoder, {}),
}


def make_encoder(name, num_layers, num_heads, intermediate_dim, dropout=0.1):
    """Makes I-BERT or one of the models it is compared with.

    Every encoder maps `(batch, time, features)` to `(batch, time, features)` and
    serves as the `core` of the builders in `keras_nam.models`.

    Args:
        name: String, one of `keras_nam.baselines.ENCODERS`.
        num_layers: Positive integer, the number of blocks. The LSTMs and the
            convolutions have a fixed number of layers, as in the paper.
        num_heads: Positive integer, the number of heads of each block.
        intermediate_dim: Positive integer, the width of the feed-forward parts.
        dropout: Float, the rate of dropout.

    Returns:
        A layer.

    Example:

    ```python
    core = keras_nam.baselines.make_encoder("ibert", 2, 4, 64)
    model = keras_nam.models.token_tagger(core, vocabulary_size=16, width=32)
    model(np.array([[10, 1, 2, 3, 10]])).shape  # (1, 5, 16)
    ```

    Raises:
        ValueError: If there is no encoder of that name.
    """
    check_choice("name", name, ENCODERS)
    encoder, arguments = ENCODERS[name]
    if not issubclass(encoder, (IBERTEncoder, TransformerEncoder)):
        return encoder(dropout=dropout, name=name, **arguments)
    return encoder(
        num_layers, num_heads, intermediate_dim, dropout=dropout, name=name, **arguments
    )
