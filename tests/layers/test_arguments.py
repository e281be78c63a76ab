"""Wrong arguments are named, with what was expected and what was received."""

import inspect

import keras
import numpy as np
import pytest
from backends import needs_tensorflow
from cases import FEATURES
from cases import make_layer

from keras_nam import layers
from keras_nam import ops

WRONG = [
    (layers.NAM, {"units": 0}, "`units` must be a positive integer"),
    (layers.NAM, {"units": -4}, "`units` must be a positive integer"),
    (layers.NAM, {"units": 4.0}, "`units` must be a positive integer"),
    (layers.NAM, {"units": True}, "`units` must be a positive integer"),
    (layers.NAM, {"units": 6, "num_heads": 4}, "divisible by `num_heads`"),
    (layers.NAM, {"units": 6, "num_heads": 0}, "`num_heads` must be a positive"),
    (layers.NAM, {"units": 6, "key_dim": 0}, "`key_dim` must be a positive"),
    (layers.NAM, {"units": 6, "implementation": "fast"}, "must be one of"),
    (layers.NAM, {"units": 6, "chunk_size": -1}, "`chunk_size` must be a positive"),
    (layers.LSAM, {"units": 6, "num_heads": 4}, "divisible by `num_heads`"),
    (layers.LSAM, {"units": "6"}, "`units` must be a positive integer"),
    (layers.NAMTM, {"units": 6}, "divisible by `num_tapes`"),
    (layers.NAMTM, {"units": 8, "tape_length": 0}, "`tape_length` must be a positive"),
    (layers.NAMTM, {"units": 8, "tape_dim": -1}, "`tape_dim` must be a positive"),
    (layers.NAMTM, {"units": 8, "sharpness": 0}, "`sharpness` must be a positive"),
    (layers.NAMTM, {"units": 8, "sharpness": True}, "`sharpness` must be a finite"),
    (layers.NAMTM, {"units": 8, "sharpen_training": 1}, "`sharpen_training` must be"),
    (layers.NAMTM, {"units": 8, "stay_bias": "2"}, "`stay_bias` must be a finite"),
    (
        layers.NAMTM,
        {"units": 8, "use_jump": False, "use_shift": False},
        "At least one of `use_jump` and `use_shift`",
    ),
    (layers.TokenEmbedding, {"input_dim": 0, "output_dim": 4}, "`input_dim` must be"),
    (
        layers.TokenEmbedding,
        {"input_dim": 3, "output_dim": 4, "mask_zero": True},
        "comes from `mask_token`",
    ),
    (
        layers.TokenEmbedding,
        {"input_dim": 5, "output_dim": 4, "mask_token": 5},
        "`mask_token` must be a token below 5",
    ),
]


@pytest.mark.parametrize(("layer_class", "arguments", "message"), WRONG)
def test_wrong_init_arguments(layer_class, arguments, message):
    with pytest.raises(ValueError, match=rf"(?s){message}.*Received: "):
        layer_class(**arguments)


def test_wrong_rank_and_width(case):
    with pytest.raises(ValueError, match="expected ndim=3, found ndim=2"):
        make_layer(case)(np.zeros((2, FEATURES), "float32"))
    layer = make_layer(case)
    layer(np.zeros((2, 3, FEATURES), "float32"))
    with pytest.raises(ValueError, match=f"expected axis -1 .* {FEATURES}"):
        layer(np.zeros((2, 3, FEATURES + 1), "float32"))
    states = layer.cell.get_initial_state(2)
    with pytest.raises(ValueError, match=f"expected axis -1 .* {FEATURES}"):
        layer.cell(np.zeros((2, FEATURES + 1), "float32"), states)
    with pytest.raises(ValueError, match="expected ndim=2, found ndim=3"):
        layer.cell(np.zeros((2, 3, FEATURES), "float32"), states)


@pytest.mark.parametrize("symbolic", [False, True])
def test_wrong_states_and_masks(case, symbolic):
    layer = make_layer(case, return_state=True)
    x = np.zeros((2, 4, FEATURES), "float32")
    _, *states = layer(x)
    shapes = [tuple(s.shape) for s in states]

    def call(shapes, mask_shape=None):
        if symbolic:
            mask = None
            if mask_shape is not None:
                mask = keras.Input(mask_shape[1:], mask_shape[0], dtype="bool")
            given = [keras.Input(s[1:], s[0]) for s in shapes]
            sequences = keras.Input(x.shape[1:], len(x))
        else:
            mask = None if mask_shape is None else np.ones(mask_shape, bool)
            given = [np.zeros(s, "float32") for s in shapes]
            sequences = x
        return layer(sequences, initial_state=given or None, mask=mask)

    call(shapes, (2, 4))
    with pytest.raises(ValueError, match=r"states\. Received: "):
        call([*shapes, shapes[0]])
    wrong = list(shapes)
    wrong[0] = (*wrong[0][:-1], wrong[0][-1] + 1)
    with pytest.raises(ValueError, match=r"(?s)must have shape.*Received: a state"):
        call(wrong)
    with pytest.raises(ValueError, match=r"same batch size.*Received: "):
        call([(3, *s[1:]) for s in shapes])
    with pytest.raises(ValueError, match=r"`mask` must have shape.*Received: "):
        call(shapes, (2, 5))


