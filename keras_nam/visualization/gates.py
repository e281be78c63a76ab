"""How far the gates of a memory are open over time."""

from keras_nam.visualization.arguments import blank_masked
from keras_nam.visualization.arguments import check_tokens
from keras_nam.visualization.arguments import get_example
from keras_nam.visualization.arguments import get_trajectory
from keras_nam.visualization.figures import SEQUENTIAL
from keras_nam.visualization.figures import color_bar
from keras_nam.visualization.figures import heat_map
from keras_nam.visualization.figures import integer_ticks
from keras_nam.visualization.figures import label_steps
from keras_nam.visualization.figures import new_figure
from keras_nam.visualization.figures import panel_width

GATES = ("read_gate", "write_gate", "erase_gate")


def plot_gates(trajectory, example=0, tokens=None):
    """Plots how far the gates of heads or tapes are open over time.

    A panel of the figure is a gate, read, write or erase, as far as the layer has
    them; it is a heat map of heads or tapes by steps, from 0, closed, to 1, open.

    Args:
        trajectory: What `keras_nam.visualization.trajectory` returns, or a tuple of
            its arguments, `(model, inputs)` or `(model, inputs, layer)`.
        example: Integer, which example of the batch to plot.
        tokens: List of strings that label the steps, one each. For a layer that goes
            backwards, they run backwards too.

    Returns:
        A `matplotlib.figure.Figure`. It is not shown; `figure.savefig` saves it.

    Example:

    ```python
    layer = keras_nam.layers.NAM(16, num_heads=2)
    sequences = keras.random.normal((1, 10, 8))
    figure = keras_nam.visualization.plot_gates((layer, sequences))
    len(figure.axes)  # 4
    ```

    Raises:
        ValueError: If the trajectory has no gates, or an argument does not fit it.
        ImportError: If matplotlib is not installed.
    """
    trajectory = get_trajectory(trajectory)
    gates = [name for name in GATES if name in trajectory]
    if not gates:
        raise ValueError(
            f"A trajectory must have one of the gates {list(GATES)}. "
            f"Received: {sorted(trajectory)}"
        )
    values = get_example(trajectory, example)
    length, count = values[gates[0]].shape
    tokens = check_tokens(tokens, length)

    height = max(0.6, 0.2 * count)
    figure, axes = new_figure(
        len(gates), 1, (panel_width(length), height), sharex=True, sharey=True
    )
    memory = "tape" if "tape" in trajectory else "head"
    for panel, name in zip(axes[:, 0], gates, strict=True):
        gate = blank_masked(values[name], values)
        image = heat_map(panel, gate.T, SEQUENTIAL, vmin=0.0, vmax=1.0)
        panel.set_title(name.replace("_", " "), fontsize=10)
        panel.set_ylabel(memory, fontsize=9)
        integer_ticks(panel.yaxis)
    label_steps(axes[-1, 0], length, tokens, masked="mask" in values)
    color_bar(figure, image, axes, "probability")
    return figure
