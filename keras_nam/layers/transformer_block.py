"""One block of a Transformer: an attention, a feed-forward part, and two residuals."""

import inspect

import keras
from keras import activations
from keras import initializers
from keras import ops

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_positive
from keras_nam.arguments import check_rate
from keras_nam.arguments import check_segment_ids
from keras_nam.layers.attention_masks import clear_masked
from keras_nam.layers.attention_masks import padding_of
from keras_nam.layers.initialization import clone_initializer
from keras_nam.layers.streaming import check_no_segments
from keras_nam.layers.streaming import streaming
from keras_nam.ops.segments import sequence_numbers


@keras.saving.register_keras_serializable(package="keras_nam")
class TransformerBlock(keras.layers.Layer):
    """Transformer block around any attention and any feed-forward part.

    With the layer normalisation first,

        a = x + dropout(attention(norm(x)))
        y = a + dropout(feedforward(norm(a)))

    and with `normalize_first=False`, `a = norm(x + ...)` and `y = norm(a + ...)`. The
    usual feed-forward part is `W_2 dropout(activation(W_1 x))`.

    Args:
        attention: Layer that is called like `keras.layers.MultiHeadAttention`, for
            example `NAMAttention` or one of `keras_nam.baselines`; or one from
            sequences to sequences that takes a mask, as `GatedDeltaNet`; or a function
            from the width of the inputs to such a layer.
        feedforward: Positive integer, the width of the usual feed-forward part, or a
            layer that takes its place and is called as `feedforward(x, mask=mask)`.
        dropout: Float, the rate of dropout.
        activation: Activation of the usual feed-forward part. `None` means the tanh
            form of gelu.
        layer_norm_epsilon: Float.
        kernel_initializer: Initializer for the kernels of the feed-forward part.
        bias_initializer: Initializer for its biases.
        normalize_first: Boolean. Whether each part is normalised before or after it.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        padding_mask: Boolean tensor of shape `(batch, time)`. Masked (`False`)
            positions are seen by no other. `None` means the mask of the inputs.
        use_causal_mask: Boolean. Whether the attention sees only what came before.
        training: Boolean. Whether dropout is active.
        mask: The implicit mask of the inputs, which Keras passes.
        segment_ids: Integer tensor of shape `(batch, time)`, for rows that hold several
            sequences one after the other: nothing is seen of those before.

    Returns:
        A tensor of the shape of `inputs`.

    Example:

    ```python
    attention = keras_nam.baselines.RotaryAttention(num_heads=4, key_dim=8)
    block = keras_nam.layers.TransformerBlock(attention, feedforward=64)
    block(keras.random.normal((2, 100, 32))).shape  # (2, 100, 32)
    ```

    Raises:
        ValueError: If `attention` is no layer, `feedforward` is neither a layer nor a
            positive integer, or a mask has another shape.
    """

    def __init__(
        self,
        attention,
        feedforward,
        dropout=0.0,
        activation=None,
        layer_norm_epsilon=1e-6,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        normalize_first=True,
        **kwargs,
    ):
        attention, feedforward = restored(attention), restored(feedforward)
        if not callable(attention):
            raise ValueError(
                f"Argument `attention` must be a layer. Received: attention={attention}"
            )
        if not isinstance(feedforward, keras.layers.Layer):
            feedforward = check_integer("feedforward", feedforward)
        dropout = check_rate("dropout", dropout)
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.attention_layer = attention
        self.feedforward = feedforward
        self.dropout = dropout
        self.activation = activations.get(_gelu if activation is None else activation)
        self.layer_norm_epsilon = check_positive(
            "layer_norm_epsilon", layer_norm_epsilon
        )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.normalize_first = check_boolean("normalize_first", normalize_first)

    def build(self, inputs_shape):
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: inputs_shape[-1]})
        if not isinstance(self.attention_layer, keras.layers.Layer):
            self.attention_layer = self.attention_layer(inputs_shape[-1])
        # A layer from a saved file is built already.
        if not self.attention_layer.built:
            shapes = [inputs_shape] * (2 if self._has_source() else 1)
            self.attention_layer.build(*shapes)
        self.attention_norm = self._norm("attention_norm", inputs_shape)
        self.feedforward_norm = self._norm("feedforward_norm", inputs_shape)
        if isinstance(self.feedforward, int):
            self.intermediate_dense = self._dense("intermediate", self.feedforward)
            self.intermediate_dense.build(inputs_shape)
            self.output_dense = self._dense("output", inputs_shape[-1])
            self.output_dense.build((*inputs_shape[:-1], self.feedforward))
        elif not self.feedforward.built:
            self.feedforward.build(inputs_shape)
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
        segment_ids=None,
    ):
        mask = padding_of(inputs, padding_mask, mask)
        check_segment_ids(segment_ids, tuple(inputs.shape[:2]))
        return self._run(
            inputs, mask, use_causal_mask, training, lambda layer: layer, segment_ids
        )

    def initial_stream_state(self, batch_size):
        parts = [self.attention_layer]
        if not isinstance(self.feedforward, int):
            parts.append(self.feedforward)
        states = [streaming(part).initial_stream_state(batch_size) for part in parts]
        return sum(states, [])

    def stream(
        self,
        inputs,
        padding_mask=None,
        use_causal_mask=False,
        training=None,
        mask=None,
        segment_ids=None,
        *,
        state,
    ):
        check_no_segments(segment_ids)
        after = []

        def go_on(layer):
            layer = streaming(layer)

            def call(*args, **kwargs):
                count = len(layer.initial_stream_state(1))
                before = state[len(after) : len(after) + count]
                outputs, new = layer.stream(*args, **kwargs, state=before)
                after.extend(new)
                return outputs

            return call

        mask = padding_of(inputs, padding_mask, mask)
        return self._run(inputs, mask, use_causal_mask, training, go_on), after

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        feedforward = self.feedforward
        if not isinstance(feedforward, int):
            feedforward = keras.saving.serialize_keras_object(feedforward)
        return {
            **super().get_config(),
            "attention": keras.saving.serialize_keras_object(self.attention_layer),
            "feedforward": feedforward,
            "dropout": self.dropout,
            "activation": activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "normalize_first": self.normalize_first,
        }

    def _has_source(self):
        """Whether the attention is one from queries to a source."""
        return "value" in inspect.signature(self.attention_layer.call).parameters

    def _run(self, inputs, mask, use_causal_mask, training, part, segment_ids=None):
        """The block; `part` makes of a layer with a state what is called for it."""
        # Past the normalisations, what stands under the mask would be in the gradients.
        inputs = clear_masked(ops.cast(inputs, self.compute_dtype), mask)

        def attend(x):
            layer = self.attention_layer
            segments = _segments_for(layer, segment_ids, mask)
            if not self._has_source():
                return part(layer)(x, mask=mask, **segments)
            return part(layer)(
                x,
                x,
                value_mask=mask,
                key_mask=mask,
                query_mask=mask,
                use_causal_mask=use_causal_mask,
                training=training,
                **segments,
            )

        def feed_forward(x):
            if not isinstance(self.feedforward, int):
                segments = _segments_for(self.feedforward, segment_ids, mask)
                return part(self.feedforward)(x, mask=mask, **segments)
            x = self.activation(self.intermediate_dense(x))
            return self.output_dense(self.dropout_layer(x, training=training))

        x = inputs
        for function, norm in (
            (attend, self.attention_norm),
            (feed_forward, self.feedforward_norm),
        ):
            y = function(norm(x) if self.normalize_first else x)
            x = x + self.dropout_layer(y, training=training)
            x = x if self.normalize_first else norm(x)
        return x

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


def _segments_for(layer, segment_ids, mask):
    """The argument by which a layer learns which steps are of one sequence."""
    if segment_ids is None:
        return {}
    parameters = inspect.signature(layer.call).parameters
    if "segment_ids" in parameters:
        return {"segment_ids": segment_ids}
    if "attention_mask" in parameters:
        sequence = sequence_numbers(segment_ids, mask)
        return {"attention_mask": sequence[:, :, None] == sequence[:, None]}
    raise ValueError(
        f"Layer '{layer.name}' of type {type(layer)} takes no `segment_ids`, and would "
        "mix the sequences of a row. Received: segment_ids"
    )


def restored(part):
    """A layer from its configuration, as in a saved file; anything else as it is."""
    if isinstance(part, dict):
        return keras.saving.deserialize_keras_object(part)
    return part


@keras.saving.register_keras_serializable(package="keras_nam", name="gelu_tanh")
def _gelu(x):
    return ops.gelu(x, approximate=True)
