"""How far the training of a model is."""

from keras import ops


def seen_batches(optimizer):
    """How many batches an optimizer has seen, those of earlier calls of `fit` too."""
    # Keras counts updates, which are fewer than the batches that they are made of.
    batches = optimizer.gradient_accumulation_steps or 1
    return int(ops.convert_to_numpy(optimizer.iterations)) * batches
