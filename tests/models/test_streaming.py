"""A model fed piece by piece gives what it gives for the whole."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from backends import dtype_of
from backends import needs_tensorflow

from keras_nam import layers
from keras_nam.models import StreamingModel
from keras_nam.models import lsam_tagger
from keras_nam.models import token_tagger

CORES = {
    "nam": lambda: layers.NAM(8, num_heads=2, return_sequences=True),
    "lsam": lambda: layers.LSAM(8, num_heads=2, return_sequences=True),
    "namtm": lambda: layers.NAMTM(8, 2, tape_length=5, return_sequences=True),
    "lstm": lambda: keras.layers.LSTM(8, return_sequences=True),
    "two": lambda: [
        layers.NAM(8, return_sequences=True),
        keras.layers.Dense(8, "relu"),
        keras.layers.GRU(8, return_sequences=True),
    ],
    "cells": lambda: keras.layers.RNN(
        [keras.layers.LSTMCell(8), layers.LSAMCell(8)], return_sequences=True
    ),
}
TOKENS = np.random.default_rng(0).integers(0, 9, (3, 20)).astype("int32")


def build(core, mask_token=None):
    return token_tagger(CORES[core](), 9, 8, mask_token=mask_token)


def feed(step, state, cuts):
    outputs = []
    for start, end in zip(cuts[:-1], cuts[1:], strict=True):
        piece, state = step(TOKENS[:, start:end], state)
        outputs.append(piece)
    return np.concatenate(outputs, axis=1), state


@pytest.mark.parametrize("core", list(CORES))
@pytest.mark.parametrize("cuts", [range(21), [0, 1, 8, 20]])
def test_pieces_give_what_the_whole_gives(core, cuts):
    model = build(core)
    stream = StreamingModel(model)
    outputs, state = feed(stream, stream.initial_state(3), list(cuts))
    np.testing.assert_allclose(outputs, model(TOKENS), atol=2e-6)
    # Nothing grows with the past.
    assert {k: v.shape for k, v in state.items()} == {
        k: v.shape for k, v in stream.initial_state(3).items()
    }
    assert {id(w) for w in stream.step_model.weights} == {id(w) for w in model.weights}


@pytest.mark.parametrize("core", ["nam", "lsam", "namtm", "lstm"])
def test_masked_steps_leave_the_state(core):
    stream = StreamingModel(build(core, mask_token=8))
    _, state = stream(TOKENS[:, :4], stream.initial_state(3))
    _, after = stream(np.full((3, 5), 8), state)
    for name in state:
        np.testing.assert_array_equal(after[name], state[name])


def test_last_output_and_states_of_a_model():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.TokenEmbedding(9, 6)(tokens)
    last, memory = layers.NAM(6, return_state=True, name="core")(x)
    model = keras.Model(tokens, [keras.layers.Dense(2)(last), memory])
    stream = StreamingModel(model)
    _, state = stream(TOKENS[:, :7], stream.initial_state(3))
    (logits, final), _ = stream(TOKENS[:, 7:], state)
    expected_logits, expected_final = model(TOKENS)
    np.testing.assert_allclose(logits, expected_logits, atol=1e-6)
    np.testing.assert_allclose(final, expected_final, atol=1e-6)


def test_half_precision_keeps_wide_states():
    keras.config.set_dtype_policy("mixed_bfloat16")
    stream = StreamingModel(build("lsam"))
    _, state = stream(TOKENS[:, :1], stream.initial_state(3))
    assert all(dtype_of(s) == "float32" for s in state.values())


@needs_tensorflow
@pytest.mark.parametrize("core", ["nam", "lsam", "namtm"])
def test_exported_model_steps_without_this_package(core, tmp_path):
    model = build(core)
    np.savez(tmp_path / "expected.npz", tokens=TOKENS, outputs=model(TOKENS))
    StreamingModel(model).export(tmp_path / "exported")
    code = """
    import sys
    import numpy as np
    import tensorflow as tf
    model = tf.saved_model.load(sys.argv[1] + "/exported")
    arrays = np.load(sys.argv[1] + "/expected.npz")
    tokens, expected = arrays["tokens"], arrays["outputs"]
    np.testing.assert_allclose(model.serve(tokens), expected, atol=2e-6)
    step = model.signatures["step"]
    state = model.signatures["initial_state"](batch_size=tf.constant(3))
    for i in range(tokens.shape[1]):
        results = step(tokens=tf.constant(tokens[:, i : i + 1]), **state)
        state = {name: results[name] for name in state}
        np.testing.assert_allclose(
            results["outputs"][:, 0], expected[:, i], atol=2e-6
        )
    assert "keras_nam" not in sys.modules
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], check=True
    )


def test_what_cannot_be_streamed():
    def model(*core):
        inputs = keras.Input((None, 4))
        x = inputs
        for layer in core:
            x = layer(x)
        return keras.Model(inputs, x)

    cases = {
        "recurrent layer": model(keras.layers.Dense(3)),
        "backwards": model(layers.NAM(4, go_backwards=True)),
        "Bidirectional": model(keras.layers.Bidirectional(layers.NAM(4))),
        "Conv1D": model(keras.layers.Conv1D(3, 2), layers.NAM(4)),
        "nested models": model(
            model(layers.NAM(4, return_sequences=True)), layers.NAM(4)
        ),
        "every time step by itself": lsam_tagger(width=8, intermediate_dim=8),
        "functional model": keras.layers.LSTM(3),
    }
    shared = layers.NAM(4, return_sequences=True)
    cases["used twice"] = model(shared, shared)
    inputs, memory = keras.Input((None, 4)), keras.Input((1, 4, 4))
    outputs = layers.NAM(4)(inputs, initial_state=memory)
    cases["initial_state"] = keras.Model([inputs, memory], outputs)
    for message, bad in cases.items():
        with pytest.raises(ValueError, match=message):
            StreamingModel(bad)
    tape = layers.NAMTM(4, 2, tape_length=None)
    with pytest.raises(ValueError, match="tape"):
        StreamingModel(model(tape))
