"""What the figures are given: trajectories, examples, steps and tokens."""

import numpy as np

from keras_nam.arguments import check_integer
from keras_nam.arguments import check_list
from keras_nam.visualization.recording import trajectory as record


def get_trajectory(trajectory):
    """Returns a trajectory that is given itself or as `(model, inputs[, layer])`."""
    if isinstance(trajectory, dict) and trajectory:
        return trajectory
    if isinstance(trajectory, tuple) and len(trajectory) in (2, 3):
        return record(*trajectory)
    raise ValueError(
        "Argument `trajectory` must be a dictionary, as `trajectory` returns it, or a "
        f"tuple (model, inputs) or (model, inputs, layer). Received: {trajectory} (of "
        f"type {type(trajectory)})"
    )


def get_example(trajectory, example):
    """Returns the arrays of one example, `(time, ...)` each, in float32."""
    size = len(next(iter(trajectory.values())))
    check_integer("example", example, 0, size - 1)
    return {name: as_numbers(value[example]) for name, value in trajectory.items()}


def as_numbers(array):
    """Converts an array, of half precision or on a device, to float32."""
    return np.asarray(array).astype("float32")


def get_indices(name, indices, size):
    """Returns a list of indices from an integer, several, or `None` for all."""
    if indices is None:
        return list(range(size))
    listed = isinstance(indices, (list, tuple, range)) or np.ndim(indices) == 1
    indices = list(indices) if listed else [indices]
    for index in indices:
        check_integer(name, index, 0, size - 1)
    if not indices:
        raise ValueError(
            f"Argument `{name}` must not be empty. Received: {name}={indices}"
        )
    return indices


def check_tokens(tokens, length):
    """Returns tokens as strings, one for each of `length` steps, or `None`."""
    if tokens is None:
        return None
    if not isinstance(tokens, str):
        tokens = check_list("tokens", tokens, object, "a list of strings")
    if len(tokens) != length:
        raise ValueError(
            f"Argument `tokens` must hold one token for each of the {length} steps. "
            f"Received: {len(tokens)} tokens"
        )
    return [str(token) for token in tokens]


def blank_masked(values, example):
    """Puts NaN, which figures leave grey, where the mask of an example skips steps.

    Args:
        values: Array of shape `(time, ...)`.
        example: What `get_example` returns.
    """
    if "mask" not in example:
        return values
    valid = example["mask"].reshape(-1, *[1] * (values.ndim - 1))
    return np.where(valid, values, np.nan)
