"""LSAM, the memory whose keys and gates see what was read."""

from benchmarks.case import case
from benchmarks.cases.recurrent import recurrent_case
from keras_nam import layers


@case
def lsam(batch=32, length=256, width=256, heads=4):
    return recurrent_case(
        lambda: layers.LSAM(width, num_heads=heads, return_sequences=True),
        lambda: layers.LSAMCell(width, num_heads=heads),
        _from_keras,
        (batch, length, width),
        # Of the input and of the last output with the kernels.
        products=[(batch * length, 3 * width + 2 * heads, width)] * 2,
        gru=True,
    )


def _from_keras():
    from benchmarks.peers.torch_lsam import from_keras

    return from_keras
