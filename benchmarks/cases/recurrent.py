"""What the cases of recurrent layers share."""

import keras
import numpy as np

from benchmarks.case import Case
from benchmarks.steps import graph_and_xla
from benchmarks.steps import layer_step
from benchmarks.steps import products_step
from benchmarks.steps import torch_step


def recurrent_case(make_layer, make_cell, from_keras, shape, products, gru=False):
    """A layer beside its cell in a stock RNN, PyTorch, and Keras' recurrent layers.

    `products` are the sizes of the layer's matrix products over the whole sequence.
    The check compares the layer with the stock RNN and, where PyTorch is installed,
    with the loop there, on a short input of the same weights.
    """
    width = shape[-1]
    layer = make_layer()
    layer.build((None, None, width))
    name = type(layer).__name__

    def rnn():
        other = keras.layers.RNN(make_cell(), return_sequences=True)
        other.build((None, None, width))
        other.set_weights(layer.get_weights())
        return other

    def torch_loop():
        module = from_keras()(layer)
        inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
        return torch_step(module, inputs)

    def check():
        x = np.random.default_rng(1).normal(size=(2, 33, width)).astype("float32")
        np.testing.assert_allclose(layer(x), rnn()(x), atol=2e-5)
        try:
            module = from_keras()(layer)
        except ImportError:
            return
        import torch

        expected = module(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(layer(x), expected, atol=2e-5)

    stock = {"keras LSTM": keras.layers.LSTM}
    if gru:
        stock["keras GRU"] = keras.layers.GRU

    contenders = graph_and_xla(name, lambda jit: layer_step(layer, shape, jit))
    contenders |= graph_and_xla(
        f"RNN({name}Cell)", lambda jit: layer_step(rnn(), shape, jit)
    )
    for label, layer_class in stock.items():
        contenders |= graph_and_xla(
            label,
            lambda jit, layer_class=layer_class: layer_step(
                layer_class(width, return_sequences=True, use_cudnn=False), shape, jit
            ),
        )
    contenders["PyTorch step loop"] = torch_loop
    contenders["its products alone"] = lambda: products_step(products)
    return Case(check, contenders)
