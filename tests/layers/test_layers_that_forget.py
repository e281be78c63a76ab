"""Layers that forget, with gates for each channel, and rows of several sequences."""

import keras
import numpy as np
import pytest
from backends import differentiate
from backends import needs_tensorflow
from keras import ops

from keras_nam import baselines
from keras_nam import layers

CHANNELS = {"decay": "channel", "write_gate": "channel", "erase_gate": "channel"}
LENGTHS = (5, 8, 1, 3)
IDS = np.repeat([3, 1, 2, 1], LENGTHS)[None]


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("kind", ["head", "channel"])
@pytest.mark.parametrize("use_erase", [True, False])
def test_the_cell_computes_what_the_layer_does(kind, use_erase):
    arguments = {"decay": kind, "write_gate": kind, "erase_gate": kind}
    layer = layers.NAM(6, 2, 4, use_erase=use_erase, return_sequences=True, **arguments)
    x = draw(2, 9, 5)
    outputs = layer(x)
    cell = layers.NAMCell.from_config(layer.cell.get_config())
    rnn = keras.layers.RNN(cell, return_sequences=True)
    rnn.build(x.shape)
    rnn.set_weights(layer.get_weights())
    np.testing.assert_allclose(rnn(x), outputs, atol=1e-5)
    assert layer.get_config()["decay"] == kind
    steps = layer.trajectory(x)
    channels = {"decay": 4, "write_gate": 3, "erase_gate": 4}
    for name, size in channels.items():
        if name in steps:
            expected = (2, 9, 2, size) if kind == "channel" else (2, 9, 2)
            assert steps[name].shape == expected
            assert 0.0 < np.min(steps[name]) <= np.max(steps[name]) < 1.0


def test_a_new_layer_forgets_at_many_rates():
    layer = layers.NAM(64, num_heads=64, decay="head")
    decay = layer.trajectory(np.zeros((1, 1, 4), "float32"))["decay"][0, 0]
    # What is left after a hundred steps.
    left = np.asarray(decay) ** 100
    assert 0.0 <= np.min(left) < 0.1 < 0.6 < np.max(left) < 1.0


@pytest.mark.parametrize(
    ("make", "unroll"),
    [
        (lambda **k: layers.NAM(6, 2, **k), False),
        (lambda **k: layers.NAM(6, 2, **CHANNELS, **k), False),
        (lambda **k: layers.NAM(6, 2, **CHANNELS, **k), True),
        (lambda **k: layers.LSAM(6, 2, **k), False),
        (lambda **k: layers.NAMTM(6, 2, tape_length=4, **k), False),
        pytest.param(
            lambda **k: baselines.DNC(6, 4, 3, 1, 5, use_sharpening=True, **k),
            False,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["nam", "nam-decay", "nam-unrolled", "lsam", "namtm", "dnc"],
)
@pytest.mark.parametrize("go_backwards", [False, True])
def test_packed_rows_are_rows_alone(make, unroll, go_backwards):
    if unroll and go_backwards:
        pytest.skip("as the others")
    layer = make(return_sequences=True, go_backwards=go_backwards, unroll=unroll)
    x = draw(1, sum(LENGTHS), 4)
    layer.build(x.shape)

    def packed(x):
        outputs = layer(x, segment_ids=IDS)
        return ops.sum(outputs**2), outputs

    def alone(x):
        parts = ops.split(x, np.cumsum(LENGTHS)[:-1], axis=1)
        outputs = [layer(part) for part in parts]
        outputs = outputs[::-1] if go_backwards else outputs
        outputs = ops.concatenate(outputs, axis=1)
        return ops.sum(outputs**2), outputs

    variables = layer.trainable_variables
    ours, (gradient,), ours_weights = differentiate(packed, [x], variables, trace=False)
    expected, (reference,), weights = differentiate(alone, [x], variables, trace=False)
    np.testing.assert_allclose(ours, expected, atol=2e-5)
    for a, b in zip([gradient, *ours_weights], [reference, *weights], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.NAMTransformerEncoder(8, 2, use_erase=True, decay="head"),
        lambda: layers.TransformerBlock(layers.GatedDeltaNet(4, 3, 2, 2), 8),
        lambda: layers.NAMTransformerEncoder(8, 2, attention="linear"),
        lambda: layers.NAMTransformerEncoder(8, 2, attention="softmax"),
        lambda: layers.TransformerBlock(
            layers.NAM(4, return_sequences=True), layers.NAM(4, return_sequences=True)
        ),
    ],
    ids=["forgets", "gated delta net", "linear", "softmax", "recurrent"],
)
def test_packed_rows_of_blocks(make):
    block, x = make(), draw(1, sum(LENGTHS), 4)
    outputs = block(x, segment_ids=IDS, use_causal_mask=True)
    parts = np.split(x, np.cumsum(LENGTHS)[:-1], axis=1)
    alone = [block(part, use_causal_mask=True) for part in parts]
    np.testing.assert_allclose(outputs, np.concatenate(alone, axis=1), atol=2e-5)
    # Where padding stands between, its numbers are none.
    spread, ids = np.insert(x, [3, 5], 7.0, axis=1), np.insert(IDS, [3, 5], 9, 1)
    padded = block(spread, padding_mask=ids != 9, segment_ids=ids, use_causal_mask=True)
    np.testing.assert_allclose(padded[ids != 9], outputs[0], atol=2e-5)


def test_packed_rows_with_masks_and_in_a_functional_model(tmp_path):
    inputs, ids = keras.Input((None, 4)), keras.Input((None,), dtype="int32")
    layer = layers.NAM(6, 2, decay="head", return_sequences=True)
    model = keras.Model([inputs, ids], layer(inputs, segment_ids=ids))
    x = draw(1, sum(LENGTHS), 4)
    expected = model([x, IDS])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again([x, IDS]), expected)
    # A masked step is no boundary.
    spread, holes = np.insert(x, [2, 5], np.nan, axis=1), np.insert(IDS, [2, 5], 9, 1)
    outputs = layer(spread, mask=holes != 9, segment_ids=holes)
    np.testing.assert_allclose(outputs[holes != 9], expected[0], atol=1e-5)


