"""What stands in a memory or on a tape at some steps."""

import numpy as np

from keras_nam.visualization.arguments import check_tokens
from keras_nam.visualization.arguments import get_example
from keras_nam.visualization.arguments import get_indices
from keras_nam.visualization.arguments import get_trajectory
from keras_nam.visualization.figures import color_bar
from keras_nam.visualization.figures import color_scale
from keras_nam.visualization.figures import heat_map
from keras_nam.visualization.figures import integer_ticks
from keras_nam.visualization.figures import new_figure

DEFAULT_STEPS = 5


def plot_memory(trajectory, example=0, steps=None, memory=None, tokens=None):
    """Plots what stands in the memories, or on the tapes, after some steps.

    A row of the figure is a head or a tape and a column is a step. A memory is shown
    as the matrix that it is, values by keys, and a tape as cells by features, all on
    one colour scale. A masked step shows what the step before it left.

    Args:
        trajectory: What `keras_nam.visualization.trajectory` returns, or a tuple of
            its arguments, `(model, inputs)` or `(model, inputs, layer)`.
        example: Integer, which example of the batch to plot.
        steps: Integer or list of integers, the steps to plot. `None` means up to five
            from the first to the last.
        memory: Integer or list of integers, which heads or tapes to plot. `None` means
            all.
        tokens: List of strings, the tokens of all steps, for the titles. For a layer
            that goes backwards, they run backwards too.

    Returns:
        A `matplotlib.figure.Figure`. It is not shown; `figure.savefig` saves it.

    Example:

    ```python
    layer = keras_nam.layers.LSAM(16, num_heads=2)
    sequences = keras.random.normal((1, 10, 8))
    figure = keras_nam.visualization.plot_memory((layer, sequences), steps=[0, 9])
    len(figure.axes)  # 5
    ```

    Raises:
        ValueError: If the trajectory has neither a memory nor a tape, or an argument
            does not fit it.
        ImportError: If matplotlib is not installed.
    """
    trajectory = get_trajectory(trajectory)
    is_tape = "tape" in trajectory
    if not is_tape and "memory" not in trajectory:
        raise ValueError(
            "A trajectory must have a `memory` or a `tape`. "
            f"Received: {sorted(trajectory)}"
        )
    values = get_example(trajectory, example)
    contents = values["tape" if is_tape else "memory"]
    if contents.ndim == 3:
        # The memory of a DNC or an NTM, which is one for all heads.
        contents = contents[:, None]
    contents = _fill_masked(contents, values)
    length, count, height, width = contents.shape
    indices = get_indices("memory", memory, count)
    tokens = check_tokens(tokens, length)
    if steps is None:
        steps = np.unique(np.linspace(0, length - 1, DEFAULT_STEPS).round().astype(int))
    steps = get_indices("steps", steps, length)

    scale = color_scale(contents[steps][:, indices], signed=True)
    panel_size = [float(np.clip(0.07 * size, 1.3, 2.6)) for size in (width, height)]
    figure, axes = new_figure(
        len(indices), len(steps), panel_size, sharex=True, sharey=True
    )
    for row, index in zip(axes, indices, strict=True):
        for panel, step in zip(row, steps, strict=True):
            image = heat_map(panel, contents[step, index], **scale)
            integer_ticks(panel.xaxis, bins=4)
        name, axis = ("tape", "cell") if is_tape else ("head", "value")
        row[0].set_ylabel(f"{name} {index}\n{axis}", fontsize=9)
        integer_ticks(row[0].yaxis, bins=5)
    for panel, step in zip(axes[0], steps, strict=True):
        panel.set_title(_title(step, tokens, values), fontsize=9, parse_math=False)
    for panel in axes[-1]:
        panel.set_xlabel("feature" if is_tape else "key", fontsize=9)
    color_bar(figure, image, axes, "content")
    return figure


def _fill_masked(contents, values):
    """Gives masked steps what the last valid step left, NaN if there was none."""
    if "mask" not in values:
        return contents
    valid = values["mask"].astype(bool)
    last = np.maximum.accumulate(np.where(valid, np.arange(len(valid)), -1))
    known = (last >= 0).reshape(-1, 1, 1, 1)
    return np.where(known, contents[np.maximum(last, 0)], np.nan)


def _title(step, tokens, values):
    title = f"step {step}"
    if tokens is not None:
        title = f"{title}\n{tokens[step]}"
    if "mask" in values and not values["mask"][step]:
        title = f"{title} (masked)"
    return title
