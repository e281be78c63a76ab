"""One step of a stream: its cost must not depend on how long the past is."""

import numpy as np

from benchmarks.case import Case
from benchmarks.case import case
from keras_nam import layers
from keras_nam.models import StreamingModel
from keras_nam.models import token_tagger

CORES = {"NAM": layers.NAM, "LSAM": layers.LSAM, "NAMTM": layers.NAMTM}


def step_after(model, tokens, past):
    """A step of a model that was fed with so many tokens."""
    import tensorflow as tf

    streaming = StreamingModel(model)
    advance = tf.function(streaming, reduce_retracing=True)
    state = streaming.initial_state(len(tokens))
    for start in range(0, past, 1000):
        piece = tokens[:, start : min(start + 1000, past)]
        _, state = advance(tf.constant(piece), state)
    token = tf.constant(tokens[:, :1])
    step = tf.function(streaming)
    return lambda: step(token, state)[0].numpy().sum()


@case
def stream(batch=1, width=128, heads=4, early=10, late=100_000):
    """Single steps after `early` and after `late` steps, which were fed in pieces.

    There are half as many tapes as heads.
    """
    tokens = np.random.default_rng(0).integers(0, 16, (batch, late)).astype("int32")

    def make(core):
        parts = max(heads // 2, 1) if core is layers.NAMTM else heads
        return token_tagger(core(width, parts, return_sequences=True), 16, width)

    def check():
        for core in CORES.values():
            model = make(core)
            streaming = StreamingModel(model)
            _, state = streaming(tokens[:, :5], streaming.initial_state(batch))
            last, _ = streaming(tokens[:, 5:6], state)
            np.testing.assert_allclose(
                last[:, 0], model(tokens[:, :6])[:, -1], atol=1e-5
            )

    contenders = {}
    for name, core in CORES.items():
        for past in (early, late):
            contenders[f"{name} after {past}"] = lambda core=core, past=past: (
                step_after(make(core), tokens, past)
            )
    return Case(check, contenders)
