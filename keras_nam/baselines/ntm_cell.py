"""One step of the neural Turing machine."""

import keras
from keras import ops

from keras_nam.arguments import check_integer
from keras_nam.baselines.addressing import content_weights
from keras_nam.baselines.addressing import one_plus
from keras_nam.baselines.addressing import sharpen
from keras_nam.baselines.addressing import shift
from keras_nam.baselines.controlled_cell import ControlledCell

# A small constant was found to be the best that a memory can begin with.
INITIAL_MEMORY = 1e-6


@keras.saving.register_keras_serializable(package="keras_nam")
class NTMCell(ControlledCell):
    """Cell class for the NTM layer.

    This class processes one step within the whole time sequence input, whereas
    `keras_nam.baselines.NTM` processes the whole sequence. See there for the
    equations.

    Args:
        units, memory_size, word_size, num_read_heads, num_write_heads,
        controller_units, shift_range: As in `NTM`.
        kernel_initializer, recurrent_initializer, bias_initializer, sharpness: As in
            `NTM`.

    Call arguments:
        inputs: A 2D tensor of shape `(batch, features)`.
        states: List of tensors: the memory, what was read last, the weights of all
            heads, and two states for each layer of the controller; flat, see
            `state_size`, or in the shapes that `NTM` returns.
        training: Boolean. Whether `sharpness` is left out.

    Returns:
        A tuple of the output, `(batch, units)`, and the list of the new states, in the
        shapes in which they were given.

    Example:

    ```python
    inputs = keras.random.normal((32, 10, 8))
    cell = keras_nam.baselines.NTMCell(16, memory_size=8, word_size=4)
    keras.layers.RNN(cell)(inputs).shape  # (32, 16)
    ```

    Raises:
        ValueError: As `NTM`.
    """

    directions = "shift"

    def __init__(
        self,
        units,
        memory_size=128,
        word_size=20,
        num_read_heads=1,
        num_write_heads=1,
        controller_units=100,
        shift_range=1,
        **kwargs,
    ):
        num_write_heads = check_integer("num_write_heads", num_write_heads)
        shift_range = check_integer("shift_range", shift_range)
        super().__init__(
            units, memory_size, word_size, num_read_heads, controller_units, **kwargs
        )
        self.num_write_heads = num_write_heads
        self.shift_range = shift_range

    @property
    def interface_parts(self):
        heads = self.num_read_heads + self.num_write_heads
        return {
            "key": (heads, self.word_size),
            "strength": (heads,),
            "content_gate": (heads,),
            "shift": (heads, 2 * self.shift_range + 1),
            "power": (heads,),
            "erase": (self.num_write_heads, self.word_size),
            "write_vector": (self.num_write_heads, self.word_size),
        }

    @property
    def memory_shapes(self):
        heads = self.num_read_heads + self.num_write_heads
        return (
            (self.memory_size, self.word_size),
            (self.num_read_heads, self.word_size),
            (heads, self.memory_size),
        )

    def initial_states(self, batch_size):
        memory, reads, weights, *controller = super().initial_states(batch_size)
        # All heads begin at the first slot.
        first = ops.cast(ops.arange(self.memory_size) == 0, weights.dtype)
        return [memory + INITIAL_MEMORY, reads, weights + first, *controller]

    def access(self, parts, states):
        memory, _, weights = states
        content = content_weights(memory, parts["key"], one_plus(parts["strength"]))
        gate = ops.sigmoid(parts["content_gate"])[..., None]
        weights = gate * content + (1.0 - gate) * weights
        weights = shift(weights, ops.softmax(parts["shift"]))
        weights = sharpen(weights, one_plus(parts["power"]))
        read_weights, write_weights = ops.split(weights, [self.num_read_heads], axis=1)

        erased = write_weights[..., None] * ops.sigmoid(parts["erase"])[:, :, None]
        memory = memory * ops.prod(1.0 - erased, axis=1)
        memory = memory + ops.einsum(
            "bhn,bhw->bnw", write_weights, parts["write_vector"]
        )
        reads = ops.matmul(read_weights, memory)
        trajectory = {"read_weights": read_weights, "write_weights": write_weights}
        return reads, [memory, reads, weights], trajectory

    def get_config(self):
        return {
            **super().get_config(),
            "num_write_heads": self.num_write_heads,
            "shift_range": self.shift_range,
        }
