"""The perplexity of the tokens that a model had to find out."""

import math

import keras
import numpy as np
from keras import ops

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_positive
from keras_nam.metrics.positions import check_name_and_dtype
from keras_nam.metrics.positions import convert_batch


@keras.saving.register_keras_serializable(package="keras_nam")
class MaskedPerplexity(keras.metrics.Metric):
    """Perplexity of the targets at the positions that count.

    This is `exp(c)` with `c` the mean cross-entropy in nats over the positions whose
    sample weight is not zero, each weighted by it: 1 for a model that is always
    right, the number of classes for one that guesses.

    The papers report `2 ** c` with the same `c` in nats, which is smaller than the
    perplexity; `base=2` gives their number.

    Args:
        from_logits: Boolean. Whether predictions are logits, or else probabilities.
        base: Number above 0. What is raised to the mean cross-entropy in nats. `None`
            means Euler's number, which makes the result a perplexity.
        all_positions: Boolean. Whether every position of a row counts alike. Sample
            weights of shape `(batch, time)` or `(batch, 1)` are then ignored.
        name: String. The name of the metric.
        dtype: The dtype of the result. Sums are kept in float32 or wider.

    Call arguments:
        y_true: Integers of shape `(batch, time)`. Where the weight is zero they may
            lie outside the classes.
        y_pred: Tensor of shape `(batch, time, classes)`.
        sample_weight: `None`, or numbers of shape `(batch, time)`, or of shape
            `(batch,)` or `(batch, 1)` for whole rows. Without it every position counts.

    Example:

    ```python
    metric = keras_nam.metrics.MaskedPerplexity(from_logits=False)
    y_pred = [[[0.5, 0.5], [0.9, 0.1]]]
    metric.update_state([[0, 1]], y_pred, sample_weight=[[1, 0]])
    metric.result()  # 2.0
    ```

    Raises:
        ValueError: If `base` is not above 0, or if the shapes of targets, predictions
            and weights do not fit.

    References:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    - [I-BERT](https://arxiv.org/abs/2006.10220)
    """

    def __init__(
        self,
        from_logits=True,
        base=None,
        all_positions=False,
        name="masked_perplexity",
        dtype=None,
    ):
        check_name_and_dtype(name, dtype)
        super().__init__(name=name, dtype=dtype)
        self.from_logits = check_boolean("from_logits", from_logits)
        self.base = None if base is None else check_positive("base", base)
        self.all_positions = check_boolean("all_positions", all_positions)
        # Half precision could not hold the sums.
        dtype = keras.backend.result_type(self.dtype, "float32")
        self.nats = self.add_variable((), "zeros", dtype=dtype, name="nats")
        self.count = self.add_variable((), "zeros", dtype=dtype, name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch to the sums."""
        y_true, y_pred, weights = convert_batch(
            y_true, y_pred, sample_weight, self.all_positions
        )
        counted = ops.not_equal(weights, 0)

        # What does not count may be anything, infinite or out of range.
        nats = ops.sparse_categorical_crossentropy(
            ops.where(counted, y_true, 0), y_pred, from_logits=self.from_logits
        )
        nats = ops.where(counted, nats * weights, 0)
        self.nats.assign_add(ops.cast(ops.sum(nats), self.nats.dtype))
        self.count.assign_add(ops.cast(ops.sum(weights), self.count.dtype))

    def result(self):
        """Returns the perplexity, 0 if no position counted so far."""
        exponent = ops.divide_no_nan(self.nats, self.count)
        if self.base is not None:
            exponent = exponent * math.log(self.base)
        # A hopeless model gets a huge number rather than infinity, which would spoil
        # every average and plot it enters.
        largest = math.floor(math.log(np.finfo(self.nats.dtype).max))
        perplexity = ops.exp(ops.minimum(exponent, largest))
        perplexity = ops.where(ops.equal(self.count, 0), 0, perplexity)
        return ops.cast(perplexity, self.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "base": self.base,
            "all_positions": self.all_positions,
        }