@pytest.mark.parametrize("kind", [layers.NAMAttention, layers.LinearAttention])
@pytest.mark.parametrize("all_asked", [True, False])
def test_a_query_whose_key_is_hidden_reads_no_other_sequence(kind, all_asked):
    layer, x, ends = kind(2, 4), draw(1, sum(LENGTHS), 4), np.cumsum(LENGTHS)
    # The first keys of sequences, and all of the third one.
    shown, query_mask = np.ones((2, 1, sum(LENGTHS)), bool)
    shown[:, [0, ends[0], ends[0] + 1, ends[1], ends[2]]] = False
    ids = IDS.copy()
    if not all_asked:
        query_mask[:, ends[0]], ids[:, ends[0]] = False, 9
    masks = {"query_mask": None if all_asked else query_mask, "value_mask": shown}
    outputs = layer(x, x, **masks, use_causal_mask=True, segment_ids=ids)
    x, shown = (np.split(a, ends[:-1], axis=1) for a in (x, shown))
    parts = zip(x, shown, strict=True)
    alone = [layer(x, x, value_mask=m, use_causal_mask=True) for x, m in parts]
    alone = np.concatenate(alone, axis=1)
    np.testing.assert_allclose(outputs[query_mask], alone[query_mask], atol=1e-5)


def test_gated_delta_net_goes_on_from_valid_steps():
    layer, x = layers.GatedDeltaNet(4, 3, 2, num_key_heads=2), draw(2, 9, 5)
    whole = layer(x)
    mask = np.arange(12)[None] % 4 != np.array([[1], [3]])
    spread = np.full((2, 12, 5), np.nan, "float32")
    spread[mask] = x.reshape(-1, 5)
    outputs, state = [], layer.initial_stream_state(2)
    for piece in (slice(0, 2), slice(2, 2), slice(2, 3), slice(3, 12)):
        output, state = layer.stream(spread[:, piece], mask=mask[:, piece], state=state)
        outputs.append(output)
    outputs = np.concatenate(outputs, axis=1)
    np.testing.assert_allclose(outputs[mask].reshape(whole.shape), whole, atol=1e-5)
    assert not np.any(outputs[~mask])


def test_wrong_arguments():
    with pytest.raises(ValueError, match="divisible by `num_key_heads`.*Received"):
        layers.GatedDeltaNet(4, 3, num_key_heads=3)
    for name in ("decay", "write_gate", "erase_gate"):
        for layer_class in (layers.NAM, layers.NAMCell):
            with pytest.raises(ValueError, match=rf"`{name}` must be one of.*Received"):
                layer_class(4, **{name: "row"})
    with pytest.raises(ValueError, match="needs `attention='nam'`.*Received"):
        layers.NAMTransformerEncoder(4, 2, attention="softmax", decay="head")
    x, ids = draw(2, 3, 4), np.zeros((2, 3), int)
    for layer, arguments in (
        (layers.NAMAttention(2, 3, decay="head"), {}),
        (layers.NAMAttention(2, 3), {"segment_ids": ids}),
    ):
        with pytest.raises(ValueError, match="`use_causal_mask=True`.*Received"):
            layer(x, x, **arguments)
    block = layers.TransformerBlock(layers.NAMAttention(2, 2), layers.LSTMEncoder(2))
    with pytest.raises(ValueError, match="takes no `segment_ids`.*Received"):
        block(x, segment_ids=ids, use_causal_mask=True)
    with pytest.raises(ValueError, match="need a memory of a given length.*Received"):
        layers.NAMTM(4, 2, tape_length=None)(x, segment_ids=ids)
    layer = layers.NAM(4)
    with pytest.raises(ValueError, match="`segment_ids` must have shape"):
        layer(draw(2, 3, 4), segment_ids=np.zeros((2, 4), int))
    with pytest.raises(ValueError, match="which sequence the one before ended"):
        layer.stream(
            draw(2, 3, 4),
            segment_ids=np.zeros((2, 3), int),
            state=layer.initial_stream_state(2),
        )


@needs_tensorflow
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_rows_shorter_than_the_kernel_may_hold_several_sequences(length, jit_compile):
    import tensorflow as tf

    layer, x = layers.GatedDeltaNet(2, 3), draw(2, length, 4)
    ids = np.arange(2)[:, None] * np.arange(length)
    function = tf.function(
        lambda x, ids: layer(x, segment_ids=ids), jit_compile=jit_compile
    )
    ours = function(x, ids)
    np.testing.assert_allclose(ours[0], layer(x)[0], atol=1e-6)
    for step in range(length):
        alone = layer(x[1:, step : step + 1])
        np.testing.assert_allclose(ours[1, step], alone[0, 0], atol=1e-6)
