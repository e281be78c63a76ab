"""Long short-term attention memory: an LSTM whose cell state is a memory."""

import keras
from keras import initializers
from keras import ops
from keras import regularizers

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_divisible
from keras_nam.arguments import check_integer
from keras_nam.layers.cell import MemoryCell
from keras_nam.layers.initialization import DrawnWide
from keras_nam.layers.recurrent import MemoryRNN
from keras_nam.ops.lsam_scan import lsam_scan
from keras_nam.ops.lsam_step import head_sizes
from keras_nam.ops.lsam_step import lsam_step


@keras.saving.register_keras_serializable(package="keras_nam")
class LSAMCell(MemoryCell):
    """Cell class for the LSAM layer.

    This class processes one step within the whole time sequence input, whereas
    `keras_nam.layers.LSAM` processes the whole sequence. Both hold the same weights
    under the same names. See `LSAM` for the equations.

    Args:
        units, num_heads, use_bias, kernel_initializer, recurrent_initializer,
        bias_initializer, kernel_regularizer, recurrent_regularizer,
        bias_regularizer: As in `LSAM`.

    Call arguments:
        inputs: A 2D tensor of shape `(batch, features)`.
        states: List of two tensors: the previous output, `(batch, units)`, and the
            memory, `(batch, num_heads * dim * dim)` with `dim = units // num_heads`,
            or unflattened.
        training: Unused, for compatibility.

    Returns:
        A tuple of the output, `(batch, units)`, and the list of the new states, in the
        shapes in which they were given.

    Example:

    ```python
    inputs = keras.random.normal((32, 10, 8))
    rnn = keras.layers.RNN(keras_nam.layers.LSAMCell(16, num_heads=2))
    rnn(inputs).shape  # (32, 16)
    ```

    Raises:
        ValueError: As `LSAM`.
    """

    def __init__(
        self,
        units,
        num_heads=1,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        **kwargs,
    ):
        units = check_integer("units", units)
        num_heads = check_integer("num_heads", num_heads)
        check_divisible("units", units, "num_heads", num_heads)
        super().__init__(**kwargs)
        self.units = units
        self.num_heads = num_heads
        self.use_bias = check_boolean("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.output_size = units

    @property
    def state_shapes(self):
        dim = self.units // self.num_heads
        return ((self.units,), (self.num_heads, dim, dim))

    def build(self, input_shape):
        super().build(input_shape)
        columns = self.num_heads * sum(head_sizes(self.units // self.num_heads))
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], columns),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, columns),
            initializer=DrawnWide(self.recurrent_initializer),
            regularizer=self.recurrent_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(columns,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
            )

    def project(self, inputs):
        dtype = self.dtype_policy.compute_dtype
        projected = ops.matmul(ops.cast(inputs, dtype), ops.cast(self.kernel, dtype))
        if self.bias is not None:
            projected = projected + ops.cast(self.bias, dtype)
        return projected

    def step(self, projected, states, training=False):
        output, memory, trajectory = lsam_step(
            projected, self.feedback_kernel(), *states
        )
        return output, [output, memory], trajectory

    def feedback_kernel(self):
        """The recurrent kernel in the dtype of its products."""
        return ops.cast(self.recurrent_kernel, self.dtype_policy.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "num_heads": self.num_heads,
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "recurrent_regularizer": regularizers.serialize(self.recurrent_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
        }


@keras.saving.register_keras_serializable(package="keras_nam")
class LSAM(MemoryRNN):
    """Long short-term attention memory: an LSTM whose cell state is a memory.

    Every head holds a matrix `M`. At each step the layer computes from its input and
    its previous output a unit key `k`, a unit query `q`, a value `v` and
    probabilities `w` and `r`, writes and then reads:

        M_t = M_{t-1} + w_t (v_t - M_{t-1} k_t) k_t^T
        h_t = r_t M_t q_t

    One gate `w` both writes and erases. The output is the concatenation of the heads'
    `h_t`. Use it where `keras.layers.LSTM` would stand.

    Args:
        units: Positive integer, dimensionality of the output space.
        num_heads: Positive integer, the number of memories. It divides `units`.
        use_bias: Boolean. Whether the projection has a bias.
        kernel_initializer: Initializer for `kernel`, the projection of the inputs to
            `[query, key, value, write gate, read gate]`.
        recurrent_initializer: Initializer for `recurrent_kernel`, the projection of
            the previous output to the same.
        bias_initializer: Initializer for `bias`.
        kernel_regularizer: Regularizer for `kernel`.
        recurrent_regularizer: Regularizer for `recurrent_kernel`.
        bias_regularizer: Regularizer for `bias`.
        return_sequences: Boolean. Whether to return the output at every step, or the
            last one.
        return_state: Boolean. Whether to return the final states as well.
        go_backwards: Boolean. Whether to process the sequence backwards and return
            the reversed sequence.
        stateful: Boolean. Whether the states of a sample in a batch are the initial
            states of the sample at the same index of the next batch.
        unroll: Boolean. Whether to lay the steps out one after the other, for
            runtimes without loops. Needs a static length.
        **kwargs: Further arguments of `keras.layers.RNN`: `zero_output_for_mask`,
            `activity_regularizer`, `name`, `dtype`, `trainable`.

    Call arguments:
        sequences: A 3D tensor of shape `(batch, time, features)`.
        initial_state: List of the states to start from, as they are returned, or the
            memory alone. `None` means zeros.
        mask: Boolean tensor of shape `(batch, time)`. A masked (`False`) step leaves
            output and memory untouched.
        training: Unused, for compatibility.
        segment_ids: Integer tensor of shape `(batch, time)`, for rows that hold several
            sequences. One starts with an empty memory where the number changes.

    Returns:
        - If `return_sequences`: a tensor of shape `(batch, time, units)`, else of
            shape `(batch, units)`.
        - If `return_state`: a tuple of that, the last output `(batch, units)` and the
            memory `(batch, num_heads, dim, dim)` with `dim = units // num_heads`, both
            in float32 whatever the dtype policy.

    Example:

    ```python
    inputs = keras.random.normal((32, 10, 8))
    layer = keras_nam.layers.LSAM(16, num_heads=2, return_state=True)
    output, hidden, memory = layer(inputs)
    output.shape, memory.shape  # (32, 16), (32, 2, 8, 8)
    ```

    Raises:
        ValueError: If a size is not a positive integer, `num_heads` does not divide
            `units`, or a state or mask has the wrong shape.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """

    memory_index = 1

    def __init__(
        self,
        units,
        num_heads=1,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        **kwargs,
    ):
        cell = LSAMCell(
            units,
            num_heads=num_heads,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
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

    def run(self, projected, states, mask, training=False):
        outputs, hidden, memory = lsam_scan(
            projected, self.cell.feedback_kernel(), *states, mask=mask
        )
        return outputs, [hidden, memory]
