"""What a search found, as a figure."""

import numpy as np

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_instance
from keras_nam.arguments import check_optional_string
from keras_nam.tuning.results import check_results
from keras_nam.tuning.results import start_place
from keras_nam.tuning.results import varied_hyperparameters
from keras_nam.visualization.figures import SEQUENTIAL
from keras_nam.visualization.figures import color_bar
from keras_nam.visualization.figures import integer_ticks
from keras_nam.visualization.figures import new_figure

COLUMNS = 4
PANEL = (2.7, 2.1)
# Above this ratio of the largest to the smallest value, an axis is logarithmic.
LOGARITHMIC = 20
# Up to that many values that come again are taken for a choice.
MOST_CHOICES = 6


def plot_search(results, objective, direction="max", compare=None):
    """Plots the objective over the trials, and against every hyperparameter.

    The first panel has the trials in the order in which they began and the best so
    far, the second the objective against the measure `compare`, and each of the others
    one hyperparameter that was searched. A trial has the same colour in all panels.

    Args:
        results: What `keras_nam.tuning.search_results` returned.
        objective: String, the name of the objective, for the axes.
        direction: `"max"` or `"min"`, which scores are better.
        compare: String, the name of another measure. `None` leaves its panel out, and
            the colour is the order of the trials, else this measure.

    Returns:
        A `matplotlib.figure.Figure`. It is not shown; `figure.savefig` saves it.

    Example:

    ```python
    results = [
        {"trial": str(i), "status": "COMPLETED", "score": i / 10,
         "measures": {"val_accuracy": 0.5}, "hyperparameters": {"width": 2**i}}
        for i in range(3)
    ]
    figure = keras_nam.tuning.plot_search(
        results, "val_longer_accuracy", compare="val_accuracy"
    )
    figure.axes[2].get_xlabel()  # 'width'
    ```

    Raises:
        ValueError: If no trial is complete, or `direction` is unknown.
        ImportError: If matplotlib is not installed.
    """
    check_instance("objective", objective, str)
    check_choice("direction", direction, ("max", "min"))
    check_optional_string("compare", compare)
    complete = [r for r in check_results(results) if r["score"] is not None]
    if not complete:
        raise ValueError(
            "Argument `results` must hold a complete trial to plot. Received: "
            f"{len(results)} trials, none of them complete"
        )
    complete.sort(key=lambda result: start_place(result["trial"]))
    scores = np.array([result["score"] for result in complete])
    names = varied_hyperparameters(complete)
    count = 1 + (compare is not None) + len(names)
    columns = min(COLUMNS, count)
    figure, axes = new_figure(-(-count // columns), columns, PANEL)
    panels = iter(axes.flat)
    order = np.arange(1, len(scores) + 1)
    if compare is None:
        colors, label = order, "trials in their order"
    else:
        colors = [r["measures"].get(compare, np.nan) for r in complete]
        label = compare
    style = {"c": colors, "cmap": SEQUENTIAL, "plotnonfinite": True, "s": 26}
    style |= {"edgecolors": "0.3", "linewidths": 0.5, "zorder": 3}

    panel = next(panels)
    image = panel.scatter(order, scores, **style)
    best = np.maximum if direction == "max" else np.minimum
    panel.step(order, best.accumulate(scores), where="post", color="0.5", label="best")
    panel.set_xlabel("complete trials", fontsize=9)
    panel.legend(fontsize=8)
    integer_ticks(panel.xaxis, bins=5)
    if compare is not None:
        panel = next(panels)
        panel.scatter(colors, scores, **style)
        panel.set_xlabel(compare, fontsize=9)
    for name in names:
        panel = next(panels)
        values = [result["hyperparameters"].get(name) for result in complete]
        panel.scatter(_places(panel, values), scores, **style)
        panel.set_xlabel(name, fontsize=9)
    for panel in panels:
        panel.set_axis_off()
    for panel in axes.flat:
        panel.tick_params(labelsize=8)
        panel.margins(0.08)
    for row in axes:
        row[0].set_ylabel(objective, fontsize=8)
        for panel in row[1:]:
            panel.sharey(row[0])
            panel.tick_params(labelleft=False)
    color_bar(figure, image, axes, label)
    return figure


def _places(panel, values):
    """Where values stand on the axis of a panel: measured numbers as such.

    Those that were chosen from a few stand side by side, and so does `None`, where
    a hyperparameter did not exist.
    """
    distinct = set(values)
    numbers = all(type(value) in (int, float) for value in distinct)
    chosen = len(distinct) < len(values) and len(distinct) <= MOST_CHOICES
    if numbers and not chosen:
        if min(distinct) > 0 and max(distinct) > LOGARITHMIC * min(distinct):
            panel.set_xscale("log")
        return values
    known = distinct - {None}
    ordered = sorted(known, key=lambda value: (isinstance(value, str), value))
    ordered += [None] * (None in distinct)
    labels = ["-" if value is None else str(value) for value in ordered]
    panel.set_xticks(range(len(labels)), labels, fontsize=8)
    return [ordered.index(value) for value in values]
