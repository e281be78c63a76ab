"""A recurrent network with stacks that it pushes to and pops from."""

import keras
from keras import initializers
from keras import ops

from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.layers.any_length import AnyLengthCell
from keras_nam.layers.any_length import AnyLengthRNN
from keras_nam.layers.initialization import DrawnWide
from keras_nam.layers.initialization import clone_initializer

# What stands below the bottom of a stack.
EMPTY = -1.0
# How many numbers of a stack, from its top on, the network sees.
SEEN = 2


@keras.saving.register_keras_serializable(package="keras_nam")
class StackRNNCell(AnyLengthCell):
    """Cell class for the StackRNN layer.

    This class processes one step within the whole time sequence input, whereas
    `keras_nam.baselines.StackRNN` processes the whole sequence. See there for the
    equations.

    Args:
        units, num_stacks, stack_depth, kernel_initializer, recurrent_initializer,
        bias_initializer: As in `StackRNN`.

    Call arguments:
        inputs: A 2D tensor of shape `(batch, features)`.
        states: List of tensors: the stacks, `(batch, num_stacks, stack_depth)`, and the
            hidden state, `(batch, units)`; or both flat.
        training: Unused, for compatibility.

    Returns:
        A tuple of the output, `(batch, units)`, and the list of the new states, in the
        shapes in which they were given.

    Example:

    ```python
    inputs = keras.random.normal((32, 10, 8))
    cell = keras_nam.baselines.StackRNNCell(16, num_stacks=4, stack_depth=10)
    keras.layers.RNN(cell)(inputs).shape  # (32, 16)
    ```

    Raises:
        ValueError: As `StackRNN`.
    """

    least_length = SEEN

    def __init__(
        self,
        units,
        num_stacks=4,
        stack_depth=None,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        **kwargs,
    ):
        units = check_integer("units", units)
        num_stacks = check_integer("num_stacks", num_stacks)
        stack_depth = check_optional_integer("stack_depth", stack_depth, SEEN)
        super().__init__(**kwargs)
        self.units = units
        self.num_stacks = num_stacks
        self.stack_depth = stack_depth
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.output_size = units

    @property
    def memory_length(self):
        return self.stack_depth

    def state_shapes_for(self, memory_length):
        return ((self.num_stacks, memory_length), (self.units,))

    def build(self, input_shape):
        super().build(input_shape)
        hidden, seen = (None, self.units), (None, SEEN * self.num_stacks)
        self.input_dense = self._dense(self.units, input_shape, "input")
        recurrent = DrawnWide(clone_initializer(self.recurrent_initializer))
        self.recurrent_dense = self._dense(
            self.units, hidden, "recurrent", recurrent, use_bias=False
        )
        self.stack_dense = self._dense(self.units, seen, "stack", use_bias=False)
        self.action_dense = self._dense(3 * self.num_stacks, hidden, "action")
        self.push_dense = self._dense(self.num_stacks, hidden, "push")
        self.output_dense = self._dense(self.units, hidden, "output")

    def project(self, inputs):
        return self.input_dense(inputs)

    def step(self, projected, states, training=False):
        stack, hidden = states
        seen = ops.concatenate([stack[..., i] for i in range(SEEN)], axis=-1)
        hidden = projected + self.recurrent_dense(hidden) + self.stack_dense(seen)
        hidden = ops.cast(ops.sigmoid(hidden), self.state_dtype)

        action = ops.cast(self.action_dense(hidden), self.state_dtype)
        action = ops.softmax(ops.stack(ops.split(action, 3, axis=-1), axis=-1))
        push, pop, keep = ops.split(action, 3, axis=-1)
        top = ops.cast(ops.sigmoid(self.push_dense(hidden)), self.state_dtype)[
            ..., None
        ]
        pushed = ops.concatenate([top, stack[..., :-1]], axis=-1)
        popped = ops.concatenate([stack[..., 1:], EMPTY * ops.ones_like(top)], axis=-1)
        stack = push * pushed + pop * popped + keep * stack
        trajectory = {"stack": stack, "action": action, "hidden": hidden}
        return self.output_dense(hidden), [stack, hidden], trajectory

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "num_stacks": self.num_stacks,
            "stack_depth": self.stack_depth,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }

    def _dense(self, units, shape, name, kernel_initializer=None, use_bias=True):
        layer = keras.layers.Dense(
            units,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer
            or clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(shape)
        return layer


@keras.saving.register_keras_serializable(package="keras_nam")
class StackRNN(AnyLengthRNN):
    """Recurrent network with stacks that it pushes to, pops from or leaves alone.

        h = sigmoid(W x + R h + S [top numbers of all stacks] + b)
        push, pop, keep = softmax(W_a h + b_a)                      for each stack
        stack = push [sigmoid(W_p h + b_p), stack_0, stack_1, ...]
                + pop [stack_1, stack_2, ..., -1] + keep stack
        outputs = W_o h + b_o

    All stacks begin with zeros.

    Args:
        units: Positive integer, dimensionality of the hidden state and of the outputs.
        num_stacks: Positive integer, the number of stacks of single numbers.
        stack_depth: Integer of at least 2, how much a stack can hold. `None` means as
            much as the sequence has steps, two at least. Masked ones are counted:
            padding a sequence makes its stacks deeper then, and what is popped from
            below their bottom arrives later.
        kernel_initializer: Initializer for all kernels but the recurrent one.
        recurrent_initializer: Initializer for the recurrent kernel.
        bias_initializer: Initializer for the biases.
        return_sequences: Boolean. Whether to return the output of every step.
        return_state: Boolean. Whether to return the states after the last step too.
        go_backwards: Boolean. Whether to run from the last step to the first.
        stateful: Boolean. Whether the states are those after the batch before.
        unroll: Boolean. Whether to lay all steps out instead of looping.

    Call arguments:
        sequences: Tensor of shape `(batch, time, features)`.
        initial_state: List of states, as they are returned, or the stacks alone.
        mask: Boolean tensor of shape `(batch, time)`. Masked (`False`) steps leave all
            states untouched.
        training: Unused, for compatibility.

    Returns:
        - A tensor of shape `(batch, units)`, or `(batch, time, units)` if
            `return_sequences`.
        - If `return_state`: a tuple of that and, in float32 whatever the policy, the
            stacks, `(batch, num_stacks, stack_depth)`, and the hidden state.

    Example:

    ```python
    layer = keras_nam.baselines.StackRNN(16, num_stacks=4)
    layer(keras.random.normal((32, 10, 8))).shape  # (32, 16)
    ```

    Raises:
        ValueError: If a size is not a positive integer, or a state or mask has the
            wrong shape.

    Reference:

    - [Inferring algorithmic patterns with stack-augmented recurrent
      nets](https://arxiv.org/abs/1503.01007)
    """

    def __init__(
        self,
        units,
        num_stacks=4,
        stack_depth=None,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        **kwargs,
    ):
        cell = StackRNNCell(
            units,
            num_stacks=num_stacks,
            stack_depth=stack_depth,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            **self.cell_arguments(kwargs),
        )
        super().__init__(cell, **kwargs)
