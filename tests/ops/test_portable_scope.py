"""What is traced for other runtimes gives the numbers of the fastest forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_nam import layers
from keras_nam import ops
from keras_nam.ops import triangular

LACKING = {"MatrixTriangularSolve"}


@pytest.mark.parametrize("accelerator", [False, True])
@pytest.mark.parametrize("size", [1, 2, 5, 32, 33, 64])
def test_unit_lower_systems(size, accelerator, monkeypatch):
    monkeypatch.setattr(triangular, "has_accelerator", lambda: accelerator)
    generator = np.random.default_rng(size)
    key = generator.normal(size=(3, size, 4))
    key /= np.linalg.norm(key, axis=-1, keepdims=True)
    system = np.tril(key @ key.swapaxes(-1, -2), -1) + np.eye(size)
    right = generator.normal(size=(3, size, 2))
    arguments = [tf.constant(x, "float32") for x in (system, right)]
    solve = tf.function(triangular.solve_unit_lower).get_concrete_function(*arguments)
    assert (LACKING & set(operators(solve.graph)) == LACKING) != accelerator
    found = solve(*arguments)
    np.testing.assert_allclose(found, np.linalg.solve(system, right), atol=1e-5)


CASES = {
    "nam": lambda: layers.NAM(6, num_heads=2, return_sequences=True),
    "lsam": lambda: layers.LSAM(6, num_heads=2, return_sequences=True),
    "nam_token": lambda: layers.NAM(6, 2, implementation="token"),
    "namtm": lambda: layers.NAMTM(6, 2, tape_length=4, return_sequences=True),
    "namtm_by_length": lambda: layers.NAMTM(6, 2, tape_length=None),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.slow] if case == "namtm" else [])
        for case in CASES
    ],
)
def test_same_numbers_from_operators_that_all_runtimes_have(case):
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, CASES[case]()(inputs))

    def trace():
        spec = tf.TensorSpec((None, None, 5))
        return tf.function(lambda x: model(x, training=False)).get_concrete_function(
            spec
        )

    fast = trace()
    with ops.PortableScope():
        portable = trace()
    for length in (1, 7, 40):
        x = tf.random.normal((3, length, 5))
        np.testing.assert_allclose(portable(x), fast(x), atol=2e-6)
    used = operators(portable.graph)
    assert not LACKING & set(used)
    assert used.count("While") + used.count("StatelessWhile") <= 1
    # Elsewhere, and after the scope, the fastest forms are used.
    assert operators(trace().graph) == operators(fast.graph) != used


def operators(graph):
    """The operators of a graph and of the graphs inside of it."""
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for function in definition.library.function:
        nodes += function.node_def
    return sorted(node.op for node in nodes)
