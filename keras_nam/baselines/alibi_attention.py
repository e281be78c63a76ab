"""Attention that fades with distance."""

import keras
import numpy as np
from keras import ops

from keras_nam.baselines.attention import PositionAwareAttention


@keras.saving.register_keras_serializable(package="keras_nam")
class ALiBiAttention(PositionAwareAttention):
    """Softmax self-attention whose scores fall linearly with the distance.

    Head `n` of `num_heads`, counted from 1, adds `-2^{-8n / num_heads} |t - s|` to the
    score of position `s` for position `t`. Masked steps between them count.

    Args:
        **kwargs: `num_heads`, `key_dim`, `dropout`, `use_bias`,
            `kernel_initializer` and `bias_initializer` as of
            `keras.layers.MultiHeadAttention`.

    Example:

    ```python
    layer = keras_nam.baselines.ALiBiAttention(num_heads=2, key_dim=8)
    x = keras.random.normal((2, 10, 16))
    layer(x, x).shape  # (2, 10, 16)
    ```

    Reference:

    - [Train Short, Test Long](https://arxiv.org/abs/2108.12409)
    """

    def scores(self, query, key, mask=None):
        scores = ops.einsum("btnd,bsnd->bnts", query, key)
        slopes = 2.0 ** (-8.0 * np.arange(1, self.num_heads + 1) / self.num_heads)
        wide = keras.backend.result_type(query.dtype, "float32")
        steps = ops.cast(ops.arange(ops.shape(query)[1]), wide)
        distances = ops.abs(steps[:, None] - steps)
        # The penalty stands beside scores that are already divided by the root.
        slopes = (slopes * self.key_dim**0.5).astype(wide)[:, None, None]
        return ops.cast(scores, wide) - ops.multiply(slopes, distances)
