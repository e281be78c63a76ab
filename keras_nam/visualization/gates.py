"""How far the gates of a memory are open over time."""

from keras_nam.visualization.arguments import blank_masked
from keras_nam.visualization.arguments import check_tokens
from keras_nam.visualization.arguments import get_example
from keras_nam.visualization.arguments import get_trajectory
from keras_nam.visualization.figures import SEQUENTIAL
from keras_nam.visualization.figures import plot_rows

GATES = ("read_gate", "write_gate", "erase_gate", "decay")


def plot_gates(trajectory, example=0, tokens=None):
    """Plots how far the gates of heads or tapes are open over time.

    A panel of the figure is a gate, read, write or erase, or what a step leaves of the
    memory, as far as the layer has them; it is a heat map of heads or tapes by steps,
    from 0, closed, to 1, open. Of gates for each channel, it shows the mean.

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
    tokens = check_tokens(tokens, len(values[gates[0]]))
    gates = {
        name.replace("_", " "): blank_masked(_mean_of_channels(values[name]), values)
        for name in gates
    }
    return plot_rows(
        gates,
        {"cmap": SEQUENTIAL, "vmin": 0.0, "vmax": 1.0},
        "tape" if "tape" in trajectory else "head",
        "probability",
        tokens,
        masked="mask" in values,
    )


def _mean_of_channels(gate):
    return gate if gate.ndim == 2 else gate.mean(axis=-1)
