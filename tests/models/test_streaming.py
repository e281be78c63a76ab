"""A model fed piece by piece gives what it gives for the whole."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from backends import dtype_of
from backends import needs_tensorflow
from keras import ops

from keras_nam import baselines
from keras_nam import layers
from keras_nam import models
from keras_nam.models import StreamingModel

LENGTH = 20
TOKENS = np.random.default_rng(0).integers(0, 9, (3, LENGTH)).astype("int32")
PADDED = TOKENS % 8
PADDED[0, 13:] = PADDED[1, :7] = PADDED[2, 4:9] = 8


class Difference(keras.layers.Layer):
    """A layer of a user: what changed since the step before, masked steps left out."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        state = self.initial_stream_state(ops.shape(inputs)[0])
        return self.stream(inputs, mask=mask, state=state)[0]

    def initial_stream_state(self, batch_size):
        return [ops.zeros((batch_size, 8), self.compute_dtype)]

    def stream(self, inputs, mask=None, *, state):
        (before,) = state
        outputs = []
        for i in range(inputs.shape[1]) if inputs.shape[1] else ():
            outputs.append(inputs[:, i] - before)
            valid = True if mask is None else mask[:, i, None]
            before = ops.where(valid, inputs[:, i], before)
        return (ops.stack(outputs, axis=1) if outputs else inputs), [before]

    def compute_output_spec(self, inputs, mask=None):
        return keras.KerasTensor(inputs.shape, self.compute_dtype)


def recurrent(make, *args, **kwargs):
    return lambda x: make(*args, return_sequences=True, **kwargs)(x)


def block(**kwargs):
    return lambda x: layers.NAMTransformerEncoder(16, 2, **kwargs)(
        x, use_causal_mask=True
    )


def chain(*parts):
    def call(x):
        for part in parts:
            x = part(x)
        return x

    return call


def twice(x):
    layer = layers.NAM(8, return_sequences=True)
    return layer(keras.layers.Dense(8)(layer(x)))


def without_time(x):
    """Around the steps, what is known of the last one may do anything."""
    last, memory = layers.NAM(8, return_state=True)(x)
    return [keras.layers.Softmax(axis=1)(last), ops.sum(memory, axis=(1, 2))]


def steps_alone(x):
    """Many layers and operations that treat every step by itself."""
    y = keras.layers.BatchNormalization()(keras.layers.Dense(8, "gelu")(x))
    y = keras.layers.EinsumDense("btf,fg->btg", (None, 8), bias_axes="g")(y)
    y = keras.layers.EinsumDense("...f,fg->...g", (8,))(y)
    y = keras.layers.PReLU(shared_axes=[1])(keras.layers.Rescaling([2.0] * 8)(y))
    y = keras.layers.TimeDistributed(keras.layers.Dense(8))(y)
    y = keras.layers.RMSNormalization()(keras.layers.Activation("softmax")(y))
    y = ops.where(ops.expand_dims(ops.any(y > 0, axis=-1), -1), y, ops.tanh(y))
    y = ops.concatenate([y * np.arange(8.0, dtype="float32"), 1 - y], axis=-1)
    y = keras.layers.Concatenate()([keras.layers.Dropout(0.5)(y), x])
    return layers.NAM(8, return_sequences=True)(
        keras.layers.Add()([keras.layers.Dense(8)(y), x])
    )


