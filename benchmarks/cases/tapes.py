"""The NAM Turing machine, on the paper's sizes and on a long sequence."""

from benchmarks.case import case
from benchmarks.cases.recurrent import recurrent_case
from keras_nam import layers


@case
def namtm(batch=128, length=36, width=128, tapes=2, tape_length=32):
    return _tapes(batch, length, width, tapes, tape_length)


@case
def namtm_long(batch=16, length=512, width=128, tapes=2, tape_length=64):
    return _tapes(batch, length, width, tapes, tape_length)


def _tapes(batch, length, width, tapes, tape_length):
    rows = batch * length
    arguments = {"num_tapes": tapes, "tape_length": tape_length}
    return recurrent_case(
        lambda: layers.NAMTM(width, return_sequences=True, **arguments),
        lambda: layers.NAMTMCell(width, **arguments),
        _from_keras,
        (batch, length, width),
        # The controller's two, value, key, query and output, and the action.
        products=[(rows, 4 * width, width)] * 2
        + [(rows, width, width)] * 4
        + [(rows, 11 * tapes, width)],
    )


def _from_keras():
    from benchmarks.peers.torch_namtm import from_keras

    return from_keras
