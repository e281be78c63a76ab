"""The recurrent layers with small arguments, for tests that hold for all of them."""

import inspect

import keras

from keras_nam import layers

FEATURES = 5

CASES = {
    "nam": (layers.NAM, layers.NAMCell, {"units": 6, "num_heads": 2}),
    "nam-no-erase": (
        layers.NAM,
        layers.NAMCell,
        {"units": 4, "num_heads": 1, "key_dim": 3, "use_erase": False},
    ),
    "lsam": (layers.LSAM, layers.LSAMCell, {"units": 6, "num_heads": 3}),
    "namtm": (
        layers.NAMTM,
        layers.NAMTMCell,
        {"units": 6, "num_tapes": 2, "tape_length": 7},
    ),
    "namtm-nojump": (
        layers.NAMTM,
        layers.NAMTMCell,
        {"units": 6, "num_tapes": 3, "tape_length": 4, "use_jump": False},
    ),
}

# What these leave out is covered by the golden arrays; here they are compared with
# their cells alone.
ABLATIONS = {
    "namtm-noerase": (
        layers.NAMTM,
        layers.NAMTMCell,
        {
            "units": 5,
            "num_tapes": 2,
            "tape_length": 5,
            "tape_dim": 3,
            "use_erase": False,
        },
    ),
    "namtm-norwprob": (
        layers.NAMTM,
        layers.NAMTMCell,
        {"units": 4, "num_tapes": 2, "tape_length": 6, "use_gates": False},
    ),
    "namtm-sharp": (
        layers.NAMTM,
        layers.NAMTMCell,
        {"units": 4, "num_tapes": 2, "tape_length": 6, "sharpness": 3.0},
    ),
}


def make_layer(case, **kwargs):
    layer_class, _, arguments = {**CASES, **ABLATIONS}[case]
    return layer_class(**arguments, **kwargs)


def make_rnn(case, layer, **kwargs):
    """The stock `RNN` around the cell of the case, with the weights of `layer`."""
    _, cell_class, arguments = {**CASES, **ABLATIONS}[case]
    rnn = keras.layers.RNN(cell_class(**arguments), **kwargs)
    rnn.build((None, None, FEATURES))
    rnn.set_weights(layer.get_weights())
    return rnn


def init_arguments(layer_class):
    parameters = inspect.signature(layer_class.__init__).parameters.values()
    return [p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD][1:]
