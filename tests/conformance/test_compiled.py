"""What a compiled layer gives, of every size, is what it gives as it stands."""

import numpy as np
import pytest
from backends import differentiate
from keras import ops
from matrix import PLAIN
from matrix import WIDTH
from matrix import applies
from matrix import close
from matrix import rows

# No row, which Keras knows when it comes first, one row, one step, no step, more than
# a chunk and than one token space.
SIZES = [(0, 3), (1, 1), (2, 0), (2, 33), (2, 70)]


@rows("sizes", every_time=PLAIN)
@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_one_model_takes_all_sizes(row, jit_compile):
    layer = row.built()
    model = row.model(layer)
    model.compile(jit_compile=jit_compile)
    for batch, length in SIZES:
        if (length or applies("length 0", row)) and (batch or applies("no rows", row)):
            x = row.draw(batch, length)
            (expected,) = row.call(layer, x)
            close(model.predict_on_batch(x), expected)
            assert np.isfinite(expected).all()


def evaluate(row, layer, x, mask, **arguments):
    """Outputs, and the gradients of the inputs and the weights."""

    def loss_and_outputs(x, *mask):
        outputs = row.call(layer, x, *mask)
        return sum(ops.sum(ops.sin(output)) for output in outputs), outputs

    outputs, (gradient, *_), gradients = differentiate(
        loss_and_outputs, [x, *mask], layer.trainable_variables, **arguments
    )
    return outputs, [] if gradient is None else gradient, gradients


@pytest.mark.slow
@rows("gradients")
@pytest.mark.parametrize(
    ("size", "masked", "jit_compile", "static"),
    [
        ((1, 1), False, True, True),
        ((2, 9), True, False, False),
        # More than a chunk, compared with a graph, whose loops are faster than those
        # that run as they stand.
        ((3, 70), True, True, False),
    ],
    ids=["one-step", "graph", "chunks-xla"],
)
def test_gradients(row, size, masked, jit_compile, static):
    # In float32, the roundings of many steps would hide what differs.
    layer = row.built(dtype="float64", **row.with_states)
    x, mask = row.draw(*size), []
    x = x if row.kind == "tokens" else x.astype("float64")
    if masked and applies("masks", row):
        mask = [np.random.default_rng(0).random(size) < 0.7]
    known = (WIDTH,) if x.dtype.kind == "f" else ()
    steps = (None,) if row.kind == "head" else (None, None)
    shapes = None if static else [(*steps, *known), *((None, None) for _ in mask)]
    close(
        evaluate(row, layer, x, mask, jit_compile=jit_compile, shapes=shapes),
        evaluate(row, layer, x, mask, trace=size[1] > 33),
        1e-9,
    )
