"""Any metric of token sequences, on rows of some lengths alone."""

import keras
from keras import ops

from keras_nam.arguments import check_instance
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_range
from keras_nam.metrics.positions import check_name_and_dtype
from keras_nam.metrics.positions import convert_batch


@keras.saving.register_keras_serializable(package="keras_nam")
class LengthBucket(keras.metrics.Metric):
    """A metric of the rows whose length lies in a bucket.

    Give `model.compile` one for each bucket to see how a model does on longer rows.

    Args:
        metric: A metric that takes targets of shape `(batch, time)`, predictions of
            shape `(batch, time, classes)` and sample weights of shape `(batch, time)`,
            such as `keras_nam.metrics.MaskedPerplexity`,
            `keras_nam.metrics.SequenceAccuracy` or
            `keras.metrics.SparseCategoricalAccuracy`.
        min_length: Non-negative integer. The shortest length in the bucket.
        max_length: Non-negative integer. The longest length in the bucket. `None`
            means any.
        padding_token: Non-negative integer, the token of the targets that does not
            count for the length. Everything else does, marks of beginning and end
            included.
        name: String. The name of the metric. `None` means that of `metric` with both
            lengths after it.
        dtype: The dtype of the result, `None` for that of `metric`.

    Call arguments:
        y_true: Integers of shape `(batch, time)`.
        y_pred: Tensor of shape `(batch, time, classes)`.
        sample_weight: `None`, or numbers of shape `(batch, time)`, or of shape
            `(batch,)` or `(batch, 1)` for whole rows.

    Example:

    ```python
    y_true = [[1, 2, 3, 2], [1, 3, 0, 0]]
    y_pred = keras.ops.one_hot([[1, 2, 3, 1], [1, 3, 0, 0]], 4)
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    metric = keras_nam.metrics.LengthBucket(accuracy, 3, 4)
    metric(y_true, y_pred)  # 0.75
    ```

    With `model.compile`:

    ```python
    buckets = [
        keras_nam.metrics.LengthBucket(keras_nam.metrics.MaskedPerplexity(), low, high)
        for low, high in ((3, 31), (33, 47), (48, 63))
    ]
    core = keras_nam.layers.NAM(8, return_sequences=True)
    model = keras_nam.models.token_tagger(core, vocabulary_size=16, width=8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, weighted_metrics=buckets)
    ```

    Raises:
        ValueError: If `metric` is no metric, lengths are not in order, or shapes do
            not fit.
    """

    def __init__(
        self,
        metric,
        min_length,
        max_length=None,
        padding_token=0,
        name=None,
        dtype=None,
    ):
        check_instance("metric", metric, keras.metrics.Metric, "a Keras metric")
        min_length = check_integer("min_length", min_length, at_least=0)
        if max_length is not None:
            min_length, max_length = check_range(
                "min_length", min_length, "max_length", max_length, at_least=0
            )
        check_name_and_dtype(name, dtype)
        if name is None:
            last = "up" if max_length is None else max_length
            name = f"{metric.name}_{min_length}_{last}"
        super().__init__(name=name, dtype=dtype or metric.dtype)
        self.metric = metric
        self.min_length = min_length
        self.max_length = max_length
        self.padding_token = check_integer("padding_token", padding_token, 0)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the rows of a batch that lie in the bucket to the metric."""
        # What ignores weights of positions gets those of rows alone.
        only_rows = getattr(self.metric, "all_positions", False)
        y_true, y_pred, weights = convert_batch(
            y_true, y_pred, sample_weight, only_rows
        )
        is_token = ops.not_equal(y_true, self.padding_token)
        lengths = ops.sum(ops.cast(is_token, "int32"), axis=1)
        in_bucket = lengths >= self.min_length
        if self.max_length is not None:
            in_bucket = ops.logical_and(in_bucket, lengths <= self.max_length)
        weights = weights * ops.cast(in_bucket, weights.dtype)[:, None]
        # A weight of 0 is not enough: what is outside of the bucket may be NaN.
        y_pred = ops.where(in_bucket[:, None, None], y_pred, ops.cast(0, y_pred.dtype))
        self.metric.update_state(
            y_true, y_pred, weights[:, 0] if only_rows else weights
        )

    def result(self):
        """Returns the result of the metric."""
        return ops.cast(self.metric.result(), self.dtype)

    def reset_state(self):
        self.metric.reset_state()

    def get_config(self):
        return {
            **super().get_config(),
            "metric": keras.saving.serialize_keras_object(self.metric),
            "min_length": self.min_length,
            "max_length": self.max_length,
            "padding_token": self.padding_token,
        }

    @classmethod
    def from_config(cls, config):
        metric = keras.saving.deserialize_keras_object(config["metric"])
        return cls(**{**config, "metric": metric})
