"""I-BERT: a Transformer encoder that learns order from a recurrent layer."""

import keras
from keras import initializers

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_choice
from keras_nam.arguments import check_divisible
from keras_nam.arguments import check_optional_integer
from keras_nam.layers.encoder_stack import EncoderStack
from keras_nam.layers.initialization import DrawnWide
from keras_nam.layers.initialization import clone_initializer
from keras_nam.layers.lsam import LSAM
from keras_nam.layers.lstm import LSTMEncoder
from keras_nam.layers.nam import NAM
from keras_nam.layers.position_embedding import PositionEmbedding

RECURRENT = ("lstm", "gru", "lsam", "nam")
FEEDFORWARD = ("dense", "lstm")


@keras.saving.register_keras_serializable(package="keras_nam")
class IBERTEncoder(EncoderStack):
    """Bidirectional Transformer encoder with a recurrent layer in place of positions.

    The recurrent layer is the only part that knows the order of the inputs, and it has
    no longest length:

        x = dropout(norm(recurrent(inputs)))
        x = norm(x + dropout(attention(x)))                      in each of the blocks
        x = norm(x + dropout(W_2 dropout(relu(W_1 x))))
        outputs = norm(x)

    Padding on either side of a row changes nothing: masked steps leave the recurrent
    states untouched, and are attended by no position.

    Args:
        num_layers: Positive integer, the number of blocks.
        num_heads: Positive integer, the number of heads of each block.
        intermediate_dim: Positive integer, the width of the feed-forward parts.
        recurrent: String, `"lstm"`, `"gru"`, `"lsam"` or `"nam"`, of the width of the
            inputs over both directions, or any layer from `(batch, time, features)` to
            `(batch, time, features)`, which sets the width of the blocks.
        bidirectional: Boolean. Whether the recurrent layer runs in both directions.
            A layer given as `recurrent` is taken as it is.
        max_length: Positive integer, the rows of a table of learned positions that is
            added to the recurrent layer's output: an ablation of the paper, limited to
            that length. `None` means no such table.
        feedforward: String. `"lstm"` puts a bidirectional LSTM in the place of every
            feed-forward part and leaves out the normalisation and the dropout before
            the blocks: the paper's I-BERT2.
        dropout: Float, the rate of dropout.
        activation: Activation of the feed-forward parts.
        layer_norm_epsilon: Float.
        kernel_initializer: Initializer for the kernels.
        recurrent_initializer: Initializer for the recurrent kernels.
        bias_initializer: Initializer for the biases.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        padding_mask: Boolean tensor of shape `(batch, time)`; masked (`False`)
            positions are padding. `None` means the mask of the inputs.
        training: Boolean. Whether dropout is active.
        mask: The implicit mask of the inputs, which Keras passes.

    Returns:
        A tensor of shape `(batch, time, features)`.

    Example:

    ```python
    encoder = keras_nam.layers.IBERTEncoder(2, num_heads=4, intermediate_dim=64)
    encoder(keras.random.normal((2, 100, 32))).shape  # (2, 100, 32)
    ```

    Raises:
        ValueError: If a size is not a positive integer, `recurrent` or `feedforward` is
            unknown, or the width of the inputs cannot be split among heads and
            directions.

    Reference:

    - [I-BERT](https://arxiv.org/abs/2006.10220)
    """

    def __init__(
        self,
        num_layers,
        num_heads,
        intermediate_dim,
        recurrent="lstm",
        bidirectional=True,
        max_length=None,
        feedforward="dense",
        dropout=0.0,
        activation="relu",
        layer_norm_epsilon=1e-5,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        **kwargs,
    ):
        if isinstance(recurrent, dict):
            recurrent = keras.saving.deserialize_keras_object(recurrent)
        if not isinstance(recurrent, keras.layers.Layer):
            check_choice("recurrent", recurrent, RECURRENT, " or a layer")
        check_choice("feedforward", feedforward, FEEDFORWARD)
        max_length = check_optional_integer("max_length", max_length)
        super().__init__(
            num_layers,
            num_heads,
            intermediate_dim,
            dropout=dropout,
            activation=activation,
            layer_norm_epsilon=layer_norm_epsilon,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            **kwargs,
        )
        self.recurrent = recurrent
        self.bidirectional = check_boolean("bidirectional", bidirectional)
        self.max_length = max_length
        self.feedforward = feedforward
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.position_embedding = None
        if max_length is not None:
            self.position_embedding = PositionEmbedding(
                max_length, dtype=self.dtype_policy, name="position_embedding"
            )

    def build_order(self, inputs_shape):
        self.recurrent_layer = self._make_recurrent(inputs_shape[-1])
        # A layer from a saved file is built already.
        if not self.recurrent_layer.built:
            self.recurrent_layer.build(inputs_shape)
        shape = self.recurrent_layer.compute_output_shape(inputs_shape)
        if self.position_embedding is not None:
            self.position_embedding.build(shape)
        self.input_norm = None
        if self.feedforward == "dense":
            self.input_norm = self.make_norm("input_norm", shape)
        return shape

    def embed_order(self, inputs, mask, training):
        x = self.recurrent_layer(inputs, mask=mask, training=training)
        if self.position_embedding is not None:
            x = self.position_embedding(x)
        if self.input_norm is None:
            return x
        return self.dropout_layer(self.input_norm(x), training=training)

    def make_feedforward(self, width):
        if self.feedforward == "dense":
            return self.intermediate_dim
        return LSTMEncoder(**self._recurrent_arguments(width, 2))

    def compute_output_shape(self, inputs_shape):
        if isinstance(self.recurrent, keras.layers.Layer):
            return self.recurrent.compute_output_shape(inputs_shape)
        return tuple(inputs_shape)

    def get_config(self):
        recurrent = self.recurrent
        if isinstance(recurrent, keras.layers.Layer):
            recurrent = keras.saving.serialize_keras_object(recurrent)
        return {
            **super().get_config(),
            "recurrent": recurrent,
            "bidirectional": self.bidirectional,
            "max_length": self.max_length,
            "feedforward": self.feedforward,
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
        }

    def _make_recurrent(self, width):
        if isinstance(self.recurrent, keras.layers.Layer):
            return self.recurrent
        arguments = self._recurrent_arguments(width, 2 if self.bidirectional else 1)
        if self.recurrent == "lstm":
            return LSTMEncoder(bidirectional=self.bidirectional, **arguments)
        if self.recurrent == "lsam":
            layer = LSAM(num_heads=self.num_heads, return_sequences=True, **arguments)
        elif self.recurrent == "nam":
            # Nothing is fed back, so there are no recurrent kernels.
            del arguments["recurrent_initializer"]
            layer = NAM(num_heads=self.num_heads, return_sequences=True, **arguments)
        else:
            drawn = DrawnWide(arguments.pop("recurrent_initializer"))
            layer = keras.layers.GRU(
                return_sequences=True, recurrent_initializer=drawn, **arguments
            )
        if self.bidirectional:
            layer = keras.layers.Bidirectional(
                layer, dtype=self.dtype_policy, name="recurrent"
            )
        if self.recurrent == "gru":
            # XLA cannot compile the one of cuDNN; `Bidirectional` makes its own two.
            for gru in (
                getattr(layer, "forward_layer", layer),
                getattr(layer, "backward_layer", layer),
            ):
                gru.use_cudnn = False
        return layer

    def _recurrent_arguments(self, width, directions):
        check_divisible("features", width, "directions", directions)
        return {
            "units": width // directions,
            "kernel_initializer": clone_initializer(self.kernel_initializer),
            "recurrent_initializer": clone_initializer(self.recurrent_initializer),
            "bias_initializer": clone_initializer(self.bias_initializer),
            "dtype": self.dtype_policy,
            "name": "recurrent",
        }
