"""The cases: what is measured, against what, at which sizes.

A case builds contenders, functions of no argument that run one training step (forward
and backward) and return its loss. The first contender is ours. `check` compares it
with the plain form before anything is timed.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_nam import layers
from keras_nam.ops import memory_scan
from keras_nam.ops import unit_normalize

CASES = {}


def case(name):
    def register(build):
        CASES[name] = build
        return build

    return register


def training_step(function, inputs, variables, jit_compile):
    """Compiles the loss and the gradients of `sum(function(inputs) ** 2)`."""

    @tf.function(jit_compile=jit_compile)
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.square(function(inputs)))
        return loss, tape.gradient(loss, [inputs, variables])

    return lambda: step(inputs)


def layer_contenders(layer_class, cell_class, shape, **arguments):
    """Steps of a layer, of its cell in a stock RNN and of an LSTM of the same width.

    The layer has to give the numbers of the stock RNN before anything is timed.
    """
    width = shape[-1]
    layer = layer_class(width, return_sequences=True, **arguments)
    rnn = keras.layers.RNN(cell_class(width, **arguments), return_sequences=True)
    lstm = keras.layers.LSTM(width, return_sequences=True, use_cudnn=False)
    for each in (layer, rnn, lstm):
        each.build((None, None, width))
    rnn.set_weights(layer.get_weights())
    x = np.random.default_rng(1).normal(size=(2, 33, width)).astype("float32")
    np.testing.assert_allclose(layer(x), rnn(x), atol=2e-5)

    inputs = tf.constant(np.random.default_rng(0).normal(size=shape), "float32")
    names = (layer_class.__name__, f"RNN({cell_class.__name__})", "keras LSTM")
    contenders = {}
    for name, each in zip(names, (layer, rnn, lstm), strict=True):
        variables = [v.value for v in each.trainable_variables]
        for jit_compile in (False, True):
            suffix = " (XLA)" if jit_compile else ""
            contenders[name + suffix] = training_step(
                each, inputs, variables, jit_compile
            )
    return contenders


@case("lsam")
def lsam(batch=32, length=256, width=256, heads=4):
    shape = (batch, length, width)
    return layer_contenders(layers.LSAM, layers.LSAMCell, shape, num_heads=heads)


@case("namtm")
def namtm(batch=128, length=36, width=128, tapes=2, tape_length=32):
    shape = (batch, length, width)
    return layer_contenders(
        layers.NAMTM,
        layers.NAMTMCell,
        shape,
        num_tapes=tapes,
        tape_length=tape_length,
    )


@case("nam")
def nam(batch=4, length=1024, width=128, heads=4):
    shape = (batch, length, width)
    return layer_contenders(layers.NAM, layers.NAMCell, shape, num_heads=heads)


@case("memory_scan")
def scan(batch=4, length=1024, heads=4, dim=32):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(batch, length, heads, 3 * dim)), "float32")
    gate = tf.constant(rng.uniform(size=(batch, length, heads)), "float32")

    def outputs(x, implementation, chunk_size=None):
        query, key, value = ops.split(x, 3, axis=-1)
        return memory_scan(
            unit_normalize(query),
            unit_normalize(key),
            value,
            gate,
            gate,
            implementation=implementation,
            chunk_size=chunk_size,
        )[0]

    forms = {
        "auto": ("auto", None),
        "chunked 16": ("chunked", 16),
        "chunked 32": ("chunked", 32),
        "chunked 64": ("chunked", 64),
        "recurrent": ("recurrent", None),
    }
    expected = outputs(x, "recurrent")
    contenders = {}
    for name, form in forms.items():
        np.testing.assert_allclose(outputs(x, *form), expected, atol=1e-4)
        for jit_compile in (False, True):
            suffix = " (XLA)" if jit_compile else ""
            contenders[name + suffix] = training_step(
                lambda x, form=form: outputs(x, *form), x, [], jit_compile
            )
    return contenders
