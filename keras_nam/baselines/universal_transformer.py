"""A Transformer whose blocks are one block, applied again and again."""

import keras

from keras_nam.baselines.transformer import XLNetEncoder


@keras.saving.register_keras_serializable(package="keras_nam")
class UniversalTransformerEncoder(XLNetEncoder):
    """Transformer encoder that refines its inputs with one block over and over.

        x = block(x + depth_t)                        for t = 1 ... num_layers
        outputs = norm(x)

    The weights of the block are shared over depth; `depth_t` is a learned vector that
    tells it how far it is. Attention knows distances, see `XLNetAttention`, so that no
    length is too long for it.

    Args:
        num_layers: Positive integer, how often the block is applied.
        num_heads: Positive integer, the number of heads.
        intermediate_dim: Positive integer, the width of the feed-forward part.
        activation: Activation of the feed-forward part.
        **kwargs: Further arguments of the block, as for `IBERTEncoder`.

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
    encoder = keras_nam.baselines.UniversalTransformerEncoder(4, 4, 64)
    encoder(keras.random.normal((2, 100, 32))).shape  # (2, 100, 32)
    ```

    Raises:
        ValueError: If a size is not a positive integer.

    Reference:

    - [Universal Transformers](https://arxiv.org/abs/1807.03819)
    """

    num_blocks = 1

    def __init__(
        self, num_layers, num_heads, intermediate_dim, activation="relu", **kwargs
    ):
        super().__init__(
            num_layers, num_heads, intermediate_dim, activation=activation, **kwargs
        )

    def build(self, inputs_shape):
        super().build(inputs_shape)
        self.depth_embeddings = self.add_weight(
            name="depth_embeddings",
            shape=(self.num_layers, inputs_shape[-1]),
            initializer="zeros",
        )

    def run_blocks(self, x, mask, training):
        (block,) = self.blocks
        for i in range(self.num_layers):
            depth = keras.ops.cast(self.depth_embeddings[i], x.dtype)
            x = block(x + depth, padding_mask=mask, training=training)
        return x

    def make_output_norm(self, shape):
        return self.make_norm("output_norm", shape)
