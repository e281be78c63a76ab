"""The neural attention memory as a recurrent layer."""

import keras
from keras import initializers
from keras import ops
from keras import regularizers

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_choice
from keras_nam.arguments import check_divisible
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.layers.cell import MemoryCell
from keras_nam.layers.decay import KINDS
from keras_nam.layers.decay import LogDecay
from keras_nam.layers.recurrent import MemoryRNN
from keras_nam.ops import memory_read
from keras_nam.ops import memory_scan
from keras_nam.ops import memory_write
from keras_nam.ops import unit_normalize
from keras_nam.ops.precision import at_least_float32
from keras_nam.ops.projection import split_heads
from keras_nam.ops.scan import check_implementation


@keras.saving.register_keras_serializable(package="keras_nam")
class NAMCell(MemoryCell):
    """Cell class for the NAM layer.

    This class processes one step within the whole time sequence input, whereas
    `keras_nam.layers.NAM` processes the whole sequence. Both hold the same weights
    under the same names. See `NAM` for the equations.

    Args:
        units: Positive integer, dimensionality of the output space: the value
            dimensions of all heads.
        num_heads: Positive integer, the number of memories. It divides `units`.
        key_dim: Positive integer, the size of keys and queries per head. `None` means
            `units // num_heads`.
        use_erase: Boolean. Whether a write erases what was stored under its key.
        use_bias: Boolean. Whether the projections have biases.
        kernel_initializer: Initializer for `kernel`, the projection of the inputs to
            `[query, key, value, write gate, read gate, erase gate, decay]`.
        bias_initializer: Initializer for `bias`.
        kernel_regularizer: Regularizer for `kernel`.
        bias_regularizer: Regularizer for `bias`.
        decay: String, `"head"` or `"channel"`, see `NAM`. `None` means a memory that
            keeps all.
        write_gate: String, `"head"` or `"channel"`, see `NAM`.
        erase_gate: String, `"head"` or `"channel"`, see `NAM`.

    Call arguments:
        inputs: A 2D tensor of shape `(batch, features)`.
        states: List of one tensor, the memory: `(batch, num_heads * value_dim *
            key_dim)`, or unflattened.
        training: Unused, for compatibility.

    Returns:
        A tuple of the output, `(batch, units)`, and the list of the new states, in the
        shapes in which they were given.

    Example:

    ```python
    inputs = keras.random.normal((32, 10, 8))
    rnn = keras.layers.RNN(keras_nam.layers.NAMCell(16, num_heads=2))
    rnn(inputs).shape  # (32, 16)
    ```

    Raises:
        ValueError: If a size is not a positive integer, or `num_heads` does not
            divide `units`.
    """

    def __init__(
        self,
        units,
        num_heads=1,
        key_dim=None,
        use_erase=True,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        decay=None,
        write_gate="head",
        erase_gate="head",
        **kwargs,
    ):
        units = check_integer("units", units)
        num_heads = check_integer("num_heads", num_heads)
        check_divisible("units", units, "num_heads", num_heads)
        key_dim = check_optional_integer("key_dim", key_dim)
        check_choice("decay", decay, (*KINDS, None))
        check_choice("write_gate", write_gate, KINDS)
        check_choice("erase_gate", erase_gate, KINDS)
        super().__init__(**kwargs)
        self.decay = decay
        self.write_gate = write_gate
        self.erase_gate = erase_gate
        self.units = units
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.use_erase = check_boolean("use_erase", use_erase)
        self.use_bias = check_boolean("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.output_size = units

    @property
    def state_shapes(self):
        sizes = self._head_sizes()
        return ((self.num_heads, sizes["value"], sizes["key"]),)

    def build(self, input_shape):
        super().build(input_shape)
        sizes = self._head_sizes()
        columns = self.num_heads * sum(sizes.values())
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], columns),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(columns,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
            )
        if self.decay:
            channels = (sizes["decay"],) if self.decay == "channel" else ()
            shape = (self.num_heads, *channels)
            self.log_decay = LogDecay(shape, dtype=self.dtype_policy, name="decay")
            self.log_decay.build((None, *shape))

    def project(self, inputs):
        dtype = self.dtype_policy.compute_dtype
        projected = ops.matmul(ops.cast(inputs, dtype), ops.cast(self.kernel, dtype))
        if self.bias is not None:
            projected = projected + ops.cast(self.bias, dtype)
        sizes = self._head_sizes()
        blocks = split_heads(projected, self.num_heads, sizes.values())
        parts = dict(zip(sizes, blocks, strict=True))
        for name in ("query", "key"):
            parts[name] = unit_normalize(parts[name])
        for name in list(sizes)[3:]:
            if getattr(self, name, "head") == "head":
                parts[name] = ops.squeeze(parts[name], -1)
            function = self.log_decay if name == "decay" else ops.sigmoid
            parts[name] = function(parts[name])
        return parts

    def step(self, projected, states, training=False):
        (memory,) = states
        parts = {"erase_gate": 0.0, **projected}
        query, read_gate = parts.pop("query"), parts.pop("read_gate")
        memory = memory_write(memory, **parts)
        output = memory_read(memory, query, read_gate)
        trajectory = {**projected, "memory": memory}
        if self.decay:
            trajectory["decay"] = ops.exp(projected["decay"])
        return ops.reshape(output, (-1, self.units)), [memory], trajectory

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "use_erase": self.use_erase,
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "decay": self.decay,
            "write_gate": self.write_gate,
            "erase_gate": self.erase_gate,
        }

    def _head_sizes(self):
        """Sizes per head of what the kernel's columns compute, in their order."""
        value_dim = self.units // self.num_heads
        key_dim = self.key_dim or value_dim
        sizes = {
            "query": key_dim,
            "key": key_dim,
            "value": value_dim,
            "write_gate": value_dim if self.write_gate == "channel" else 1,
            "read_gate": 1,
        }
        if self.use_erase:
            sizes["erase_gate"] = key_dim if self.erase_gate == "channel" else 1
        if self.decay:
            sizes["decay"] = key_dim if self.decay == "channel" else 1
        return sizes


