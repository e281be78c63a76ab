"""Gated DeltaNet: a memory with a decay, behind a short convolution."""

import keras
from keras import initializers
from keras import ops

from keras_nam.arguments import check_divisible
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_positive
from keras_nam.arguments import check_segment_ids
from keras_nam.layers.attention_masks import clear_masked
from keras_nam.layers.attention_masks import padding_of
from keras_nam.layers.decay import LogDecay
from keras_nam.layers.initialization import clone_initializer
from keras_nam.layers.streaming import check_no_segments
from keras_nam.ops.scan import memory_scan
from keras_nam.ops.segments import chosen_first
from keras_nam.ops.segments import sequence_numbers


@keras.saving.register_keras_serializable(package="keras_nam")
class GatedDeltaNet(keras.layers.Layer):
    """Gated DeltaNet, the linear attention that forgets and erases, as published.

    Queries, keys and values are projected, convolved with the few steps before, and
    passed through SiLU; queries and keys get unit length. Every head writes to a memory
    that forgets at a rate of its own, with one gate to write and to erase, and what is
    read is normalised and gated:

        D_t = a_t M_{t-1}
        M_t = D_t + b_t (v_t - D_t k_t) k_t^T
        y_t = W_o (norm(M_t q_t) * silu(W_z x_t))

    with `b = sigmoid(W_b x)`, `log a = -exp(A_log) softplus(W_a x + dt_bias)` and
    queries over the root of `key_dim`. It computes what keras-hub's Qwen3.5 calls by
    this name: `layer.set_weights(theirs.get_weights())` takes its weights over.

    Args:
        num_heads: Positive integer, the number of memories.
        key_dim: Positive integer, the size of queries and keys per head.
        value_dim: Positive integer, the size of values per head. `None` means
            `key_dim`.
        num_key_heads: Positive integer, the number of different queries and keys, each
            shared by `num_heads // num_key_heads` memories. `None` means `num_heads`.
        kernel_size: Positive integer, how many steps are convolved.
        epsilon: Positive number, which keeps norms from zero.
        kernel_initializer: Initializer for the kernels of the projections.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        mask: Boolean tensor of shape `(batch, time)`. A masked (`False`) step leaves
            the memory and the convolution untouched, and outputs zeros.
        segment_ids: Integer tensor of shape `(batch, time)`, for rows that hold several
            sequences. One starts with an empty memory where the number changes.

    Returns:
        A tensor of the shape of `inputs`. No output knows of later steps.

    Example:

    ```python
    x = keras.random.normal((2, 100, 32))
    keras_nam.layers.GatedDeltaNet(num_heads=4, key_dim=8)(x).shape  # (2, 100, 32)

    block = keras_nam.layers.TransformerBlock(
        keras_nam.layers.GatedDeltaNet(num_heads=4, key_dim=8), feedforward=64
    )
    ```

    Raises:
        ValueError: If a size is not a positive integer, `num_key_heads` does not divide
            `num_heads`, or shapes do not fit together.

    Reference:

    - [Gated Delta Networks](https://arxiv.org/abs/2412.06464)
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        num_key_heads=None,
        kernel_size=4,
        epsilon=1e-6,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        num_heads = check_integer("num_heads", num_heads)
        key_dim = check_integer("key_dim", key_dim)
        value_dim = check_optional_integer("value_dim", value_dim)
        num_key_heads = check_optional_integer("num_key_heads", num_key_heads)
        num_key_heads = num_key_heads or num_heads
        check_divisible("num_heads", num_heads, "num_key_heads", num_key_heads)
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim or key_dim
        self.num_key_heads = num_key_heads
        self.kernel_size = check_integer("kernel_size", kernel_size)
        self.epsilon = check_positive("epsilon", epsilon)
        self.kernel_initializer = initializers.get(kernel_initializer)

    def build(self, inputs_shape):
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: inputs_shape[-1]})
        keys, values = (
            self.num_key_heads * self.key_dim,
            self.num_heads * self.value_dim,
        )
        self.channels = 2 * keys + values
        # The weights stand in the order in which keras-hub has them.
        self.convolution_kernel = self.add_weight(
            name="convolution_kernel",
            shape=(self.channels, self.kernel_size),
            initializer="glorot_uniform",
        )
        heads = (self.num_heads,)
        self.log_decay = LogDecay(heads, dtype=self.dtype_policy, name="log_decay")
        self.log_decay.build((None, *heads))
        self.qkv_dense = self._dense("query_key_value", self.channels, inputs_shape)
        self.gate_dense = self._dense("output_gate", values, inputs_shape)
        self.write_dense = self._dense("write_gate", self.num_heads, inputs_shape)
        self.decay_dense = self._dense("decay", self.num_heads, inputs_shape)
        # What is read of a young memory is small, and its norm's gradient large.
        self.norm = keras.layers.RMSNormalization(
            epsilon=self.epsilon, dtype=self.dtype_policy, autocast=False, name="norm"
        )
        self.norm.build((None, None, self.num_heads, self.value_dim))
        shape = (*inputs_shape[:-1], values)
        self.output_dense = self._dense("output", inputs_shape[-1], shape)

    def call(self, inputs, mask=None, segment_ids=None):
        state = self.initial_stream_state(ops.shape(inputs)[0])
        return self._run(inputs, mask, segment_ids, state)[0]

    def initial_stream_state(self, batch_size):
        wide = keras.backend.result_type(self.compute_dtype, "float32")
        memory = (batch_size, self.num_heads, self.value_dim, self.key_dim)
        return [
            ops.zeros((batch_size, self.kernel_size - 1, self.channels), wide),
            ops.zeros(memory, wide),
        ]

    def stream(self, inputs, mask=None, segment_ids=None, *, state):
        check_no_segments(segment_ids)
        return self._run(inputs, mask, None, state)

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "num_key_heads": self.num_key_heads,
            "kernel_size": self.kernel_size,
            "epsilon": self.epsilon,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
        }

    def _run(self, inputs, mask, segment_ids, state):
        mask = padding_of(inputs, None, mask)
        check_segment_ids(segment_ids, tuple(inputs.shape[:2]))
        inputs = clear_masked(inputs, mask)
        before, memory = state
        mixed, before = self._convolve(
            self.qkv_dense(inputs), mask, segment_ids, before
        )
        query, key, value = self._split(ops.silu(mixed))
        write_gate = ops.sigmoid(self.write_dense(inputs))
        read, memory = memory_scan(
            self._unit(query) / self.key_dim**0.5,
            self._unit(key),
            ops.cast(value, memory.dtype),
            write_gate,
            write_gate,
            initial_memory=memory,
            mask=mask,
            decay=self.log_decay(self.decay_dense(inputs)),
            segment_ids=segment_ids,
        )
        gate = ops.reshape(self.gate_dense(inputs), ops.shape(read))
        outputs = ops.cast(self.norm(read), gate.dtype) * ops.silu(gate)
        values = self.num_heads * self.value_dim
        outputs = ops.reshape(outputs, (*ops.shape(inputs)[:2], values))
        return self.output_dense(outputs), [before, memory]

    def _convolve(self, x, mask, segment_ids, before):
        """Convolves valid steps with the valid steps before them.

        Args:
            x: Tensor of shape `(batch, time, channels)`.
            mask, segment_ids: As in a call.
            before: Tensor of shape `(batch, kernel_size - 1, channels)`, the last valid
                steps before `x`.

        Returns:
            `(outputs, before)`: of the shape of `x`, and the last valid steps of all.
        """
        length, past = ops.shape(x)[1], self.kernel_size - 1
        sequence = None
        if segment_ids is not None:
            sequence = sequence_numbers(segment_ids, mask)
        if mask is not None:
            order, count = chosen_first(ops.cast(mask, "bool"))
            x = ops.take_along_axis(x, order[..., None], axis=1)
            if sequence is not None:
                sequence = ops.take_along_axis(sequence, order, axis=1)
        steps = ops.concatenate([ops.cast(before, x.dtype), x], axis=1)
        if mask is None:
            last = steps[:, length:]
        else:
            valid = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
            last = valid + ops.arange(past, dtype="int32")
            last = ops.take_along_axis(steps, last[..., None], axis=1)
        kernel, outputs = ops.cast(self.convolution_kernel, x.dtype), 0.0
        for ago in range(self.kernel_size):
            earlier = steps[:, past - ago : past - ago + length]
            if sequence is not None and ago:
                of_before = ops.pad(sequence, ((0, 0), (ago, 0)))[:, :length]
                same = ops.expand_dims(of_before == sequence, -1)
                earlier = ops.where(same, earlier, 0.0)
            outputs = outputs + earlier * kernel[:, past - ago]
        if mask is not None:
            place = ops.maximum(count - 1, 0)
            outputs = ops.take_along_axis(outputs, place[..., None], axis=1)
        return outputs, ops.cast(last, before.dtype)

    def _split(self, mixed):
        """Queries, keys and values of all heads."""
        parts, start, shape = [], 0, ops.shape(mixed)[:2]
        for heads, size in (
            (self.num_key_heads, self.key_dim),
            (self.num_key_heads, self.key_dim),
            (self.num_heads, self.value_dim),
        ):
            part = mixed[..., start : start + heads * size]
            part = ops.reshape(part, (*shape, heads, size))
            parts.append(ops.repeat(part, self.num_heads // heads, axis=2))
            start += heads * size
        return parts

    def _unit(self, x):
        wide = keras.backend.result_type(x.dtype, "float32")
        wide = ops.cast(x, wide)
        square = ops.sum(ops.square(wide), axis=-1, keepdims=True)
        return ops.cast(wide * ops.rsqrt(square + self.epsilon), x.dtype)

    def _dense(self, name, units, inputs_shape):
        dense = keras.layers.Dense(
            units,
            use_bias=False,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build(inputs_shape)
        return dense
