"""The differentiable neural computer."""

import keras

from keras_nam.baselines.dnc_cell import DNCCell
from keras_nam.layers.recurrent import MemoryRNN


@keras.saving.register_keras_serializable(package="keras_nam")
class DNC(MemoryRNN):
    """Differentiable neural computer: an LSTM with a memory of slots and three ways.

    Its heads find a slot by what stands in it, by which slot is free, or by the order
    in which slots were written. With `M` the memory, `r` the weights of a reading head
    and `w` those of the writing head, a step is

        u = (u + w - u * w) * prod_r(1 - free_r r)                what is in use
        a = the free slots, those least used first
        w = write_gate (allocation_gate a + (1 - allocation_gate) c_w)
        M = M * (1 - w erase^T) + w write_vector^T
        L_ij = (1 - w_i - w_j) L_ij + w_i p_j,   p = (1 - sum w) p + w
        r = mode_1 L^T r + mode_2 c_r + mode_3 L r,   reads = r M

    with `c` a softmax of `strength * cos(M_i, key)` over the slots. The controller is
    an LSTM that sees the inputs and what was read last; the outputs are a linear map of
    it and of what is read.

    Three options mend what was found wrong with it later. `use_masking`: the cosine may
    look at a part of a word alone. `use_deallocation`: a slot that becomes free is
    emptied, instead of being found again by what stood in it. `use_sharpening`: the
    weights that links lead to are raised to a learned power, so that they do not blur.

    Args:
        units: Positive integer, dimensionality of the output space.
        memory_size: Positive integer, the number of slots.
        word_size: Positive integer, the numbers in a slot.
        num_read_heads: Positive integer. There is one writing head.
        controller_units: Positive integer, or a list of them for a controller of
            several layers, each of which sees the inputs and the layer below.
        use_masking: Boolean.
        use_deallocation: Boolean.
        use_sharpening: Boolean.
        mask_min: Number from 0 to below 1, which a mask is at least.
        clip: Positive number, which what the controller says to the heads is clipped
            to.
        kernel_initializer: Initializer for all kernels but the recurrent ones.
        recurrent_initializer: Initializer for the recurrent kernels of the controller.
        bias_initializer: Initializer for the biases of interface and output.
        sharpness: Positive number that the logits of the reading modes are multiplied
            by, outside of training, see `keras_nam.models.choose_sharpness`.
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
            memory, `(batch, memory_size, word_size)`, what was read last, usage, write
            weights, read weights, precedence, links, and the states of the controller.

    Example:

    ```python
    layer = keras_nam.baselines.DNC(16, memory_size=8, word_size=4, use_masking=True)
    layer(keras.random.normal((32, 10, 8))).shape  # (32, 16)
    ```

    Raises:
        ValueError: If a size is not a positive integer, or a state or mask has the
            wrong shape.

    References:

    - [Hybrid computing using a neural network with dynamic external
      memory](https://www.nature.com/articles/nature20101)
    - [Improving differentiable neural computers through memory masking, de-allocation,
      and link distribution sharpness control](https://arxiv.org/abs/1904.10278)
    """

    def __init__(
        self,
        units,
        memory_size=16,
        word_size=16,
        num_read_heads=4,
        controller_units=64,
        use_masking=False,
        use_deallocation=False,
        use_sharpening=False,
        mask_min=0.0,
        clip=20.0,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        sharpness=1.0,
        **kwargs,
    ):
        cell = DNCCell(
            units,
            memory_size=memory_size,
            word_size=word_size,
            num_read_heads=num_read_heads,
            controller_units=controller_units,
            use_masking=use_masking,
            use_deallocation=use_deallocation,
            use_sharpening=use_sharpening,
            mask_min=mask_min,
            clip=clip,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            sharpness=sharpness,
            **self.cell_arguments(kwargs),
        )
        super().__init__(cell, **kwargs)
