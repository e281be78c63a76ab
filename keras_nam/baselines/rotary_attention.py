"""Attention with rotary positions."""

import keras
import numpy as np
from keras import ops

from keras_nam.baselines.attention import PositionAwareAttention


@keras.saving.register_keras_serializable(package="keras_nam")
class RotaryAttention(PositionAwareAttention):
    """Softmax self-attention that turns queries and keys by their positions.

    Channel `i` and channel `i + key_dim / 2` of a head are turned together by the
    angle `t / 10000^{2i / key_dim}`, so that a score depends on the distance alone.

    Args: see `PositionAwareAttention`; `key_dim` must be even.

    Example:

    ```python
    layer = keras_nam.baselines.RotaryAttention(num_heads=2, key_dim=8)
    x = keras.random.normal((2, 10, 16))
    layer(x, x).shape  # (2, 10, 16)
    ```

    Raises:
        ValueError: If `key_dim` is odd.

    Reference:

    - [RoFormer](https://arxiv.org/abs/2104.09864)
    """

    def __init__(self, num_heads, key_dim, **kwargs):
        super().__init__(num_heads, key_dim, **kwargs)
        if key_dim % 2:
            raise ValueError(
                "Argument `key_dim` must be even: channels are turned in pairs. "
                f"Received: key_dim={key_dim}"
            )

    def scores(self, query, key):
        half = self.key_dim // 2
        wide = keras.backend.result_type(query.dtype, "float32")
        rates = 10000.0 ** (-np.arange(half, dtype=wide) / half)
        positions = ops.cast(ops.arange(ops.shape(query)[1]), wide)
        angles = positions[:, None, None] * rates
        cosine, sine = (ops.cast(f(angles), query.dtype) for f in (ops.cos, ops.sin))

        def turn(x):
            left, right = x[..., :half], x[..., half:]
            return ops.concatenate(
                [left * cosine - right * sine, left * sine + right * cosine], axis=-1
            )

        return ops.einsum("btnd,bsnd->bnts", turn(query), turn(key))
