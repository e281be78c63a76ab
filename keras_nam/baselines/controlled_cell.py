"""What the NTM and the DNC share: an LSTM that controls a memory outside of it."""

import itertools
import math

import keras
from keras import initializers
from keras import ops

from keras_nam.arguments import check_integer
from keras_nam.arguments import check_list
from keras_nam.arguments import check_positive
from keras_nam.layers.cell import MemoryCell
from keras_nam.layers.initialization import DrawnWide
from keras_nam.layers.initialization import clone_initializer
from keras_nam.ops.lstm_scan import lstm_step


class ControlledCell(MemoryCell):
    """Base class of cells whose controller reads and writes through an interface.

        q = [inputs, reads before]
        h = LSTM(q), of several layers: each sees q and the output of the one below
        reads, states = access(W_k h + b_k, states)
        outputs = W_y [h, reads] + b_y

    Subclasses define

    - `interface_parts`: dictionary from the names of what the controller says to the
        heads to shapes, without the batch axis;
    - `memory_shapes`: tuple of the shapes of the memory, of what was read last,
        `(num_read_heads, word_size)`, and of further states of the heads;
    - `directions`: string, which of these parts are the logits of where heads move;
    - `access(parts, states)`: to `(reads, new_states, trajectory)`.

    Args:
        units: Positive integer, dimensionality of the output space.
        memory_size: Positive integer, the number of slots.
        word_size: Positive integer, the numbers in a slot.
        num_read_heads: Positive integer.
        controller_units: Positive integer, or a list of them for an LSTM of several
            layers.
        kernel_initializer: Initializer for all kernels but the recurrent ones.
        recurrent_initializer: Initializer for the recurrent kernels of the controller.
        bias_initializer: Initializer for the biases of interface and output.
        sharpness: Positive number that the logits of the directions are multiplied by,
            outside of training.
    """

    def __init__(
        self,
        units,
        memory_size,
        word_size,
        num_read_heads,
        controller_units,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        sharpness=1.0,
        **kwargs,
    ):
        units = check_integer("units", units)
        memory_size = check_integer("memory_size", memory_size)
        word_size = check_integer("word_size", word_size)
        num_read_heads = check_integer("num_read_heads", num_read_heads)
        listed = controller_units
        if not isinstance(controller_units, (list, tuple)):
            listed = [check_integer("controller_units", controller_units)]
        sizes = check_list(
            "controller_units", listed, object, "a list of positive integers", 1
        )
        sizes = [check_integer("controller_units", size) for size in sizes]
        sharpness = check_positive("sharpness", sharpness)
        super().__init__(**kwargs)
        self.units = units
        self.memory_size = memory_size
        self.word_size = word_size
        self.num_read_heads = num_read_heads
        self.controller_units = sizes if len(sizes) > 1 else sizes[0]
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.sharpness = sharpness
        self.output_size = units
        self._controller_units = sizes

    @property
    def state_shapes(self):
        pairs = [((size,), (size,)) for size in self._controller_units]
        return (*self.memory_shapes, *itertools.chain(*pairs))

    def build(self, input_shape):
        super().build(input_shape)
        features = input_shape[-1] + self.num_read_heads * self.word_size
        below = [0, *self._controller_units[:-1]]
        self.controllers = [
            keras.layers.LSTMCell(
                size,
                kernel_initializer=clone_initializer(self.kernel_initializer),
                recurrent_initializer=DrawnWide(
                    clone_initializer(self.recurrent_initializer)
                ),
                dtype=self.dtype_policy,
                name=f"controller_{i}",
            )
            for i, size in enumerate(self._controller_units)
        ]
        for controller, extra in zip(self.controllers, below, strict=True):
            controller.build((None, features + extra))
        hidden = sum(self._controller_units)
        size = sum(map(math.prod, self.interface_parts.values()))
        self.interface_dense = self._dense(size, hidden, "interface")
        reads = self.num_read_heads * self.word_size
        self.output_dense = self._dense(self.units, hidden + reads, "output")

    def project(self, inputs):
        dtype = self.dtype_policy.compute_dtype
        inputs = ops.cast(inputs, dtype)
        features = inputs.shape[-1]
        return tuple(
            ops.matmul(inputs, ops.cast(x.kernel, dtype)[:features])
            + ops.cast(x.bias, dtype)
            for x in self.controllers
        )

    def step(self, projected, states, training=False):
        count = len(self.memory_shapes)
        states, controller_states = states[:count], states[count:]
        hidden, controller_states = self._control(
            projected, _flat(states[1]), controller_states
        )
        interface = ops.cast(self.interface_dense(hidden), self.state_dtype)
        parts = self.parts_of(interface)
        if self.sharpness != 1 and not training:
            parts[self.directions] = self.sharpness * parts[self.directions]
        reads, states, trajectory = self.access(parts, states)
        output = self.output_dense(ops.concatenate([hidden, _flat(reads)], axis=-1))
        trajectory = {**trajectory, "memory": states[0], "read": reads}
        return output, [*states, *controller_states], trajectory

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "memory_size": self.memory_size,
            "word_size": self.word_size,
            "num_read_heads": self.num_read_heads,
            "controller_units": self.controller_units,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "sharpness": self.sharpness,
        }

    def _control(self, projected, reads, states):
        """The output of all layers of the controller, and their states after it."""
        dtype = self.dtype_policy.compute_dtype
        outputs, after = [], []
        for controller, controls, hidden, carry in zip(
            self.controllers, projected, states[::2], states[1::2], strict=True
        ):
            seen = ops.cast(ops.concatenate([reads, *outputs[-1:]], axis=-1), dtype)
            kernel = ops.cast(controller.kernel, dtype)[-seen.shape[-1] :]
            hidden, carry, _ = lstm_step(
                controls + ops.matmul(seen, kernel),
                ops.cast(controller.recurrent_kernel, dtype),
                hidden,
                carry,
            )
            outputs.append(hidden)
            after += [hidden, carry]
        return ops.concatenate(outputs, axis=-1), after

    def parts_of(self, interface):
        """What the controller says to the heads, by name."""
        shapes = self.interface_parts
        ends = itertools.accumulate(map(math.prod, shapes.values()))
        parts = ops.split(interface, list(ends)[:-1], axis=-1)
        return {
            name: ops.reshape(part, (-1, *shape))
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }

    def _dense(self, units, features, name):
        layer = keras.layers.Dense(
            units,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, features))
        return layer


def _flat(reads):
    return ops.reshape(reads, (-1, reads.shape[-2] * reads.shape[-1]))
