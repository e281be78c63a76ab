"""Attention with sinusoids of the distance and biases of its own, as in XLNet."""

import keras
import numpy as np
from keras import ops

from keras_nam.arguments import check_positive
from keras_nam.baselines.attention import PositionAwareAttention
from keras_nam.layers.initialization import clone_initializer


@keras.saving.register_keras_serializable(package="keras_nam")
class XLNetAttention(PositionAwareAttention):
    """Softmax self-attention with relative positions, a residual and a normalisation.

    With `R(d)` the sinusoids of a distance,

        score_{ts} = (q_t + b_w) k_s + (q_t + b_r) (R(t - s) W_r)
        y = norm(x + attention(x))

    No projection has a bias. Masked steps count as distance.

    Args:
        layer_norm_epsilon: Float.
        **kwargs: `num_heads`, `key_dim`, `dropout`, `use_bias`,
            `kernel_initializer` and `bias_initializer` as of
            `keras.layers.MultiHeadAttention`.

    Example:

    ```python
    layer = keras_nam.baselines.XLNetAttention(num_heads=2, key_dim=8)
    x = keras.random.normal((2, 10, 16))
    layer(x, x).shape  # (2, 10, 16)
    ```

    Reference:

    - [XLNet](https://arxiv.org/abs/1906.08237)
    """

    def __init__(
        self, num_heads, key_dim, layer_norm_epsilon=1e-5, use_bias=False, **kwargs
    ):
        super().__init__(num_heads, key_dim, use_bias=use_bias, **kwargs)
        self.layer_norm_epsilon = check_positive(
            "layer_norm_epsilon", layer_norm_epsilon
        )

    def build(self, query_shape, value_shape=None):
        super().build(query_shape)
        self.width = query_shape[-1]
        self.position_dense = self.make_projection("position", self.width)
        self.content_bias, self.position_bias = (
            self.add_weight(
                name=name,
                shape=(self.num_heads, self.key_dim),
                initializer=clone_initializer(self.bias_initializer),
            )
            for name in ("content_bias", "position_bias")
        )
        self.norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name="norm"
        )
        self.norm.build(query_shape)

    def combine(self, query, attended):
        return self.norm(ops.add(query, attended))

    def scores(self, query, key, mask=None):
        length = ops.shape(query)[1]
        content_bias, position_bias = (
            ops.cast(b, query.dtype) for b in (self.content_bias, self.position_bias)
        )
        content = ops.einsum("btnd,bsnd->bnts", query + content_bias, key)
        positions = self.position_dense(self._sinusoids(length)[None])[0]
        by_distance = ops.einsum("btnd,pnd->bntp", query + position_bias, positions)
        return content + _align(by_distance, length)

    def get_config(self):
        return {**super().get_config(), "layer_norm_epsilon": self.layer_norm_epsilon}

    def _sinusoids(self, length):
        """`R` of the distances from `length - 1` down to `1 - length`."""
        rates = 10000.0 ** (-2.0 * np.arange((self.width + 1) // 2) / self.width)
        # A length that is known is a number, and has to stay one on JAX.
        maximum = max if isinstance(length, int) else ops.maximum
        count = maximum(2 * length - 1, 0)
        wide = keras.backend.result_type(self.compute_dtype, "float32")
        distances = ops.cast(length - 1 - ops.arange(count), wide)
        angles = distances[:, None] * rates.astype(wide)
        sinusoids = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
        # An odd width leaves one out.
        return ops.cast(sinusoids[:, : self.width], self.compute_dtype)


def _align(by_distance, length):
    """`(..., t, distance)` to `(..., t, s)`, with what stands at distance `t - s`.

    Row `t` is to begin at column `length - 1 - t`. Rows that are one column longer,
    read with the old length, move on by one column each.
    """
    batch, heads, _, columns = ops.shape(by_distance)
    x = ops.pad(by_distance, ((0, 0), (0, 0), (0, 0), (1, 0)))
    x = ops.reshape(x, (batch, heads, columns + 1, length))[:, :, 1:]
    return ops.reshape(x, (batch, heads, length, columns))[..., :length]
