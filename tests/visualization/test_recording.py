"""`trajectory` finds the layer in a model, and gives what the layer itself gives."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_nam.layers import LSAM
from keras_nam.layers import NAM
from keras_nam.layers import NAMTM
from keras_nam.visualization import trajectory

TOKENS = np.array([[1, 2, 3, 0], [4, 0, 0, 0]])
MASK = TOKENS != 0


def sequences(batch=2, time=4, features=3):
    return np.random.default_rng(0).normal(size=(batch, time, features)).astype("f")


def embed(inputs, mask_zero=True):
    return keras.layers.Embedding(5, 3, mask_zero=mask_zero, name="embedding")(inputs)


def assert_same(found, expected, mask=None):
    if mask is not None:
        np.testing.assert_array_equal(found["mask"], mask)
    assert found.keys() == expected.keys() | ({"mask"} if mask is not None else set())
    for name, value in expected.items():
        assert type(found[name]) is np.ndarray
        np.testing.assert_allclose(
            found[name], ops.convert_to_numpy(value), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize(
    "layer",
    [
        NAM(4, num_heads=2),
        LSAM(4, go_backwards=True),
        NAMTM(4, num_tapes=2, tape_length=None),
    ],
)
def test_a_layer_alone(layer):
    found = trajectory(layer, sequences())
    assert_same(found, layer.trajectory(sequences()))
    assert trajectory(layer, sequences(), layer).keys() == found.keys()


def test_a_layer_alone_honours_the_mask_that_its_sequences_carry():
    layer = LSAM(4)
    embedding = keras.layers.Embedding(5, 3, mask_zero=True)
    x = embedding(TOKENS)
    assert_same(trajectory(layer, x), layer.trajectory(x, mask=MASK), MASK)


@pytest.mark.parametrize("mask_zero", [False, True])
@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_model(kind, mask_zero):
    layer = NAMTM(4, num_tapes=2, tape_length=5, return_sequences=True, name="tm")
    if kind == "functional":
        tokens = keras.Input((None,), dtype="int32")
        x = keras.layers.Dropout(0.5)(embed(tokens, mask_zero))
        model = keras.Model(tokens, keras.layers.Dense(2)(layer(x)))
    else:
        embedding = keras.layers.Embedding(5, 3, mask_zero=mask_zero, name="embedding")
        model = keras.Sequential([embedding, layer, keras.layers.Dense(2)])
        model.build((None, None))
    mask = MASK if mask_zero else None
    x = model.get_layer("embedding")(TOKENS)
    expected = layer.trajectory(x, mask=mask)
    variables, attributes = len(layer.variables), set(vars(layer))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for chosen in (None, layer, "tm"):
            assert_same(trajectory(model, TOKENS, chosen), expected, mask)
    assert (len(layer.variables), set(vars(layer))) == (variables, attributes)


def test_the_outputs_of_a_model_are_what_its_trajectory_reads():
    layer = NAM(4, return_sequences=True)
    tokens = keras.Input((None,), dtype="int32")
    model = keras.Model(tokens, layer(embed(tokens, False)))
    found = trajectory(model, TOKENS)
    read = np.einsum("bthvk,bthk->bthv", found["memory"], found["query"])
    read = read * found["read_gate"][..., None]
    np.testing.assert_allclose(read[:, :, 0], model(TOKENS), rtol=1e-5, atol=1e-6)


def test_inputs_in_a_dictionary():
    layer = LSAM(4)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    scale = keras.Input((1, 1), name="scale")
    x = keras.layers.Multiply()([embed(tokens, False), scale])
    model = keras.Model({"tokens": tokens, "scale": scale}, layer(x))
    factor = np.full((2, 1, 1), 3.0, "float32")
    found = trajectory(model, {"tokens": TOKENS, "scale": factor})
    x = 3 * model.get_layer("embedding")(TOKENS)
    assert_same(found, layer.trajectory(x))


@pytest.mark.parametrize("masked", ["implicit", "explicit", "not"])
def test_initial_state(masked):
    layer = LSAM(4)
    tokens, memory = keras.Input((None,), dtype="int32"), keras.Input((1, 4, 4))
    mask = keras.Input((None,), dtype="bool")
    given = {"mask": mask} if masked == "explicit" else {}
    x = embed(tokens, masked == "implicit")
    model = keras.Model([tokens, memory, mask], layer(x, initial_state=memory, **given))
    state = np.random.default_rng(1).normal(size=(2, 1, 4, 4)).astype("f")
    found = trajectory(model, [TOKENS, state, MASK])
    valid = None if masked == "not" else MASK
    x = model.get_layer("embedding")(TOKENS)
    expected = layer.trajectory(np.array(x), initial_state=[state], mask=valid)
    assert_same(found, expected, valid)
    assert not np.allclose(found["memory"], trajectory(layer, np.array(x))["memory"])


@pytest.mark.parametrize("with_state", [False, True])
def test_both_directions_of_a_bidirectional_layer(with_state):
    layer = keras.layers.Bidirectional(LSAM(4, return_sequences=True), name="both")
    tokens = keras.Input((None,), dtype="int32")
    states = [keras.Input(shape) for shape in [(4,), (1, 4, 4)] * 2]
    given = {"initial_state": states} if with_state else {}
    model = keras.Model([tokens, *states], layer(embed(tokens), **given))
    random = np.random.default_rng(1)
    arrays = [random.normal(size=(2, *s.shape[1:])).astype("f") for s in states]
    x = np.array(model.get_layer("embedding")(TOKENS))
    for half, direction in enumerate([layer.forward_layer, layer.backward_layer]):
        state = arrays[2 * half : 2 * half + 2] if with_state else None
        expected = direction.trajectory(x, initial_state=state, mask=MASK)
        mask = MASK[:, ::-1] if half else MASK
        for chosen in (direction, direction.name, f"both/{direction.name}"):
            found = trajectory(model, [TOKENS, *arrays], chosen)
            assert_same(found, expected, mask)
    with pytest.raises(ValueError, match="'both/forward_lsam.*both/backward_lsam"):
        trajectory(model, [TOKENS, *arrays])


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_nested_models(kind):
    first = LSAM(3, return_sequences=True, name="first")
    second = LSAM(3, return_sequences=True, name="second")
    if kind == "functional":
        inputs = keras.Input((None, 3))
        inner = keras.Model(inputs, second(first(inputs)), name="inner")
    else:
        inner = keras.Sequential([keras.Input((None, 3)), first, second], name="inner")
    inputs = keras.Input((None, 3))
    middle = keras.Model(inputs, inner(inputs), name="middle")
    tokens = keras.Input((None,), dtype="int32")
    # A layer of the same name, outside.
    last = LSAM(3, name="second")
    model = keras.Model(tokens, last(middle(embed(tokens))))
    x = np.array(model.get_layer("embedding")(TOKENS))
    assert_same(
        trajectory(model, TOKENS, "first"), first.trajectory(x, mask=MASK), MASK
    )
    y = np.array(first(x, mask=MASK))
    found = trajectory(model, TOKENS, "middle/inner/second")
    assert_same(found, second.trajectory(y, mask=MASK), MASK)
    with pytest.raises(ValueError, match="middle/inner/first.*middle/inner/second"):
        trajectory(model, TOKENS, "second")
    z = np.array(second(y, mask=MASK))
    # Keras ends masks at the border of a nested model.
    found = trajectory(model, TOKENS, last)
    np.testing.assert_allclose(
        found["memory"][:, 0], last.trajectory(z)["memory"][:, 0], rtol=1e-4, atol=1e-6
    )


def test_models_without_such_a_layer():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must hold a recurrent layer.*Received"):
        trajectory(model, np.zeros((1, 3)))
    model = keras.Sequential([keras.Input((None, 3)), LSAM(2, name="here")])
    for absent in ("there", LSAM(2, name="there")):
        with pytest.raises(ValueError, match="'here'.*Received.*layer=there"):
            trajectory(model, sequences(), absent)


def test_models_that_cannot_be_run_up_to_the_layer():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.memory = LSAM(2)

        def call(self, inputs):
            return self.memory(inputs)

    for model in (Subclassed(), keras.Sequential([LSAM(2)])):
        with pytest.raises(ValueError, match="must be Functional, or Sequential"):
            trajectory(model, sequences())
    layer = LSAM(2, name="shared")
    layer(keras.Input((None, 3)))
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, layer(inputs), name="second")
    with pytest.raises(ValueError, match="first call of `shared`.*`second`"):
        trajectory(model, sequences())
