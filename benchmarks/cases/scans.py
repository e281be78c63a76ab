"""The operation `memory_scan`: our forms of it, and reference forms elsewhere."""

import numpy as np
import tensorflow as tf
from keras import ops

from benchmarks.case import Case
from benchmarks.case import case
from benchmarks.steps import graph_and_xla
from benchmarks.steps import keras_step
from benchmarks.steps import torch_step
from keras_nam.ops import memory_read
from keras_nam.ops import memory_scan
from keras_nam.ops import memory_write
from keras_nam.ops import unit_normalize


@case
def scan(batch=4, length=1024, heads=4, dim=32):
    arrays = _arrays(batch, length, heads, dim)
    forms = {
        "memory_scan": {},
        "chunked 16": {"implementation": "chunked", "chunk_size": 16},
        "chunked 32": {"implementation": "chunked", "chunk_size": 32},
        "chunked 64": {"implementation": "chunked", "chunk_size": 64},
        "recurrent": {"implementation": "recurrent"},
    }

    def check():
        short = _arrays(2, 70, heads, dim)
        expected = _step_by_step(*short)
        for form in forms.values():
            outputs = _scan(ops.convert_to_tensor(_pack(*short)), dim, **form)
            np.testing.assert_allclose(outputs, expected, atol=1e-5)
        try:
            outputs = _fla(*_tensors(_arrays(2, 64, heads, dim)))
        except ImportError:
            return
        expected = _step_by_step(*_arrays(2, 64, heads, dim))
        np.testing.assert_allclose(outputs.numpy(), expected, atol=1e-5)

    def ours(form, jit_compile, backward=True):
        packed = tf.constant(_pack(*arrays))
        return keras_step(
            lambda x: _scan(x, dim, **form), packed, (), jit_compile, backward
        )

    contenders = {}
    for name, form in forms.items():
        contenders |= graph_and_xla(name, lambda jit, form=form: ours(form, jit))
    contenders |= graph_and_xla(
        "forward alone", lambda jit: ours({}, jit, backward=False)
    )
    contenders["fla chunk reference"] = lambda: torch_step(_fla, *arrays)
    contenders["xlstm mLSTM chunkwise"] = lambda: _xlstm("chunkwise", arrays)
    contenders["xlstm mLSTM parallel"] = lambda: _xlstm("parallel", arrays)
    return Case(check, contenders)


def _arrays(batch, length, heads, dim):
    """Unit queries and keys, values, and the gate of the delta rule."""
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, batch, length, heads, dim))
    query, key = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, key))
    gate = rng.uniform(size=(batch, length, heads))
    return [x.astype("float32") for x in (query, key, value, gate)]


def _pack(query, key, value, gate):
    return np.concatenate([query, key, value, gate[..., None]], axis=-1)


def _scan(packed, dim, **form):
    query, key, value, gate = ops.split(packed, [dim, 2 * dim, 3 * dim], axis=-1)
    gate = ops.squeeze(gate, -1)
    query, key = unit_normalize(query), unit_normalize(key)
    return memory_scan(query, key, value, gate, gate, **form)[0]


def _step_by_step(query, key, value, gate):
    batch, length, heads, dim = query.shape
    memory, outputs = np.zeros((batch, heads, dim, dim), "float32"), []
    for t in range(length):
        memory = memory_write(memory, key[:, t], value[:, t], gate[:, t], gate[:, t])
        outputs.append(memory_read(memory, query[:, t]))
    return np.stack(outputs, axis=1)


def _fla(query, key, value, beta):
    from benchmarks.peers.flash_linear_attention import chunk_reference

    length = query.shape[1]
    if length % 32:
        raise ValueError("the reference takes whole chunks of 32 only")
    return chunk_reference(query, key, value, beta)


def _tensors(arrays):
    import torch

    return [torch.tensor(x) for x in arrays]


def _xlstm(form, arrays):
    """xLSTM's matrix memory, which forgets as a whole instead of erasing."""
    from xlstm.blocks.mlstm import backends

    function = {
        "chunkwise": backends.chunkwise_simple,
        "parallel": backends.parallel_stabilized_simple,
    }[form]

    def run(query, key, value, gate):
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        gate = gate.transpose(1, 2)
        if form == "parallel":
            gate = gate.unsqueeze(-1)
        return function(query, key, value, gate, gate)

    return torch_step(run, *arrays)
