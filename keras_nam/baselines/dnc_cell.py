"""One step of the differentiable neural computer."""

import keras
from keras import ops

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_number
from keras_nam.arguments import check_positive
from keras_nam.baselines.addressing import allocation_weights
from keras_nam.baselines.addressing import content_weights
from keras_nam.baselines.addressing import one_plus
from keras_nam.baselines.addressing import sharpen
from keras_nam.baselines.controlled_cell import ControlledCell


@keras.saving.register_keras_serializable(package="keras_nam")
class DNCCell(ControlledCell):
    """Cell class for the DNC layer.

    This class processes one step within the whole time sequence input, whereas
    `keras_nam.baselines.DNC` processes the whole sequence. See there for the
    equations.

    Args:
        units, memory_size, word_size, num_read_heads, controller_units, use_masking,
        use_deallocation, use_sharpening, mask_min, clip: As in `DNC`.
        kernel_initializer, recurrent_initializer, bias_initializer, sharpness: As in
            `DNC`.

    Call arguments:
        inputs: A 2D tensor of shape `(batch, features)`.
        states: List of tensors: the memory, what was read last, usage, write weights,
            read weights, precedence, links, and two states for each layer of the
            controller; flat, see `state_size`, or in the shapes that `DNC` returns.
        training: Boolean. Whether `sharpness` is left out.

    Returns:
        A tuple of the output, `(batch, units)`, and the list of the new states, in the
        shapes in which they were given.

    Example:

    ```python
    inputs = keras.random.normal((32, 10, 8))
    cell = keras_nam.baselines.DNCCell(16, memory_size=8, word_size=4)
    keras.layers.RNN(cell)(inputs).shape  # (32, 16)
    ```

    Raises:
        ValueError: As `DNC`.
    """

    directions = "read_mode"

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
        **kwargs,
    ):
        use_masking = check_boolean("use_masking", use_masking)
        use_deallocation = check_boolean("use_deallocation", use_deallocation)
        use_sharpening = check_boolean("use_sharpening", use_sharpening)
        mask_min = check_number("mask_min", mask_min, at_least=0, below=1)
        clip = check_positive("clip", clip)
        super().__init__(
            units, memory_size, word_size, num_read_heads, controller_units, **kwargs
        )
        self.use_masking = use_masking
        self.use_deallocation = use_deallocation
        self.use_sharpening = use_sharpening
        self.mask_min = mask_min
        self.clip = clip

    @property
    def interface_parts(self):
        word, heads = (1, self.word_size), self.num_read_heads
        masks = {"write_mask": word} if self.use_masking else {}
        read_masks = {"read_mask": (heads, self.word_size)} if self.use_masking else {}
        sharpness = {"forward_power": (heads,), "backward_power": (heads,)}
        return {
            **masks,
            "write_key": word,
            "erase": word,
            "write_vector": word,
            "free_gate": (heads,),
            "write_strength": (1,),
            "allocation_gate": (1,),
            "write_gate": (1,),
            **read_masks,
            "read_key": (heads, self.word_size),
            "read_strength": (heads,),
            "read_mode": (heads, 3),
            **(sharpness if self.use_sharpening else {}),
        }

    @property
    def memory_shapes(self):
        slots, heads = self.memory_size, self.num_read_heads
        return (
            (slots, self.word_size),
            (heads, self.word_size),
            (slots,),
            (slots,),
            (heads, slots),
            (slots,),
            (slots, slots),
        )

    def parts_of(self, interface):
        return super().parts_of(ops.clip(interface, -self.clip, self.clip))

    def access(self, parts, states):
        memory, _, usage, write_weights, read_weights, precedence, link = states
        # What was read and is not needed any more becomes free; then comes the write.
        content = self._content(memory, parts, "write")[:, 0]
        free = ops.sigmoid(parts["free_gate"])[..., None]
        retention = ops.prod(1.0 - free * read_weights, axis=1)
        # The published code learns nothing through the write before.
        written = ops.stop_gradient(write_weights)
        usage = (usage + written * (1.0 - usage)) * retention
        allocation = allocation_weights(usage)
        gate = ops.sigmoid(parts["allocation_gate"])
        write_weights = gate * allocation + (1.0 - gate) * content
        write_weights = ops.sigmoid(parts["write_gate"]) * write_weights

        column = write_weights[..., None]
        kept = 1.0 - column * ops.sigmoid(parts["erase"])
        if self.use_deallocation:
            kept = kept * retention[..., None]
        memory = memory * kept + column * parts["write_vector"]

        # Links lead from every slot to the one that was written after it.
        row = write_weights[:, None]
        link = (1.0 - column - row) * link + column * precedence[:, None]
        link = link * (1.0 - ops.eye(self.memory_size, dtype=link.dtype))
        precedence = (1.0 - ops.sum(row, axis=-1)) * precedence + write_weights

        forward = ops.einsum("bij,brj->bri", link, read_weights)
        backward = ops.einsum("bij,bri->brj", link, read_weights)
        if self.use_sharpening:
            forward = sharpen(forward, one_plus(parts["forward_power"]))
            backward = sharpen(backward, one_plus(parts["backward_power"]))
        content = self._content(memory, parts, "read")
        mode = ops.softmax(parts["read_mode"])
        ways = ops.stack([backward, content, forward], axis=-1)
        read_weights = ops.sum(mode[:, :, None] * ways, axis=-1)
        reads = ops.matmul(read_weights, memory)

        heads = write_weights, read_weights, precedence, link
        trajectory = {
            "usage": usage,
            "allocation_weights": allocation,
            "write_weights": write_weights,
            "read_weights": read_weights,
            "precedence": precedence,
            "link": link,
            "forward_weights": forward,
            "backward_weights": backward,
        }
        return reads, [memory, reads, usage, *heads], trajectory

    def get_config(self):
        return {
            **super().get_config(),
            "use_masking": self.use_masking,
            "use_deallocation": self.use_deallocation,
            "use_sharpening": self.use_sharpening,
            "mask_min": self.mask_min,
            "clip": self.clip,
        }

    def _content(self, memory, parts, name):
        mask = None
        if self.use_masking:
            mask = ops.sigmoid(parts[f"{name}_mask"])
            mask = mask * (1.0 - self.mask_min) + self.mask_min
        strength = one_plus(parts[f"{name}_strength"])
        return content_weights(memory, parts[f"{name}_key"], strength, mask)