CORES = {
    "nam": recurrent(layers.NAM, 8, num_heads=2),
    "nam decay": recurrent(layers.NAM, 8, num_heads=2, decay="channel"),
    "lsam": recurrent(layers.LSAM, 8, num_heads=2),
    "namtm": recurrent(layers.NAMTM, 8, 2, tape_length=5, sharpness=3.0),
    "zeros at masked steps": recurrent(layers.NAM, 8, zero_output_for_mask=True),
    "lstm": recurrent(keras.layers.LSTM, 8),
    "gru": lambda x: keras.layers.GRU(8)(x),
    "simple": lambda x: keras.layers.SimpleRNN(8)(x),
    "zeros of Keras": recurrent(keras.layers.SimpleRNN, 8, zero_output_for_mask=True),
    "cells": lambda x: keras.layers.RNN(
        [keras.layers.LSTMCell(8), layers.LSAMCell(8)], return_sequences=True
    )(x),
    "states": recurrent(keras.layers.LSTM, 8, return_state=True),
    "attention": lambda x: layers.NAMAttention(2, 4, use_erase=True)(
        x, x, use_causal_mask=True, return_memory=True
    ),
    "linear attention": lambda x: layers.LinearAttention(2, 4)(
        x, keras.layers.Dense(8)(x), use_causal_mask=True
    ),
    "blocks": chain(
        layers.PositionEmbedding(),
        block(),
        block(use_erase=True, normalize_first=False),
        block(attention="linear"),
        block(use_erase=True, decay="head"),
    ),
    "gated delta net": chain(layers.GatedDeltaNet(2, 4)),
    "block of a memory": lambda x: layers.TransformerBlock(
        layers.NAM(8, decay="head", return_sequences=True), 16
    )(x),
    "block of two states": lambda x: layers.TransformerBlock(
        baselines.RotaryAttention(2, 4, window=4),
        layers.LSTMEncoder(8, bidirectional=False),
    )(x, use_causal_mask=True),
    "table": chain(layers.PositionEmbedding(LENGTH + 3), block()),
    "lstm encoder": lambda x: layers.LSTMEncoder(8, bidirectional=False)(x),
    "user": chain(Difference(), recurrent(layers.NAM, 8)),
    "twice": twice,
    "without time": without_time,
    "steps alone": steps_alone,
    "convolution": chain(
        keras.layers.Conv1D(
            8, 3, padding="causal", dilation_rate=2, activation="relu", groups=2
        ),
        keras.layers.Conv1D(8, 1, padding="causal"),
        recurrent(layers.NAM, 8),
    ),
}


def build(core, mask_token=None):
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.TokenEmbedding(9, 8, mask_token=mask_token)(tokens)
    return keras.Model(tokens, core(x))


def as_arrays(outputs):
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [ops.convert_to_numpy(ops.cast(x, "float32")) for x in outputs]


def feed(stream, tokens, cuts):
    """The outputs of a stream: sequences joined, and of all else the last."""
    state = stream.initial_state(len(tokens))
    pieces = []
    for start, end in zip(cuts[:-1], cuts[1:], strict=True):
        outputs, state = stream(tokens[:, start:end], state)
        pieces.append(as_arrays(outputs))
    return [
        np.concatenate(piece, axis=1) if piece[0].ndim == 3 else piece[-1]
        for piece in zip(*pieces, strict=True)
    ], state


def check(core, tokens, mask_token, seed, atol):
    model = build(core, mask_token)
    stream = StreamingModel(model)
    whole = as_arrays(model(tokens))
    inner = np.sort(np.random.default_rng(seed).integers(0, LENGTH + 1, 4))
    for cuts in ([0, *inner, LENGTH], [0, 1, 2, LENGTH - 1, LENGTH]):
        outputs, state = feed(stream, tokens, cuts)
        for streamed, expected in zip(outputs, whole, strict=True):
            np.testing.assert_allclose(streamed, expected, atol=atol, rtol=1e-5)
    # Nothing grows with the past.
    assert {k: v.shape for k, v in state.items()} == {
        k: v.shape for k, v in stream.initial_state(len(tokens)).items()
    }
    assert {id(w) for w in stream.step_model.weights} == {id(w) for w in model.weights}
    return stream, state


@pytest.mark.parametrize(
    ("seed", "core"),
    [
        # Padded rows are asked every time, where layers take them.
        pytest.param(i, core, marks=pytest.mark.slow if i % 3 else ())
        if i < len(CORES) - 2
        else (i, core)
        for i, core in enumerate(CORES)
    ],
)
def test_pieces_give_what_the_whole_gives(core, seed):
    check(CORES[core], TOKENS, None, seed, atol=1e-5)


# `EinsumDense` and `Conv1D` drop masks.
@pytest.mark.parametrize(("seed", "core"), list(enumerate(CORES))[:-2])
def test_masked_steps_leave_the_state(core, seed):
    stream, state = check(CORES[core], PADDED, 8, seed, atol=1e-5)
    _, after = stream(np.full((3, 3), 8, "int32"), state)
    for name in state if "zeros" not in core else ():
        # Positions count padding too, as in the whole.
        if dtype_of(state[name]) != "int32":
            np.testing.assert_array_equal(after[name], state[name], err_msg=name)


