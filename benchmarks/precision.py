"""How far the forms of `memory_scan` are from exact numbers, on the device at hand.

    python -m benchmarks.precision
    KERAS_BACKEND=jax python -m benchmarks.precision --length 4096

Prints the largest error and the root of the mean square, for outputs of size 1, as the
backend multiplies by default and with all digits of float32: many GPUs leave some out.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import report
from benchmarks.steps import full_precision
from keras_nam.ops import memory_scan

FORMS = {
    "recurrent": {"implementation": "recurrent"},
    "chunks of 16": {"implementation": "chunked", "chunk_size": 16},
    "chunks of 32": {"implementation": "chunked", "chunk_size": 32},
    "chunks of 64": {"implementation": "chunked", "chunk_size": 64},
}


def draw(length, batch=2, heads=4, dim=32):
    """Unit queries and keys, values, and gates, in float64."""
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, batch, length, heads, dim))
    query, key = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, key))
    write_gate, erase_gate = rng.uniform(size=(2, batch, length, heads))
    return query, key, value, write_gate, erase_gate


def step_by_step(query, key, value, write_gate, erase_gate):
    batch, length, heads, dim = value.shape
    memory, outputs = np.zeros((batch, heads, dim, key.shape[-1])), []
    for t in range(length):
        erased = erase_gate[:, t, :, None] * np.einsum(
            "bhvk,bhk->bhv", memory, key[:, t]
        )
        written = write_gate[:, t, :, None] * value[:, t] - erased
        memory = memory + np.einsum("bhv,bhk->bhvk", written, key[:, t])
        outputs.append(np.einsum("bhvk,bhk->bhv", memory, query[:, t]))
    return np.stack(outputs, axis=1)


def errors(arrays, expected, form):
    outputs, _ = memory_scan(*(x.astype("float32") for x in arrays), **form)
    different = np.asarray(outputs) - expected
    return np.abs(different).max(), np.sqrt(np.mean(different**2))


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.precision",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--length", type=int, default=1000)
    arguments = parser.parse_args()
    arrays = draw(arguments.length)
    expected = step_by_step(*arrays)
    print(report.describe(report.machine()), "", sep="\n")
    print("| form | as by default | with all digits |", "|---|---|---|", sep="\n")
    for name, form in FORMS.items():
        default = errors(arrays, expected, form)
        with full_precision():
            full = errors(arrays, expected, form)
        cells = ["{:.1e}, {:.1e}".format(*pair) for pair in (default, full)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
