"""Softmax self-attention whose scores may know positions."""

import keras
from keras import initializers
from keras import ops

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_rate
from keras_nam.arguments import check_segment_ids
from keras_nam.arguments import check_shape
from keras_nam.layers.attention_masks import clear_masked
from keras_nam.layers.attention_masks import hide_scores
from keras_nam.layers.attention_masks import source_mask
from keras_nam.layers.initialization import clone_initializer
from keras_nam.ops.segments import sequence_numbers


class PositionAwareAttention(keras.layers.Layer):
    """Base class: softmax self-attention with `scores` of a subclass.

    It is called like `keras.layers.MultiHeadAttention`, with tensors of one shape, and
    without an `attention_mask` or scores to return.

    Args:
        num_heads: Positive integer, the number of heads.
        key_dim: Positive integer, the size of queries, keys and values per head.
        dropout: Float, the rate of dropout on the attention probabilities.
        use_bias: Boolean. Whether the projections have biases.
        kernel_initializer: Initializer for the kernels.
        bias_initializer: Initializer for the biases.

    Call arguments:
        query: Tensor of shape `(batch, time, features)`.
        value: Tensor of the same shape, usually the same tensor.
        key: Tensor of the same shape. `None` means `value`.
        query_mask: Boolean tensor of shape `(batch, time)`. What stands at masked
            (`False`) positions is not read.
        value_mask: Boolean tensor of shape `(batch, time)`. Masked positions are seen
            by no other.
        key_mask: Boolean tensor of shape `(batch, time)`, as `value_mask`: a position
            is seen that neither masks.
        use_causal_mask: Boolean. Whether a position sees only those up to it.
        training: Boolean. Whether dropout is active.
        segment_ids: Integer tensor of shape `(batch, time)`, for rows that hold several
            sequences one after the other, which do not see each other.

    Returns:
        A tensor of shape `(batch, time, features)`.

    Raises:
        ValueError: If an argument is out of range, or a tensor or mask has another
            shape.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        dropout=0.0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        num_heads = check_integer("num_heads", num_heads)
        key_dim = check_integer("key_dim", key_dim)
        dropout = check_rate("dropout", dropout)
        super().__init__(**kwargs)
        self.supports_masking = True
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.dropout = dropout
        self.use_bias = check_boolean("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.dropout_layer = keras.layers.Dropout(
            dropout, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, query_shape, value_shape=None):
        width = query_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: width})
        self.query_dense = self.make_projection("query", width)
        self.key_dense = self.make_projection("key", width)
        self.value_dense = self.make_projection("value", width)
        self.output_dense = self._dense(
            "output", (None, None, self.num_heads, self.key_dim), "btnd,ndf->btf", width
        )

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        use_causal_mask=False,
        training=None,
        segment_ids=None,
    ):
        check_segment_ids(segment_ids, tuple(query.shape[:2]))
        mask = self.seen(query, value_mask, key_mask)
        query, *projected = self.project(query, value, key, query_mask, mask)
        read = self.attend(*projected, mask, use_causal_mask, training, segment_ids)
        return self.combine(query, self.output_dense(read))

    def seen(self, query, value_mask, key_mask):
        """The positions that neither mask hides, or `None` for all."""
        shape = tuple(query.shape[:2])
        return source_mask(shape, None, value_mask=value_mask, key_mask=key_mask)

    def project(self, query, value, key, query_mask, mask):
        """The query without what is masked, and the projections of all three."""
        key = value if key is None else key
        for name, tensor in (("value", value), ("key", key)):
            check_shape(name, tensor, query.shape, "as `query`")
        # A weight of 0 is not enough: what stands under a mask may be infinite or NaN.
        query = clear_masked(query, query_mask, "query_mask")
        key, value = clear_masked(key, mask), clear_masked(value, mask)
        return (
            query,
            self.query_dense(query),
            self.key_dense(key),
            self.value_dense(value),
        )

    def attend(self, query, key, value, mask, use_causal_mask, training, segment_ids):
        """What is read of the values, of shape `(batch, time, num_heads, key_dim)`."""
        visible = []
        if mask is not None:
            visible.append(ops.cast(mask, "bool")[:, None, None])
        if use_causal_mask:
            steps = ops.arange(ops.shape(query)[1])
            visible.append(steps[:, None] >= steps)
        if segment_ids is not None:
            numbers = sequence_numbers(segment_ids, mask)[:, None]
            visible.append(numbers[..., None] == numbers[:, :, None])
        scores = self.scores(query, key, mask)
        probabilities = self.probabilities(scores, visible, training)
        return ops.einsum("bnts,bsnd->btnd", probabilities, value)

    def probabilities(self, scores, visible, training):
        """Softmax over the last axis, of what all of `visible` show."""
        wide = keras.backend.result_type(self.compute_dtype, "float32")
        scores = ops.cast(scores, wide) / self.key_dim**0.5
        for shown in visible:
            scores = hide_scores(scores, shown)
        probabilities = ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)
        return self.dropout_layer(probabilities, training=training)

    def combine(self, query, attended):
        """What becomes of what was attended: nothing, unless a subclass says so."""
        return attended

    def scores(self, query, key, mask=None):
        """Scores before they are divided by the root of `key_dim`.

        Args:
            query: Tensor of shape `(batch, time, num_heads, key_dim)`.
            key: Tensor of shape `(batch, time, num_heads, key_dim)`.
            mask: Boolean tensor of shape `(batch, time)`, or `None`.

        Returns:
            Tensor of shape `(batch, num_heads, time, time)`.
        """
        raise NotImplementedError

    def make_projection(self, name, width):
        return self._dense(
            name, (None, None, width), "btf,fnd->btnd", (self.num_heads, self.key_dim)
        )

    def compute_output_shape(self, query_shape, value_shape=None):
        return query_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }

    def _dense(self, name, input_shape, equation, output_shape):
        heads = isinstance(output_shape, tuple)
        layer = keras.layers.EinsumDense(
            equation,
            output_shape=(None, *output_shape) if heads else (None, output_shape),
            bias_axes=("nd" if heads else "f") if self.use_bias else None,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(input_shape)
        return layer
