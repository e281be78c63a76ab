"""Decays, gates for each channel, and rows of several sequences."""

import functools

import numpy as np
import pytest
from backends import differentiate
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops
from reference_scan import step_by_step

from keras_nam.ops import memory_scan
from keras_nam.ops import memory_write

FORMS = {
    "recurrent": {"implementation": "recurrent"},
    "token": {"implementation": "token"},
    "chunked": {"implementation": "chunked", "chunk_size": 13},
    "auto": {},
}
KINDS = {
    "head": {"decay": ()},
    "channel": {"decay": (4,)},
    "all": {"decay": (4,), "erase_gate": (4,), "write_gate": (3,)},
}


def draw(length, kind="all", seed=0, batch=2):
    """Arguments of `memory_scan` with two heads, keys of size 4, values of size 3."""
    rng = np.random.default_rng(seed)
    steps = (batch, length, 2)
    query, key = rng.normal(size=(2, *steps, 4))
    arguments = {
        "query": query,
        "key": key / np.linalg.norm(key, axis=-1, keepdims=True),
        "value": rng.normal(size=(*steps, 3)),
        "initial_memory": rng.normal(size=(batch, 2, 3, 4)),
    }
    for name in ("write_gate", "erase_gate", "read_gate"):
        arguments[name] = rng.uniform(size=(*steps, *KINDS[kind].get(name, ())))
    shape = (*steps, *KINDS[kind]["decay"])
    # Some steps keep nearly all, some forget nearly all.
    rare = np.where(rng.uniform(size=shape) < 0.1, 30.0, 0.3)
    arguments["decay"] = -rare * rng.uniform(size=shape)
    return {name: x.astype("float32") for name, x in arguments.items()}


def loss_of(outputs, memory):
    steps = ops.cast(ops.arange(ops.shape(outputs)[1]), outputs.dtype)
    loss = ops.sum(outputs**2 * ops.cos(steps)[None, :, None, None])
    return loss + 0.1 * ops.sum(memory**3)


def evaluate(scan, arguments, jit_compile=False, trace=False, shapes=None, **others):
    def run(arguments):
        outputs, memory = scan(**arguments, **others)
        return loss_of(outputs, memory), (outputs, memory)

    (outputs, memory), (gradients,), _ = differentiate(
        run, [arguments], jit_compile=jit_compile, trace=trace, shapes=shapes
    )
    return {"outputs": outputs, "memory": memory, **gradients}


def assert_close(ours, expected, tolerance=1e-4):
    assert set(ours) == set(expected)
    for name, reference in expected.items():
        largest = np.abs(reference).max(initial=1e-3)
        assert np.abs(ours[name] - reference).max() <= tolerance * largest, name


@functools.cache
def steps_of(kind):
    arguments = draw(37, kind)
    mask = np.random.default_rng(1).uniform(size=(2, 37)) > 0.3
    return arguments, mask, evaluate(step_by_step, arguments, mask=mask)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_equals_the_steps(form, kind):
    arguments, mask, expected = steps_of(kind)
    assert_close(evaluate(memory_scan, arguments, mask=mask, **FORMS[form]), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "kind", "jit_compile"),
    [
        ("chunked", "all", False),
        pytest.param("token", "all", True, marks=pytest.mark.slow),
        pytest.param("recurrent", "head", True, marks=pytest.mark.slow),
        pytest.param("token", "head", False, marks=pytest.mark.slow),
    ],
)
def test_unknown_lengths(form, kind, jit_compile):
    arguments, mask, expected = steps_of(kind)
    shapes = [
        (None, *x.shape[1:]) if name == "initial_memory" else (None, None, *x.shape[2:])
        for name, x in sorted(arguments.items())
    ]
    ours = evaluate(
        memory_scan,
        dict(sorted(arguments.items())),
        jit_compile,
        trace=True,
        shapes=shapes,
        mask=mask,
        **FORMS[form],
    )
    assert_close(ours, expected)


@pytest.mark.parametrize("form", FORMS)
def test_equal_channels_are_a_head(form):
    arguments = draw(21, "head")
    channels = dict(arguments)
    for name, size in (("decay", 4), ("erase_gate", 4), ("write_gate", 3)):
        channels[name] = np.repeat(arguments[name][..., None], size, axis=-1)
    heads = evaluate(memory_scan, arguments, **FORMS[form])
    ours = evaluate(memory_scan, channels, **FORMS[form])
    for name in ("decay", "erase_gate", "write_gate"):
        ours[name] = ours[name].sum(axis=-1)
    assert_close(ours, heads, 1e-5)
    # Without forgetting, they are what they are without a decay.
    arguments["decay"] *= 0.0
    kept = evaluate(memory_scan, arguments, **FORMS[form])
    del arguments["decay"], kept["decay"]
    assert_close(kept, evaluate(memory_scan, arguments, **FORMS[form]), 1e-5)


