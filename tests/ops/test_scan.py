"""The scans against the step-by-step form, in values and gradients."""

import contextlib
import functools

import keras
import numpy as np
import pytest
from backends import differentiate
from backends import dtype_of
from backends import needs_tensorflow
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops
from keras import tree
from reference_scan import step_by_step

import keras_nam
from keras_nam.ops import memory_attention
from keras_nam.ops import memory_read
from keras_nam.ops import memory_scan
from keras_nam.ops import memory_write
from keras_nam.ops import unit_normalize

IMPLEMENTATIONS = [
    ("recurrent", None),
    ("token", None),
    ("auto", None),
    ("chunked", 1),
    ("chunked", 8),
    ("chunked", 63),
    pytest.param("chunked", 16, marks=pytest.mark.slow),
    pytest.param("chunked", 200, marks=pytest.mark.slow),
]
SEQUENCES = ("query", "key", "value", "write_gate", "erase_gate", "read_gate")


def draw(batch, length, heads, key_dim, value_dim, seed=0):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return ops.convert_to_tensor(rng.normal(size=shape), "float32")

    steps = (batch, length, heads)
    return {
        "query": unit_normalize(normal(*steps, key_dim)),
        "key": unit_normalize(normal(*steps, key_dim)),
        "value": normal(*steps, value_dim),
        "write_gate": ops.sigmoid(normal(*steps)),
        "erase_gate": ops.sigmoid(normal(*steps)),
        "read_gate": ops.sigmoid(normal(*steps)),
        "initial_memory": normal(batch, heads, value_dim, key_dim),
    }


def value_and_gradients(
    scan, arguments, mask, jit_compile=False, unknown=False, trace=True
):
    def run(arguments, mask=None):
        outputs, memory = scan(**arguments, mask=mask)
        steps = ops.cast(ops.arange(ops.shape(outputs)[1]), outputs.dtype)
        loss = ops.sum(outputs**2 * ops.cos(steps)[None, :, None, None])
        return loss + 0.1 * ops.sum(memory**3), (outputs, memory)

    given = [arguments] if mask is None else [arguments, mask]
    shapes = None
    if unknown:
        heads = arguments["query"].shape[2]
        shapes = [
            (None, *x.shape[1:]) if x.shape[1] == heads else (None, None, *x.shape[2:])
            for x in tree.flatten(given)
        ]
    outputs, (gradients, *_), _ = differentiate(
        run, given, jit_compile=jit_compile, shapes=shapes, trace=trace
    )
    return *outputs, gradients


@functools.cache
def steps_of(length):
    arguments = draw(3, length, 2, 6, 5)
    mask = np.random.default_rng(1).uniform(size=(3, length)) > 0.3
    # Laid out step by step, a graph takes long to trace.
    expected = value_and_gradients(step_by_step, arguments, mask, trace=False)
    return arguments, mask, expected


@pytest.mark.parametrize(
    ("static", "jit_compile"),
    [
        pytest.param(True, False, id="static-graph"),
        pytest.param(False, True, id="unknown-xla", marks=needs_tensorflow),
        pytest.param(True, True, id="static-xla", marks=pytest.mark.slow),
        pytest.param(
            False, False, id="unknown-graph", marks=[needs_tensorflow, pytest.mark.slow]
        ),
    ],
)
@pytest.mark.parametrize(("implementation", "chunk_size"), IMPLEMENTATIONS)
def test_every_implementation_equals_the_steps(
    implementation, chunk_size, static, jit_compile
):
    def scan(**arguments):
        return memory_scan(
            **arguments, implementation=implementation, chunk_size=chunk_size
        )

    for length in (1, 21) if static else (21,):
        arguments, mask, expected = steps_of(length)
        outputs, memory, gradients = value_and_gradients(
            scan, arguments, mask, jit_compile, unknown=not static
        )
        np.testing.assert_allclose(outputs, expected[0], atol=1e-5)
        np.testing.assert_allclose(memory, expected[1], atol=1e-5)
        for name, gradient in gradients.items():
            largest = np.abs(expected[2][name]).max()
            error = np.abs(gradient - expected[2][name]).max()
            assert error <= 1e-4 * largest, name


