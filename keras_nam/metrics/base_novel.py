"""How the accuracies on base and on novel classes trade against each other."""

import numpy as np

from keras_nam.arguments import check_integer
from keras_nam.arguments import check_integers
from keras_nam.arguments import check_numbers


def base_novel_curve(y_true, scores, num_novel_classes):
    """Accuracies on base and on novel classes when novel scores are shifted by a bias.

    A higher score of all novel classes wins rows of novel classes and loses rows of
    base classes, so that the answers of one classifier at one bias say little about how
    well it knows both. This computes both accuracies, each among all classes, for every
    bias at which an answer changes.

    Args:
        y_true: Integers of shape `(n,)`, the indices of the classes.
        scores: Numbers of shape `(n, num_classes)`. The last `num_novel_classes` are
            those of novel classes.
        num_novel_classes: Positive integer.

    Returns:
        A tuple `(bias, base_accuracy, novel_accuracy)` of arrays of one length: the
        bias, from the lowest to infinity, that is added to the scores of novel
        classes, and the accuracies on rows of base and of novel classes with it.

    Example:

    ```python
    scores = [[0.9, 0.2, 0.4], [0.1, 0.6, 0.7], [0.5, 0.1, 0.8], [0.6, 0.0, 0.4]]
    bias, base, novel = keras_nam.metrics.base_novel_curve([0, 1, 2, 2], scores, 1)
    base  # [1.0, 1.0, 0.5, 0.5, 0.0]
    novel  # [0.0, 0.5, 0.5, 1.0, 1.0]
    ```

    Raises:
        ValueError: If there is no row of one group, a score is not finite, or shapes do
            not fit.

    Reference:

    - [An Empirical Study and Analysis of Generalized Zero-Shot Learning](
      https://arxiv.org/abs/1605.04253)
    """
    num_novel_classes = check_integer("num_novel_classes", num_novel_classes)
    scores = check_numbers("scores", scores).astype("float64")
    first = scores.shape[-1] - num_novel_classes
    if scores.ndim != 2 or first < 1 or not np.isfinite(scores).all():
        raise ValueError(
            "Argument `scores` must be finite numbers of shape (n, num_classes), more "
            f"of them than the {num_novel_classes} of novel classes. "
            f"Received: scores of shape {scores.shape}"
        )
    y_true = check_integers("y_true", y_true, at_most=scores.shape[-1] - 1)
    is_novel = y_true >= first
    if len(y_true) != len(scores) or len(set(is_novel)) < 2:
        raise ValueError(
            f"Argument `y_true` must have a class for each of {len(scores)} rows of "
            "scores, some of them base and some novel. Received: y_true of shape "
            f"{y_true.shape} with {is_novel.sum()} rows of novel classes"
        )
    base, novel = scores[:, :first], scores[:, first:]
    answers = np.where(is_novel, first + novel.argmax(1), base.argmax(1))
    # A row is answered with a novel class by every bias above its margin.
    margins = base.max(1) - novel.max(1)
    bias = np.append(np.unique(margins), np.inf)
    turned = [
        np.searchsorted(np.sort(margins[group & (answers == y_true)]), bias)
        for group in (~is_novel, is_novel)
    ]
    return (
        bias,
        (turned[0][-1] - turned[0]) / (~is_novel).sum(),
        turned[1] / is_novel.sum(),
    )


def base_novel_auc(y_true, scores, num_novel_classes):
    """Area under the curve of the accuracy on novel against that on base classes.

    It is the probability that of a row of a base class and one of a novel class, either
    is told from its own group, and the first leans more to base classes than the
    second: there is a bias with which both are answered right. Ties count half.

    Args:
        y_true: Integers of shape `(n,)`, the indices of the classes.
        scores: Numbers of shape `(n, num_classes)`, see `base_novel_curve`.
        num_novel_classes: Positive integer.

    Returns:
        Float from 0 to 1.

    Example:

    ```python
    scores = [[0.9, 0.2, 0.4], [0.1, 0.6, 0.7], [0.5, 0.1, 0.8], [0.6, 0.0, 0.4]]
    keras_nam.metrics.base_novel_auc([0, 1, 2, 2], scores, 1)  # 0.75
    ```

    Raises:
        ValueError: As `base_novel_curve`.

    Reference:

    - [An Empirical Study and Analysis of Generalized Zero-Shot Learning](
      https://arxiv.org/abs/1605.04253)
    """
    _, base, novel = base_novel_curve(y_true, scores, num_novel_classes)
    heights = (novel[1:] + novel[:-1]) / 2
    return float(heights @ (base[:-1] - base[1:]))
