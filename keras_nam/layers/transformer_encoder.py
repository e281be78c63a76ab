"""One block of a Transformer encoder with a memory in place of softmax attention."""

import keras

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_choice
from keras_nam.arguments import check_divisible
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.layers.attention import NAMAttention
from keras_nam.layers.decay import KINDS
from keras_nam.layers.initialization import clone_initializer
from keras_nam.layers.linear_attention import LinearAttention
from keras_nam.layers.transformer_block import TransformerBlock
from keras_nam.layers.transformer_block import restored

ATTENTIONS = ("nam", "softmax", "linear")


@keras.saving.register_keras_serializable(package="keras_nam")
class NAMTransformerEncoder(TransformerBlock):
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
        decay: String, `"head"`, `"channel"` or `None`, see `NAMAttention`. A block that
            forgets has to be called with `use_causal_mask=True`, too. Only for
            `attention="nam"`.
        write_gate: String, see `NAMAttention`.
        erase_gate: String, see `NAMAttention`.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        padding_mask: Boolean tensor of shape `(batch, time)`. Masked (`False`)
            positions are seen by no other. `None` means the mask of the inputs.
        use_causal_mask: Boolean. Whether a position sees only those up to it.
        training: Boolean. Whether dropout is active.
        mask: The implicit mask of the inputs, which Keras passes.
        segment_ids: Integer tensor of shape `(batch, time)`, see `TransformerBlock`.

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
        decay=None,
        write_gate="head",
        erase_gate="head",
        **kwargs,
    ):
        intermediate_dim = check_integer("intermediate_dim", intermediate_dim)
        attention = restored(attention)
        own_attention = isinstance(attention, keras.layers.Layer)
        if not own_attention:
            check_choice("attention", attention, ATTENTIONS, " or a layer")
        if check_boolean("use_erase", use_erase) and attention != "nam":
            raise ValueError(
                "Only a memory can erase: `use_erase=True` needs `attention='nam'`. "
                f"Received: attention={attention}"
            )
        if check_choice("decay", decay, (*KINDS, None)) and attention != "nam":
            raise ValueError(
                "Only a memory can forget: a `decay` needs `attention='nam'`. "
                f"Received: attention={attention}"
            )
        num_heads = check_integer("num_heads", num_heads)
        key_dim = check_optional_integer("key_dim", key_dim)
        super().__init__(
            attention if own_attention else self._make_attention,
            intermediate_dim,
            dropout=dropout,
            activation=activation,
            layer_norm_epsilon=layer_norm_epsilon,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            normalize_first=normalize_first,
            **kwargs,
        )
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.attention = attention
        self.use_gates = check_boolean("use_gates", use_gates)
        self.use_erase = use_erase
        self.use_attention_bias = check_boolean(
            "use_attention_bias", use_attention_bias
        )
        self.decay = decay
        self.write_gate = check_choice("write_gate", write_gate, KINDS)
        self.erase_gate = check_choice("erase_gate", erase_gate, KINDS)

    def get_config(self):
        config = super().get_config()
        if isinstance(self.attention, str):
            config["attention"] = self.attention
        return {
            "intermediate_dim": config.pop("feedforward"),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "use_gates": self.use_gates,
            "use_erase": self.use_erase,
            "use_attention_bias": self.use_attention_bias,
            "decay": self.decay,
            "write_gate": self.write_gate,
            "erase_gate": self.erase_gate,
            **config,
        }

    def _make_attention(self, width):
        if self.key_dim is None:
            check_divisible("features", width, "num_heads", self.num_heads)
        arguments = {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim or width // self.num_heads,
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
            **arguments,
            use_gates=self.use_gates,
            use_erase=self.use_erase,
            decay=self.decay,
            write_gate=self.write_gate,
            erase_gate=self.erase_gate,
        )
