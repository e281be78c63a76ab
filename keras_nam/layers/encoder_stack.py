"""What encoders share that differ in how they learn the order of their inputs."""

import keras
from keras import activations
from keras import initializers

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_positive
from keras_nam.arguments import check_rank
from keras_nam.arguments import check_rate


class EncoderStack(keras.layers.Layer):
    """Base class: something that knows the order of the inputs, blocks, and a norm.

    Subclasses say what knows the order (`build_order`, `embed_order`) and what a block
    is (`make_block`). Blocks normalise after each of their parts.

    Args:
        num_layers: Positive integer, the number of blocks.
        num_heads: Positive integer, the number of heads of each block.
        intermediate_dim: Positive integer, the width of the feed-forward parts.
        dropout: Float, the rate of dropout.
        activation: Activation of the feed-forward parts.
        layer_norm_epsilon: Float.
        kernel_initializer: Initializer for the kernels.
        bias_initializer: Initializer for the biases.
        identical_layers: Boolean. Whether all blocks start from the same weights.
    """

    def __init__(
        self,
        num_layers,
        num_heads,
        intermediate_dim,
        dropout=0.0,
        activation="relu",
        layer_norm_epsilon=1e-5,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        identical_layers=False,
        **kwargs,
    ):
        num_layers = check_integer("num_layers", num_layers)
        num_heads = check_integer("num_heads", num_heads)
        intermediate_dim = check_integer("intermediate_dim", intermediate_dim)
        dropout = check_rate("dropout", dropout)
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.activation = activations.get(activation)
        self.layer_norm_epsilon = check_positive(
            "layer_norm_epsilon", layer_norm_epsilon
        )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.identical_layers = check_boolean("identical_layers", identical_layers)
        self.dropout_layer = keras.layers.Dropout(
            dropout, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, inputs_shape):
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: inputs_shape[-1]})
        shape = self.build_order(inputs_shape)
        self.blocks = [self.make_block(f"block_{i}") for i in range(self.num_layers)]
        for block in self.blocks:
            block.build(shape)
        if self.identical_layers:
            for block in self.blocks[1:]:
                block.set_weights(self.blocks[0].get_weights())
        self.output_norm = self.make_output_norm(shape)

    def call(self, inputs, padding_mask=None, training=None, mask=None):
        check_rank("inputs", inputs, 3, "(batch, time, features)")
        mask = mask if padding_mask is None else padding_mask
        x = self.embed_order(inputs, mask, training)
        for block in self.blocks:
            x = block(x, padding_mask=mask, training=training)
        return x if self.output_norm is None else self.output_norm(x)

    def build_order(self, inputs_shape):
        """Builds what `embed_order` uses and returns the shape of its outputs."""
        raise NotImplementedError

    def embed_order(self, inputs, mask, training):
        """Returns the inputs of the first block."""
        raise NotImplementedError

    def make_block(self, name):
        """Returns a layer that is called like `NAMTransformerEncoder`."""
        raise NotImplementedError

    def block_arguments(self, name):
        """The arguments of a `NAMTransformerEncoder` that are those of the stack."""
        return {
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "activation": self.activation,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "normalize_first": False,
            "dtype": self.dtype_policy,
            "name": name,
        }

    def make_norm(self, name, shape):
        norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )
        norm.build(shape)
        return norm

    def make_output_norm(self, shape):
        return self.make_norm("output_norm", shape)

    def compute_output_shape(self, inputs_shape):
        return tuple(inputs_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
            "activation": activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "identical_layers": self.identical_layers,
        }
