"""Unit vectors, and the floor under the norm that they are divided by."""

import numpy as np
import pytest
from backends import differentiate
from keras import ops

from keras_nam.ops import unit_normalize


@pytest.mark.parametrize("epsilon", [1e-12, 0.5, 2.0, 10.0])
def test_no_norm_is_divided_by_less_than_epsilon(epsilon):
    x = np.array([[3.0, 4.0], [0.2, -0.1], [1.5, 0.0], [0.0, 0.0]])
    norm = np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), epsilon)
    np.testing.assert_allclose(unit_normalize(x, epsilon=epsilon), x / norm, atol=1e-12)
    _, (gradient,), _ = differentiate(
        lambda x: (ops.sum(ops.sin(unit_normalize(x, epsilon=epsilon))), None), [x], []
    )
    for place in np.ndindex(x[:3].shape):
        step = np.zeros_like(x)
        step[place] = 1e-6
        up, down = (
            np.sin(unit_normalize(x + sign * step, epsilon=epsilon)).sum()
            for sign in (1, -1)
        )
        assert gradient[place] == pytest.approx((up - down) / 2e-6, abs=1e-6)


def test_squares_that_overflow_do_not_matter():
    x = np.array([[3e30, -4e30]], "float32")
    np.testing.assert_allclose(unit_normalize(x), [[0.6, -0.8]], rtol=1e-6)
