"""How well the best score tells what is known from what was never taught."""

import numpy as np

from keras_nam.arguments import check_number
from keras_nam.arguments import check_vector


def rejection_auroc(known, unknown):
    """Area under the ROC curve of telling known from unknown by the best score.

    It is the probability that a known example has a higher best score than an unknown
    one, ties counting half: 1 for a perfect threshold, 0.5 for none.

    Args:
        known: Numbers of shape `(n,)`, the best scores of examples of known classes.
        unknown: Numbers of shape `(m,)`, those of classes that were never taught.

    Returns:
        Float.

    Example:

    ```python
    keras_nam.metrics.rejection_auroc([0.9, 0.4], [0.1, 0.5])  # 0.75
    ```

    Raises:
        ValueError: If there are no scores, or one is NaN.
    """
    known = np.sort(check_vector("known", known))
    unknown = check_vector("unknown", unknown)
    higher = len(known) - np.searchsorted(known, unknown, side="right")
    ties = np.searchsorted(known, unknown, "right") - np.searchsorted(known, unknown)
    return float(np.mean((higher + 0.5 * ties) / len(known)))


def rejection_false_positive_rate(known, unknown, recall=0.95):
    """Share of unknown examples accepted by the threshold that accepts the known ones.

    Args:
        known: Numbers of shape `(n,)`, the best scores of examples of known classes.
        unknown: Numbers of shape `(m,)`, those of classes that were never taught.
        recall: Number above 0, up to 1. The share of known examples that must be
            accepted.

    Returns:
        Float, the share of `unknown` that reaches the highest threshold at which
        `recall` of `known` do.

    Example:

    ```python
    known, unknown = [0.9, 0.8, 0.7, 0.1], [0.0, 0.75]
    keras_nam.metrics.rejection_false_positive_rate(known, unknown, 0.75)  # 0.5
    ```

    Raises:
        ValueError: If there are no scores, one is NaN, or `recall` is out of range.
    """
    if not 0 < check_number("recall", recall) <= 1:
        raise ValueError(
            f"Argument `recall` must lie above 0, up to 1. Received: recall={recall}"
        )
    known = np.sort(check_vector("known", known))
    unknown = check_vector("unknown", unknown)
    accepted = max(1, int(np.ceil(recall * len(known) - 1e-9)))
    return float(np.mean(unknown >= known[len(known) - accepted]))