@pytest.mark.parametrize("implementation", ["recurrent", "token", "chunked"])
def test_absent_gates_and_memory(implementation):
    arguments = draw(2, 21, 2, 4, 3)
    for absent in ("write_gate", "erase_gate", "read_gate", "initial_memory"):
        given_arguments = {**arguments, absent: None}
        ours = memory_scan(
            **given_arguments, implementation=implementation, chunk_size=8
        )
        expected = step_by_step(**given_arguments)
        for a, b in zip(ours, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)
    never = {**arguments, "erase_gate": 0.0}
    ours = memory_scan(**never, implementation=implementation, chunk_size=8)
    zeros = {**arguments, "erase_gate": ops.zeros_like(arguments["write_gate"])}
    for a, b in zip(ours, step_by_step(**zeros), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_no_drift_over_thousands_of_steps():
    arguments = draw(1, 3000, 1, 8, 8)
    del arguments["initial_memory"]
    recurrent = value_and_gradients(
        lambda **k: memory_scan(**k, implementation="recurrent"),
        arguments,
        None,
        jit_compile=True,
    )
    chunked = value_and_gradients(
        lambda **k: memory_scan(**k, implementation="chunked"), arguments, None
    )
    np.testing.assert_allclose(recurrent[0], chunked[0], atol=1e-5)
    for name in SEQUENCES:
        largest = np.abs(chunked[2][name]).max()
        error = np.abs(recurrent[2][name] - chunked[2][name]).max()
        assert error <= 1e-4 * largest, name


@given(
    seed=st.integers(0, 2**16),
    length=st.integers(1, 20),
    cut=st.integers(0, 20),
    chunk_size=st.integers(1, 24),
)
@settings(max_examples=15, deadline=None)
def test_prefix_and_memory_give_the_whole(seed, length, cut, chunk_size):
    arguments = draw(2, length, 1, 4, 3, seed)
    first = {k: arguments[k][:, :cut] for k in SEQUENCES}
    second = {k: arguments[k][:, cut:] for k in SEQUENCES}
    how = {"implementation": "chunked", "chunk_size": chunk_size}
    outputs, memory = memory_scan(
        **first, initial_memory=arguments["initial_memory"], **how
    )
    rest, memory = memory_scan(**second, initial_memory=memory, **how)
    whole, final = memory_scan(**arguments, **how)
    np.testing.assert_allclose(ops.concatenate([outputs, rest], 1), whole, atol=1e-5)
    np.testing.assert_allclose(memory, final, atol=1e-5)


@given(dim=st.integers(2, 9), seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None)
def test_orthonormal_keys_are_recalled_exactly(dim, seed):
    rng = np.random.default_rng(seed)
    keys = np.linalg.qr(rng.normal(size=(dim, dim)))[0].astype("float32")
    values = rng.normal(size=(dim, 3)).astype("float32")
    memory = ops.zeros((3, dim))
    for key, value in zip(keys, values, strict=True):
        memory = memory_write(memory, key, value)
    for key, value in zip(keys, values, strict=True):
        np.testing.assert_allclose(memory_read(memory, key), value, atol=1e-5)
    # Erase, then write: the new value takes the place of the old one alone.
    memory = memory_write(memory, keys[0], values[1])
    np.testing.assert_allclose(memory_read(memory, keys[0]), values[1], atol=1e-5)
    np.testing.assert_allclose(memory_read(memory, keys[1]), values[1], atol=1e-5)


@pytest.mark.parametrize("implementation", ["recurrent", "token", "chunked", "auto"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_accumulates_in_float32(implementation, dtype):
    arguments = draw(2, 100, 2, 8, 8)
    half = {k: ops.cast(v, dtype) for k, v in arguments.items()}
    outputs, memory = memory_scan(**half, implementation=implementation)
    wide = {k: ops.cast(v, "float32") for k, v in half.items()}
    expected, expected_memory = memory_scan(**wide, implementation=implementation)
    assert dtype_of(outputs) == dtype
    assert dtype_of(memory) == "float32"
    np.testing.assert_array_equal(
        np.float32(outputs), np.float32(ops.cast(expected, dtype))
    )
    np.testing.assert_allclose(memory, expected_memory, atol=1e-6)


@pytest.mark.parametrize("implementation", ["recurrent", "token", "chunked", "auto"])
def test_masked_steps_may_hold_anything(implementation):
    arguments = draw(2, 9, 1, 4, 3)
    mask = np.arange(9)[None] < np.array([[5], [9]])
    poisoned = dict(arguments)
    for name in SEQUENCES:
        x = np.array(arguments[name])
        x[0, 5:] = np.nan
        poisoned[name] = x
    ours = value_and_gradients(
        lambda **k: memory_scan(**k, implementation=implementation),
        poisoned,
        mask,
    )
    expected = value_and_gradients(step_by_step, arguments, mask, trace=False)
    np.testing.assert_allclose(ours[0], expected[0], atol=1e-5)
    assert not np.any(ours[0][0, 5:])
    for name, gradient in ours[2].items():
        assert np.isfinite(gradient).all(), name


@pytest.mark.parametrize(
    "jit_compile",
    [
        pytest.param(False, id="graph"),
        pytest.param(True, id="xla", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    ("implementation", "portable"),
    [("recurrent", False), ("token", False), ("chunked", False), ("chunked", True)],
)
def test_a_nan_never_reaches_what_came_before(implementation, portable, jit_compile):
    # The same row again for each sequence, with a NaN in it, and as it is at last.
    count = len(SEQUENCES) + 1
    arguments = {
        name: np.repeat(x, count, axis=0) for name, x in draw(1, 21, 2, 4, 3).items()
    }
    for row, name in enumerate(SEQUENCES):
        arguments[name][row, 13, 1] = np.nan

    def loss(arguments):
        with keras_nam.ops.PortableScope() if portable else contextlib.nullcontext():
            outputs, memory = memory_scan(
                **arguments, implementation=implementation, chunk_size=8
            )
        return ops.sum(outputs[:, :13] ** 2), (outputs, memory)

    (outputs, memories), (gradients,), _ = differentiate(
        loss, [arguments], jit_compile=jit_compile
    )
    assert np.isfinite(outputs[-1]).all()
    for row, name in enumerate(SEQUENCES):
        only_here = name in ("query", "read_gate")
        reached = np.zeros(outputs.shape[1:3], bool)
        reached[13 : 14 if only_here else None, 1] = True
        assert np.isnan(outputs[row, reached]).all()
        np.testing.assert_allclose(
            outputs[row, ~reached], outputs[-1, ~reached], atol=1e-5
        )
        assert np.isnan(memories[row, 1]).all() == (not only_here)
        memories[row, 1] = memories[-1, 1]
    np.testing.assert_allclose(memories, memories[-1:].repeat(count, 0), atol=1e-5)
    for gradient in gradients.values():
        assert np.isfinite(gradient[-1]).all()
        np.testing.assert_allclose(gradient, gradient[-1:].repeat(count, 0), atol=1e-4)


@pytest.mark.parametrize("implementation", ["recurrent", "token", "chunked", "auto"])
def test_length_0(implementation):
    arguments = draw(2, 0, 1, 4, 3)
    outputs, memory = memory_scan(**arguments, implementation=implementation)
    assert outputs.shape == (2, 0, 1, 3)
    np.testing.assert_array_equal(memory, arguments["initial_memory"])


def test_attention_is_a_scan_that_never_erases_read_at_the_end():
    arguments = draw(2, 17, 2, 4, 3)
    mask = np.arange(17)[None] < np.array([[17], [9]])
    outputs, memory = memory_attention(
        arguments["query"][:, :6],
        arguments["key"],
        arguments["value"],
        arguments["write_gate"],
        arguments["read_gate"][:, :6],
        mask=mask,
    )
    _, expected = memory_scan(
        arguments["query"],
        arguments["key"],
        arguments["value"],
        arguments["write_gate"],
        0.0,
        mask=mask,
    )
    np.testing.assert_allclose(memory, expected, atol=1e-5)
    for t in range(6):
        read = memory_read(
            expected, arguments["query"][:, t], arguments["read_gate"][:, t]
        )
        np.testing.assert_allclose(outputs[:, t], read, atol=1e-5)


def test_as_a_node_of_a_functional_model(tmp_path):
    inputs = keras.Input((None, 2, 4))
    gate = ops.sigmoid(ops.sum(inputs, axis=-1))
    key = unit_normalize(inputs)
    outputs, memory = memory_scan(key, key, inputs, gate, gate, chunk_size=8)
    attended, _ = memory_attention(key, key, inputs, gate)
    read = memory_read(memory, key[:, 0])
    model = keras.Model(inputs, [outputs, memory, attended, read])
    x = np.random.default_rng(0).normal(size=(2, 11, 2, 4)).astype("float32")
    expected = model(x)
    assert outputs.shape == (None, None, 2, 4)
    assert memory.shape == (None, 2, 4, 4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(loaded(x), expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("query", (2, 5, 3, 4)),
        ("key", (2, 5, 1, 5)),
        ("value", (2, 4, 1, 3)),
        ("write_gate", (2, 5)),
        ("erase_gate", (2, 5, 2)),
        ("read_gate", (1, 5, 1)),
        ("initial_memory", (2, 1, 4, 3)),
        ("mask", (2, 6)),
    ],
)
def test_wrong_shapes_are_named(name, shape):
    arguments = draw(2, 5, 1, 4, 3)
    arguments[name] = ops.zeros(shape)
    wrong = "key" if name == "query" else name
    with pytest.raises(ValueError, match=rf"`{wrong}` must have shape .* Received"):
        memory_scan(**arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"implementation": "fast"},
        {"chunk_size": 0},
        {"chunk_size": 2.0},
        {"chunk_size": True},
    ],
)
def test_wrong_implementation(wrong):
    with pytest.raises(ValueError, match="Received"):
        memory_scan(**draw(1, 2, 1, 2, 2), **wrong)


def test_integers_are_numbers_too():
    memory = memory_write(np.zeros((3, 2), "int32"), [1, 0], [1, 2, 3], write_gate=0.5)
    np.testing.assert_allclose(memory_read(memory, [1, 0]), [0.5, 1.0, 1.5])
    np.testing.assert_allclose(unit_normalize([[3, 4]]), [[0.6, 0.8]], atol=1e-6)
    ones = np.ones((1, 2, 1, 2), "int32")
    for outputs, _ in (
        memory_scan(ones, ones, ones, 0.25, 0.0, chunk_size=np.int64(2)),
        memory_attention(ones, ones, ones, 0.25 * ones[..., 0]),
    ):
        assert dtype_of(outputs) == "float32"
        np.testing.assert_allclose(outputs[0, -1, 0], [1.0, 1.0])


@needs_tensorflow
def test_long_keys_take_memory_that_grows_with_them_alone():
    import tensorflow as tf

    arguments = draw(1, 130, 1, 301, 2)

    @tf.function
    def run(arguments):
        return memory_scan(**arguments, implementation="chunked", chunk_size=64)

    operations = run.get_concrete_function(arguments).graph.get_operations()
    shapes = [
        tuple(output.shape)
        for operation in operations
        for output in operation.outputs
        if output.shape.rank is not None
    ]
    assert any(301 in shape for shape in shapes)
    assert not [shape for shape in shapes if shape.count(301) > 1]


@pytest.mark.parametrize("implementation", ["recurrent", "chunked"])
def test_numbers_whose_sum_overflows_are_numbers(implementation):
    query = np.ones((1, 5, 1, 2), "float32")
    value = np.full_like(query, 2.5e38)
    outputs, _ = memory_scan(query, 0.1 * query, value, implementation=implementation)
    assert np.isfinite(outputs).all()