@pytest.mark.parametrize("never", [True, False])
@pytest.mark.parametrize("kind", ["head", "channel"])
@pytest.mark.parametrize("form", ["recurrent", "chunked"])
def test_what_forgets_all_starts_anew(form, kind, never):
    arguments, how = draw(40, kind), dict(FORMS[form])
    if never:
        del arguments["erase_gate"]
        how["erase_gate"] = 0.0
    arguments["decay"][:, 3] = -1e30
    arguments["decay"][:, 17] = -np.inf
    outputs, memory = memory_scan(**arguments, **how)
    later = {n: x[:, 17:] for n, x in arguments.items() if n != "initial_memory"}
    expected, expected_memory = memory_scan(**later, **how)
    np.testing.assert_allclose(outputs[:, 17:], expected, atol=1e-5)
    np.testing.assert_allclose(memory, expected_memory, atol=1e-5)
    gradients = evaluate(memory_scan, arguments, **how)
    assert all(np.isfinite(x).all() for x in gradients.values())
    np.testing.assert_array_equal(gradients["decay"][:, [3, 17]], 0.0)


@given(
    seed=st.integers(0, 2**16),
    cut=st.integers(0, 20),
    kind=st.sampled_from(list(KINDS)),
    chunk_size=st.integers(1, 24),
)
@settings(max_examples=15, deadline=None)
def test_prefix_and_memory_give_the_whole(seed, cut, kind, chunk_size):
    arguments = draw(20, kind, seed)
    memory = arguments.pop("initial_memory")
    how = {"implementation": "chunked", "chunk_size": chunk_size}
    whole, final = memory_scan(**arguments, initial_memory=memory, **how)
    pieces = []
    for piece in (slice(0, cut), slice(cut, None)):
        given_piece = {name: x[:, piece] for name, x in arguments.items()}
        outputs, memory = memory_scan(**given_piece, initial_memory=memory, **how)
        pieces.append(outputs)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)
    np.testing.assert_allclose(memory, final, atol=1e-5)


@pytest.mark.parametrize("kind", [None, "head", "all"])
@pytest.mark.parametrize("form", FORMS)
def test_packed_rows_are_rows_alone(form, kind):
    arguments = draw(23, kind or "head", batch=1)
    if kind is None:
        del arguments["decay"]
    ids = np.repeat([3, 1, 2, 1], [5, 8, 1, 9])[None]
    memory = arguments.pop("initial_memory")

    def packed(**arguments):
        return memory_scan(**arguments, segment_ids=ids, **FORMS[form])

    ours = evaluate(packed, {**arguments, "initial_memory": memory})

    def alone(initial_memory, **arguments):
        parts, start = [], 0
        for length in (5, 8, 1, 9):
            piece = {n: x[:, start : start + length] for n, x in arguments.items()}
            first = initial_memory if start == 0 else None
            outputs, last = memory_scan(**piece, initial_memory=first, **FORMS[form])
            parts.append(outputs)
            start += length
        return ops.concatenate(parts, axis=1), last

    expected = evaluate(alone, {**arguments, "initial_memory": memory})
    if kind is not None:
        # What an empty memory forgets is nothing.
        for start in (5, 13, 14):
            np.testing.assert_array_equal(ours["decay"][:, start], 0.0)
            np.testing.assert_allclose(expected["decay"][:, start], 0.0, atol=1e-6)
    assert_close(ours, expected)
    # Masked steps are no boundaries, whatever their numbers.
    holes = np.array([0, 4, 5, 9, 22])
    mask = np.ones((1, 23 + len(holes)), bool)
    mask[:, holes + np.arange(len(holes))] = False
    spread = {n: np.insert(x, holes, np.nan, axis=1) for n, x in arguments.items()}
    outputs, final = memory_scan(
        **spread,
        initial_memory=memory,
        segment_ids=np.insert(ids, holes, 7, axis=1),
        mask=mask,
        **FORMS[form],
    )
    np.testing.assert_allclose(outputs[mask], ours["outputs"][0], atol=1e-5)
    assert not np.any(outputs[~mask])
    np.testing.assert_allclose(final, ours["memory"], atol=1e-5)


