"""I-BERT, beside the same encoder from Keras' own layers, and from PyTorch's."""

import keras
import numpy as np

from benchmarks.case import Case
from benchmarks.case import case
from benchmarks.steps import graph_and_xla
from benchmarks.steps import layer_step
from benchmarks.steps import torch_step
from keras_nam.layers import IBERTEncoder
from keras_nam.layers import LSTMEncoder


@case
def ibert(batch=32, length=256, width=256, layers=4, heads=4):
    shape = (batch, length, width)
    arguments = (layers, heads, 4 * width)
    ours = IBERTEncoder(*arguments)
    ours.build((None, None, width))

    def stock():
        inputs = keras.Input((None, width))
        x = keras.layers.Bidirectional(
            keras.layers.LSTM(width // 2, return_sequences=True, use_cudnn=False)
        )(inputs)
        x = keras.layers.LayerNormalization(epsilon=1e-5)(x)
        for _ in range(layers):
            x = _stock_block(x, heads, 4 * width)
        x = keras.layers.LayerNormalization(epsilon=1e-5)(x)
        return keras.Model(inputs, x)

    def torch_module():
        from benchmarks.peers.torch_ibert import from_keras

        return from_keras(ours)

    def torch_encoder():
        module = torch_module()
        inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
        return torch_step(module, inputs)

    def check():
        x = np.random.default_rng(1).normal(size=(2, 33, width)).astype("float32")
        model = stock()
        model.set_weights(_stock_weights(ours))
        np.testing.assert_allclose(ours(x), model(x), atol=1e-4)
        try:
            module = torch_module()
        except ImportError:
            return
        import torch

        expected = module(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(ours(x), expected, atol=1e-4)

    contenders = graph_and_xla("IBERTEncoder", lambda jit: layer_step(ours, shape, jit))
    contenders |= graph_and_xla(
        "keras layers", lambda jit: layer_step(stock(), shape, jit)
    )
    contenders["PyTorch layers"] = torch_encoder
    return Case(check, contenders)


@case
def lstm(batch=32, length=256, width=256):
    """The LSTM of both directions, `width` features in and out."""
    shape = (batch, length, width)
    ours = LSTMEncoder(width // 2)
    ours.build((None, None, width))

    def stock():
        layer = keras.layers.Bidirectional(
            keras.layers.LSTM(width // 2, return_sequences=True, use_cudnn=False)
        )
        layer.build((None, None, width))
        return layer

    def torch_lstm():
        import torch

        module = torch.nn.LSTM(width, width // 2, bidirectional=True, batch_first=True)
        inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [
            getattr(module, f"{name}_l0{suffix}")
            for name in names
            for suffix in ("", "_reverse")
        ]
        function = _Outputs(module, weights)
        return torch_step(function, inputs)

    def check():
        x = np.random.default_rng(1).normal(size=(2, 33, width)).astype("float32")
        layer = stock()
        layer.set_weights(_by_direction(ours))
        np.testing.assert_allclose(ours(x), layer(x), atol=1e-5)

    contenders = graph_and_xla("LSTMEncoder", lambda jit: layer_step(ours, shape, jit))
    contenders |= graph_and_xla(
        "keras Bidirectional(LSTM)", lambda jit: layer_step(stock(), shape, jit)
    )
    contenders["PyTorch LSTM"] = torch_lstm
    return Case(check, contenders)


class _Outputs:
    """A recurrent module of PyTorch without its states."""

    def __init__(self, module, weights):
        self.module, self.weights = module, weights

    def __call__(self, x):
        return self.module(x)[0]

    def parameters(self):
        return self.weights


def _stock_block(x, heads, intermediate_dim):
    width = x.shape[-1]
    y = keras.layers.MultiHeadAttention(heads, width // heads)(x, x)
    x = keras.layers.LayerNormalization(epsilon=1e-5)(x + y)
    y = keras.layers.Dense(intermediate_dim, "relu")(x)
    y = keras.layers.Dense(width)(y)
    return keras.layers.LayerNormalization(epsilon=1e-5)(x + y)


def _by_direction(lstm):
    return [w.numpy()[d] for d in range(2) for w in lstm.weights]


def _stock_weights(encoder):
    weights = _by_direction(encoder.recurrent_layer)
    weights += encoder.input_norm.get_weights()
    for block in encoder.blocks:
        for part in (
            block.attention_layer,
            block.attention_norm,
            block.intermediate_dense,
            block.output_dense,
            block.feedforward_norm,
        ):
            weights += part.get_weights()
    return weights + encoder.output_norm.get_weights()