@keras.saving.register_keras_serializable(package="keras_nam")
class NAM(MemoryRNN):
    """Neural attention memory: attention reinvented as a memory, as a recurrent layer.

    Every head holds a matrix `M`. At each step the layer computes from its input a
    unit key `k`, a unit query `q`, a value `v` and probabilities `w`, `e`, `r`, writes
    and then reads:

        M_t = M_{t-1} + (w_t v_t - e_t M_{t-1} k_t) k_t^T
        h_t = r_t M_t q_t

    With a `decay`, what `M_{t-1}` stands for on the right is `M_{t-1} Diag(a_t)`, with
    `log a = -exp(A_log) softplus(x W + dt_bias)` for the inputs `x`. Gated DeltaNet and
    its followers are memories of this kind, whose erase gate is the write gate.

    The output is the concatenation of the heads' `h_t`. Nothing that is read is fed
    back, so a sequence is processed in matrix products rather than step by step. Use
    it where `keras.layers.GRU` or `keras.layers.LSTM` would stand.

    Args:
        units: Positive integer, dimensionality of the output space: the value
            dimensions of all heads.
        num_heads: Positive integer, the number of memories. It divides `units`.
        key_dim: Positive integer, the size of keys and queries per head. `None` means
            `units // num_heads`.
        use_erase: Boolean. Whether a write erases what was stored under its key.
            Without, the layer is causal linear attention.
        use_bias: Boolean. Whether the projections have biases.
        kernel_initializer: Initializer for `kernel`, the projection of the inputs to
            `[query, key, value, write gate, read gate, erase gate, decay]`.
        bias_initializer: Initializer for `bias`.
        kernel_regularizer: Regularizer for `kernel`.
        bias_regularizer: Regularizer for `bias`.
        return_sequences: Boolean. Whether to return the output at every step, or the
            last one.
        return_state: Boolean. Whether to return the final memory as well.
        go_backwards: Boolean. Whether to process the sequence backwards and return
            the reversed sequence.
        stateful: Boolean. Whether the memory of a sample in a batch is the initial
            memory of the sample at the same index of the next batch.
        unroll: Boolean. Whether to lay the steps out one after the other, for
            runtimes without loops. Needs a static length.
        implementation: String, see `keras_nam.ops.memory_scan`.
        chunk_size: Integer or `None`, see `keras_nam.ops.memory_scan`.
        decay: String, `"head"` or `"channel"`: whether a memory forgets a part of all
            that it holds at every step, with a decay for each head or for each of its
            key channels. `None` means that it keeps all.
        write_gate: String, `"head"` or `"channel"`: whether there is a probability to
            write for each head, or for each of its value channels.
        erase_gate: String, `"head"` or `"channel"`: whether there is a probability to
            erase for each head, or for each of its key channels.
        write_regularizer: Regularizer for the probabilities to write `w`, whose value
            for all steps, divided by the size of the batch, is added to the loss in
            training. With `keras.regularizers.L1(1e-2)` the layer writes only what is
            needed: what it writes beside costs nothing while a memory is nearly empty,
            and fills it in sequences that are longer than those of training.
        **kwargs: Further arguments of `keras.layers.RNN`: `zero_output_for_mask`,
            `activity_regularizer`, `name`, `dtype`, `trainable`.

    Call arguments:
        sequences: A 3D tensor of shape `(batch, time, features)`.
        initial_state: The memory to start from, of shape
            `(batch, num_heads, units // num_heads, key_dim)`. `None` means zeros.
        mask: Boolean tensor of shape `(batch, time)`. A masked (`False`) step leaves
            the memory untouched and repeats the last output.
        training: Boolean, whether `write_regularizer` adds to the loss.
        segment_ids: Integer tensor of shape `(batch, time)`, for rows that hold several
            sequences. One starts with an empty memory where the number changes.

    Returns:
        - If `return_sequences`: a tensor of shape `(batch, time, units)`, else of
            shape `(batch, units)`.
        - If `return_state`: a tuple of that and the memory, of shape
            `(batch, num_heads, units // num_heads, key_dim)`, in float32 whatever the
            dtype policy.

    Example:

    ```python
    inputs = keras.random.normal((32, 10, 8))
    layer = keras_nam.layers.NAM(
        16, num_heads=2, return_sequences=True, return_state=True
    )
    outputs, memory = layer(inputs)
    outputs.shape, memory.shape  # (32, 10, 16), (32, 2, 8, 8)
    ```

    Raises:
        ValueError: If a size is not a positive integer, `num_heads` does not divide
            `units`, or a state or mask has the wrong shape.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """

    run_is_portable = True
    run_takes_segments = True

    def __init__(
        self,
        units,
        num_heads=1,
        key_dim=None,
        use_erase=True,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        implementation="auto",
        chunk_size=None,
        decay=None,
        write_gate="head",
        erase_gate="head",
        write_regularizer=None,
        **kwargs,
    ):
        chunk_size = check_implementation(implementation, chunk_size)
        cell = NAMCell(
            units,
            num_heads=num_heads,
            key_dim=key_dim,
            use_erase=use_erase,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            decay=decay,
            write_gate=write_gate,
            erase_gate=erase_gate,
            **self.cell_arguments(kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )
        self.implementation = implementation
        self.chunk_size = chunk_size
        self.write_regularizer = regularizers.get(write_regularizer)

    def regularize(self, projected, mask, training):
        if self.write_regularizer is None or not training:
            return
        # Half precision could not hold the sum over a long sequence.
        write = at_least_float32(projected["write_gate"])
        if mask is not None:
            axes = tuple(range(2, len(write.shape)))
            write = ops.where(ops.expand_dims(mask, axes), write, 0.0)
        batch_size = ops.cast(ops.shape(write)[0], write.dtype)
        self.add_loss(self.write_regularizer(write) / batch_size)

    def run(self, projected, states, mask, training=False, segment_ids=None):
        outputs, memory = memory_scan(
            **{"erase_gate": 0.0, **projected},
            initial_memory=states[0],
            mask=mask,
            implementation=self.implementation,
            chunk_size=self.chunk_size,
            segment_ids=segment_ids,
        )
        batch, length = ops.shape(outputs)[:2]
        return ops.reshape(outputs, (batch, length, self.cell.units)), [memory]

    def get_config(self):
        return {
            **super().get_config(),
            "implementation": self.implementation,
            "chunk_size": self.chunk_size,
            "write_regularizer": regularizers.serialize(self.write_regularizer),
        }
