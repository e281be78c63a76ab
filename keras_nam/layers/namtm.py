"""The neural attention memory Turing machine over time."""

import keras
from keras import ops

from keras_nam.layers.any_length import AnyLengthRNN
from keras_nam.layers.namtm_cell import NAMTMCell
from keras_nam.ops.lstm_scan import lstm_scan
from keras_nam.ops.tape_scan import tape_scan


@keras.saving.register_keras_serializable(package="keras_nam")
class NAMTM(AnyLengthRNN):
    """Neural attention memory Turing machine: tapes with reading and writing heads.

    An LSTM, the controller, sees the inputs and decides what the heads of every tape
    do; values and keys come from the inputs themselves. A head is a vector of weights
    over the cells of a circular tape. With `rho`, `omega` the positions of the reading
    and the writing head, and hats for unit vectors, each step computes per tape

        X <- X + omega^ (p_w v - p_e X^T omega^)^T        write to the tape
        y  = p_r X^T rho^                                 read from the tape
        K <- K + (p_w omega - p_e K k^) k^^T              store the position under a key
        j  = K q^                                         look a position up
        omega, rho <- d_previous, d_stay, d_next, d_jump    shares of moved positions, j

    and maps the `y` of all tapes to the output. Both `X` and `K` are neural attention
    memories. Nothing that is read is fed back to the controller, so only the controller
    and the positions run in a loop over time, and all else in matrix products.

    The directions are a softmax, which training makes nearly, never quite, one-hot:
    every step blurs the positions a little, and after some hundred steps a head stands
    everywhere. `sharpness` multiplies the logits of this softmax once a machine is
    trained, which lets one that has learned an algorithm run it at any length.
    `keras_nam.models.choose_sharpness` finds the factor.

    The flags give the paper's ablations:

    - `use_jump=False` ("nojump"): heads only shift. There is no `K`, and positions are
        used as they are, not as unit vectors.
    - `use_shift=False` ("onlyjump"): heads stay or jump. This one is degenerate: both
        heads start at the first cell, and `K` only ever holds the positions of the
        writing head, so no head ever leaves that cell; the tape is a single cell. It
        is here for comparison.
    - `use_gates=False` ("norwprob"): all probabilities are 1.
    - `use_erase=False` ("noerase"): nothing is erased, neither on the tape nor in `K`,
        whose writes have no probability then. Positions may grow with time.

    Args:
        units: Positive integer, dimensionality of the output space and of the
            controller.
        num_tapes: Positive integer, the number of independent tapes.
        tape_length: Positive integer, the number of cells of a tape. Heads that move
            past its end start over. `None` makes the tape as long as the sequence,
            masked steps included: padding a sequence makes its tape longer then.
        tape_dim: Positive integer, the size of a cell. `None` means
            `units // num_tapes`, which `num_tapes` has to divide then.
        use_jump: Boolean. Whether heads can jump to positions stored under keys.
        use_shift: Boolean. Whether heads can move to the neighbouring cells.
        use_erase: Boolean. Whether a write erases what stood in its place.
        use_gates: Boolean. Whether reads, writes and erasures have probabilities.
        kernel_initializer: Initializer for the kernels of the projections and of the
            controller.
        recurrent_initializer: Initializer for the controller's recurrent kernel.
        bias_initializer: Initializer for the biases of the projections.
        kernel_regularizer: Regularizer for the same kernels.
        recurrent_regularizer: Regularizer for the controller's recurrent kernel.
        bias_regularizer: Regularizer for the biases of the projections and of the
            controller.
        return_sequences: Boolean. Whether to return the output at every step, or the
            last one.
        return_state: Boolean. Whether to return the final states as well.
        go_backwards: Boolean. Whether to process the sequence backwards and return
            the reversed sequence.
        stateful: Boolean. Whether the states of a sample in a batch are the initial
            states of the sample at the same index of the next batch.
        unroll: Boolean. Whether to lay the steps out one after the other, for
            runtimes without loops. Needs a static length.
        sharpness: Positive number that the logits of the directions are multiplied
            by, outside of training. 1 is the paper's.
        sharpen_training: Boolean. Whether `sharpness` acts in training as well.
        stay_bias: Number that is added at the start to the biases of staying. With 2,
            the heads of a new machine stay where they are most of the time, and move
            where they learn to. The paper has 0.
        **kwargs: Further arguments of `keras.layers.RNN`: `zero_output_for_mask`,
            `activity_regularizer`, `name`, `dtype`, `trainable`.

    Call arguments:
        sequences: A 3D tensor of shape `(batch, time, features)`.
        initial_state: List of the states to start from, as they are returned, or the
            tape alone. `None` means an empty tape and both heads on its first cell. A
            given tape decides its own length if `tape_length` is `None`.
        mask: Boolean tensor of shape `(batch, time)`. A masked (`False`) step leaves
            tapes, heads and controller untouched and repeats the last output.
        training: Boolean. Whether the heads are left as they are learned, see
            `sharpness`.
        segment_ids: Integer tensor of shape `(batch, time)`, for rows that hold several
            sequences. One starts with empty tapes where the number changes.
            Needs a `tape_length`.

    Returns:
        - If `return_sequences`: a tensor of shape `(batch, time, units)`, else of
            shape `(batch, units)`.
        - If `return_state`: a tuple of that and the states, all in float32 whatever
            the dtype policy: the tape `(batch, num_tapes, tape_length, tape_dim)`, the
            key memory of the same shape (if `use_jump`), the read and the write
            position `(batch, num_tapes, tape_length)`, and the controller's two
            states `(batch, units)`.

    Example:

    ```python
    inputs = keras.random.normal((32, 10, 8))
    layer = keras_nam.layers.NAMTM(
        16, num_tapes=2, tape_length=12, return_sequences=True, return_state=True
    )
    outputs, tape, *_ = layer(inputs)
    outputs.shape, tape.shape  # (32, 10, 16), (32, 2, 12, 8)
    ```

    Raises:
        ValueError: If a size is not a positive integer, `num_tapes` does not divide
            `units` while `tape_dim` is `None`, heads can neither jump nor shift,
            `sharpness` is not positive, or a state or mask has the wrong shape.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """

    def __init__(
        self,
        units,
        num_tapes=4,
        tape_length=32,
        tape_dim=None,
        use_jump=True,
        use_shift=True,
        use_erase=True,
        use_gates=True,
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
        sharpness=1.0,
        sharpen_training=False,
        stay_bias=0.0,
        **kwargs,
    ):
        cell = NAMTMCell(
            units,
            num_tapes=num_tapes,
            tape_length=tape_length,
            tape_dim=tape_dim,
            use_jump=use_jump,
            use_shift=use_shift,
            use_erase=use_erase,
            use_gates=use_gates,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            sharpness=sharpness,
            sharpen_training=sharpen_training,
            stay_bias=stay_bias,
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
        controls, value, *key = projected
        tape, *key_memory, read_position, write_position, hidden, carry = states
        outputs, hidden, carry = lstm_scan(
            controls, self.cell.controller_kernel(), hidden, carry, mask=mask
        )
        directions, gates, query = self.cell.act(outputs, training)
        reads, *after = tape_scan(
            value,
            directions,
            tape,
            ops.stack([read_position, write_position], axis=-2),
            gates["write"],
            gates["erase"],
            gates["read"],
            jumps=self.cell.jumps(query, key, gates, key_memory),
            mask=mask,
        )
        tape, positions, key_memory = after
        states = self.cell.as_states(tape, key_memory, positions, hidden, carry)
        return self.cell.output(reads), states
