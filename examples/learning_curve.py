"""What a model gets right while it learns, on rows that are not those of training."""

import keras

import keras_nam

POINTS = 20


def accuracy(model, rows, batch_size):
    """The share of rows that are answered without any error."""
    inputs, targets, answers = rows
    logits = model.predict(inputs, batch_size=batch_size, verbose=0)
    metric = keras_nam.metrics.SequenceAccuracy()
    metric.update_state(targets, logits, sample_weight=answers)
    return float(metric.result())


class LearningCurve(keras.callbacks.Callback):
    """Measures a model twenty times in a run, which may be several calls of `fit`.

    Args:
        rows: Dictionary of inputs, targets and answers, by the name of their split.
        steps: Integer, the number of batches of the run.

    Attributes:
        points: Dictionary of lists: after which `"step"` the model was measured, and
            its accuracy there on the rows of each split.
    """

    def __init__(self, rows, steps):
        super().__init__()
        self.rows = rows
        self.steps = steps
        self.points = {"step": [], **{split: [] for split in rows}}
        self._step = 0
        self._answering = None

    def on_train_batch_end(self, batch, logs=None):
        done = self._step * POINTS // self.steps
        self._step += 1
        if self._step * POINTS // self.steps == done:
            return
        if self._answering is None:
            # The same layers, but not compiled by XLA, for which the rows of every
            # split are another shape.
            self._answering = keras.Model(self.model.input, self.model.output)
            self._answering.compile(jit_compile=False)
        self.points["step"].append(self._step)
        for split, rows in self.rows.items():
            self.points[split].append(accuracy(self._answering, rows, 64))


def plot_learning_curves(curves, task, path):
    """Draws the curves of all models, the starts of each one after the other.

    Args:
        curves: Dictionary of the `points` of all starts in a list, by the name of the
            model.
        task: String.
        path: Where the picture goes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1 + 2 * len(curves)), layout="constrained")
    panels = figure.subplots(len(curves), sharey=True, squeeze=False)[:, 0]
    for axes, (model, starts) in zip(panels, curves.items(), strict=True):
        begin = 0
        for start, points in enumerate(starts):
            if start:
                axes.axvline(begin, color="gray", linewidth=0.8, linestyle="dotted")
            steps = [begin + step for step in points["step"]]
            splits = [split for split in points if split != "step"]
            for index, split in enumerate(splits):
                percent = [100 * value for value in points[split]]
                label = split if start == 0 else None
                color, marker = f"C{index}", "osD"[index]
                axes.plot(steps, percent, color, marker=marker, ms=3, label=label)
            begin = steps[-1]
        axes.set_title(f"{model} on {task}")
        axes.set_ylabel("right rows (%)")
        axes.set_ylim(-3, 103)
        axes.set_xlim(0)
    panels[-1].set_xlabel("steps of training")
    panels[0].legend()
    figure.savefig(path, dpi=150)
