"""Properties of the recurrence that every layer has to have."""

import keras
import numpy as np
import pytest
from backends import differentiate
from backends import dtype_of
from backends import rounding
from cases import ABLATIONS
from cases import CASES
from cases import FEATURES
from cases import make_layer
from cases import make_rnn
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops

LENGTHS = st.integers(1, 12)
SEEDS = st.integers(0, 2**16)
few = settings(
    max_examples=4,
    deadline=None,
    # The fixture is the case's name, which does not change between examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def draw(seed, batch, length):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, length, FEATURES)).astype("float32")


def close(ours, reference, tolerance=1e-5):
    ours, reference = (
        [np.asarray(a) for a in x] if isinstance(x, (list, tuple)) else [np.asarray(x)]
        for x in (ours, reference)
    )
    for a, b in zip(ours, reference, strict=True):
        np.testing.assert_allclose(
            a.reshape(-1), b.reshape(-1), atol=tolerance, rtol=tolerance
        )


def value_and_gradients(layer, x, mask, **how):
    """Outputs and gradients of all that a layer returns, with respect to all."""

    given = [x] if mask is None else [x, mask]

    def run(x, mask=None):
        outputs = layer(x, mask=mask)
        return sum(ops.sum(ops.sin(o)) for o in outputs), outputs

    outputs, (gradient, *_), gradients = differentiate(
        run, given, layer.trainable_variables, **how
    )
    return outputs, [gradient, *gradients]


@pytest.mark.parametrize(
    ("length", "masked", "jit_compile"),
    [
        (40, True, False),
        pytest.param(270, True, False, marks=pytest.mark.slow),
        pytest.param(1, False, False, marks=pytest.mark.slow),
        pytest.param(1, False, True, marks=pytest.mark.slow),
        pytest.param(40, False, False, marks=pytest.mark.slow),
        pytest.param(40, False, True, marks=pytest.mark.slow),
        pytest.param(40, True, True, marks=pytest.mark.slow),
        pytest.param(270, True, True, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(x, marks=pytest.mark.slow) for x in ABLATIONS)]
)
def test_layer_equals_its_cell_in_a_stock_rnn(case, length, masked, jit_compile):
    if case in ABLATIONS:
        # They blow rounding errors up with time, the more the longer.
        length = min(length, 15)
    layer = make_layer(case, return_sequences=True, return_state=True)
    layer.build((None, None, FEATURES))
    rnn = make_rnn(case, layer, return_sequences=True, return_state=True)
    x = draw(0, 3, length)
    mask = np.random.default_rng(1).uniform(size=(3, length)) < 0.7 if masked else None
    outputs, gradients = value_and_gradients(layer, x, mask, jit_compile=jit_compile)
    expected, expected_gradients = value_and_gradients(rnn, x, mask)
    scale = max(1.0, *(np.abs(e).max() for e in expected))
    close(outputs, expected, 2e-5 * scale)
    for ours, reference in zip(gradients, expected_gradients, strict=True):
        largest = np.abs(reference).max()
        assert np.abs(ours - reference).max() <= 2e-3 * largest + 1e-6


@given(seed=SEEDS, length=LENGTHS, cut=st.integers(0, 12))
@few
def test_prefix_and_carried_state_give_the_whole(case, seed, length, cut):
    layer = make_layer(case, return_sequences=True, return_state=True)
    x = draw(seed, 2, length)
    cut = min(cut, length)
    first, *states = layer(x[:, :cut])
    second, *states = layer(x[:, cut:], initial_state=states)
    whole, *expected = layer(x)
    close(np.concatenate([first, second], 1), whole)
    close(states, expected)


def test_masked_outputs_repeat_the_last_one_as_in_keras(case):
    x = draw(0, 2, 6)
    mask = np.array([[0, 1, 0, 0, 1, 0], [1, 1, 0, 1, 0, 0]], bool)
    for zeros in (False, True):
        layer = make_layer(case, return_sequences=True, zero_output_for_mask=zeros)
        layer.build(x.shape)
        rnn = make_rnn(case, layer, return_sequences=True, zero_output_for_mask=zeros)
        close(layer(x, mask=mask), rnn(x, mask=mask))
    layer = make_layer(case)
    layer.build(x.shape)
    close(layer(x, mask=mask), make_rnn(case, layer)(x, mask=mask))


def test_go_backwards_is_a_run_over_the_reversed_sequence(case):
    x = draw(0, 2, 7)
    mask = np.arange(7)[None] >= np.array([[0], [3]])
    forward = make_layer(case, return_sequences=True, return_state=True)
    backward = make_layer(
        case, return_sequences=True, return_state=True, go_backwards=True
    )
    backward.build(x.shape)
    forward.build(x.shape)
    backward.set_weights(forward.get_weights())
    close(backward(x, mask=mask), forward(x[:, ::-1], mask=mask[:, ::-1]))


@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_bidirectional_is_two_runs(case, merge_mode):
    layer = make_layer(case, return_sequences=True)
    both = keras.layers.Bidirectional(layer, merge_mode=merge_mode)
    x = draw(0, 2, 6)
    mask = np.array([[1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1]], bool)
    outputs = both(x, mask=mask)
    forward = np.asarray(both.forward_layer(x, mask=mask))
    backward = np.flip(np.asarray(both.backward_layer(x, mask=mask)), 1)
    merged = np.concatenate([forward, backward], -1)
    close(outputs, merged if merge_mode == "concat" else forward + backward)
    assert not np.asarray(outputs)[~mask].any()


def test_stateful_carries_and_resets(case):
    layer = make_layer(case, stateful=True, return_sequences=True)
    plain = make_layer(case, return_sequences=True)
    x = draw(0, 3, 8)
    first = layer(x[:, :5])
    plain.build(x.shape)
    plain.set_weights(layer.get_weights()[: len(plain.get_weights())])
    second = layer(x[:, 5:])
    close(np.concatenate([first, second], 1), plain(x))
    layer.reset_state()
    close(layer(x), plain(x))
    with pytest.raises(ValueError, match="same batch size"):
        layer(x[:2])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_stateful_under_a_mixed_policy(case, policy):
    plain = make_layer(case, return_sequences=True)
    layer = make_layer(case, return_sequences=True, stateful=True, dtype=policy)
    x = draw(0, 2, 6)
    expected = np.asarray(plain(x))
    layer.build(x.shape)
    for ours, given_weight in zip(layer.cell.weights, plain.weights, strict=True):
        ours.assign(given_weight)
    outputs = np.concatenate([layer(x[:, :3]), layer(x[:, 3:])], 1).astype("float32")
    assert (
        np.abs(outputs - expected).max()
        <= 3 * rounding(policy) * np.abs(expected).max()
    )
    assert all(dtype_of(s) == "float32" for s in layer.states)


def test_unrolled_is_the_same(case):
    layer = make_layer(case, return_sequences=True, return_state=True)
    unrolled = make_layer(case, return_sequences=True, return_state=True, unroll=True)
    x = draw(0, 2, 5)
    mask = np.array([[1, 1, 1, 1, 0], [0, 1, 1, 0, 1]], bool)
    layer.build(x.shape)
    unrolled.build(x.shape)
    unrolled.set_weights(layer.get_weights())
    close(unrolled(x, mask=mask), layer(x, mask=mask))
    with pytest.raises(ValueError, match="unroll"):
        unrolled(keras.Input((None, FEATURES)))


@pytest.mark.parametrize("functional", [False, True])
def test_implicit_mask_is_kept_with_an_initial_state(case, functional):
    embedding = keras.layers.Embedding(9, FEATURES, mask_zero=True)
    layer = make_layer(case, return_sequences=True, return_state=True)
    tokens = np.array([[3, 1, 0, 0], [0, 2, 5, 0]])
    _, *states = layer(draw(0, 2, 3))
    if functional:
        inputs = keras.Input((None,), dtype="int32")
        given = [keras.Input(s.shape[1:]) for s in states]
        outputs = layer(embedding(inputs), initial_state=given)
        ours = keras.Model([inputs, *given], outputs)(
            [ops.convert_to_tensor(tokens), *states]
        )
    else:
        ours = layer(embedding(tokens), initial_state=states)
    mask = tokens != 0
    plain = np.asarray(embedding(tokens))
    expected = layer(plain, initial_state=states, mask=mask)
    close(ours, expected)
    unmasked = layer(plain, initial_state=states)
    assert not np.allclose(np.asarray(ours[1]), np.asarray(unmasked[1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("masked", "static", "jit_compile"),
    [
        (True, False, False),
        pytest.param(False, False, False, marks=pytest.mark.slow),
        pytest.param(True, False, True, marks=pytest.mark.slow),
        pytest.param(False, False, True, marks=pytest.mark.slow),
        pytest.param(True, True, True, marks=pytest.mark.slow),
    ],
)
def test_length_0_gives_zeros_and_the_initial_states(case, masked, static, jit_compile):
    layer = make_layer(case, return_state=True)
    whole = make_layer(case, return_sequences=True)
    layer.build((None, None, FEATURES))
    whole.build((None, None, FEATURES))
    x, mask = np.zeros((2, 0, FEATURES), "float32"), np.zeros((2, 0), bool)

    def run(x, mask):
        mask = mask if masked else None
        output, *states = layer(x, mask=mask)
        loss = ops.sum(output) + sum(ops.sum(s**2) for s in states)
        return loss, (output, states, whole(x, mask=mask))

    shapes = None if static else [(None, None, FEATURES), (None, None)]
    (output, states, outputs), _, gradients = differentiate(
        run, [x, mask], layer.trainable_variables, jit_compile, shapes
    )
    assert not output.any()
    assert outputs.shape[:2] == (2, 0)
    close(states, layer.states_before(x))
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_zero_inputs_and_weights_give_finite_gradients(case, jit_compile):
    layer = make_layer(case, return_sequences=True, return_state=True)
    layer.build((None, None, FEATURES))
    layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    x = np.zeros((2, 4, FEATURES), "float32")
    outputs, gradients = value_and_gradients(
        layer, x, None, jit_compile=jit_compile, trace=jit_compile
    )
    assert all(np.isfinite(o).all() for o in outputs)
    assert all(np.isfinite(g).all() for g in gradients)


def test_trajectory_is_what_the_layer_does(case):
    layer = make_layer(case, return_sequences=True, return_state=True)
    x = draw(0, 2, 6)
    _, *states = layer(x)
    trajectory = layer.trajectory(x)
    memory = "tape" if "tape" in trajectory else "memory"
    final = states[layer.memory_index]
    close(trajectory[memory][:, -1], final)
    for name, value in trajectory.items():
        assert tuple(value.shape[:2]) == (2, 6), name
        if name.endswith("gate"):
            assert np.all((np.asarray(value) >= 0) & (np.asarray(value) <= 1))
    again = layer.trajectory(x[:, 2:], initial_state=layer(x[:, :2])[1:])
    close(again[memory], trajectory[memory][:, 2:])
