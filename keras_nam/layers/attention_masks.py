"""Masks that a memory can honour: of positions, not of pairs of them."""

from keras import ops

from keras_nam.arguments import check_mask
from keras_nam.arguments import check_rank


def source_mask(shape, attention_mask, **masks):
    """The positions of the source that may enter the memory.

    Args:
        shape: Tuple `(batch, source)`, the shape of the positions.
        attention_mask: Boolean tensor of shape `(batch, 1, source)`, with further axes
            of size 1 for heads, or `None`.
        **masks: Boolean tensors of shape `(batch, source)`, or `None`.

    Returns:
        Boolean tensor of shape `(batch, source)`, or `None` for all positions.

    Raises:
        ValueError: If `attention_mask` has a row for each query, or a mask has another
            shape or dtype.
    """
    if attention_mask is not None:
        masks["attention_mask"] = _of_source(attention_mask)
    combined = None
    for name, mask in masks.items():
        if mask is not None:
            check_mask(name, mask, shape)
            mask = ops.cast(mask, "bool")
            combined = mask if combined is None else ops.logical_and(combined, mask)
    return combined


def padding_of(inputs, padding_mask, mask):
    """The padding that a call is to honour, or `None`.

    Args:
        inputs: Tensor of shape `(batch, time, features)`.
        padding_mask: Boolean tensor of shape `(batch, time)`, or `None`.
        mask: The implicit mask of `inputs`, which stands in for `padding_mask`.

    Raises:
        ValueError: If the inputs or the mask have another shape.
    """
    check_rank("inputs", inputs, 3, "(batch, time, features)")
    mask = mask if padding_mask is None else padding_mask
    if mask is not None:
        check_mask("padding_mask", mask, tuple(inputs.shape[:2]))
    return mask


def clear_masked(x, mask, name="mask"):
    """Sets masked positions of `(batch, time, ...)` to zero, whatever they hold.

    Raises:
        ValueError: If the mask is not a boolean for each position.
    """
    if mask is None:
        return x
    check_mask(name, mask, tuple(x.shape[:2]))
    mask = ops.cast(mask, "bool")
    return ops.where(ops.expand_dims(mask, -1), x, ops.cast(0, x.dtype))


def hide_scores(scores, shown):
    """Sets the scores of what is not shown so low that softmax makes 0 of them.

    Not to minus infinity: a row that is shown nothing must not become NaN.
    """
    return ops.where(shown, scores, -1e38)


def _of_source(attention_mask):
    shape = tuple(ops.shape(attention_mask))
    # Two axes are (target, source) in Keras, and might be meant as (batch, source).
    if len(shape) > 2 and all(size == 1 for size in shape[1:-1]):
        return ops.squeeze(attention_mask, tuple(range(1, len(shape) - 1)))
    raise ValueError(
        "A memory cannot hide a position from some queries and show it to others, so "
        "`attention_mask` must be a padding mask of shape (batch, 1, source). For "
        "padding there is also `value_mask`, for causal attention "
        "`use_causal_mask=True`, and for any other mask "
        f"`keras.layers.MultiHeadAttention`. Received: attention_mask.shape={shape}"
    )
