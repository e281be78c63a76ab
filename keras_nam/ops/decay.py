"""How much of what a memory held at one step of a chunk is left at another.

With the log decays `l_t`, what step `j` wrote has faded by `exp(sum_{j<s<=i} l_s)` when
step `i` reads it. Every such sum is added up from numbers of one sign. Differences of
running sums would be cheaper, and lose their digits after a step that forgets nearly
all; products of the factors' inverses would overflow there.
"""

import numpy as np
from keras import ops

from keras_nam.ops.memory import transpose

# Smaller numbers forget all, like this one: its exponential is 0 in float64, too. It
# is finite, because a product with 0 must be 0.
FORGETS_ALL = -1e3


def fading_in_chunks(decay):
    """What all of a chunk needs to know of its decays.

    Args:
        decay: Tensor of log decays, `(..., chunk_size, key_dim)`, with 1 in place of
            `key_dim` for those of whole heads, or `None` for a memory that keeps all.
    """
    if decay is None:
        return Lasting()
    return HeadFading(decay) if decay.shape[-1] == 1 else ChannelFading(decay)


class Lasting:
    """A memory that keeps all. Tensors have shape `(..., chunk_size, key_dim)`."""

    # The part of a chunk's first memory that is left at its end, `(..., 1, key_dim)`.
    left = None

    def since_start(self, x):
        """Scales queries or keys that look at the memory before the chunk."""
        return x

    def until_end(self, key):
        """Scales keys, as those of the memory after the chunk."""
        return key

    def products(self, earlier, *later):
        """Products of the vectors of step `i` with those of steps `j <= i`.

        Args:
            earlier: Tensor, the vectors of steps `j`.
            *later: Tensors, those of steps `i`.

        Returns:
            List of tensors of shape `(..., chunk_size, chunk_size)`, one for each of
            `later`, which may hold anything above their diagonals.
        """
        return [ops.matmul(x, transpose(earlier)) for x in later]


class _Fading(Lasting):
    def __init__(self, decay):
        upto = np.tri(decay.shape[-2])
        self._since_start = _exp_of_sums(upto, decay)
        self._until_end = _exp_of_sums(1.0 - upto, decay)
        self.left = self._since_start[..., -1:, :]

    def since_start(self, x):
        return x * self._since_start

    def until_end(self, key):
        return key * self._until_end


class HeadFading(_Fading):
    """One decay for all of a head: a factor of the products."""

    def __init__(self, decay):
        super().__init__(decay)
        upto = np.tri(decay.shape[-2])
        steps = transpose(decay) * ops.convert_to_tensor(upto, decay.dtype)
        after = ops.convert_to_tensor(1.0 - upto.T, decay.dtype)
        self._between = ops.exp(ops.matmul(steps, after))

    def products(self, earlier, *later):
        return [x * self._between for x in super().products(earlier, *later)]


class ChannelFading(_Fading):
    """A decay for each channel, which stands inside of the products.

    The products of a block of steps are those of its halves, and those of the steps `i`
    of its second half with the steps `j` of its first one. From `j` to the end of the
    first half, and from the start of the second one to `i`, are two factors of at most
    1 each, one of which scales the vector of `j`, the other that of `i`. Halves, and
    halves of them, have the size of a chunk that is a power of 2.
    """

    def __init__(self, decay):
        super().__init__(decay)
        self._decay = decay

    def products(self, earlier, *later):
        *leading, size, channels = ops.shape(earlier)
        count, later = len(later), ops.stack(later, axis=-2)
        # Of blocks of one step, as (blocks, steps i, vectors, steps j).
        products = ops.sum(later * ops.expand_dims(earlier, -2), axis=-1)
        products = ops.reshape(products, (-1, 1, count, 1))
        later = ops.reshape(later, (-1, count, channels))
        earlier, decay = (
            ops.reshape(x, (-1, channels)) for x in (earlier, self._decay)
        )
        half = 1
        while half < size:
            first, second = ops.unstack(
                ops.reshape(products, (-1, 2, half, count, half)), 2, axis=1
            )
            first_decay, second_decay = _halves(decay, half)
            upto = np.tri(half)
            after_start = _exp_of_sums(upto, second_decay)
            until_end = _exp_of_sums(1.0 - upto, first_decay)
            rows = _halves(later, half)[1] * ops.expand_dims(after_start, -2)
            columns = _halves(earlier, half)[0] * until_end
            across = ops.matmul(
                ops.reshape(rows, (-1, half * count, channels)), transpose(columns)
            )
            across = ops.reshape(across, ops.shape(second))
            products = ops.concatenate(
                [
                    ops.concatenate([first, ops.zeros_like(first)], axis=-1),
                    ops.concatenate([across, second], axis=-1),
                ],
                axis=1,
            )
            half *= 2
        products = ops.reshape(products, (*leading, size, count, size))
        return ops.unstack(products, count, axis=-2)


def _halves(steps, half):
    """Both halves of all blocks of `2 * half` steps, `(blocks, half, ...)` each."""
    blocks = ops.reshape(steps, (-1, 2, half, *ops.shape(steps)[1:]))
    return ops.unstack(blocks, 2, axis=1)


def _exp_of_sums(which, decay):
    """The exponentials of sums of decays.

    Args:
        which: Array of shape `(sums, steps)`, 1 for what is summed.
        decay: Tensor of shape `(..., steps, key_dim)`.

    Returns:
        Tensor of shape `(..., sums, key_dim)`.
    """
    return ops.exp(ops.matmul(ops.convert_to_tensor(which, decay.dtype), decay))
