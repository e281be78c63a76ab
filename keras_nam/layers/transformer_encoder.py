"""One block of a Transformer encoder with a memory in place of softmax attention."""

import keras
from keras import activations
from keras import initializers
from keras import ops

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_choice
from keras_nam.arguments import check_divisible
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_positive
from keras_nam.arguments import check_rank
from keras_nam.arguments import check_rate
from keras_nam.layers.attention import NAMAttention
from keras_nam.layers.attention_masks import clear_masked
from keras_nam.layers.initialization import clone_initializer
from keras_nam.layers.linear_attention import LinearAttention
from keras_nam.layers.streaming import streaming

ATTENTIONS = ("nam", "softmax", "linear")


@keras.saving.register_keras_serializable(package="keras_nam")
class NAMTransformerEncoder(keras.layers.Layer):
    """Transformer encoder block with neural attention memory.

    With the layer normalisation first, as in the paper,

        a = x + dropout(NAM(norm(x)))
        y = a + dropout(W_2 dropout(gelu(W_1 norm(a))))

    and with `normalize_first=False`, `a = norm(x + ...)` and `y = norm(a + ...)`.
    It is called like keras-hub's `TransformerEncoder`, and `attention` swaps the memory
    for softmax attention or the linear Transformer's in the same block.

    Args:
        intermediate_dim: Positive integer, the width of the feed-forward part.
        num_heads: Positive integer, the number of heads.
        key_dim: Positive integer, the size of queries, keys and values per head.
            `None` means the width of the input divided by `num_heads`.
        attention: String, `"nam"`, `"softmax"` or `"linear"`, or a layer that is called
            like `keras.layers.MultiHeadAttention`.
        use_gates: Boolean, see `NAMAttention`. Only for `attention="nam"`.
        use_erase: Boolean, see `NAMAttention`. Such a block has to be called with
            `use_causal_mask=True`. Only for `attention="nam"`.
        dropout: Float, the rate of dropout.
        activation: Activation of the feed-forward part. `None` means the tanh form of
            gelu.
        layer_norm_epsilon: Float.
        kernel_initializer: Initializer for the kernels.
        bias_initializer: Initializer for the biases.
        normalize_first: Boolean. Whether each part is normalised before or after it.
        use_attention_bias: Boolean. Whether the projections of the attention have
            biases.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        padding_mask: Boolean tensor of shape `(batch, time)`. Masked (`False`)
            positions are seen by no other. `None` means the mask of the inputs.
        use_causal_mask: Boolean. Whether a position sees only those up to it.
        training: Boolean. Whether dropout is active.
        mask: The implicit mask of the inputs, which Keras passes.

    Returns:
        A tensor of the shape of `inputs`.

    Example:

    ```python
    x = keras.random.normal((2, 1000, 32))
    block = keras_nam.layers.NAMTransformerEncoder(intermediate_dim=64, num_heads=4)
    block(x).shape  # (2, 1000, 32)
    ```

    Raises:
        ValueError: If a size is not a positive integer, `attention` is neither known
            nor a layer, or `num_heads` does not divide the width of the input.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        key_dim=None,
        attention="nam",
        use_gates=True,
        use_erase=False,
        dropout=0.0,
        activation=None,
        layer_norm_epsilon=1e-6,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        normalize_first=True,
        use_attention_bias=True,
        **kwargs,
    ):
        intermediate_dim = check_integer("intermediate_dim", intermediate_dim)
        num_heads = check_integer("num_heads", num_heads)
        key_dim = check_optional_integer("key_dim", key_dim)
        dropout = check_rate("dropout", dropout)
        if isinstance(attention, dict):
            attention = keras.saving.deserialize_keras_object(attention)
        if not isinstance(attention, keras.layers.Layer):
            check_choice("attention", attention, ATTENTIONS, " or a layer")
        if check_boolean("use_erase", use_erase) and attention != "nam":
            raise ValueError(
                "Only a memory can erase: `use_erase=True` needs `attention='nam'`. "
                f"Received: attention={attention}"
            )
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.attention = attention
        self.use_gates = check_boolean("use_gates", use_gates)
        self.use_erase = use_erase
        self.dropout = dropout
        self.activation = activations.get(_gelu if activation is None else activation)
        self.layer_norm_epsilon = check_positive(
            "layer_norm_epsilon", layer_norm_epsilon
        )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.normalize_first = check_boolean("normalize_first", normalize_first)
        self.use_attention_bias = check_boolean(
            "use_attention_bias", use_attention_bias
        )

    def build(self, inputs_shape):
        width = inputs_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: width})
        if self.key_dim is None and isinstance(self.attention, str):
            check_divisible("features", width, "num_heads", self.num_heads)
        self.attention_layer = self._make_attention(
            self.key_dim or width // self.num_heads
        )
        self.attention_layer.build(inputs_shape, inputs_shape)
        self.attention_norm = self._norm("attention_norm", inputs_shape)
        self.feedforward_norm = self._norm("feedforward_norm", inputs_shape)
        self._build_feedforward(inputs_shape)
        self.dropout_layer = keras.layers.Dropout(
            self.dropout, dtype=self.dtype_policy, name="dropout"
        )

    def call(
        self,
        inputs,
        padding_mask=None,
        use_causal_mask=False,
        training=None,
        mask=None,
    ):
        check_rank("inputs", inputs, 3, "(batch, time, features)")
        padding_mask = mask if padding_mask is None else padding_mask
        return self._run(
            self.attention_layer, inputs, padding_mask, use_causal_mask, training
        )

    def initial_stream_state(self, batch_size):
        return streaming(self.attention_layer).initial_stream_state(batch_size)

    def stream(
        self,
        inputs,
        padding_mask=None,
        use_causal_mask=False,
        training=None,
        mask=None,
        *,
        state,
    ):
        padding_mask = mask if padding_mask is None else padding_mask
        after = []

        def attention(*args, **kwargs):
            outputs, new_state = streaming(self.attention_layer).stream(
                *args, **kwargs, state=state
            )
            after.extend(new_state)
            return outputs

        outputs = self._run(attention, inputs, padding_mask, use_causal_mask, training)
        return outputs, after

    def _run(self, attention, inputs, padding_mask, use_causal_mask, training):
        # Past the normalisations, what stands under the mask would be in the gradients.
        inputs = clear_masked(inputs, padding_mask)

        def attend(x):
            x = attention(
                x,
                x,
                value_mask=padding_mask,
                key_mask=padding_mask,
                query_mask=padding_mask,
                use_causal_mask=use_causal_mask,
                training=training,
            )
            return self.dropout_layer(x, training=training)

        def feed_forward(x):
            x = self._feed_forward(x, padding_mask, training)
            return self.dropout_layer(x, training=training)

        x = self._residual(inputs, attend, self.attention_norm)
        return self._residual(x, feed_forward, self.feedforward_norm)

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "attention": (
                self.attention
                if isinstance(self.attention, str)
                else keras.saving.serialize_keras_object(self.attention)
            ),
            "use_gates": self.use_gates,
            "use_erase": self.use_erase,
            "dropout": self.dropout,
            "activation": activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "normalize_first": self.normalize_first,
            "use_attention_bias": self.use_attention_bias,
        }

    def _residual(self, x, part, norm):
        if self.normalize_first:
            return x + part(norm(x))
        return norm(x + part(x))

    def _build_feedforward(self, inputs_shape):
        self.intermediate_dense = self._dense("intermediate", self.intermediate_dim)
        self.intermediate_dense.build(inputs_shape)
        self.output_dense = self._dense("output", inputs_shape[-1])
        self.output_dense.build((*inputs_shape[:-1], self.intermediate_dim))

    def _feed_forward(self, x, padding_mask, training):
        x = self.activation(self.intermediate_dense(x))
        return self.output_dense(self.dropout_layer(x, training=training))

    def _make_attention(self, key_dim):
        if not isinstance(self.attention, str):
            return self.attention
        arguments = {
            "num_heads": self.num_heads,
            "key_dim": key_dim,
            "dropout": self.dropout,
            "use_bias": self.use_attention_bias,
            "kernel_initializer": clone_initializer(self.kernel_initializer),
            "bias_initializer": clone_initializer(self.bias_initializer),
            "dtype": self.dtype_policy,
            "name": "attention",
        }
        if self.attention == "softmax":
            return keras.layers.MultiHeadAttention(**arguments)
        if self.attention == "linear":
            return LinearAttention(**arguments)
        return NAMAttention(
            **arguments, use_gates=self.use_gates, use_erase=self.use_erase
        )

    def _norm(self, name, shape):
        norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )
        norm.build(shape)
        return norm

    def _dense(self, name, units):
        return keras.layers.Dense(
            units,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )


@keras.saving.register_keras_serializable(package="keras_nam", name="gelu_tanh")
def _gelu(x):
    return ops.gelu(x, approximate=True)
