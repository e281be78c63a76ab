"""The training step of the demo: what compiling it costs, and what it then gains."""

import keras
import numpy as np

from benchmarks.case import Case
from benchmarks.case import case
from keras_nam import datasets
from keras_nam import models


@case
def demo(batch=128, width=128, digits=10):
    tokens, targets, _ = datasets.load_task("reverse", "train", batch, digits=digits)

    def build(jit_compile):
        model = models.namtm_tagger(width=width, num_tapes=2, tape_length=None)
        model.compile(
            keras.optimizers.Adam(1e-3, global_clipnorm=1.0),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=jit_compile,
        )
        return model

    def step(jit_compile):
        model = build(jit_compile)
        return lambda: model.train_on_batch(tokens, targets)

    def check():
        losses = []
        for jit_compile in (False, True):
            keras.utils.set_random_seed(0)
            losses.append(build(jit_compile).evaluate(tokens, targets, verbose=0))
        np.testing.assert_allclose(*losses, rtol=1e-4)

    return Case(
        check,
        {
            "training step": lambda: step(False),
            "training step (XLA)": lambda: step(True),
        },
    )
