"""The linear Transformer's attention, which is a memory too."""

import keras
from keras import ops

from keras_nam.arguments import check_absent
from keras_nam.layers.attention import NAMAttention

ABSENT = ("use_gates", "use_erase", "decay", "write_gate", "erase_gate")


@keras.saving.register_keras_serializable(package="keras_nam")
class LinearAttention(NAMAttention):
    """Attention with a feature map in place of softmax: the linear Transformer.

    With `f(x) = elu(x) + 1` on queries and keys, every head computes

        y_s = sum_z (f(q_s) . f(k_z)) v_z / sum_z f(q_s) . f(k_z)

    over all `z`, or with `use_causal_mask=True` over those up to `s`. Both sums are
    read from one memory, whose values have a 1 as last element. The layer stands here
    as what `NAMAttention` is compared with, and is called like it.

    Args:
        num_heads: Positive integer, the number of heads.
        key_dim: Positive integer, the size of queries and keys per head.
        value_dim: Positive integer, the size of values per head. `None` means
            `key_dim`.
        **kwargs: Further arguments of `NAMAttention`, but for those of its gates and
            decay: `dropout`, `use_bias`, `output_shape`, the initializers,
            regularizers and constraints, `seed`, `name`, `dtype`, `trainable`.

    Call arguments:
        query: Tensor of shape `(batch, target, features)`. All arguments are those of
            `NAMAttention`; the memory has the shape
            `(batch, num_heads, value_dim + 1, key_dim)`.

    Returns:
        A tensor of shape `(batch, target, features)`; if `return_memory`, a tuple of
        that and the memory.

    Example:

    ```python
    x = keras.random.normal((2, 1000, 32))
    keras_nam.layers.LinearAttention(num_heads=4, key_dim=8)(x, x).shape  # as x
    ```

    Raises:
        ValueError: As `NAMAttention`, or if an argument of gates or a decay is given.

    Reference:

    - [Transformers are RNNs](https://arxiv.org/abs/2006.16236)
    """

    def __init__(self, num_heads, key_dim, value_dim=None, **kwargs):
        check_absent(kwargs, ABSENT, "Linear attention has no gates")
        super().__init__(num_heads, key_dim, value_dim, use_gates=False, **kwargs)

    @property
    def memory_shape(self):
        return (self.num_heads, self.value_dim + 1, self.key_dim)

    def feature_map(self, x):
        return ops.elu(x) + 1.0

    def remember(self, query, key, value, *arguments):
        dtype = value.dtype
        # The sums grow with the length, beyond what half precision can tell apart.
        value = ops.cast(value, keras.backend.result_type(dtype, "float32"))
        value = ops.concatenate([value, ops.ones_like(value[..., :1])], axis=-1)
        outputs, memory = super().remember(query, key, value, *arguments)
        total, weight = ops.split(outputs, [self.value_dim], axis=-1)
        return ops.cast(total / ops.maximum(weight, 1e-6), dtype), memory

    def get_config(self):
        config = super().get_config()
        return {name: x for name, x in config.items() if name not in ABSENT}
