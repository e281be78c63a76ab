"""Splitting one fused projection into the vectors and gates of the heads."""

from keras import ops


def split_heads(projected, num_heads, head_sizes):
    """Splits `(..., num_heads * sum(head_sizes))` into `(..., num_heads, size)` each.

    The blocks stand one after the other, each with its heads side by side, like the
    gates in the fused kernel of `keras.layers.LSTM`.
    """
    blocks, start = [], 0
    for size in head_sizes:
        stop = start + num_heads * size
        block = projected[..., start:stop]
        leading = ops.shape(block)[:-1]
        blocks.append(ops.reshape(block, (*leading, num_heads, size)))
        start = stop
    return blocks
