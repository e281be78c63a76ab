"""Every dtype policy against float64 with the same weights.

Weights and inputs are numbers that bfloat16 has, so what is left are the roundings of
what is computed. That of a state would not show among them, unless it is repeated in
the same direction: the inputs stay the same for many steps, and gates are nearly
closed, so that every step adds little to what is there.
"""

import functools

import keras
import numpy as np
import pytest
from backends import dtype_of
from backends import rounding
from keras import ops
from keras import tree
from matrix import FEW
from matrix import PLAIN
from matrix import ROWS
from matrix import applies
from matrix import rows

from keras_nam import layers

POLICIES = ["float32", "mixed_float16", "float16", "mixed_bfloat16", "bfloat16"]
STEPS = 600
CLOSED = 4.0
# Of the inputs, of what is projected, of what is read, and of the outputs.
ROUNDINGS = 4
BY_NAME = {row.name: row for row in ROWS}


def rounded(x):
    return np.array(ops.cast(ops.cast(x, "bfloat16"), "float32"))


def size(x):
    return np.sqrt(np.mean(np.square(x)))


def close_gates(layer):
    for weight in layer.trainable_variables:
        if weight.name == "bias" and "output" not in weight.path:
            shift = -CLOSED
            if "lstm" in weight.path or "controller" in weight.path:
                # Write little, forget little.
                shift = np.repeat([-CLOSED, CLOSED, 0, 0], weight.shape[-1] // 4)
            weight.assign(weight + ops.cast(shift, weight.dtype))


def run(row, weights=None, x=None, **arguments):
    """Layer, inputs and outputs of the row, compiled for the loops' sake."""
    layer = row.built(**arguments)
    if weights is None:
        if row.kind in ("recurrent", "cell") or row.name.startswith("lstm"):
            close_gates(layer)
        weights = layer.get_weights()
        weights = [rounded(w) if w.dtype.kind == "f" else w for w in weights]
        x = row.draw(2, STEPS)
        if row.kind != "tokens":
            x = rounded(x)
            if applies("equal steps", row):
                x[:, 10:-10] = x[:, 10:11]
    layer.set_weights(weights)
    inputs = row.input()
    model = keras.Model(inputs, row.call(layer, inputs))
    return weights, x, tree.flatten(model.predict_on_batch(x))


@functools.cache
def reference(row):
    """Weights, inputs, and what they give in float64."""
    return run(row, dtype="float64")


def error(row, policy):
    """How many roundings the error of the outputs amounts to."""
    weights, x, (expected,) = reference(row)
    _, _, (outputs,) = run(row, weights, x, dtype=policy)
    assert dtype_of(outputs) == keras.DTypePolicy(policy).compute_dtype
    difference = size(np.float64(outputs) - expected) / size(expected)
    return difference / rounding(policy)


@rows("precision", every_time=FEW)
def test_errors_are_those_of_the_dtype(row):
    for policy in POLICIES:
        # Sums over the steps are wide, unless there is nothing wider: then each step
        # adds a quarter of a rounding, as they do on average, to a sum half as large
        # as at last.
        allowed = STEPS / 8 if policy == "float32" else ROUNDINGS
        assert error(row, policy) < allowed, policy


@pytest.mark.parametrize(
    ("name", "cell_class"),
    [
        ("nam cell", layers.NAMCell),
        ("lsam cell", layers.LSAMCell),
        ("namtm cell", layers.NAMTMCell),
    ],
)
def test_a_rounded_state_is_found(name, cell_class, monkeypatch):
    row = BY_NAME[name]
    reference(row)
    step = cell_class.step

    def rounding_step(self, *arguments):
        output, states, trajectory = step(self, *arguments)
        return output, [ops.cast(rounded_state(s), s.dtype) for s in states], trajectory

    def rounded_state(state):
        return ops.cast(state, "bfloat16")

    monkeypatch.setattr(cell_class, "step", rounding_step)
    assert error(row, "mixed_bfloat16") > 1.5 * ROUNDINGS


@rows("states", every_time=PLAIN)
@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        "bfloat16",
        *(
            pytest.param(policy, marks=pytest.mark.slow)
            for policy in ("float32", "float16", "mixed_bfloat16", "float64")
        ),
    ],
)
def test_states_and_outputs_have_the_dtypes_of_the_policy(row, policy):
    if policy == "bfloat16" and not applies("bfloat16", row):
        return
    layer = row.built(dtype=policy, **row.with_states)
    dtype = keras.DTypePolicy(policy).compute_dtype
    wide = dtype if dtype == "float64" else "float32"
    for x in (row.draw(2, 3), row.input(2, 3)):
        outputs, *states = row.call(layer, x)
        assert dtype_of(outputs) == dtype
        assert all(dtype_of(state) == wide for state in states)


@rows("float64", every_time=PLAIN)
def test_nothing_is_rounded_in_float64(row):
    """Differences of the outputs are as smooth as only float64 can tell."""
    layer = row.built(dtype="float64", **row.with_states)
    x = row.draw(2, 5).astype("float64")
    moved = [row.call(layer, x * (1 + step)) for step in (0.0, 1e-6, 2e-6)]
    for at, near, far in zip(*moved, strict=True):
        slope = (np.asarray(near) - at) / 1e-6
        further = (np.asarray(far) - at) / 2e-6
        assert np.abs(slope - further).max() < 1e-3 * max(1.0, np.abs(slope).max())
