"""How far a mean over episodes can be trusted."""

from statistics import NormalDist

import numpy as np

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_rate
from keras_nam.arguments import check_vector


def confidence_interval(values, confidence=0.95, distribution="t"):
    """Mean and half the width of its confidence interval.

    Args:
        values: Numbers of shape `(n,)`, for example the accuracies of episodes.
        confidence: Number between 0 and 1.
        distribution: `"t"` for Student's, right for few values, or `"normal"`.

    Returns:
        `(mean, half_width)`: the interval is `mean - half_width` to `mean +
        half_width`.

    Example:

    ```python
    mean, half_width = keras_nam.metrics.confidence_interval([0.5, 0.7, 0.6])
    mean  # 0.6
    half_width  # 0.24841377118
    ```

    Raises:
        ValueError: If there are fewer than two values, or they are not finite, or an
            argument is wrong.
    """
    values = check_vector("values", values, at_least=2)
    if not np.isfinite(values).all():
        raise ValueError(
            f"Argument `values` must hold finite numbers. Received: values={values}"
        )
    if check_rate("confidence", confidence) == 0:
        raise ValueError(
            "Argument `confidence` must lie between 0 and 1. "
            f"Received: confidence={confidence}"
        )
    check_choice("distribution", distribution, ("t", "normal"))
    quantile = NormalDist().inv_cdf(0.5 + confidence / 2)
    if distribution == "t":
        quantile = _student_quantile(confidence, len(values) - 1)
    half_width = quantile * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half_width)


def _student_quantile(confidence, degrees):
    """The number that a t variable stays below in magnitude with this probability."""
    # With t = sqrt(degrees) tan(a), the density is proportional to
    # cos(a) ** (degrees - 1).
    nodes, weights = np.polynomial.legendre.leggauss(200)

    def mass(angle):
        angles = 0.5 * angle * (nodes + 1)
        return 0.5 * angle * (weights @ np.cos(angles) ** (degrees - 1))

    low, high = 0.0, np.pi / 2
    # Beyond some ten deviations there is no mass worth a node.
    high = min(high, np.arctan(40 / np.sqrt(degrees))) if degrees > 60 else high
    whole = mass(high)
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (
            (middle, high) if mass(middle) < confidence * whole else (low, middle)
        )
    return np.sqrt(degrees) * np.tan(low)
