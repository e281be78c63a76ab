"""The fast form of LSAM against its step, in values and gradients."""

import numpy as np
import pytest
from backends import differentiate
from backends import needs_tensorflow
from keras import ops

from keras_nam.ops.lsam_scan import lsam_scan
from keras_nam.ops.lsam_step import head_sizes
from keras_nam.ops.lsam_step import lsam_step

BATCH, HEADS, DIM = 3, 2, 4
UNITS = HEADS * DIM
COLUMNS = HEADS * sum(head_sizes(DIM))


def draw(length):
    rng = np.random.default_rng(length)
    return [
        rng.normal(size=shape).astype("float32")
        for shape in (
            (BATCH, length, COLUMNS),
            (UNITS, COLUMNS),
            (BATCH, UNITS),
            (BATCH, HEADS, DIM, DIM),
        )
    ]


def step_by_step(projected, kernel, hidden, memory, mask=None):
    outputs = []
    for t in range(projected.shape[1]):
        new_hidden, new_memory, _ = lsam_step(projected[:, t], kernel, hidden, memory)
        if mask is not None:
            valid = mask[:, t, None]
            new_hidden = ops.where(valid, new_hidden, hidden)
            new_memory = ops.where(valid[..., None, None], new_memory, memory)
        hidden, memory = new_hidden, new_memory
        outputs.append(hidden)
    return ops.stack(outputs, axis=1), hidden, memory


def evaluate(scan, arguments, mask, **how):
    def loss_and_outputs(*arguments):
        outputs, hidden, memory = scan(*arguments, mask=mask)
        weights = ops.cos(ops.cast(ops.arange(ops.shape(outputs)[1]), "float32"))
        loss = ops.sum(weights[:, None] * outputs**2)
        return loss + ops.sum(hidden**3) + 0.1 * ops.sum(memory**3), [
            outputs,
            hidden,
            memory,
        ]

    outputs, gradients, _ = differentiate(loss_and_outputs, arguments, **how)
    return [*outputs, *gradients]


# Shorter than a block, longer than the last one, and of whole blocks.
@pytest.mark.parametrize("masked", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "length", [3, *(pytest.param(x, marks=pytest.mark.slow) for x in (1, 8, 13))]
)
def test_outputs_states_and_gradients(length, masked):
    arguments = draw(length)
    mask = np.random.default_rng(0).uniform(size=(BATCH, length)) < 0.6
    mask = mask if masked else None
    ours = evaluate(lsam_scan, arguments, mask)
    expected = evaluate(step_by_step, arguments, mask, trace=False)
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * max(1, np.abs(b).max()))


@pytest.mark.slow
@needs_tensorflow
@pytest.mark.parametrize("jit_compile", [True, False])
def test_unknown_length(jit_compile):
    arguments = draw(13)
    shapes = [(None, None, COLUMNS), (UNITS, COLUMNS), (None, UNITS)]
    shapes.append((None, HEADS, DIM, DIM))
    ours = evaluate(lsam_scan, arguments, None, jit_compile=jit_compile, shapes=shapes)
    expected = evaluate(step_by_step, arguments, None, trace=False)
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * max(1, np.abs(b).max()))


def test_zero_keys_write_and_read_nothing():
    projected, kernel, hidden, memory = draw(5)
    vectors = 2 * UNITS  # All queries, then all keys.
    projected[..., :vectors] = 0.0
    kernel[:, :vectors] = 0.0
    ours = evaluate(lsam_scan, [projected, kernel, hidden, memory], None)
    assert not ours[0].any()
    np.testing.assert_array_equal(ours[2], memory)
    for a, b in zip(
        ours,
        evaluate(step_by_step, [projected, kernel, hidden, memory], None, trace=False),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
