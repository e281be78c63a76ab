"""One step of the neural attention memory Turing machine."""

import keras
import numpy as np
from keras import initializers
from keras import ops
from keras import regularizers

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_divisible
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_number
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_positive
from keras_nam.layers.any_length import AnyLengthCell
from keras_nam.layers.initialization import DrawnWide
from keras_nam.layers.initialization import clone_initializer
from keras_nam.ops import unit_normalize
from keras_nam.ops.lstm_scan import lstm_step
from keras_nam.ops.tape_step import tape_step


@keras.saving.register_keras_serializable(package="keras_nam")
class NAMTMCell(AnyLengthCell):
    """Cell class for the NAMTM layer.

    This class processes one step within the whole time sequence input, whereas
    `keras_nam.layers.NAMTM` processes the whole sequence. Both hold the same weights
    under the same names. See `NAMTM` for the equations and the variants.

    Args:
        units, num_tapes, tape_length, tape_dim, use_jump, use_shift, use_erase,
        use_gates, kernel_initializer, recurrent_initializer, bias_initializer,
        kernel_regularizer, recurrent_regularizer, bias_regularizer, sharpness,
        sharpen_training, stay_bias: As in `NAMTM`; `tape_length=None` means the length
            of the states that the cell is called with.

    Call arguments:
        inputs: A 2D tensor of shape `(batch, features)`.
        states: List of tensors: the tape, the key memory (if `use_jump`), the read and
            the write position, and the controller's two states; flat, see
            `state_size`, or in the shapes that `NAMTM` returns.
        training: Boolean. Whether the heads are left as they are learned, see
            `sharpness`.

    Returns:
        A tuple of the output, `(batch, units)`, and the list of the new states, in the
        shapes in which they were given.

    Example:

    ```python
    inputs = keras.random.normal((32, 10, 8))
    rnn = keras.layers.RNN(keras_nam.layers.NAMTMCell(16, num_tapes=2))
    rnn(inputs).shape  # (32, 16)
    ```

    Raises:
        ValueError: As `NAMTM`.
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
        sharpness=1.0,
        sharpen_training=False,
        stay_bias=0.0,
        **kwargs,
    ):
        units = check_integer("units", units)
        num_tapes = check_integer("num_tapes", num_tapes)
        tape_length = check_optional_integer("tape_length", tape_length)
        if tape_dim is None:
            check_divisible("units", units, "num_tapes", num_tapes)
        else:
            tape_dim = check_integer("tape_dim", tape_dim)
        use_jump = check_boolean("use_jump", use_jump)
        use_shift = check_boolean("use_shift", use_shift)
        if not use_jump and not use_shift:
            raise ValueError(
                "At least one of `use_jump` and `use_shift` must be True, or the heads "
                f"never move. Received: use_jump={use_jump}, use_shift={use_shift}"
            )
        super().__init__(**kwargs)
        self.units = units
        self.num_tapes = num_tapes
        self.tape_length = tape_length
        self.tape_dim = tape_dim
        self.use_jump = use_jump
        self.use_shift = use_shift
        self.use_erase = check_boolean("use_erase", use_erase)
        self.use_gates = check_boolean("use_gates", use_gates)
        self.sharpness = check_positive("sharpness", sharpness)
        self.sharpen_training = check_boolean("sharpen_training", sharpen_training)
        self.stay_bias = check_number("stay_bias", stay_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.output_size = units

        self.controller = keras.layers.LSTMCell(
            units,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            recurrent_initializer=DrawnWide(
                clone_initializer(self.recurrent_initializer)
            ),
            kernel_regularizer=self.kernel_regularizer,
            recurrent_regularizer=self.recurrent_regularizer,
            bias_regularizer=self.bias_regularizer,
            dtype=self.dtype_policy,
            name="controller",
        )
        cells = num_tapes * self._cell_size()
        self.value_dense = self._dense(cells, "value")
        if use_jump:
            self.key_dense = self._dense(cells, "key")
            self.query_dense = self._dense(cells, "query")
        actions = num_tapes * self._num_actions()
        self.action_dense = self._dense(actions, "action", self._draw_action_bias)
        self.output_dense = self._dense(units, "output")

    @property
    def memory_length(self):
        return self.tape_length

    def state_shapes_for(self, tape_length):
        """The shapes of the states of tapes of another length."""
        cells = (self.num_tapes, tape_length, self._cell_size())
        position = (self.num_tapes, tape_length)
        memories = (cells, cells) if self.use_jump else (cells,)
        return (*memories, position, position, (self.units,), (self.units,))

    def initial_states(self, batch_size, memory_length=None):
        states = super().initial_states(batch_size, memory_length)
        *memories, read, write, hidden, carry = states
        first_cell = ops.cast(ops.arange(ops.shape(read)[-1]) == 0, read.dtype)
        return [*memories, read + first_cell, write + first_cell, hidden, carry]

    def build(self, input_shape):
        super().build(input_shape)
        features, cells = input_shape[-1], self.num_tapes * self._cell_size()
        self.controller.build((None, features))
        self.value_dense.build((None, features))
        if self.use_jump:
            self.key_dense.build((None, features))
            self.query_dense.build((None, self.units))
        self.action_dense.build((None, self.units))
        self.output_dense.build((None, cells))

    def project(self, inputs):
        dtype = self.dtype_policy.compute_dtype
        inputs = ops.cast(inputs, dtype)
        kernel, bias = (
            ops.cast(w, dtype) for w in (self.controller.kernel, self.controller.bias)
        )
        controls = ops.matmul(inputs, kernel) + bias
        value = self._split_tapes(self.value_dense(inputs))
        if not self.use_jump:
            return controls, value
        key = unit_normalize(self._split_tapes(self.key_dense(inputs)))
        return controls, value, key

    def controller_kernel(self):
        """The controller's recurrent kernel in the dtype of its products."""
        dtype = self.dtype_policy.compute_dtype
        return ops.cast(self.controller.recurrent_kernel, dtype)

    def act(self, hidden, training=False):
        """What the controller's output makes of the heads.

        Args:
            hidden: Tensor of shape `(..., units)`.
            training: Boolean, whether the model is being trained.

        Returns:
            `(directions, gates, query)`: `(..., num_tapes, 2, 4)` with the shares of
            the previous cell, staying, the next cell and the jump for the reading and
            the writing head; a dictionary with the read, write, erase and key write
            gates, each `(..., num_tapes)`; and `(..., num_tapes, tape_dim)` or `None`.
        """
        dtype = self.state_dtype
        moves = self._num_directions()
        action = ops.cast(self._split_tapes(self.action_dense(hidden)), dtype)
        leading = ops.shape(action)[:-1]
        directions, gates_logits = ops.split(action, [2 * moves], axis=-1)
        if self.sharpness != 1 and (self.sharpen_training or not training):
            directions = self.sharpness * directions
        directions = ops.softmax(ops.reshape(directions, (*leading, 2, moves)))
        unused = ops.zeros_like(directions[..., :1])
        if not self.use_jump:
            directions = ops.concatenate([directions, unused], axis=-1)
        if not self.use_shift:
            stay, jump = ops.split(directions, 2, axis=-1)
            directions = ops.concatenate([unused, stay, unused, jump], axis=-1)

        ones = ops.ones_like(action[..., 0])
        gates = {"read": ones, "write": ones, "erase": ones}
        if self.use_gates:
            probabilities = ops.unstack(ops.sigmoid(gates_logits), axis=-1)
            gates |= dict(zip(gates, probabilities, strict=False))
        gates["key_write"] = gates["write"]
        if not self.use_erase:
            gates["erase"] = 0.0
            gates["key_write"] = ones
        query = None
        if self.use_jump:
            query = unit_normalize(self._split_tapes(self.query_dense(hidden)))
        return directions, gates, query

    def scale_directions(self, factor):
        """Multiplies the weights that the logits of the directions come from."""
        moves = 2 * self._num_directions()
        heads = np.where(np.arange(self._num_actions()) < moves, factor, 1.0)
        scale = np.tile(heads, self.num_tapes)
        for weight in (self.action_dense.kernel, self.action_dense.bias):
            weight.assign(weight * ops.cast(scale, weight.dtype))

    def scale_controller(self, factor):
        """Multiplies the weights that the controller's gates are computed from."""
        for weight in self.controller.weights:
            weight.assign(weight * ops.cast(factor, weight.dtype))

    def jumps(self, query, key, gates, key_memory):
        """What `tape_step` and `tape_scan` take for jumps, of lists of one or none."""
        if not self.use_jump:
            return None
        query, key = (ops.cast(x, self.state_dtype) for x in (query, key[0]))
        return query, key, gates["key_write"], key_memory[0]

    def as_states(self, tape, key_memory, positions, hidden, carry):
        """The list of the states, as in `state_shapes`."""
        memories = [tape] if key_memory is None else [tape, key_memory]
        return [*memories, positions[..., 0, :], positions[..., 1, :], hidden, carry]

    def output(self, reads):
        """Maps what was read, `(..., num_tapes, tape_dim)`, to `(..., units)`."""
        leading = ops.shape(reads)[:-2]
        cells = self.num_tapes * self._cell_size()
        return self.output_dense(ops.reshape(reads, (*leading, cells)))

    def step(self, projected, states, training=False):
        controls, value, *key = projected
        tape, *key_memory, read_position, write_position, hidden, carry = states
        hidden, carry, _ = lstm_step(controls, self.controller_kernel(), hidden, carry)
        directions, gates, query = self.act(hidden, training)
        read, tape, moved, key_memory, jump = tape_step(
            value,
            directions,
            tape,
            ops.stack([read_position, write_position], axis=-2),
            gates["write"],
            gates["erase"],
            gates["read"],
            jumps=self.jumps(query, key, gates, key_memory),
        )
        trajectory = {
            "read_position": read_position,
            "write_position": write_position,
            "read_direction": directions[..., 0, :],
            "write_direction": directions[..., 1, :],
            "read_gate": gates["read"],
            "write_gate": gates["write"],
            "read": read,
            "tape": tape,
            "hidden": hidden,
        }
        if self.use_erase:
            trajectory["erase_gate"] = gates["erase"]
        if self.use_jump:
            trajectory["key_memory"] = key_memory
            trajectory["jump_position"] = jump
        states = self.as_states(tape, key_memory, moved, hidden, carry)
        return self.output(read), states, trajectory

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "num_tapes": self.num_tapes,
            "tape_length": self.tape_length,
            "tape_dim": self.tape_dim,
            "use_jump": self.use_jump,
            "use_shift": self.use_shift,
            "use_erase": self.use_erase,
            "use_gates": self.use_gates,
            "sharpness": self.sharpness,
            "sharpen_training": self.sharpen_training,
            "stay_bias": self.stay_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "recurrent_regularizer": regularizers.serialize(self.recurrent_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
        }

    def _cell_size(self):
        return self.tape_dim or self.units // self.num_tapes

    def _num_directions(self):
        """Previous, stay, next and jump, as far as they are used."""
        return 1 + 2 * self.use_shift + self.use_jump

    def _num_gates(self):
        """Read, write and erase, as far as they are used."""
        return (2 + self.use_erase) if self.use_gates else 0

    def _num_actions(self):
        """The logits of one tape: directions of both heads, and gates."""
        return 2 * self._num_directions() + self._num_gates()

    def _draw_action_bias(self, shape, dtype=None):
        bias = clone_initializer(self.bias_initializer)(shape, dtype=dtype)
        moves = self._num_directions()
        stay = [int(self.use_shift), int(self.use_shift) + moves]
        heads = np.isin(np.arange(self._num_actions()), stay)
        return bias + ops.cast(self.stay_bias * np.tile(heads, self.num_tapes), dtype)

    def _dense(self, units, name, bias_initializer=None):
        return keras.layers.Dense(
            units,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=(
                bias_initializer or clone_initializer(self.bias_initializer)
            ),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            dtype=self.dtype_policy,
            name=name,
        )

    def _split_tapes(self, x):
        # Converters merge two reshapes of unknown sizes into one that is wrong.
        return ops.stack(ops.split(x, self.num_tapes, axis=-1), axis=-2)
