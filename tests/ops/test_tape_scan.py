"""The fast form of a tape with heads against its step, in values and gradients."""

import numpy as np
import pytest
from backends import differentiate
from backends import needs_tensorflow
from keras import ops

from keras_nam.ops import unit_normalize
from keras_nam.ops.tape_heads import move_heads
from keras_nam.ops.tape_heads import move_heads_adjoint
from keras_nam.ops.tape_scan import tape_scan
from keras_nam.ops.tape_step import tape_step

BATCH, TAPES, LENGTH, DIM = 2, 3, 5, 4
NAMES = ("value", "directions", "tape", "positions", "write", "erase", "read")
JUMPS = ("query", "key", "key_write", "key_memory")


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def draw(time, jump):
    rng = np.random.default_rng(time)
    steps, memory = (BATCH, time, TAPES), (BATCH, TAPES, LENGTH, DIM)
    unit = unit_normalize(rng.normal(size=(2, *steps, DIM)))
    directions = softmax(2 * rng.normal(size=(*steps, 2, 4)))
    if not jump:
        directions[..., 3] = 0.0
    arguments = {
        "value": rng.normal(size=(*steps, DIM)),
        "directions": directions,
        "tape": rng.normal(size=memory),
        "positions": softmax(rng.normal(size=(BATCH, TAPES, 2, LENGTH))),
        "write": rng.uniform(size=steps),
        "erase": rng.uniform(size=steps),
        "read": rng.uniform(size=steps),
    }
    if jump:
        arguments |= {
            "query": unit[0],
            "key": unit[1],
            "key_write": rng.uniform(size=steps),
            "key_memory": rng.normal(size=memory),
        }
    return {name: np.asarray(x, "float32") for name, x in arguments.items()}


def scan(arguments, mask):
    jumps = tuple(arguments[x] for x in JUMPS) if "query" in arguments else None
    given = [arguments[name] for name in NAMES]
    results = tape_scan(*given, jumps=jumps, mask=mask)
    return [x for x in results if x is not None]


def step_by_step(arguments, mask):
    tape, positions = arguments["tape"], arguments["positions"]
    key_memory = arguments.get("key_memory")
    reads = []
    for t in range(arguments["value"].shape[1]):

        def at(name, t=t):
            return arguments[name][:, t]

        jumps = None
        if key_memory is not None:
            jumps = (at("query"), at("key"), at("key_write"), key_memory)
        read, *after, _ = tape_step(
            at("value"),
            at("directions"),
            tape,
            positions,
            at("write"),
            at("erase"),
            at("read"),
            jumps=jumps,
        )
        before = [tape, positions, key_memory]
        if mask is not None:
            valid = mask[:, t, None, None]
            read = ops.where(valid, read, 0.0)
            after = [
                None if new is None else ops.where(valid[..., None], new, old)
                for new, old in zip(after, before, strict=True)
            ]
        tape, positions, key_memory = after
        reads.append(read)
    states = [x for x in (tape, positions, key_memory) if x is not None]
    return [ops.stack(reads, axis=1), *states]


def evaluate(run, arguments, mask, **how):
    def loss_and_outputs(arguments):
        outputs = run(arguments, mask)
        return sum(ops.sum(x**3) for x in outputs), outputs

    outputs, (gradients,), _ = differentiate(loss_and_outputs, [arguments], **how)
    return [*outputs, *(gradients[name] for name in arguments)]


@pytest.mark.parametrize("masked", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("jump", [False, True])
@pytest.mark.parametrize("time", [1, 13, pytest.param(8, marks=pytest.mark.slow)])
def test_outputs_states_and_gradients(time, jump, masked):
    arguments = draw(time, jump)
    mask = np.random.default_rng(0).uniform(size=(BATCH, time)) < 0.6
    mask = mask if masked else None
    ours = evaluate(scan, arguments, mask)
    expected = evaluate(step_by_step, arguments, mask, trace=False)
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=5e-5 * max(1, np.abs(b).max()))


@pytest.mark.slow
@needs_tensorflow
@pytest.mark.parametrize("jit_compile", [True, False])
def test_unknown_length(jit_compile):
    arguments = draw(9, True)
    shapes = [
        (BATCH, None, *arguments[name].shape[2:])
        if arguments[name].shape[1] == 9
        else arguments[name].shape
        for name in sorted(arguments)
    ]
    ours = evaluate(scan, arguments, None, jit_compile=jit_compile, shapes=shapes)
    expected = evaluate(step_by_step, arguments, None, trace=False)
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=5e-5 * max(1, np.abs(b).max()))


def test_the_adjoint_of_a_move():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, 2, LENGTH))
    directions = rng.normal(size=(2, 4))
    moved = ops.sum(move_heads(before, directions) * after)
    np.testing.assert_allclose(
        moved, ops.sum(before * move_heads_adjoint(after, directions)), rtol=1e-5
    )
