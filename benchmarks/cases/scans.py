"""The operation `memory_scan`: our forms of it, and reference forms elsewhere."""

import functools

import numpy as np
from keras import ops

from benchmarks.case import Case
from benchmarks.case import case
from benchmarks.peers import flash_linear_attention
from benchmarks.steps import graph_and_xla
from benchmarks.steps import keras_step
from benchmarks.steps import torch_step
from keras_nam.ops import memory_read
from keras_nam.ops import memory_scan
from keras_nam.ops import memory_write
from keras_nam.ops import unit_normalize

# Which gates the members of the delta rule's family have; "write" is the write gate.
FAMILY = {
    "linear attention": {"erase_gate": 0.0},
    "Mamba-2": {"erase_gate": 0.0, "decay": "head"},
    "GLA": {"erase_gate": 0.0, "decay": "channel"},
    "DeltaNet": {"erase_gate": "write", "write_gate": "head"},
    "Gated DeltaNet": {"erase_gate": "write", "write_gate": "head", "decay": "head"},
    "Kimi Delta Attention": {
        "erase_gate": "write",
        "write_gate": "head",
        "decay": "channel",
    },
    "Gated DeltaNet-2": {
        "erase_gate": "channel",
        "write_gate": "channel",
        "decay": "channel",
    },
}


@case
def scan_family(batch=4, length=1024, heads=4, dim=32):
    """`memory_scan` as each member of its family, against the delta rule without."""

    def check():
        arrays = _family_arrays(2, 70, heads, dim)
        for member in FAMILY:
            arguments = _arguments(member, arrays)
            memory, outputs = np.zeros((2, heads, dim, dim), "float32"), []
            for t in range(70):
                now = {
                    name: x[:, t] if hasattr(x, "shape") else x
                    for name, x in arguments.items()
                    if name != "query"
                }
                memory = memory_write(memory, **now)
                outputs.append(memory_read(memory, arguments["query"][:, t]))
            found, _ = memory_scan(**arguments)
            np.testing.assert_allclose(found, np.stack(outputs, 1), atol=1e-5)
            try:
                theirs = flash_linear_attention.family_reference(member)(
                    *_tensors(_family_arrays(2, 64, heads, dim).values())
                )
            except (ImportError, KeyError):
                continue
            ours, _ = memory_scan(
                **_arguments(member, _family_arrays(2, 64, heads, dim))
            )
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)

    def step(member, jit_compile):
        arrays = _family_arrays(batch, length, heads, dim)
        names = list(arrays)
        sizes = np.cumsum([arrays[name].shape[-1] for name in names])[:-1]
        packed = ops.convert_to_tensor(np.concatenate(list(arrays.values()), axis=-1))

        def run(packed):
            parts = ops.split(packed, [int(size) for size in sizes], axis=-1)
            parts = dict(zip(names, parts, strict=True))
            return memory_scan(**_arguments(member, parts))[0]

        return keras_step(run, packed, (), jit_compile)

    contenders = {}
    for member in ["DeltaNet", *(x for x in FAMILY if x != "DeltaNet")]:
        contenders |= graph_and_xla(member, functools.partial(step, member))
    arrays = _family_arrays(batch, length, heads, dim)
    for member in flash_linear_attention.FAMILY:
        contenders[f"fla {member}"] = lambda member=member: torch_step(
            flash_linear_attention.family_reference(member), *arrays.values()
        )
    return Case(check, contenders)


def _family_arrays(batch, length, heads, dim):
    """Unit queries and keys, values, and gates and decays for each channel."""
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, batch, length, heads, dim))
    query, key = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, key))
    write, erase, decay = rng.uniform(size=(3, batch, length, heads, dim))
    arrays = {
        "query": query,
        "key": key,
        "value": value,
        "write": write,
        "erase": erase,
        "decay": -0.1 * decay,
    }
    return {name: x.astype("float32") for name, x in arrays.items()}


def _arguments(member, arrays):
    """The arguments of `memory_scan` of a member, out of gates for each channel."""
    arguments = {name: arrays[name] for name in ("query", "key", "value")}
    for name, kind in FAMILY[member].items():
        gate = kind
        if isinstance(kind, str):
            gate = arrays["write" if kind == "write" else name.removesuffix("_gate")]
            gate = gate if kind == "channel" else gate[..., 0]
        arguments[name] = gate
    return arguments


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
        packed = ops.convert_to_tensor(_pack(*arrays))
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
    length = query.shape[1]
    if length % 32:
        raise ValueError("the reference takes whole chunks of 32 only")
    return flash_linear_attention.chunk_reference(query, key, value, beta)


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