@pytest.mark.parametrize("core", ["lsam", "cells", "blocks", "lstm encoder"])
def test_half_precision_keeps_wide_states(core):
    keras.config.set_dtype_policy("mixed_bfloat16")
    _, state = check(CORES[core], TOKENS, None, seed=0, atol=1e-2)
    wide = [s for s in state.values() if dtype_of(s) == "float32"]
    assert wide


def test_a_model_of_one_length_takes_pieces_of_any():
    inputs = keras.Input((LENGTH, 4))
    model = keras.Model(inputs, keras.layers.GRU(3, unroll=True)(inputs))
    x = np.random.default_rng(0).normal(size=(2, LENGTH, 4)).astype("float32")
    stream = StreamingModel(model)
    outputs, _ = feed(stream, x, [0, 7, LENGTH])
    np.testing.assert_allclose(outputs[0], model(x), atol=1e-6)
    # States that were stored as arrays.
    _, state = stream(x[:, :7], stream.initial_state(2))
    state = {name: np.asarray(value) for name, value in state.items()}
    outputs, _ = stream(x[:, 7:], state)
    np.testing.assert_allclose(outputs, model(x), atol=1e-6)


def test_two_threads_share_a_model_whose_layers_stay_as_they_are(monkeypatch):
    layer = layers.NAM(8, return_sequences=True)
    model = build(lambda x: keras.layers.LSTM(8, return_sequences=True)(layer(x)))
    stream = StreamingModel(model)
    expected = as_arrays(model(TOKENS))[0]

    def forbid(self, name, value):
        assert name not in ("return_state", "stateful", "return_sequences")
        object.__setattr__(self, name, value)

    with monkeypatch.context() as patch:
        for cls in (layers.NAM, keras.layers.LSTM):
            patch.setattr(cls, "__setattr__", forbid)
        stream(TOKENS, stream.initial_state(3))

    def run(i):
        if i % 2:
            return as_arrays(model(TOKENS))[0]
        return feed(stream, TOKENS, [0, 3, 4, 11, LENGTH])[0][0]

    with ThreadPoolExecutor(4) as threads:
        for outputs in threads.map(run, range(8)):
            np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_stream_ends_with_the_table_of_positions():
    stream = StreamingModel(build(CORES["table"]))
    _, state = stream(TOKENS, stream.initial_state(3))
    _, state = stream(TOKENS[:, :3], state)
    with pytest.raises(ValueError, match=f"max_length={LENGTH + 3}"):
        stream(TOKENS[:, :1], state)


@needs_tensorflow
@pytest.mark.parametrize("mask_token", [None, 8])
def test_a_piece_without_steps_changes_nothing(mask_token):
    import tensorflow as tf

    model = build(CORES["lstm"], mask_token)
    stream = StreamingModel(model)
    state = stream.initial_state(3)
    pieces = tf.TensorSpec((3, None), "int32")
    step = tf.function(stream).get_concrete_function(pieces, state)
    outputs = []
    for start, end in ((0, 0), (0, 9), (9, 9), (9, LENGTH)):
        piece, state = step(PADDED[:, start:end], state)
        outputs.append(piece)
    assert outputs[0].shape[:2] == (3, 0)
    np.testing.assert_allclose(ops.concatenate(outputs, 1), model(PADDED), atol=1e-5)


