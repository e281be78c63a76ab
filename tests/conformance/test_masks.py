"""What stands under a mask, or after a step, changes nothing that it must not."""

import keras
import numpy as np
import pytest
from backends import differentiate
from keras import ops
from matrix import PLAIN
from matrix import TOKENS
from matrix import WIDTH
from matrix import applies
from matrix import close
from matrix import rows

from keras_nam import layers

LENGTH = 7
# A row of a batch each; left out where a layer does not promise them.
MASKS = {
    "left": [0, 0, 1, 1, 1, 1, 1],
    "right": [1, 1, 1, 0, 0, 0, 0],
    "holes": [0, 1, 0, 1, 1, 0, 1],
    "all False": [0, 0, 0, 0, 0, 0, 0],
    "all True": [1, 1, 1, 1, 1, 1, 1],
}


def evaluate(row, layer, x, mask=None):
    """Outputs of valid steps, and the gradients of inputs and weights."""
    valid = row.valid(np.ones(x.shape[:2], bool) if mask is None else mask)

    def loss_and_outputs(x):
        outputs = row.call(layer, x, mask)
        kept = valid[(..., *[None] * (outputs[0].ndim - valid.ndim))]
        steps = ops.where(kept, outputs[0], 0.0)
        loss = ops.sum(ops.sin(steps)) + sum(ops.sum(s**2) for s in outputs[1:])
        return loss, outputs

    (steps, *states), (gradient,), weight_gradients = differentiate(
        loss_and_outputs, [x], layer.trainable_variables, trace=False
    )
    steps = [step[kept] for step, kept in zip(steps, valid, strict=True)]
    return steps, states, gradient, weight_gradients


@rows("masks", every_time=PLAIN)
def test_padding_changes_nothing(row):
    layer = row.built(**row.with_states)
    names = [n for n in MASKS if n in row.padding or n.startswith("all")]
    mask = np.array([MASKS[n] for n in names], bool)
    x = row.draw(len(names), LENGTH)
    padded = x.copy()
    padded[~mask] = 9.0
    if applies("nan under masks", row):
        padded[~mask] = np.nan
        padded[:, ::2][~mask[:, ::2]] = np.inf
    outputs, states, gradient, weight_gradients = evaluate(row, layer, padded, mask)
    assert not gradient[~mask].any()

    totals = [np.zeros_like(g) for g in weight_gradients]
    for i, valid in enumerate(mask):
        if not valid.any() and not applies("length 0", row):
            continue
        alone = evaluate(row, layer, x[i : i + 1, valid])
        close(outputs[i], alone[0][0])
        close([state[i] for state in states], [state[0] for state in alone[1]])
        # Each step that a gradient goes through multiplies its roundings.
        close(gradient[i][valid], alone[2][0], 1e-4)
        totals = [a + b for a, b in zip(totals, alone[3], strict=True)]
    close(weight_gradients, totals, 1e-4)


@rows("implicit masks", every_time=PLAIN)
def test_the_mask_of_an_embedding_is_taken(row):
    layer, embedding = row.built(), layers.TokenEmbedding(TOKENS, WIDTH, mask_token=0)
    mask = np.array([MASKS["right"], MASKS["all True"]], bool)
    tokens = np.random.default_rng(0).integers(1, TOKENS, mask.shape) * mask
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, row.call(layer, embedding(inputs)))
    embedded = np.asarray(embedding(tokens))
    valid = row.valid(mask)
    masked = np.asarray(row.call(layer, embedded, mask)[0])[valid]
    close(np.asarray(model(tokens))[valid], masked)
    close(np.asarray(row.call(layer, embedding(tokens))[0])[valid], masked)


@rows("nan", every_time=PLAIN)
@pytest.mark.parametrize("length", [70, pytest.param(LENGTH, marks=pytest.mark.slow)])
def test_a_nan_stays_in_its_row_and_after_its_step(row, length):
    layer, x = row.built(), row.draw(3, length)
    (expected,) = row.call(layer, x)
    broken, changed = x.copy(), x.copy()
    broken[1, -2], changed[1, -2] = np.nan, -x[1, -2]
    ours, moved = (np.asarray(row.call(layer, y)[0]) for y in (broken, changed))
    close(ours[::2], np.asarray(expected)[::2])
    if row.kind == "head":
        return
    past = slice(0, length - 2 + (row.outputs == "one more"))
    if applies("nan before", row):
        close(ours[1, past], np.asarray(expected)[1, past])
    if row.causal:
        close(moved[1, past], np.asarray(expected)[1, past])
    else:
        assert np.abs(moved - expected)[1].max() > 1e-4
    assert np.isnan(ours[1]).any()
