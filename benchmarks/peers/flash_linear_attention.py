"""The delta rule's PyTorch reference forms of flash-linear-attention.

They are plain functions of PyTorch, while importing their package wants Triton and thus
a GPU; so the one file is loaded by its path.
"""

import importlib.util
from pathlib import Path


def load():
    """The module `fla.ops.delta_rule.naive`, without importing `fla`."""
    package = importlib.util.find_spec("fla")
    if package is None:
        raise ImportError("No module named 'fla'")
    path = Path(package.origin).parent / "ops" / "delta_rule" / "naive.py"
    spec = importlib.util.spec_from_file_location("fla_delta_rule_naive", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chunk_reference(query, key, value, beta):
    """On our layout, `(batch, time, heads, dim)`; they scale queries, we do not."""
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    query = query * query.shape[-1] ** 0.5
    function = load().delta_rule_chunkwise
    return function(query, key, value, beta.transpose(1, 2))[0].transpose(1, 2)