def test_the_memory_alone_is_an_initial_state():
    x = np.random.normal(size=(2, 4, FEATURES)).astype("float32")
    for layer in (
        layers.LSAM(6, num_heads=2, return_state=True),
        layers.NAMTM(6, num_tapes=2, tape_length=5, return_state=True),
    ):
        _, *states = layer(x)
        memory = states[layer.memory_index]
        alone, *_ = layer(x, initial_state=memory)
        full = layer.states_before(x)
        full[layer.memory_index] = memory
        expected, *_ = layer(x, initial_state=full)
        np.testing.assert_allclose(alone, expected, atol=1e-6)
        empty, *_ = layer(x)
        assert not np.allclose(alone, empty)


def test_flat_states_are_taken_by_layers_and_full_ones_by_cells(case):
    layer = make_layer(case, return_sequences=True, return_state=True)
    x = np.random.normal(size=(2, 6, FEATURES)).astype("float32")
    whole, *final = layer(x)
    _, *states = layer(x[:, :5])
    flat = [np.reshape(s, (2, -1)) for s in states]
    _, *after = layer(x[:, 5:], initial_state=flat)
    for ours, expected in zip(after, final, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)
    for given in (states, flat):
        output, after = layer.cell(x[:, 5], given)
        np.testing.assert_allclose(output, whole[:, 5], atol=1e-5)
        assert [tuple(s.shape) for s in after] == [tuple(s.shape) for s in given]


def test_tape_as_long_as_the_sequence():
    layer = layers.NAMTM(
        6, num_tapes=2, tape_length=None, return_sequences=True, return_state=True
    )
    x = np.random.normal(size=(2, 9, FEATURES)).astype("float32")
    outputs, tape, *states = layer(x)
    assert tape.shape == (2, 2, 9, 3)
    fixed = layers.NAMTM(6, num_tapes=2, tape_length=9, return_sequences=True)
    fixed.build(x.shape)
    fixed.set_weights(layer.get_weights())
    np.testing.assert_allclose(outputs, fixed(x), atol=1e-6)
    # A carried tape keeps its own length.
    _, carried, *_ = layer(x[:, :4], initial_state=[tape, *states])
    assert carried.shape == (2, 2, 9, 3)
    symbolic = layer(keras.Input((None, FEATURES)))
    assert symbolic[1].shape == (None, 2, None, 3)
    model = keras.Sequential([keras.Input((None, FEATURES)), layer])
    assert [s.shape[2] for s in model(x[:, :5])[1:3]] == [5, 5]
    with pytest.raises(ValueError, match=r"memory of unknown length.*Received: "):
        layers.NAMTMCell(6, num_tapes=2, tape_length=None).get_initial_state(2)
    with pytest.raises(ValueError, match="memory of unknown length"):
        layers.NAMTM(6, num_tapes=2, tape_length=None, stateful=True)(x)


@needs_tensorflow
@pytest.mark.parametrize(
    "call",
    [
        lambda x: layers.NAM(4)(x),
        lambda x: layers.NAMAttention(2, 3)(x, x),
        lambda x: layers.NAMTransformerEncoder(4, 2)(x),
        lambda x: layers.IBERTEncoder(1, 2, 4)(x),
        lambda x: layers.LSTMEncoder(4)(x),
        lambda x: layers.PositionEmbedding()(x),
        lambda x: layers.ClassToken()(x),
        lambda x: layers.MeanPooling()(x),
        lambda x: layers.NAMClassifier(3)(x),
        lambda x: ops.memory_scan(x[..., None], x[..., None], x[..., None], None),
        lambda x: ops.memory_attention(x[..., None], x[..., None], x[..., None]),
    ],
)
def test_ragged_tensors_are_refused_with_what_to_do(call):
    import tensorflow as tf

    x = tf.RaggedTensor.from_row_lengths(np.ones((5, 4), "float32"), [2, 3])
    with pytest.raises(ValueError, match=r"(?s)to_tensor\(\).*sequence_mask.*Received"):
        call(x)


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTMEncoder(4),
        layers.PositionEmbedding(),
        layers.PositionEmbedding(max_length=9),
        layers.ClassToken(),
        layers.MeanPooling(),
        layers.NAMTransformerEncoder(4, 2),
        layers.IBERTEncoder(1, 2, 4),
    ],
    ids=lambda layer: layer.name,
)
def test_sequences_have_three_axes_and_masks_their_length(layer):
    for shape in ((2, 4), (2, 3, 4, 4)):
        with pytest.raises(ValueError, match="expected ndim=3"):
            layer(np.zeros(shape, "float32"))
        with pytest.raises(ValueError, match="expected ndim=3"):
            layer(keras.Input(shape[1:]))
    x = np.zeros((2, 3, 4), "float32")
    layer(x)
    if layer.weights:
        with pytest.raises(ValueError, match="expected axis -1"):
            layer(np.zeros((2, 3, 5), "float32"))
    if "mask" in inspect.signature(layer.call).parameters:
        for shape in ((2, 4), (2, 1), (3,), (2, 3, 1)):
            with pytest.raises(ValueError, match=r"must have shape.*Received"):
                layer(x, mask=np.ones(shape, bool))


def test_tokens_out_of_range():
    layer = layers.TokenEmbedding(5, 4)
    for tokens in ([[0, 5]], [[-1, 2]], [[0.0, 1.5]], [[np.nan, 1.0]]):
        with pytest.raises(ValueError, match=r"between 0 and 4. Received: "):
            layer(np.array(tokens))
    assert layer(np.array([[0.0, 4.0]])).shape == (1, 2, 4)
    assert layer(np.zeros((2, 0), "int32")).shape == (2, 0, 4)
