"""How a few-shot classifier does on base and novel classes, and between them."""

import keras
from keras import ops

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_shape
from keras_nam.arguments import fits
from keras_nam.metrics.positions import check_name_and_dtype
from keras_nam.ops.precision import as_tensor

GROUPS = ("base", "novel")


class _GroupMean(keras.metrics.Metric):
    """The mean of something over the rows of one group of classes."""

    def __init__(self, num_novel_classes, group, name=None, dtype=None):
        num_novel_classes = check_integer("num_novel_classes", num_novel_classes)
        check_choice("group", group, GROUPS)
        super().__init__(name=name, dtype=dtype)
        self.num_novel_classes = num_novel_classes
        self.group = group
        # Half precision could not count beyond 2048.
        dtype = keras.backend.result_type(self.dtype, "float32")
        self.total = self.add_variable((), "zeros", dtype=dtype, name="total")
        self.count = self.add_variable((), "zeros", dtype=dtype, name="count")

    def measure(self, y_true, answers, answered_novel):
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch to the counts."""
        y_true, y_pred = as_tensor("y_true", y_true), as_tensor("y_pred", y_pred)
        classes = y_pred.shape[-1]
        if not fits(tuple(y_pred.shape), (*y_true.shape, None)):
            raise ValueError(
                "`y_true` must hold the index of a class for every row of scores. "
                f"Received: y_true.shape={tuple(y_true.shape)}, "
                f"y_pred.shape={tuple(y_pred.shape)}"
            )
        if classes <= self.num_novel_classes:
            raise ValueError(
                f"There must be more scores than the {self.num_novel_classes} of the "
                f"novel classes. Received: y_pred.shape={tuple(y_pred.shape)}"
            )
        first = classes - self.num_novel_classes
        y_true = ops.cast(y_true, "int32")
        answers = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        # The largest of several NaN is no answer.
        answers = ops.where(ops.any(ops.isnan(y_pred), axis=-1), -1, answers)
        in_group = ops.equal(y_true >= first, self.group == "novel")
        weights = ops.cast(in_group, self.count.dtype)
        if sample_weight is not None:
            sample_weight = as_tensor("sample_weight", sample_weight)
            check_shape(
                "sample_weight", sample_weight, y_true.shape, "that of `y_true`"
            )
            weights = weights * ops.cast(sample_weight, weights.dtype)
        measured = self.measure(y_true, answers, answers >= first)
        self.total.assign_add(ops.sum(weights * ops.cast(measured, weights.dtype)))
        self.count.assign_add(ops.sum(weights))

    def result(self):
        """Returns the share, 0 if there was no row of the group so far."""
        return ops.cast(ops.divide_no_nan(self.total, self.count), self.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_novel_classes": self.num_novel_classes,
            "group": self.group,
        }


@keras.saving.register_keras_serializable(package="keras_nam")
class GroupAccuracy(_GroupMean):
    """Accuracy on the rows of base, or of novel, classes, among all classes.

    `keras.metrics.SparseCategoricalAccuracy` gives the accuracy on both.

    Args:
        num_novel_classes: Positive integer. The last scores, as many, are those of
            novel classes.
        group: `"base"` or `"novel"`. Whose rows count.
        name: String. The name of the metric.
        dtype: The dtype of the result.

    Call arguments:
        y_true: Integers of shape `(...)`, the indices of the classes.
        y_pred: Scores of shape `(..., num_classes)`. A row with a NaN is wrong.
        sample_weight: `None`, or numbers of shape `(...)`.

    Example:

    ```python
    y_pred = keras.ops.one_hot([0, 2, 2, 3], 4)
    metric = keras_nam.metrics.GroupAccuracy(2, "base")
    metric([0, 1, 2, 2], y_pred)  # 0.5
    ```

    Raises:
        ValueError: If an argument is wrong, or shapes do not fit.
    """

    def __init__(self, num_novel_classes, group, name=None, dtype=None):
        check_name_and_dtype(name, dtype)
        super().__init__(num_novel_classes, group, name or f"{group}_accuracy", dtype)

    def measure(self, y_true, answers, answered_novel):
        return ops.equal(y_true, answers)


@keras.saving.register_keras_serializable(package="keras_nam")
class FalsePositiveRate(_GroupMean):
    """Share of rows of one group of classes that are answered with the other.

    With `group="base"` it is the rate at which novel classes raise a false alarm: how
    many rows of base classes are taken for a novel class. With `group="novel"` it is
    how many rows of novel classes are taken for a base class. Confusion within a group
    does not count.

    Args:
        num_novel_classes: Positive integer. The last scores, as many, are those of
            novel classes.
        group: `"base"` or `"novel"`. Whose rows count.
        name: String. The name of the metric.
        dtype: The dtype of the result.

    Call arguments:
        y_true: Integers of shape `(...)`, the indices of the classes.
        y_pred: Scores of shape `(..., num_classes)`.
        sample_weight: `None`, or numbers of shape `(...)`.

    Example:

    ```python
    y_pred = keras.ops.one_hot([0, 2, 2, 3], 4)
    metric = keras_nam.metrics.FalsePositiveRate(2, "base")
    metric([0, 1, 2, 2], y_pred)  # 0.5
    ```

    Raises:
        ValueError: If an argument is wrong, or shapes do not fit.
    """

    def __init__(self, num_novel_classes, group, name=None, dtype=None):
        check_name_and_dtype(name, dtype)
        check_choice("group", group, GROUPS)
        other = GROUPS[1 - GROUPS.index(group)]
        super().__init__(
            num_novel_classes, group, name or f"{group}_answered_{other}", dtype
        )

    def measure(self, y_true, answers, answered_novel):
        if self.group == "base":
            return answered_novel
        # A row with a NaN has no answer at all.
        return ops.logical_and(ops.logical_not(answered_novel), answers >= 0)
