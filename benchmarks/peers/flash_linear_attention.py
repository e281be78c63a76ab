"""PyTorch reference forms of flash-linear-attention, in chunks.

They are plain functions of PyTorch, while importing their package wants Triton and thus
a GPU; so the single files are loaded by their paths.
"""

import importlib.util
from pathlib import Path


def load(operation):
    """The module `fla.ops.OPERATION.naive`, without importing `fla`."""
    package = importlib.util.find_spec("fla")
    if package is None:
        raise ImportError("No module named 'fla'")
    path = Path(package.origin).parent / "ops" / operation / "naive.py"
    spec = importlib.util.spec_from_file_location(f"fla_{operation}_naive", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chunk_reference(query, key, value, beta):
    """On our layout, `(batch, time, heads, dim)`; they scale queries, we do not."""
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    query = query * query.shape[-1] ** 0.5
    function = load("delta_rule").delta_rule_chunkwise
    return function(query, key, value, beta.transpose(1, 2))[0].transpose(1, 2)


# Members of the family by our names, and what their references are called with beside
# queries, keys and values: of gates for each channel, or of one for all of them.
FAMILY = {
    "Mamba-2": ("simple_gla", "naive_chunk_simple_gla", {"g": "decay of a head"}),
    "Gated DeltaNet": (
        "gated_delta_rule",
        "naive_chunk_gated_delta_rule",
        {"g": "decay of a head", "beta": "write of a head"},
    ),
    "Kimi Delta Attention": (
        "kda",
        "naive_chunk_kda",
        {"g": "decay", "beta": "write of a head"},
    ),
    "Gated DeltaNet-2": (
        "gdn2",
        "naive_chunk_gdn2",
        {"g": "decay", "b": "erase", "w": "write"},
    ),
}


def family_reference(member):
    """A function of the arrays of `benchmarks.cases.scans`, on our layout."""
    operation, name, arguments = FAMILY[member]
    function = getattr(load(operation), name)

    def run(query, key, value, write, erase, decay):
        gates = {"write": write, "erase": erase, "decay": decay}
        gates |= {f"{name} of a head": gate[..., 0] for name, gate in gates.items()}
        given = {argument: gates[gate] for argument, gate in arguments.items()}
        return function(query, key, value, **given, scale=1.0)[0]

    return run
