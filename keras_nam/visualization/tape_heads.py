"""Where the heads of a Turing machine stand over time."""

import numpy as np
from keras import ops

from keras_nam.ops import unit_normalize
from keras_nam.visualization.arguments import blank_masked
from keras_nam.visualization.arguments import check_tokens
from keras_nam.visualization.arguments import get_example
from keras_nam.visualization.arguments import get_indices
from keras_nam.visualization.arguments import get_trajectory
from keras_nam.visualization.figures import color_bar
from keras_nam.visualization.figures import color_scale
from keras_nam.visualization.figures import heat_map
from keras_nam.visualization.figures import integer_ticks
from keras_nam.visualization.figures import label_steps
from keras_nam.visualization.figures import new_figure
from keras_nam.visualization.figures import panel_width
from keras_nam.visualization.figures import plot_rows

TINY = np.finfo("float32").tiny


def plot_tape_heads(trajectory, example=0, tape=None, tokens=None):
    """Plots where the reading and the writing heads of tapes stand over time.

    A row of the figure is a tape. On its left is where the head reads and on its
    right where it writes, as heat maps of cells by steps. Weights are shown as the
    layer uses them: as unit vectors if heads can jump, else as they are.

    Args:
        trajectory: What `keras_nam.visualization.trajectory` returns for a `NAMTM`
            layer, or a tuple of its arguments, `(model, inputs)` or
            `(model, inputs, layer)`.
        example: Integer, which example of the batch to plot.
        tape: Integer or list of integers, which tapes to plot. `None` means all.
        tokens: List of strings that label the steps, one each. For a layer that goes
            backwards, they run backwards too.

    Returns:
        A `matplotlib.figure.Figure`. It is not shown; `figure.savefig` saves it.

    Example:

    ```python
    model = keras_nam.models.namtm_tagger(width=16, num_tapes=2)
    inputs = np.array([[10, 1, 2, 3, 10]])
    figure = keras_nam.visualization.plot_tape_heads((model, inputs), tokens="#123#")
    len(figure.axes)  # 5
    ```

    Raises:
        ValueError: If the trajectory has no positions, or an argument does not fit it.
        ImportError: If matplotlib is not installed.
    """
    values = _example_with_heads(trajectory, example)
    length, num_tapes, num_cells = values["read_position"].shape
    tapes = get_indices("tape", tape, num_tapes)
    tokens = check_tokens(tokens, length)

    heads = [_used_positions(values, name) for name in ("read", "write")]
    scale = color_scale(*(head[:, tapes] for head in heads))
    height = float(np.clip(0.06 * num_cells, 1.2, 2.4))
    figure, axes = new_figure(
        len(tapes), 2, (panel_width(length), height), sharex=True, sharey=True
    )
    for row, index in zip(axes, tapes, strict=True):
        for panel, head in zip(row, heads, strict=True):
            image = heat_map(panel, head[:, index].T, **scale)
        row[0].set_ylabel(f"tape {index}\ncell", fontsize=9)
        integer_ticks(row[0].yaxis, bins=5)
    for panel, name in zip(axes[0], ("read head", "write head"), strict=True):
        panel.set_title(name, fontsize=10)
    for panel in axes[-1]:
        label_steps(panel, length, tokens, masked="mask" in values)
    color_bar(figure, image, axes, "weight of the cell")
    return figure


def plot_head_entropy(trajectory, example=0, tokens=None):
    """Plots how blurred the positions of the heads of tapes are over time.

    The upper panel is where the heads read, the lower one where they write; each is a
    heat map of tapes by steps. A head that stands in one cell alone has an entropy of
    0 bits, and one that stands everywhere in `n` cells has `log2(n)`: what `sharpness`
    of a `keras_nam.layers.NAMTM` keeps down.

    Args:
        trajectory: What `keras_nam.visualization.trajectory` returns for a `NAMTM`
            layer, or a tuple of its arguments, `(model, inputs)` or
            `(model, inputs, layer)`.
        example: Integer, which example of the batch to plot.
        tokens: List of strings that label the steps, one each. For a layer that goes
            backwards, they run backwards too.

    Returns:
        A `matplotlib.figure.Figure`. It is not shown; `figure.savefig` saves it.

    Example:

    ```python
    model = keras_nam.models.namtm_tagger(width=16, num_tapes=2)
    inputs = np.array([[10, 1, 2, 3, 10]])
    figure = keras_nam.visualization.plot_head_entropy((model, inputs), tokens="#123#")
    len(figure.axes)  # 3
    ```

    Raises:
        ValueError: If the trajectory has no positions, or an argument does not fit it.
        ImportError: If matplotlib is not installed.
    """
    values = _example_with_heads(trajectory, example)
    tokens = check_tokens(tokens, len(values["read_position"]))
    panels = {}
    for name in ("read", "write"):
        # Positions of heads that never erase need not add up to 1.
        weights = np.abs(values[f"{name}_position"])
        weights /= np.maximum(weights.sum(axis=-1, keepdims=True), TINY)
        entropy = -(weights * np.log2(np.maximum(weights, TINY))).sum(axis=-1)
        panels[f"{name} head"] = blank_masked(np.maximum(entropy, 0.0), values)
    scale = color_scale(*panels.values())
    masked = "mask" in values
    return plot_rows(panels, scale, "tape", "entropy (bits)", tokens, masked)


def _example_with_heads(trajectory, example):
    trajectory = get_trajectory(trajectory)
    if not {"read_position", "write_position"} <= trajectory.keys():
        raise ValueError(
            "Only a trajectory with `read_position` and `write_position`, that of a "
            f"`NAMTM` layer, has heads to plot. Received: {sorted(trajectory)}"
        )
    return get_example(trajectory, example)


def _used_positions(values, head):
    positions = values[f"{head}_position"]
    if "jump_position" in values:
        positions = ops.convert_to_numpy(unit_normalize(positions))
    return blank_masked(positions, values)
