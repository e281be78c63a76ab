"""Unit normalisation and one read and write."""

import numpy as np
import pytest
from backends import BACKEND
from backends import differentiate
from backends import dtype_of
from keras import ops

from keras_nam.ops import memory_attention
from keras_nam.ops import memory_read
from keras_nam.ops import memory_write
from keras_nam.ops import unit_normalize


def test_unit_normalize_has_unit_norm_on_any_axis():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    for axis in (0, 1, -1):
        norms = np.linalg.norm(unit_normalize(x, axis=axis), axis=axis)
        np.testing.assert_allclose(norms, 1.0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-13, 1e-9, 1.0, 1e9, 1e18, 1e30, 1e38])
def test_unit_normalize_at_every_scale(scale):
    x = np.float32([[3.0, -4.0]]) * np.float32(scale / 5)
    y, (gradient,), _ = differentiate(_summed_unit_vectors, [x])
    expected = np.array([[0.6, -0.8]]) * min(1.0, scale / 1e-12)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_zero_vectors_give_zeros_and_finite_gradients(jit_compile):
    x = np.zeros((2, 3), "float32")
    y, (gradient,), _ = differentiate(
        _summed_unit_vectors, [x], jit_compile=jit_compile
    )
    assert not np.any(y)
    np.testing.assert_allclose(gradient, 1e12, rtol=1e-6)


def _summed_unit_vectors(x):
    y = unit_normalize(x)
    return ops.sum(y), y


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes_are_kept(dtype):
    if dtype == "float64" and BACKEND == "jax":
        pytest.skip("JAX has no float64 unless it is told to")
    key = ops.cast([[0.6, 0.8]], dtype)
    assert dtype_of(unit_normalize(key)) == dtype
    memory = memory_write(ops.zeros((1, 3, 2)), key, ops.ones((1, 3), dtype))
    assert dtype_of(memory) == "float32"
    assert dtype_of(memory_read(memory, key)) == dtype


def test_integers_and_lists_are_taken():
    memory = memory_write([[0.0, 0.0]], [0.0, 1.0], [5.0])
    np.testing.assert_allclose(memory_read(memory, [0.0, 1.0]), [5.0])


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"epsilon.*Received: epsilon=0"):
        unit_normalize([1.0], epsilon=0)
    with pytest.raises(ValueError, match=r"`memory` must have shape.*Received"):
        memory_read([1.0], [1.0])
    with pytest.raises(ValueError, match=r"`query` must have shape.*Received"):
        memory_read(np.zeros((2, 3, 4)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"`value` must have shape.*Received"):
        memory_write(np.zeros((2, 3, 4)), np.zeros((2, 4)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"`write_gate` must have shape.*Received"):
        memory_write(
            np.zeros((2, 3, 4)), np.zeros((2, 4)), np.zeros((2, 3)), np.zeros((3,))
        )
    x = np.zeros((2, 5, 1, 4), "float32")
    with pytest.raises(ValueError, match=r"`query` must have shape.*Received"):
        memory_attention(x[..., :3], x, x)
    with pytest.raises(ValueError, match=r"`mask` must have shape.*Received"):
        memory_attention(x, x, x, mask=np.ones((2, 4), bool))
