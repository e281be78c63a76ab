"""Attention with rotary positions."""

import keras
import numpy as np
from keras import ops

from keras_nam.arguments import check_optional_integer
from keras_nam.baselines.attention import PositionAwareAttention
from keras_nam.layers.streaming import check_no_segments
from keras_nam.ops.segments import chosen_first
from keras_nam.ops.segments import divide_up
from keras_nam.ops.segments import sequence_numbers


@keras.saving.register_keras_serializable(package="keras_nam")
class RotaryAttention(PositionAwareAttention):
    """Softmax self-attention that turns queries and keys by their positions.

    Channel `i` and channel `i + key_dim / 2` of a head are turned together by the
    angle `t / 10000^{2i / key_dim}`, so that a score depends on the distance alone.
    Masked steps count for no distance.

    With a `window`, time and memory grow linearly with the length, and a model that is
    fed piece by piece, see `keras_nam.models.StreamingModel`, keeps the keys and values
    of the last `window - 1` valid steps, however long the past is.

    All other arguments, `num_heads`, `key_dim`, `dropout`, `use_bias`,
    `kernel_initializer` and `bias_initializer` as of
    `keras.layers.MultiHeadAttention`; `key_dim` must be even.

    Args:
        window: Integer of at least 2, how many steps a position sees, its own and those
            before. Such a layer has to be called with `use_causal_mask=True`. `None`
            means all.

    Example:

    ```python
    layer = keras_nam.baselines.RotaryAttention(num_heads=2, key_dim=8)
    x = keras.random.normal((2, 10, 16))
    layer(x, x).shape  # (2, 10, 16)
    ```

    Raises:
        ValueError: If `key_dim` is odd, or a layer with a `window` is called without
            `use_causal_mask=True`.

    Reference:

    - [RoFormer](https://arxiv.org/abs/2104.09864)
    - [Mistral 7B](https://arxiv.org/abs/2310.06825), for the window
    """

    def __init__(self, num_heads, key_dim, window=None, **kwargs):
        super().__init__(num_heads, key_dim, **kwargs)
        if key_dim % 2:
            raise ValueError(
                "Argument `key_dim` must be even: channels are turned in pairs. "
                f"Received: key_dim={key_dim}"
            )
        self.window = check_optional_integer("window", window, at_least=2)

    def attend(self, query, key, value, mask, use_causal_mask, training, segment_ids):
        if self.window is None:
            return super().attend(
                query, key, value, mask, use_causal_mask, training, segment_ids
            )
        self._check_window(use_causal_mask)
        state = self.initial_stream_state(ops.shape(query)[0])
        return self._attend_window(
            query, key, value, mask, training, segment_ids, state
        )[0]

    def initial_stream_state(self, batch_size):
        self._check_window()
        shape = (batch_size, self.window - 1, self.num_heads, self.key_dim)
        keys, values = (ops.zeros(shape, self.compute_dtype) for _ in range(2))
        return [keys, values, ops.zeros((batch_size,), "int32")]

    def stream(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        use_causal_mask=False,
        training=None,
        segment_ids=None,
        *,
        state,
    ):
        check_no_segments(segment_ids)
        self._check_window(use_causal_mask)
        mask = self.seen(query, value_mask, key_mask)
        _, *projected = self.project(query, value, key, query_mask, mask)
        read, state = self._attend_window(*projected, mask, training, None, state)
        return self.output_dense(read), state

    def scores(self, query, key, mask=None):
        positions = ops.arange(ops.shape(query)[1])
        if mask is not None:
            positions = ops.cumsum(ops.cast(mask, "int32"), axis=1)
        query, key = (self._turn(x, positions) for x in (query, key))
        return ops.einsum("btnd,bsnd->bnts", query, key)

    def get_config(self):
        return {**super().get_config(), "window": self.window}

    def _check_window(self, use_causal_mask=True):
        if self.window is None:
            raise ValueError("without a `window` all that was seen would be kept")
        if not use_causal_mask:
            raise ValueError(
                "A layer with a `window` has to be called with `use_causal_mask=True`. "
                f"Received: window={self.window}, use_causal_mask={use_causal_mask}"
            )

    def _turn(self, x, positions):
        half = self.key_dim // 2
        wide = keras.backend.result_type(x.dtype, "float32")
        rates = 10000.0 ** (-np.arange(half, dtype=wide) / half)
        angles = ops.cast(positions, wide)[..., None, None] * rates
        cosine, sine = (ops.cast(f(angles), x.dtype) for f in (ops.cos, ops.sin))
        left, right = x[..., :half], x[..., half:]
        return ops.concatenate(
            [left * cosine - right * sine, left * sine + right * cosine], axis=-1
        )

    def _attend_window(self, query, key, value, mask, training, segment_ids, state):
        """Reads, block by block, the steps of a block and as many before it."""
        past, length = self.window - 1, ops.shape(query)[1]
        *before, count = state
        numbers = segment_ids
        if segment_ids is not None:
            numbers = sequence_numbers(segment_ids, mask)
        added = length
        if mask is not None:
            order, valid = chosen_first(ops.cast(mask, "bool"))
            added = ops.sum(ops.cast(mask, "int32"), axis=1)

            def pick(x, steps):
                axes = (1,) * (len(x.shape) - 2)
                steps = ops.reshape(steps, (*ops.shape(steps), *axes))
                return ops.take_along_axis(x, steps, axis=1)

            query, key, value = (pick(x, order) for x in (query, key, value))
            numbers = None if numbers is None else pick(numbers, order)
        key, value = (
            ops.concatenate(x, axis=1) for x in zip(before, (key, value), strict=True)
        )
        if mask is None:
            after = [x[:, length:] for x in (key, value)]
        else:
            last = added[:, None] + ops.arange(past, dtype="int32")
            after = [pick(x, last) for x in (key, value)]
        after.append(ops.minimum(count + added, past))

        positions = ops.arange(past + length)
        query = self._turn(query, positions[past:])
        key = self._turn(key, positions)

        # A length that is known is a number, and has to stay one on JAX.
        known = isinstance(length, int)
        least, most = (min, max) if known else (ops.minimum, ops.maximum)
        block = least(most(length, 1), past)
        blocks = most(divide_up(length, block), 1)

        def split(x, count, size):
            end = count * size - ops.shape(x)[1]
            x = ops.pad(x, [(0, 0), (0, end), *[(0, 0)] * (len(x.shape) - 2)])
            return ops.reshape(x, (ops.shape(x)[0], count, size, *x.shape[2:]))

        def split_seen(x):
            """What each block sees: the block before, and itself."""
            if known and blocks == 1:
                return x[:, None]
            x = split(x, blocks + 1, past)
            return ops.concatenate([x[:, :-1], x[:, 1:]], axis=2)

        query, key, value = (
            split(query, blocks, block),
            split_seen(key),
            split_seen(value),
        )
        seen = ops.arange(ops.shape(key)[2])
        distance = past + ops.arange(block)[:, None] - seen
        # Before the first step there is nothing.
        first = past - ops.reshape(count, (-1, 1, 1, 1, 1))
        step = past * ops.arange(blocks)[:, None, None, None] + seen
        visible = [(distance >= 0) & (distance <= past), step >= first]
        if numbers is not None:
            theirs = split_seen(ops.pad(numbers, ((0, 0), (past, 0))))
            ours = split(numbers, blocks, block)
            visible.append(ours[:, :, None, :, None] == theirs[:, :, None, None])
        scores = ops.einsum("bkqnd,bksnd->bknqs", query, key)
        probabilities = self.probabilities(scores, visible, training)
        read = ops.einsum("bknqs,bksnd->bkqnd", probabilities, value)
        shape = (ops.shape(read)[0], blocks * block, *read.shape[3:])
        read = ops.reshape(read, shape)[:, :length]
        if mask is not None:
            read = pick(read, ops.maximum(valid - 1, 0))
            # Before the first valid step there would be what follows.
            read = ops.where(ops.cast(mask, "bool")[..., None, None], read, 0.0)
        return read, after
