"""How fast a memory forgets, from what is projected of its inputs."""

import math

import keras
from keras import initializers
from keras import ops

KINDS = ("head", "channel")
# What new layers draw from, as those of Mamba-2 and Gated DeltaNet do.
SMALLEST_STEP, LARGEST_STEP = 1e-3, 1e-1
SMALLEST_RATE, LARGEST_RATE = 1.0, 16.0


class LogDecay(keras.layers.Layer):
    """Computes `-exp(A_log) softplus(x + dt_bias)`, the logarithm of a decay.

    The softplus of a new layer's `dt_bias` lies between 0.001 and 0.1, and `exp(A_log)`
    between 1 and 16: one head forgets half of the past at every step, and another one
    within hundreds of them.

    Args:
        weight_shape: Tuple `(heads,)`, or `(heads, channels)` for a decay of channels.

    Call arguments:
        x: Tensor of shape `(..., *weight_shape)`.

    Returns:
        Tensor of the shape of `x`, not above 0, in float32 or wider.

    Reference:

    - [Gated Delta Networks](https://arxiv.org/abs/2412.06464)
    """

    def __init__(self, weight_shape, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.weight_shape = weight_shape

    def build(self, x_shape):
        self.dt_bias = self.add_weight(
            name="dt_bias", shape=self.weight_shape, initializer=_draw_step
        )
        self.A_log = self.add_weight(
            name="A_log", shape=self.weight_shape[:1], initializer=_draw_rate
        )

    def call(self, x):
        dtype = keras.backend.result_type(x.dtype, "float32")
        rate = ops.exp(ops.cast(self.A_log, dtype))
        if len(self.weight_shape) > 1:
            rate = rate[:, None]
        return -rate * ops.softplus(ops.cast(x, dtype) + ops.cast(self.dt_bias, dtype))


def _draw_rate(shape, dtype=None):
    rate = initializers.RandomUniform(SMALLEST_RATE, LARGEST_RATE)(shape)
    return ops.cast(ops.log(rate), dtype)


def _draw_step(shape, dtype=None):
    """What `softplus` makes a step of that is even on a logarithmic scale."""
    ends = math.log(SMALLEST_STEP), math.log(LARGEST_STEP)
    step = ops.exp(initializers.RandomUniform(*ends)(shape))
    return ops.cast(ops.log(ops.expm1(step)), dtype)
