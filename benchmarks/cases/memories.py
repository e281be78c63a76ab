"""Layers with a chunked memory, beside other packages' and beside attention."""

import keras
import numpy as np

from benchmarks.case import Case
from benchmarks.case import case
from benchmarks.steps import graph_and_xla
from benchmarks.steps import layer_step
from keras_nam import layers


@case
def nam(batch=4, length=1024, width=128, heads=4):
    return _case(batch, length, width, heads, {})


@case
def nam_short(batch=4, length=64, width=128, heads=4):
    """With a peer that lays out every step, and would compile for many minutes."""
    peers = {"keras-hub RWKV7 time mix": lambda: _rwkv7(width, heads)}
    return _case(batch, length, width, heads, peers)


@case
def gated_delta_net(batch=4, length=1024, width=128, heads=4):
    """Our layer and keras-hub's, with the same weights and the same numbers."""
    shape = (batch, length, width)
    layer = layers.GatedDeltaNet(heads, width // heads)
    layer.build((None, None, width))

    def theirs():
        other = _gated_delta_net(width, heads)
        other.build((None, None, width))
        other.set_weights(layer.get_weights())
        return other

    def check():
        x = np.random.default_rng(1).normal(size=(2, 33, width)).astype("float32")
        expected, state = [], layer.initial_stream_state(2)
        for t in range(33):
            last, state = layer.stream(x[:, t : t + 1], state=state)
            expected.append(last)
        np.testing.assert_allclose(layer(x), np.concatenate(expected, 1), atol=2e-5)
        try:
            other = theirs()
        except ImportError:
            return
        np.testing.assert_allclose(layer(x), other(x), atol=2e-5)

    contenders = graph_and_xla(
        "GatedDeltaNet", lambda jit: layer_step(layer, shape, jit)
    )
    contenders |= graph_and_xla(
        "keras-hub gated delta net", lambda jit: layer_step(theirs(), shape, jit)
    )
    return Case(check, contenders)


def _case(batch, length, width, heads, further_peers):
    shape = (batch, length, width)
    layer = layers.NAM(width, num_heads=heads, return_sequences=True)
    layer.build((None, None, width))

    def rnn():
        other = keras.layers.RNN(
            layers.NAMCell(width, num_heads=heads), return_sequences=True
        )
        other.build((None, None, width))
        other.set_weights(layer.get_weights())
        return other

    def check():
        x = np.random.default_rng(1).normal(size=(2, 33, width)).astype("float32")
        np.testing.assert_allclose(layer(x), rnn()(x), atol=2e-5)

    peers = {
        "RNN(NAMCell)": rnn,
        "keras-hub gated delta net": lambda: _gated_delta_net(width, heads),
        **further_peers,
        "keras attention, causal": lambda: CausalAttention(width, heads),
        "keras LSTM": lambda: _recurrent(keras.layers.LSTM, width),
        "keras GRU": lambda: _recurrent(keras.layers.GRU, width),
    }
    contenders = graph_and_xla("NAM", lambda jit: layer_step(layer, shape, jit))
    for name, make in peers.items():
        contenders |= graph_and_xla(
            name, lambda jit, make=make: layer_step(make(), shape, jit)
        )
    return Case(check, contenders)


def _recurrent(layer_class, width):
    return layer_class(width, return_sequences=True, use_cudnn=False)


class CausalAttention(keras.layers.Layer):
    def __init__(self, width, heads):
        super().__init__()
        self.attention = keras.layers.MultiHeadAttention(heads, width // heads)

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, x):
        return self.attention(x, x, use_causal_mask=True)


def _gated_delta_net(width, heads):
    from keras_hub.src.models.qwen3_5.qwen3_5_gated_delta_net import (
        Qwen3_5GatedDeltaNet,
    )

    class First(keras.layers.Layer):
        """The layer without the cache that it returns beside its output."""

        def __init__(self):
            super().__init__()
            self.inner = Qwen3_5GatedDeltaNet(
                width, heads, heads, width // heads, width // heads
            )

        def build(self, shape):
            self.inner.build(shape)

        def call(self, x):
            outputs = self.inner(x)
            return outputs[0] if isinstance(outputs, tuple) else outputs

    return First()


def _rwkv7(width, heads):
    from keras_hub.src.models.rwkv7.rwkv7_layer import RWKV7TimeMix

    class First(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = RWKV7TimeMix(width, width // heads, add_v_first=False)

        def build(self, shape):
            self.inner.build(shape)

        def call(self, x):
            return self.inner(x)[0]

    return First()
