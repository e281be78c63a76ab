"""What encoders share that differ in how they learn the order of their inputs."""

import keras
from keras import activations
from keras import initializers
from keras import ops

from keras_nam.arguments import check_divisible
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_positive
from keras_nam.arguments import check_rate
from keras_nam.layers.attention_masks import clear_masked
from keras_nam.layers.attention_masks import padding_of
from keras_nam.layers.initialization import clone_initializer
from keras_nam.layers.transformer_block import TransformerBlock


class EncoderStack(keras.layers.Layer):
    """Base class: something that knows the order of the inputs, blocks, and a norm.

    Subclasses say what knows the order (`build_order`, `embed_order`), and may choose
    the parts of the blocks (`make_attention`, `make_feedforward`). The blocks normalise
    after each of their parts.

    Args:
        num_layers: Positive integer, the number of blocks.
        num_heads: Positive integer, the number of heads of each block.
        intermediate_dim: Positive integer, the width of the feed-forward parts.
        dropout: Float, the rate of dropout.
        activation: Activation of the feed-forward parts.
        layer_norm_epsilon: Float.
        kernel_initializer: Initializer for the kernels.
        bias_initializer: Initializer for the biases.
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
        self.dropout_layer = keras.layers.Dropout(
            dropout, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, inputs_shape):
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: inputs_shape[-1]})
        shape = self.build_order(inputs_shape)
        width = shape[-1]
        check_divisible("features", width, "num_heads", self.num_heads)
        self.blocks = _Blocks(
            TransformerBlock(
                self.make_attention(width),
                self.make_feedforward(width),
                dropout=self.dropout,
                activation=self.activation,
                layer_norm_epsilon=self.layer_norm_epsilon,
                kernel_initializer=self.kernel_initializer,
                bias_initializer=self.bias_initializer,
                normalize_first=False,
                dtype=self.dtype_policy,
                name=f"block_{i}",
            )
            for i in range(self.num_blocks)
        )
        for block in self.blocks:
            block.build(shape)
        self.output_norm = self.make_output_norm(shape)

    def call(self, inputs, padding_mask=None, training=None, mask=None):
        mask = padding_of(inputs, padding_mask, mask)
        inputs = clear_masked(ops.cast(inputs, self.compute_dtype), mask)
        x = self.embed_order(inputs, mask, training)
        x = self.run_blocks(x, mask, training)
        return x if self.output_norm is None else self.output_norm(x)

    @property
    def num_blocks(self):
        """How many blocks with weights of their own there are."""
        return self.num_layers

    def run_blocks(self, x, mask, training):
        """Returns what the last block makes of the inputs of the first one."""
        for block in self.blocks:
            x = block(x, padding_mask=mask, training=training)
        return x

    def build_order(self, inputs_shape):
        """Builds what `embed_order` uses and returns the shape of its outputs."""
        raise NotImplementedError

    def embed_order(self, inputs, mask, training):
        """Returns the inputs of the first block."""
        raise NotImplementedError

    def make_attention(self, width):
        """Returns the attention of a block."""
        return keras.layers.MultiHeadAttention(**self.attention_arguments(width))

    def make_feedforward(self, width):
        """Returns the feed-forward part of a block: a layer, or its inner width."""
        return self.intermediate_dim

    def attention_arguments(self, width):
        """The arguments of an attention that are those of the stack."""
        return {
            "num_heads": self.num_heads,
            "key_dim": width // self.num_heads,
            "dropout": self.dropout,
            "kernel_initializer": clone_initializer(self.kernel_initializer),
            "bias_initializer": clone_initializer(self.bias_initializer),
            "dtype": self.dtype_policy,
            "name": "attention",
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

    @classmethod
    def from_config(cls, config):
        # Version 0.1 had it, and stored the weights that it made equal.
        return cls(**{k: v for k, v in config.items() if k != "identical_layers"})

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
        }


class _Blocks(keras.layers.Layer):
    """Blocks under the names that they have in files since version 0.1."""

    def __init__(self, blocks):
        super().__init__()
        self.names = []
        for i, block in enumerate(blocks):
            self.names.append("nam_transformer_encoder" + (f"_{i}" if i else ""))
            setattr(self, self.names[-1], block)
        self.built = True

    def __iter__(self):
        return (getattr(self, name) for name in self.names)
