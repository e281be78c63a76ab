"""Transformer encoders that learn order from positions."""

import keras

from keras_nam.arguments import check_absent
from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integer
from keras_nam.baselines.alibi_attention import ALiBiAttention
from keras_nam.baselines.rotary_attention import RotaryAttention
from keras_nam.baselines.xlnet_attention import XLNetAttention
from keras_nam.layers.encoder_stack import EncoderStack
from keras_nam.layers.position_embedding import PositionEmbedding

ATTENTIONS = {"rotary": RotaryAttention, "alibi": ALiBiAttention}
POSITIONS = ("learned", "sinusoid", *ATTENTIONS, None)


@keras.saving.register_keras_serializable(package="keras_nam")
class TransformerEncoder(EncoderStack):
    """BERT-like Transformer encoder, with the positions of your choice.

        x = inputs + positions
        x = norm(x + dropout(attention(x)))                      in each of the blocks
        x = norm(x + dropout(W_2 dropout(relu(W_1 x))))
        outputs = norm(x)

    Args:
        num_layers: Positive integer, the number of blocks.
        num_heads: Positive integer, the number of heads of each block.
        intermediate_dim: Positive integer, the width of the feed-forward parts.
        positions: `"learned"` is a table that is added to the inputs and ends at
            `max_length`, `"sinusoid"` adds sinusoids, `"rotary"` turns queries and
            keys, `"alibi"` lets attention fade with distance, and with `None` the
            encoder does not know the order of its inputs.
        max_length: Positive integer, the rows of the learned table.
        **kwargs: Further arguments of the blocks, as for `IBERTEncoder`.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        padding_mask: Boolean tensor of shape `(batch, time)`; masked (`False`)
            positions are padding. `None` means the mask of the inputs.
        training: Boolean. Whether dropout is active.
        mask: The implicit mask of the inputs, which Keras passes.

    Returns:
        A tensor of the shape of `inputs`.

    Example:

    ```python
    encoder = keras_nam.baselines.TransformerEncoder(2, 4, 64, positions="rotary")
    encoder(keras.random.normal((2, 100, 32))).shape  # (2, 100, 32)
    ```

    Raises:
        ValueError: If a size is not a positive integer, `positions` is unknown, or the
            inputs are known to be longer than the learned table.

    Reference:

    - [I-BERT](https://arxiv.org/abs/2006.10220), which compares with these
    """

    def __init__(
        self,
        num_layers,
        num_heads,
        intermediate_dim,
        positions="learned",
        max_length=512,
        **kwargs,
    ):
        check_choice("positions", positions, POSITIONS)
        max_length = check_integer("max_length", max_length)
        super().__init__(num_layers, num_heads, intermediate_dim, **kwargs)
        self.positions = positions
        self.max_length = max_length
        self.position_embedding = None
        if positions in ("learned", "sinusoid"):
            self.position_embedding = PositionEmbedding(
                max_length if positions == "learned" else None,
                dtype=self.dtype_policy,
                name="position_embedding",
            )

    def build_order(self, inputs_shape):
        if self.position_embedding is not None:
            self.position_embedding.build(inputs_shape)
        return inputs_shape

    def embed_order(self, inputs, mask, training):
        if self.position_embedding is not None:
            inputs = self.position_embedding(inputs)
        return self.dropout_layer(inputs, training=training)

    def make_attention(self, width):
        attention = ATTENTIONS.get(self.positions, keras.layers.MultiHeadAttention)
        return attention(**self.attention_arguments(width))

    def get_config(self):
        return {
            **super().get_config(),
            "positions": self.positions,
            "max_length": self.max_length,
        }


@keras.saving.register_keras_serializable(package="keras_nam")
class XLNetEncoder(TransformerEncoder):
    """XLNet-like Transformer encoder: attention knows distances, see `XLNetAttention`.

        x = norm(x + dropout(norm(x + attention(x))))            in each of the blocks
        x = norm(x + dropout(W_2 dropout(gelu(W_1 x))))

    Args:
        num_layers: Positive integer, the number of blocks.
        num_heads: Positive integer, the number of heads of each block.
        intermediate_dim: Positive integer, the width of the feed-forward parts.
        activation: Activation of the feed-forward parts.
        **kwargs: Further arguments of the blocks, as for `IBERTEncoder`.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        padding_mask: Boolean tensor of shape `(batch, time)`.
        training: Boolean. Whether dropout is active.

    Returns:
        A tensor of the shape of `inputs`.

    Example:

    ```python
    encoder = keras_nam.baselines.XLNetEncoder(2, num_heads=4, intermediate_dim=64)
    encoder(keras.random.normal((2, 100, 32))).shape  # (2, 100, 32)
    ```

    Reference:

    - [I-BERT](https://arxiv.org/abs/2006.10220), which compares with this
    """

    def __init__(
        self, num_layers, num_heads, intermediate_dim, activation="gelu", **kwargs
    ):
        absent = ("positions", "max_length")
        check_absent(kwargs, absent, "Positions are relative here")
        super().__init__(
            num_layers,
            num_heads,
            intermediate_dim,
            activation=activation,
            positions=None,
            **kwargs,
        )

    def make_attention(self, width):
        return XLNetAttention(
            layer_norm_epsilon=self.layer_norm_epsilon,
            **self.attention_arguments(width),
        )

    def make_output_norm(self, shape):
        return None

    def get_config(self):
        config = super().get_config()
        del config["positions"], config["max_length"]
        return config
