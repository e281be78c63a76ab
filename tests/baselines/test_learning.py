"""Layers that others are compared with learn what is published of them, when small."""

import keras
import numpy as np
import pytest

from keras_nam import baselines
from keras_nam import datasets
from keras_nam import metrics
from keras_nam import models

BATCH_SIZE = 64
CASES = {
    "stack rnn": (
        lambda: baselines.StackRNN(64, num_stacks=16, return_sequences=True),
        "reverse",
        3e-3,
        1_200,
    ),
    "ntm": (
        lambda: baselines.NTM(
            64,
            memory_size=20,
            word_size=16,
            controller_units=64,
            return_sequences=True,
        ),
        "copy",
        2e-3,
        2_000,
    ),
    "dnc": (
        lambda: baselines.DNC(
            64,
            memory_size=20,
            word_size=16,
            num_read_heads=1,
            controller_units=64,
            return_sequences=True,
        ),
        "copy",
        3e-3,
        1_500,
    ),
    "universal transformer": (
        lambda: baselines.UniversalTransformerEncoder(4, 4, 128, dropout=0.0),
        "reverse",
        1e-3,
        1_000,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_strings_of_a_few_digits(name):
    make, task, learning_rate, steps = CASES[name]
    keras.utils.set_random_seed(0)
    x, y, weight = datasets.load_task(
        task, "train", steps * BATCH_SIZE, min_digits=1, max_digits=5
    )
    # Short strings first.
    share = np.arange(len(x)) / len(x)
    order = np.argsort(np.maximum(np.random.default_rng(0).random(len(x)), share))
    model = models.token_tagger(make(), 16, 64)
    model.compile(
        keras.optimizers.Adam(learning_rate, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[metrics.SequenceAccuracy()],
        jit_compile=True,
    )
    fit = {"batch_size": BATCH_SIZE, "shuffle": False, "verbose": 0}
    model.fit(x[order], y[order], sample_weight=weight[order], **fit)
    rows = datasets.load_task(task, "id", 256, min_digits=1, max_digits=5)
    logits = model.predict(rows[0], batch_size=256, verbose=0)
    accuracy = metrics.SequenceAccuracy()
    accuracy.update_state(rows[1], logits, sample_weight=rows[2])
    assert accuracy.result() > 0.95
