"""Trials that end without a result, as Keras Tuner expects it."""

import numpy as np

from keras_nam.optional import keras_tuner


def reject_indivisible(**sizes):
    """Fails the trial unless the second of two sizes divides the first.

    The spaces here hold no such pair by themselves, but users may narrow or widen
    them, and a model that cannot be built should not cost the time to find out.
    """
    (name, value), (divisor_name, divisor) = sizes.items()
    if value % divisor:
        raise keras_tuner.errors.FailedTrialError(
            f"Hyperparameter `{name}` must be divisible by `{divisor_name}`. "
            f"Received: {name}={value}, {divisor_name}={divisor}"
        )


def reject_diverged(losses):
    """Fails the trial if a loss is NaN or infinite."""
    for epoch, loss in enumerate(losses):
        if not np.isfinite(loss):
            raise keras_tuner.errors.FailedTrialError(
                f"The training diverged: the loss became {loss} in epoch {epoch + 1} "
                "of this trial."
            )
