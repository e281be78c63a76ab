"""Measures on longer rows than those that are trained on."""

import keras


class EvaluateLonger(keras.callbacks.Callback):
    """Adds measures on longer rows to the logs of every epoch, as `val_longer_...`.

    It has to stand before callbacks that read them.

    Args:
        data: Tuple of inputs, targets and, if there are any, sample weights.
        batch_size: Positive integer.
    """

    def __init__(self, data, batch_size):
        super().__init__()
        self.data = data
        self.batch_size = batch_size

    def on_epoch_end(self, epoch, logs=None):
        x, y, *weight = self.data
        measures = self.model.evaluate(
            x,
            y,
            sample_weight=weight[0] if weight else None,
            batch_size=self.batch_size,
            verbose=0,
            return_dict=True,
        )
        logs.update({f"val_longer_{name}": value for name, value in measures.items()})
