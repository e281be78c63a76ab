"""Language models: a step of training, and a token after short and long texts."""

import keras
import numpy as np

from benchmarks.case import Case
from benchmarks.case import case
from benchmarks.cases.streams import step_after
from benchmarks.steps import graph_and_xla
from benchmarks.steps import layer_step
from keras_nam.baselines import RotaryAttention
from keras_nam.layers import GatedDeltaNet
from keras_nam.layers import NAMAttention
from keras_nam.layers import TransformerBlock
from keras_nam.models import StreamingModel
from keras_nam.models import causal_lm
from keras_nam.tokenizers import ByteTokenizer

WINDOW = 128
# What mixes the steps, from heads and their width.
STREAMING = {
    "NAM with decay": lambda *sizes: NAMAttention(*sizes, use_erase=True, decay="head"),
    "GatedDeltaNet": GatedDeltaNet,
    "softmax of a window": lambda *sizes: RotaryAttention(*sizes, window=WINDOW),
}


def _blocks(mixer, width, heads, layers):
    sizes = heads, width // heads
    return [TransformerBlock(mixer(*sizes), 4 * width) for _ in range(layers)]


@case
def language_model(batch=1, length=4096, width=128, heads=4, layers=2):
    """A step of training, from embedded bytes to logits."""

    def make(mixer):
        x = inputs = keras.Input((None, width))
        for block in _blocks(mixer, width, heads, layers):
            x = block(x, use_causal_mask=True)
        x = keras.layers.LayerNormalization()(x)
        return keras.Model(inputs, keras.layers.Dense(256)(x))

    def check():
        x = np.random.default_rng(0).normal(size=(2, 20, width)).astype("float32")
        for mixer in STREAMING.values():
            model = make(mixer)
            stream, outputs = StreamingModel(model), []
            state = stream.initial_state(2)
            for t in range(0, 20, 4):
                y, state = stream(x[:, t : t + 4], state)
                outputs.append(y)
            outputs = np.concatenate(outputs, axis=1)
            np.testing.assert_allclose(model(x), outputs, atol=1e-4)

    shape = (batch, length, width)
    contenders = {}
    for name, mixer in {
        **STREAMING,
        "causal softmax, rotary": RotaryAttention,
        "causal softmax of Keras": keras.layers.MultiHeadAttention,
    }.items():
        contenders |= graph_and_xla(
            name, lambda jit, mixer=mixer: layer_step(make(mixer), shape, jit)
        )
    return Case(check, contenders)


@case
def generation(batch=1, width=128, heads=4, layers=2, early=100, late=20_000):
    """A token after `early` and after `late` others, which were fed in pieces.

    keras-hub's decoder keeps the keys and values of all of them, here of no more.
    """
    tokens = np.random.default_rng(0).integers(0, 256, (batch, late)).astype("int32")

    def make(mixer):
        core = _blocks(mixer, width, heads, layers)
        return causal_lm(core, ByteTokenizer(), width)

    def check():
        for mixer in STREAMING.values():
            model = make(mixer)
            stream = StreamingModel(model)
            text = tokens[:, :5]
            logits, state = stream(text, stream.initial_state(batch))
            for _ in range(9):
                token = np.argmax(logits[:, -1:], axis=-1).astype("int32")
                expected = np.asarray(model(text))[:, -1]
                np.testing.assert_allclose(logits[:, -1], expected, atol=1e-4)
                text = np.concatenate([text, token], axis=1)
                logits, state = stream(token, state)

    contenders = {}
    for name, mixer in STREAMING.items():
        for past in (early, late):
            contenders[f"{name} after {past}"] = lambda mixer=mixer, past=past: (
                step_after(make(mixer), tokens, past)
            )
    for past in (early, late):
        contenders[f"keras-hub decoder after {past}"] = lambda past=past: (
            _keras_hub_step(batch, width, heads, layers, past)
        )
    return Case(check, contenders)


def _keras_hub_step(batch, width, heads, layers, past):
    """A step of a decoder whose cache has just room for one more token."""
    import keras_hub
    import tensorflow as tf

    blocks = [
        keras_hub.layers.TransformerDecoder(4 * width, heads, normalize_first=True)
        for _ in range(layers)
    ]
    for block in blocks:
        block.build((batch, None, width))
    embedding = keras.layers.Embedding(256, width)
    dense = keras.layers.Dense(256)
    shape = (layers, batch, 2, past + 1, heads, width // heads)
    caches = tf.Variable(tf.random.stateless_normal(shape, (0, 0)))

    @tf.function
    def step(token):
        x = embedding(token)
        for i, block in enumerate(blocks):
            x, cache = block(
                x,
                self_attention_cache=caches[i],
                self_attention_cache_update_index=past,
            )
            caches[i].assign(cache)
        return dense(x)

    token = tf.zeros((batch, 1), "int32")
    return lambda: step(token).numpy().sum()
