"""Attention as a memory, beside softmax attention and the linear Transformer's."""

import keras
import numpy as np

from benchmarks.case import Case
from benchmarks.case import case
from benchmarks.steps import graph_and_xla
from benchmarks.steps import layer_step
from benchmarks.steps import products_step
from keras_nam import layers


@case
def attention(batch=1, length=4096, width=256, heads=4):
    return _case(batch, length, width, heads, use_causal_mask=False)


@case
def attention_causal(batch=1, length=4096, width=256, heads=4):
    return _case(batch, length, width, heads, use_causal_mask=True)


class SelfAttention(keras.layers.Layer):
    def __init__(self, attention, use_causal_mask):
        super().__init__()
        self.attention = attention
        self.use_causal_mask = use_causal_mask

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, x):
        return self.attention(x, x, use_causal_mask=self.use_causal_mask)


def _case(batch, length, width, heads, use_causal_mask):
    shape = (batch, length, width)
    kinds = {
        "NAMAttention": layers.NAMAttention,
        "LinearAttention": layers.LinearAttention,
        "keras MultiHeadAttention": keras.layers.MultiHeadAttention,
    }

    def check():
        """Fed token by token, the layer gives what it gives for the whole."""
        layer = layers.NAMAttention(heads, width // heads)
        x = np.random.default_rng(0).normal(size=(2, 40, width)).astype("float32")
        expected = layer(x, x, use_causal_mask=use_causal_mask)
        memory, outputs = None, []
        for t in range(40):
            last, memory = layer(
                x if not use_causal_mask else x[:, t : t + 1],
                x[:, t : t + 1],
                initial_memory=memory,
                return_memory=True,
            )
            outputs.append(last)
        outputs = np.concatenate(outputs, 1) if use_causal_mask else outputs[-1]
        np.testing.assert_allclose(outputs, expected, atol=1e-5)

    contenders = {}
    for name, layer_class in kinds.items():
        contenders |= graph_and_xla(
            name,
            lambda jit, layer_class=layer_class: layer_step(
                SelfAttention(layer_class(heads, width // heads), use_causal_mask),
                shape,
                jit,
            ),
        )
    # Of queries, keys, values and the output.
    products = [(batch * length, width, width)] * 4
    contenders["its products alone"] = lambda: products_step(products)
    return Case(check, contenders)
