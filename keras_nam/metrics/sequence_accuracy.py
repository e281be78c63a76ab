"""The share of sequences that are right at every position that counts."""

import keras
from keras import ops

from keras_nam.arguments import check_boolean
from keras_nam.metrics.positions import check_name_and_dtype
from keras_nam.metrics.positions import convert_batch


@keras.saving.register_keras_serializable(package="keras_nam")
class SequenceAccuracy(keras.metrics.Metric):
    """Share of rows whose predictions are right at every position that counts.

    A row is right if the class with the largest score equals the target wherever the
    sample weight is not zero. Rows without any such position are left out. A single
    wrong digit makes an answer wrong, so this is far below the accuracy per token
    until a task is learned.

    Pass the weights of `keras_nam.datasets` and name the metric in
    `weighted_metrics`, to ask for the answers only; without sample weights every
    position counts, as in the papers. Masks that layers make do not enter.

    Args:
        all_positions: Boolean. Whether padding and copied symbols count as well: every
            position of every row, as in the papers. Sample weights of shape
            `(batch, time)` or `(batch, 1)` are then ignored.
        name: String. The name of the metric.
        dtype: The dtype of the result. Counts are kept in float32 or wider.

    Call arguments:
        y_true: Integers of shape `(batch, time)`.
        y_pred: Logits or probabilities of shape `(batch, time, classes)`. A position
            where any of them is NaN is wrong.
        sample_weight: `None`, or numbers of shape `(batch, time)`, or of shape
            `(batch,)` or `(batch, 1)` for whole rows. A row counts as much as the
            largest of its weights, which makes it 1 for weights of 0 and 1.

    Example:

    ```python
    y_true = [[1, 2, 3], [1, 2, 3]]
    y_pred = keras.ops.one_hot([[1, 2, 3], [1, 2, 0]], 4)
    metric = keras_nam.metrics.SequenceAccuracy()
    metric(y_true, y_pred)  # 0.5
    metric.reset_state()
    metric(y_true, y_pred, sample_weight=[[1, 1, 1], [1, 1, 0]])  # 1.0
    ```

    With `model.compile`:

    ```python
    core = keras_nam.layers.NAM(8, return_sequences=True)
    model = keras_nam.models.token_tagger(core, vocabulary_size=16, width=8)
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[keras_nam.metrics.SequenceAccuracy()],
    )
    inputs, targets, weights = keras_nam.datasets.addition(200)
    model.fit(inputs, targets, sample_weight=weights)
    ```

    Raises:
        ValueError: If the shapes of targets, predictions and weights do not fit.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """

    def __init__(self, all_positions=False, name="sequence_accuracy", dtype=None):
        check_name_and_dtype(name, dtype)
        super().__init__(name=name, dtype=dtype)
        self.all_positions = check_boolean("all_positions", all_positions)
        # Half precision could not count beyond 2048.
        dtype = keras.backend.result_type(self.dtype, "float32")
        self.right = self.add_variable((), "zeros", dtype=dtype, name="right")
        self.count = self.add_variable((), "zeros", dtype=dtype, name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch to the counts."""
        y_true, y_pred, weights = convert_batch(
            y_true, y_pred, sample_weight, self.all_positions
        )
        counted = ops.not_equal(weights, 0)

        predicted = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        # The largest of several NaN may well stand at the index of the target.
        valid = ops.logical_not(ops.any(ops.isnan(y_pred), axis=-1))
        right = ops.logical_and(ops.equal(predicted, y_true), valid)
        right = ops.all(ops.logical_or(right, ops.logical_not(counted)), axis=1)

        row_weights = ops.cast(ops.max(weights, axis=1, initial=0), self.count.dtype)
        self.count.assign_add(ops.sum(row_weights))
        self.right.assign_add(ops.sum(ops.where(right, row_weights, 0)))

    def result(self):
        """Returns the share, 0 if no row counted so far."""
        return ops.cast(ops.divide_no_nan(self.right, self.count), self.dtype)

    def get_config(self):
        return {**super().get_config(), "all_positions": self.all_positions}