@pytest.mark.slow
@needs_tensorflow
def test_exported_model_steps_without_this_package(tmp_path):
    model = build(chain(*(CORES[core] for core in ("nam", "lstm", "table"))))
    np.savez(tmp_path / "expected.npz", tokens=TOKENS, outputs=model(TOKENS))
    StreamingModel(model).export(tmp_path / "exported")
    code = """
    import sys
    import numpy as np
    import tensorflow as tf
    model = tf.saved_model.load(sys.argv[1] + "/exported")
    arrays = np.load(sys.argv[1] + "/expected.npz")
    tokens, expected = arrays["tokens"], arrays["outputs"]
    np.testing.assert_allclose(model.serve(tokens), expected, atol=2e-5)
    step = model.signatures["step"]
    state = model.signatures["initial_state"](batch_size=tf.constant(3))
    for i in range(tokens.shape[1]):
        results = step(tokens=tf.constant(tokens[:, i : i + 1]), **state)
        state = {name: results[name] for name in state}
        np.testing.assert_allclose(
            results["outputs"][:, 0], expected[:, i], atol=2e-5
        )
    assert "keras_nam" not in sys.modules
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        check=True,
        timeout=300,
    )


class Opaque(keras.layers.Layer):
    def call(self, inputs):
        return inputs


class OwnCall(layers.NAM):
    def call(self, sequences, initial_state=None, mask=None, training=False):
        return super().call(sequences, initial_state, mask) + 1.0


class OwnDense(keras.layers.Dense):
    pass


@keras.saving.register_keras_serializable("test_streaming")
def running_sum(x):
    return ops.cumsum(x, axis=1)


def nested(x):
    inputs = keras.Input((None, 8))
    return keras.Model(inputs, recurrent(layers.NAM, 8)(inputs), name="inner")(x)


def last_beside_steps(x):
    last = layers.NAM(8, name="last")(x)
    return ops.add(ops.expand_dims(last, 1), x)


def different_ranks(x):
    x = keras.layers.Dense(LENGTH)(x)
    return keras.layers.Add(name="ranks")([x, ops.sum(x, axis=-1)])


# What mixes time steps, and how its name stands in the refusal.
MIXING = {
    "backwards": (recurrent(layers.NAM, 8, go_backwards=True), "go_backwards"),
    "backwards of Keras": (
        recurrent(keras.layers.LSTM, 8, go_backwards=True),
        "go_backwards",
    ),
    "bidirectional": (
        chain(keras.layers.Bidirectional(layers.NAM(8))),
        "Bidirectional",
    ),
    "unrolled": (recurrent(layers.NAM, 8, unroll=True), "unroll"),
    "convolution": (lambda x: keras.layers.Conv1D(8, 2)(x), "Conv1D.*causal"),
    "strides": (
        lambda x: keras.layers.Conv1D(8, 2, 2, padding="causal")(x),
        "Conv1D.*strides",
    ),
    "softmax attention": (
        lambda x: keras.layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True),
        "MultiHeadAttention",
    ),
    "softmax block": (block(attention="softmax"), "MultiHeadAttention"),
    "open block": (
        lambda x: layers.NAMTransformerEncoder(16, 2)(x),
        "NAMTransformerEncoder.*use_causal_mask",
    ),
    "open attention": (
        lambda x: layers.NAMAttention(2, 4)(x, x),
        "NAMAttention.*use_causal_mask",
    ),
    "open linear attention": (
        lambda x: layers.LinearAttention(2, 4)(x, x),
        "LinearAttention.*use_causal_mask",
    ),
    "block with a backward part": (
        lambda x: layers.TransformerBlock(
            layers.NAMAttention(2, 4), layers.LSTMEncoder(4)
        )(x, use_causal_mask=True),
        "TransformerBlock.*bidirectional",
    ),
    "ibert": (lambda x: layers.IBERTEncoder(1, 2, 8)(x), "IBERTEncoder"),
    "one direction of ibert": (
        lambda x: layers.IBERTEncoder(1, 2, 8, bidirectional=False)(x),
        "IBERTEncoder",
    ),
    "lstm encoder": (lambda x: layers.LSTMEncoder(8)(x), "LSTMEncoder.*bidirectional"),
    "mean": (lambda x: layers.MeanPooling()(x), "MeanPooling"),
    "pooling": (lambda x: keras.layers.GlobalMaxPooling1D()(x), "GlobalMaxPooling1D"),
    "class token": (lambda x: layers.ClassToken()(x), "ClassToken"),
    "lambda": (lambda x: keras.layers.Lambda(lambda y: y)(x), "Lambda"),
    "unknown layer": (lambda x: Opaque()(x), "Opaque"),
    "subclass of a known layer": (lambda x: OwnDense(8)(x), "OwnDense"),
    "subclass with a call": (lambda x: OwnCall(8)(x), "OwnCall"),
    "activation": (lambda x: keras.layers.Dense(8, running_sum)(x), "Dense"),
    "nested model": (nested, "'inner'"),
    "normalisation over time": (
        lambda x: keras.layers.LayerNormalization(axis=(1, 2))(x),
        "LayerNormalization",
    ),
    "batch statistics": (
        lambda x: keras.layers.BatchNormalization()(x, training=True),
        "BatchNormalization",
    ),
    "group normalisation": (
        lambda x: keras.layers.GroupNormalization(2)(x),
        "GroupNormalization",
    ),
    "softmax over time": (lambda x: keras.layers.Softmax(axis=1)(x), "Softmax"),
    "concatenation of times": (
        lambda x: keras.layers.Concatenate(axis=1)([x, x]),
        "Concatenate",
    ),
    "equation": (
        lambda x: keras.layers.EinsumDense("btf,tg->bgf", (LENGTH, 8))(x),
        "EinsumDense",
    ),
    "bias of each step": (
        lambda x: keras.layers.EinsumDense("btf,fg->btg", (LENGTH, 8), bias_axes="tg")(
            x
        ),
        "EinsumDense",
    ),
    "slope of each step": (lambda x: keras.layers.PReLU()(x), "PReLU"),
    "scale of each step": (
        lambda x: keras.layers.Rescaling(np.ones((LENGTH, 1), "float32"))(x),
        "Rescaling",
    ),
    "stateful in TimeDistributed": (
        lambda x: keras.layers.TimeDistributed(keras.layers.LSTM(8, stateful=True))(
            ops.expand_dims(x, -1)
        ),
        "TimeDistributed",
    ),
    "permutation": (lambda x: keras.layers.Permute((2, 1))(x), "Permute"),
    "cumsum": (lambda x: ops.cumsum(x, axis=1), "Cumsum"),
    "flip": (lambda x: ops.flip(x, axis=1), "Flip"),
    "slice": (lambda x: x[:, 1:], "GetItem"),
    "reshape": (lambda x: ops.reshape(x, (-1, LENGTH // 2, 16)), "Reshape"),
    "transposition": (lambda x: ops.transpose(x, (0, 2, 1)), "Transpose"),
    "product": (lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))), "Transpose"),
    "sum over time": (lambda x: ops.sum(x, axis=1), "Sum"),
    "sum over all": (lambda x: ops.max(x), "Max"),
    "negative axis": (lambda x: ops.softmax(x, axis=-2), "Softmax"),
    "joined times": (lambda x: ops.concatenate([x, x], axis=-2), "Concatenate"),
    "constant of each step": (
        lambda x: x + np.arange(LENGTH, dtype="float32")[:, None],
        "Add",
    ),
    "tensors of different ranks": (different_ranks, "'ranks'"),
    "last beside steps": (last_beside_steps, "whole sequence"),
}


@pytest.mark.parametrize("mixing", list(MIXING))
def test_what_mixes_steps_is_refused_by_name(mixing):
    mix, name = MIXING[mixing]
    inputs = keras.Input((LENGTH, 8), batch_size=2)
    x = mix(recurrent(layers.NAM, 8)(inputs))
    with pytest.raises(ValueError, match=f"(?s)initial_stream_state.*{name}"):
        StreamingModel(keras.Model(inputs, x))


def test_what_else_cannot_be_streamed():
    inputs, memory = keras.Input((None, 8)), keras.Input((1, 8, 8))
    outputs = layers.NAM(8)(inputs, initial_state=memory)
    with pytest.raises(ValueError, match="initial_state"):
        StreamingModel(keras.Model([inputs, memory], outputs))
    tape = layers.NAMTM(8, 2, tape_length=None)
    with pytest.raises(ValueError, match="memory of unknown length"):
        StreamingModel(keras.Model(inputs, tape(inputs)))
    with pytest.raises(ValueError, match="goes on from a state"):
        StreamingModel(keras.Model(inputs, keras.layers.Dense(3)(inputs)))
    with pytest.raises(ValueError, match="functional model"):
        StreamingModel(keras.layers.LSTM(3))
    vector = keras.Input((8,))
    with pytest.raises(ValueError, match="Dense"):
        StreamingModel(keras.Model(vector, keras.layers.Dense(3)(vector)))
    pooled = models.sequence_classifier(layers.NAM(8, return_sequences=True), 9, 8, 2)
    with pytest.raises(ValueError, match="MeanPooling"):
        StreamingModel(pooled)
    with pytest.raises(ValueError, match="Bidirectional"):
        StreamingModel(models.lsam_tagger(width=8, intermediate_dim=8))
