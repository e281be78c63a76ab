"""Attention whose keys and values are written to a memory: `NAMAttention`."""

import keras
from keras import constraints
from keras import initializers
from keras import ops
from keras import regularizers

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_rank
from keras_nam.arguments import check_rate
from keras_nam.arguments import check_segment_ids
from keras_nam.arguments import fits
from keras_nam.layers.attention_masks import clear_masked
from keras_nam.layers.attention_masks import source_mask
from keras_nam.layers.decay import KINDS
from keras_nam.layers.decay import LogDecay
from keras_nam.layers.initialization import clone_initializer
from keras_nam.layers.streaming import check_no_segments
from keras_nam.ops.attention import memory_attention
from keras_nam.ops.normalization import unit_normalize
from keras_nam.ops.scan import memory_scan
from keras_nam.ops.segments import ids_of_valid


@keras.saving.register_keras_serializable(package="keras_nam")
class NAMAttention(keras.layers.Layer):
    """Neural attention memory in the place of `keras.layers.MultiHeadAttention`.

    Every head writes the values of the source to a matrix under unit keys, and reads
    it with unit queries:

        M = sum_z w_z v_z k_z^T
        y_s = r_s M q_s

    with probabilities `w` to write and `r` to read. There is no softmax, and no
    matrix of queries against keys: time and memory grow linearly with the lengths.
    With `use_causal_mask=True` a query reads what was written up to its own position,
    and with `use_erase=True` a write first takes an `e`-th part of what its key holds:

        M_t = M_{t-1} + (w_t v_t - e_t M_{t-1} k_t) k_t^T
        y_t = r_t M_t q_t

    A memory has no place for the order of the source; without `use_causal_mask`, tokens
    need positions of their own (`keras_nam.layers.PositionEmbedding`).

    Args:
        num_heads: Positive integer, the number of memories.
        key_dim: Positive integer, the size of queries and keys per head.
        value_dim: Positive integer, the size of values per head. `None` means
            `key_dim`.
        use_gates: Boolean. Whether there are probabilities to write and to read, or
            all are 1.
        dropout: Float, the rate at which a head leaves out tokens of the source in
            training; what remains is scaled up. It takes the place of the dropout of
            attention weights.
        use_bias: Boolean. Whether the projections have biases.
        output_shape: Positive integer or tuple of such, the size of the output. `None`
            means that of `query`.
        use_erase: Boolean. Whether writes erase. Such a layer is always causal, and
            has to be called with `use_causal_mask=True`.
        kernel_initializer: Initializer for the kernels.
        bias_initializer: Initializer for the biases.
        kernel_regularizer: Regularizer for the kernels.
        bias_regularizer: Regularizer for the biases.
        activity_regularizer: Regularizer for the output.
        kernel_constraint: Constraint for the kernels.
        bias_constraint: Constraint for the biases.
        seed: Integer, the seed of dropout.
        decay: String, `"head"` or `"channel"`, see `NAM`. A layer that forgets is
            always causal, too. `None` means a memory that keeps all.
        write_gate: String, `"head"` or `"channel"`, see `NAM`.
        erase_gate: String, `"head"` or `"channel"`, see `NAM`.

    Call arguments:
        query: Tensor of shape `(batch, target, features)`.
        value: Tensor of shape `(batch, source, features)`.
        key: Tensor of shape `(batch, source, features)`. `None` means `value`.
        query_mask: Boolean tensor of shape `(batch, target)`. What stands at masked
            (`False`) positions is never read; their outputs mean nothing.
        value_mask: Boolean tensor of shape `(batch, source)`. Masked positions never
            enter the memory, whatever they hold.
        key_mask: Boolean tensor of shape `(batch, source)`, as `value_mask`.
        attention_mask: Boolean tensor of shape `(batch, 1, source)`, as `value_mask`.
            Masks with a row for each query are refused: a memory cannot hide a
            position from some queries only.
        use_causal_mask: Boolean. Whether a query reads only what stands up to its own
            position. Query and source have the same length then.
        initial_memory: Tensor of shape `(batch, num_heads, value_dim, key_dim)` to
            start from. `None` means zeros.
        return_memory: Boolean. Whether to return the memory as well. A causal layer
            that is fed in pieces, each with the memory of the one before, gives what
            it gives for the whole.
        return_attention_scores: Not available, there are none: `return_memory=True`
            returns what takes their place.
        training: Boolean. Whether dropout is active.
        segment_ids: Integer tensor of shape `(batch, time)`, for rows that hold several
            sequences. One starts with an empty memory where the number changes; the
            numbers of positions that all masks hide do not count. Needs
            `use_causal_mask=True`.

    Returns:
        - A tensor of shape `(batch, target, features)`, or with the last axis or axes
            of `output_shape`.
        - If `return_memory`: a tuple of that and the memory, of shape
            `(batch, num_heads, value_dim, key_dim)`, in float32 whatever the policy.

    Example:

    ```python
    x = keras.random.normal((2, 1000, 32))
    layer = keras_nam.layers.NAMAttention(num_heads=4, key_dim=8)
    layer(x, x).shape  # (2, 1000, 32)

    first, memory = layer(x[:, :600], x[:, :600], use_causal_mask=True,
                          return_memory=True)
    rest = layer(x[:, 600:], x[:, 600:], use_causal_mask=True, initial_memory=memory)
    ```

    Raises:
        ValueError: If a size is not a positive integer, shapes do not fit together, or
            `attention_mask` has a row for each query.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        use_gates=True,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        use_erase=False,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        seed=None,
        decay=None,
        write_gate="head",
        erase_gate="head",
        **kwargs,
    ):
        num_heads = check_integer("num_heads", num_heads)
        key_dim = check_integer("key_dim", key_dim)
        value_dim = check_optional_integer("value_dim", value_dim)
        dropout = check_rate("dropout", dropout)
        # A memory is wider than the inputs under a mixed policy, and is not to be cast.
        super().__init__(
            autocast=False, activity_regularizer=activity_regularizer, **kwargs
        )
        self.supports_masking = True
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim or key_dim
        self.use_gates = check_boolean("use_gates", use_gates)
        self.dropout = dropout
        self.use_bias = check_boolean("use_bias", use_bias)
        self.use_erase = check_boolean("use_erase", use_erase)
        self._output_shape = _as_shape(output_shape)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.seed = check_optional_integer("seed", seed, at_least=0)
        self.decay = check_choice("decay", decay, (*KINDS, None))
        self.write_gate = check_choice("write_gate", write_gate, KINDS)
        self.erase_gate = check_choice("erase_gate", erase_gate, KINDS)

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        self._features = (query_shape[-1], value_shape[-1], key_shape[-1])
        key, value = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim)
        self.query_dense = self._project("query", query_shape, key)
        self.key_dense = self._project("key", key_shape, key)
        self.value_dense = self._project("value", value_shape, value)
        if self.use_gates:
            write = value if self.write_gate == "channel" else value[:1]
            self.write_dense = self._project("write_gate", value_shape, write)
            self.read_dense = self._project("read_gate", query_shape, value[:1])
        if self.use_erase:
            erase = key if self.erase_gate == "channel" else key[:1]
            self.erase_dense = self._project("erase_gate", value_shape, erase)
        if self.decay:
            decay = key if self.decay == "channel" else key[:1]
            self.decay_dense = self._project("decay", value_shape, decay)
            self.log_decay = LogDecay(decay, dtype=self.dtype_policy, name="log_decay")
            self.log_decay.build((None, *decay))
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(
                self.dropout, dtype=self.dtype_policy, seed=self.seed, name="dropout"
            )
        output = self._output_shape or (query_shape[-1],)
        self.output_dense = self._dense(
            "output",
            (None, *value),
            f"abcd,cd{'efg'[: len(output)]}->ab{'efg'[: len(output)]}",
            (None, *output),
            "efg"[: len(output)],
        )

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        use_causal_mask=False,
        initial_memory=None,
        return_memory=False,
        return_attention_scores=False,
        training=None,
        segment_ids=None,
    ):
        self._check_call(
            query, value, key, use_causal_mask, return_attention_scores, segment_ids
        )
        mask = self._source_mask(value, attention_mask, value_mask, key_mask)
        key = value if key is None else key
        if initial_memory is not None:
            initial_memory = ops.cast(initial_memory, self._memory_dtype)
        query, key, value = (
            ops.cast(x, self.compute_dtype) for x in (query, key, value)
        )
        same = key is value
        value = clear_masked(value, mask)
        key = value if same else clear_masked(key, mask)
        query = clear_masked(query, query_mask, "query_mask")

        if segment_ids is not None and mask is not None and query_mask is not None:
            # Only what is neither written nor asked has no number: a query before the
            # first key of its sequence must not read the sequence before.
            used = ops.logical_or(mask, ops.cast(query_mask, "bool"))
            segment_ids = ids_of_valid(segment_ids, used)
        outputs, memory = self.remember(
            self.feature_map(self.query_dense(query)),
            self.feature_map(self.key_dense(key)),
            self.value_dense(value),
            self._gates(query, value, mask, training),
            use_causal_mask,
            initial_memory,
            segment_ids,
        )
        outputs = self.output_dense(outputs)
        return (outputs, memory) if return_memory else outputs

    def initial_stream_state(self, batch_size):
        return [ops.zeros((batch_size, *self.memory_shape), self._memory_dtype)]

    def stream(
        self,
        query,
        value,
        key=None,
        *,
        state,
        attention_mask=None,
        use_causal_mask=False,
        initial_memory=None,
        return_memory=False,
        segment_ids=None,
        **kwargs,
    ):
        check_no_segments(segment_ids)
        if not use_causal_mask:
            raise ValueError(
                "without `use_causal_mask=True` a query reads what follows"
            )
        if attention_mask is not None or initial_memory is not None:
            raise ValueError("`attention_mask` and `initial_memory` do not go on")
        outputs, memory = self(
            query,
            value,
            key,
            use_causal_mask=True,
            initial_memory=state[0],
            return_memory=True,
            **kwargs,
        )
        return ((outputs, memory) if return_memory else outputs), [memory]

    def feature_map(self, x):
        """What makes queries and keys of their projections."""
        return unit_normalize(x)

    def remember(
        self,
        query,
        key,
        value,
        gates,
        use_causal_mask,
        initial_memory,
        segment_ids,
    ):
        """Writes and reads; `(outputs, memory)`."""
        if use_causal_mask:
            # Lengths that are not known before and differ fail in the reshape.
            key, value = (
                ops.reshape(x, (ops.shape(x)[0], ops.shape(query)[1], *x.shape[2:]))
                for x in (key, value)
            )
            return memory_scan(
                query,
                key,
                value,
                **gates,
                initial_memory=initial_memory,
                segment_ids=segment_ids,
            )
        return memory_attention(
            query,
            key,
            value,
            gates["write_gate"],
            gates["read_gate"],
            initial_memory=initial_memory,
        )

    def compute_output_spec(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        use_causal_mask=False,
        initial_memory=None,
        return_memory=False,
        return_attention_scores=False,
        training=None,
        segment_ids=None,
    ):
        self._check_call(
            query, value, key, use_causal_mask, return_attention_scores, segment_ids
        )
        self._source_mask(value, attention_mask, value_mask, key_mask)
        shape = self.compute_output_shape(query.shape, value.shape)
        outputs = keras.KerasTensor(shape, self.compute_dtype)
        if not return_memory:
            return outputs
        shape = (query.shape[0], *self.memory_shape)
        return outputs, keras.KerasTensor(shape, self._memory_dtype)

    @property
    def memory_shape(self):
        """The shape of the memory without the batch axis."""
        return (self.num_heads, self.value_dim, self.key_dim)

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        return (*query_shape[:2], *(self._output_shape or query_shape[-1:]))

    def compute_mask(self, query, previous_mask=None):
        return previous_mask

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "use_gates": self.use_gates,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "output_shape": self._output_shape,
            "use_erase": self.use_erase,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "seed": self.seed,
            "decay": self.decay,
            "write_gate": self.write_gate,
            "erase_gate": self.erase_gate,
        }

    @property
    def _memory_dtype(self):
        return keras.backend.result_type(self.compute_dtype, "float32")

    def _source_mask(self, value, attention_mask, value_mask, key_mask):
        return source_mask(
            tuple(value.shape[:2]),
            attention_mask,
            value_mask=value_mask,
            key_mask=key_mask,
        )

    def _gates(self, query, value, mask, training):
        """The gates of `memory_scan`."""
        write, erase, read, decay = None, 0.0, None, None
        if self.use_gates:
            write = ops.sigmoid(self.write_dense(value))
            read = ops.sigmoid(self.read_dense(query))
        if self.use_erase:
            erase = ops.sigmoid(self.erase_dense(value))
        if self.decay:
            decay = self.log_decay(self.decay_dense(value))
        if mask is not None or self.dropout:
            # What is masked has a bias, but may not be written.
            ones = ops.ones((*ops.shape(value)[:2], self.num_heads), value.dtype)
            kept = ones if mask is None else clear_masked(ones, mask)
            if self.dropout:
                kept = self.dropout_layer(kept, training=training)

            def as_gate(gate):
                return kept if len(gate.shape) == 3 else kept[..., None]

            write = kept if write is None else write * as_gate(write)
            if self.use_erase:
                erase = ops.where(as_gate(erase) > 0, erase, 0.0)
            if self.decay:
                decay = ops.where(as_gate(decay) > 0, decay, 0.0)
        return {
            "write_gate": write,
            "erase_gate": erase,
            "read_gate": read,
            "decay": decay,
        }

    def _check_call(
        self,
        query,
        value,
        key,
        use_causal_mask,
        return_attention_scores,
        segment_ids,
    ):
        for name, x in (("query", query), ("value", value), ("key", key)):
            if x is not None:
                check_rank(name, x, 3, "(batch, time, features)")
        key = value if key is None else key
        given = query.shape[-1], value.shape[-1], key.shape[-1]
        if self.built and not fits(given, self._features):
            raise ValueError(
                "The layer was built for features of the sizes "
                f"{self._features} of query, value and key. Received: {given}"
            )
        if return_attention_scores:
            raise ValueError(
                "A memory has no attention scores; `return_memory=True` returns what "
                "takes their place. Received: return_attention_scores=True"
            )
        if use_causal_mask:
            check_segment_ids(segment_ids, tuple(query.shape[:2]))
        elif self.use_erase or self.decay or segment_ids is not None:
            raise ValueError(
                "Erasing and forgetting depend on the order of the source, so a layer "
                "with `use_erase=True` or a `decay`, or any with `segment_ids`, has to "
                "be called with `use_causal_mask=True`. "
                f"Received: use_causal_mask={use_causal_mask}"
            )
        shapes = (
            f"Received: query.shape={tuple(query.shape)}, "
            f"value.shape={tuple(value.shape)}, key.shape={tuple(key.shape)}"
        )
        if not fits(tuple(key.shape[:2]), tuple(value.shape[:2])):
            raise ValueError(
                f"`key` and `value` must have the same batch size and length. {shapes}"
            )
        if use_causal_mask and not fits((query.shape[1],), (value.shape[1],)):
            raise ValueError(
                "With `use_causal_mask=True`, `query` and `value` must have the same "
                "length, for a query reads what was written up to its own position. "
                + shapes
            )

    def _project(self, name, input_shape, output):
        axes = "de"[: len(output)]
        return self._dense(
            name, input_shape, f"abc,c{axes}->ab{axes}", (None, *output), axes
        )

    def _dense(self, name, input_shape, equation, output_shape, bias_axes):
        layer = keras.layers.EinsumDense(
            equation,
            output_shape=output_shape,
            bias_axes=bias_axes if self.use_bias else None,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, *input_shape[-(len(equation.split(",")[0]) - 1) :]))
        return layer


def _as_shape(output_shape):
    if output_shape is None:
        return None
    shape = output_shape if isinstance(output_shape, (list, tuple)) else [output_shape]
    shape = tuple(check_integer("output_shape", size) for size in shape)
    if len(shape) not in (1, 2, 3):
        raise ValueError(
            "Argument `output_shape` must have 1 to 3 axes. "
            f"Received: output_shape={output_shape}"
        )
    return shape
