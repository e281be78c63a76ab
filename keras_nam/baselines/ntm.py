"""The neural Turing machine."""

import keras

from keras_nam.baselines.ntm_cell import NTMCell
from keras_nam.layers.recurrent import MemoryRNN


@keras.saving.register_keras_serializable(package="keras_nam")
class NTM(MemoryRNN):
    """Neural Turing machine: an LSTM with a memory of slots that heads move over.

    With `M` the memory and `w` the weights of a head, a step is

        w = gate softmax(strength * cos(M_i, key)) + (1 - gate) w      look for a key
        w_i = sum_s shift_s w_(i - s)                                  move on
        w_i = w_i^power / sum_j w_j^power                              stay sharp
        M = M * prod(1 - w erase^T) + sum(w write_vector^T)            writing heads
        reads = w M                                                    reading heads

    The controller is an LSTM that sees the inputs and what was read last; the outputs
    are a linear map of it and of what is read. Heads begin at the first slot, and the
    memory with a small constant.

    Args:
        units: Positive integer, dimensionality of the output space.
        memory_size: Positive integer, the number of slots.
        word_size: Positive integer, the numbers in a slot.
        num_read_heads: Positive integer.
        num_write_heads: Positive integer.
        controller_units: Positive integer, or a list of them for a controller of
            several layers, each of which sees the inputs and the layer below.
        shift_range: Positive integer, how many slots a head can move in a step.
        kernel_initializer: Initializer for all kernels but the recurrent ones.
        recurrent_initializer: Initializer for the recurrent kernels of the controller.
        bias_initializer: Initializer for the biases of interface and output.
        sharpness: Positive number that the logits of the shifts are multiplied by,
            outside of training, see `keras_nam.models.choose_sharpness`.
        return_sequences: Boolean. Whether to return the output of every step.
        return_state: Boolean. Whether to return the states after the last step too.
        go_backwards: Boolean. Whether to run from the last step to the first.
        stateful: Boolean. Whether the states are those after the batch before.
        unroll: Boolean. Whether to lay all steps out instead of looping.

    Call arguments:
        sequences: Tensor of shape `(batch, time, features)`.
        initial_state: List of states, as they are returned, or the memory alone.
        mask: Boolean tensor of shape `(batch, time)`. Masked (`False`) steps leave all
            states untouched.
        training: Boolean. Whether `sharpness` is left out.

    Returns:
        - A tensor of shape `(batch, units)`, or `(batch, time, units)` if
            `return_sequences`.
        - If `return_state`: a tuple of that and, in float32 whatever the policy, the
            memory, `(batch, memory_size, word_size)`, what was read last, the weights
            of the reading and then the writing heads, and the states of the controller.

    Example:

    ```python
    layer = keras_nam.baselines.NTM(16, memory_size=8, word_size=4)
    layer(keras.random.normal((32, 10, 8))).shape  # (32, 16)
    ```

    Raises:
        ValueError: If a size is not a positive integer, or a state or mask has the
            wrong shape.

    References:

    - [Neural Turing Machines](https://arxiv.org/abs/1410.5401)
    - [Implementing Neural Turing Machines](https://arxiv.org/abs/1807.08518), for what
      it begins with
    """

    def __init__(
        self,
        units,
        memory_size=128,
        word_size=20,
        num_read_heads=1,
        num_write_heads=1,
        controller_units=100,
        shift_range=1,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        sharpness=1.0,
        **kwargs,
    ):
        cell = NTMCell(
            units,
            memory_size=memory_size,
            word_size=word_size,
            num_read_heads=num_read_heads,
            num_write_heads=num_write_heads,
            controller_units=controller_units,
            shift_range=shift_range,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            sharpness=sharpness,
            **self.cell_arguments(kwargs),
        )
        super().__init__(cell, **kwargs)