@pytest.mark.parametrize("name", ["value", "decay", "erase_gate"])
@pytest.mark.parametrize("form", FORMS)
def test_a_nan_stays_in_its_sequence_and_behind_it(form, name):
    arguments = draw(21)
    ids = np.repeat([[0, 1, 2]], [8, 9, 4], axis=1) * np.ones((2, 1), int)
    poisoned = {**arguments, name: np.array(arguments[name])}
    poisoned[name][0, 11, 1, 0] = np.nan
    outputs, memory = memory_scan(**poisoned, segment_ids=ids, **FORMS[form])
    expected, expected_memory = memory_scan(**arguments, segment_ids=ids, **FORMS[form])
    reached = np.zeros((2, 21, 2), bool)
    reached[0, 11:17, 1] = True
    assert np.isnan(outputs[reached]).all()
    np.testing.assert_allclose(outputs[~reached], expected[~reached], atol=1e-5)
    np.testing.assert_allclose(memory, expected_memory, atol=1e-5)
    # In the last sequence, it is in the final memory.
    ids[:] = 0
    _, memory = memory_scan(**poisoned, segment_ids=ids, **FORMS[form])
    assert np.isnan(memory[0, 1]).all()
    assert np.isfinite(memory[1]).all()
    assert np.isfinite(memory[0, 0]).all()


@pytest.mark.parametrize("form", FORMS)
def test_the_future_changes_nothing_that_came_before(form):
    arguments = draw(19)
    memory = arguments.pop("initial_memory")
    outputs, _ = memory_scan(**arguments, initial_memory=memory, **FORMS[form])
    changed = {
        n: np.concatenate([x[:, :11], 0.5 * x[:, 11:]], 1) for n, x in arguments.items()
    }
    ours, _ = memory_scan(**changed, initial_memory=memory, **FORMS[form])
    np.testing.assert_array_equal(ours[:, :11], outputs[:, :11])
    assert np.abs(np.asarray(ours - outputs)[:, 11:]).max() > 0.01


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_accumulates_in_float32(dtype):
    half = {name: ops.cast(x, dtype) for name, x in draw(33).items()}
    outputs, memory = memory_scan(**half)
    wide = {name: ops.cast(x, "float32") for name, x in half.items()}
    expected, expected_memory = memory_scan(**wide)
    np.testing.assert_array_equal(
        np.float32(outputs), np.float32(ops.cast(expected, dtype))
    )
    np.testing.assert_array_equal(memory, expected_memory)


def test_no_steps():
    arguments = draw(0)
    for form in FORMS.values():
        outputs, memory = memory_scan(
            **arguments, segment_ids=np.zeros((2, 0), int), **form
        )
        assert outputs.shape == (2, 0, 2, 3)
        np.testing.assert_array_equal(memory, arguments["initial_memory"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"decay": np.zeros((2, 5))},
            r"`decay` must have shape \(batch, time, heads\)",
        ),
        ({"decay": np.zeros((2, 5, 2, 3))}, "`decay` must have shape"),
        ({"decay": np.full((2, 5, 2), 0.1)}, "`decay` must be the log.* not above 0"),
        ({"decay": 0.5}, "`decay` must be the logarithm"),
        ({"write_gate": np.ones((2, 5, 2, 4))}, "`write_gate` must have shape"),
        ({"erase_gate": np.ones((2, 5, 2, 3))}, "`erase_gate` must have shape"),
        ({"read_gate": np.ones((2, 5, 2, 3))}, "`read_gate` must have shape"),
        ({"segment_ids": np.ones((2, 4), int)}, "`segment_ids` must have shape"),
        ({"segment_ids": np.ones((2, 5))}, "`segment_ids` must hold integers"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        memory_scan(**{**draw(5), **wrong})


def test_a_masked_decay_may_be_anything():
    arguments = draw(5, "head")
    arguments["decay"][:, 3] = 7.0
    mask = np.arange(5)[None].repeat(2, 0) != 3
    assert np.isfinite(memory_scan(**arguments, mask=mask)[0]).all()


def test_a_number_is_a_decay_of_all():
    arguments = draw(9, "head")
    ours, _ = memory_scan(**{**arguments, "decay": -0.25})
    expected, _ = memory_scan(
        **{**arguments, "decay": np.full((2, 9, 2), -0.25, "float32")}
    )
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    memory = memory_write(np.ones((3, 2)), [1.0, 0.0], np.zeros(3), 1.0, 0.0, -1.0)
    np.testing.assert_allclose(memory, np.full((3, 2), np.exp(-1.0)), rtol=1e-6)
    with pytest.raises(ValueError, match="`decay` must be the logarithm"):
        memory_write(np.ones((3, 2)), [1.0, 0.0], np.zeros(3), decay=[0.0, 0.1])
