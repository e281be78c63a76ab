"""How far the training of a model is."""

from keras import ops


def seen_batches(optimizer):
    """How many batches an optimizer has seen, those of earlier calls of `fit` too."""
    # `iterations` counts updates, which are fewer where gradients are accumulated.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return int(ops.convert_to_numpy(inner.variables[0]))
