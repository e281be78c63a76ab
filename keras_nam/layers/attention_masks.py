"""Masks that a memory can honour: of positions, not of pairs of them."""

from keras import ops

from keras_nam.arguments import fits
from keras_nam.backend import numbers_of


def source_mask(shape, target, attention_mask, *masks):
    """The positions of the source that may enter the memory.

    Args:
        shape: Tuple `(batch, source)`, the shape of the positions.
        target: Integer, the number of queries, or `None` where it is unknown.
        attention_mask: Boolean tensor of shape `(batch, source)`, `(batch, 1, source)`
            or `(batch, target, source)`, with further axes of size 1 for heads, or
            `None`.
        *masks: Boolean tensors of shape `(batch, source)`, or `None`.

    Returns:
        Boolean tensor of shape `(batch, source)`, or `None` for all positions.

    Raises:
        ValueError: If `attention_mask` hides a position from some queries only, or a
            mask has another shape.
    """
    masks = [ops.cast(mask, "bool") for mask in masks if mask is not None]
    if attention_mask is not None:
        masks.append(_of_source(attention_mask, (shape[0], target)))
    combined = None
    for mask in masks:
        if not fits(tuple(mask.shape), tuple(shape)):
            raise ValueError(
                f"Masks of the source must have shape (batch, source), here {shape}. "
                f"Received: a mask of shape {tuple(mask.shape)}"
            )
        combined = mask if combined is None else ops.logical_and(combined, mask)
    return combined


def clear_masked(x, mask):
    """Sets masked positions of `(batch, time, ...)` to zero, whatever they hold."""
    if mask is None:
        return x
    mask = ops.cast(mask, "bool")
    return ops.where(ops.expand_dims(mask, -1), x, ops.cast(0, x.dtype))


def _of_source(attention_mask, queries):
    shape = tuple(attention_mask.shape)
    if len(shape) not in (2, 3, 4):
        raise ValueError(
            "Argument `attention_mask` must have shape (batch, source), (batch, 1, "
            "source) or (batch, target, source). "
            f"Received: attention_mask.shape={shape}"
        )
    batch, target = queries
    if len(shape) == 2 and batch is not None and batch == target and batch > 1:
        raise ValueError(
            "An `attention_mask` of two axes could be of shape (batch, source) or "
            "(target, source), for there are as many rows as queries. Pass it with "
            "shape (batch, 1, source), or as `value_mask`. "
            f"Received: attention_mask.shape={shape} for {batch} rows"
        )
    if all(size == 1 for size in shape[1:-1]):
        mask = ops.convert_to_tensor(attention_mask)
        return ops.cast(ops.squeeze(mask, tuple(range(1, len(shape) - 1))), "bool")
    rows = numbers_of(attention_mask)
    if rows is not None and rows.size:
        rows = rows.astype(bool).reshape(shape[0], -1, shape[-1])
        if (rows == rows[:, :1]).all():
            return ops.convert_to_tensor(rows[:, 0])
    raise ValueError(
        "A memory cannot hide a position from some queries and show it to others, so "
        "`attention_mask` must be a padding mask: the same for all queries, of shape "
        "(batch, source) or (batch, 1, source). For causal attention use "
        "`use_causal_mask=True`, for padding `value_mask`; for any other mask "
        f"`keras.layers.MultiHeadAttention`. Received: attention_mask.shape={shape}"
    )
