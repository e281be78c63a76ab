"""Runs the cases and prints a table of medians.

    python -m benchmarks                        # all cases
    python -m benchmarks --only lsam namtm --rounds 9
    python -m benchmarks --only lsam --set length=512 batch=8

Each case first checks that ours computes the plain form's numbers. Contenders then
take turns, so that a machine that slows down slows all of them down; what is compared
is the median of their ratios, round by round. Compilation is timed apart.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.cases import CASES


def measure(contenders, rounds):
    """Seconds per call by contender, and seconds of the first call."""
    first, seconds = {}, {name: [] for name in contenders}
    for name, step in contenders.items():
        first[name] = timed(step)
        timed(step)
    for _ in range(rounds):
        for name, step in contenders.items():
            seconds[name].append(timed(step))
    return seconds, first


def timed(step):
    start = time.perf_counter()
    for x in tf.nest.flatten(step()):
        x.numpy()
    return time.perf_counter() - start


def machine():
    device = tf.config.list_physical_devices("GPU") or ["CPU"]
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "device": str(device[0]),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def processor():
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def table(seconds, first):
    ours, *_ = seconds
    yield f"| {'contender':22} | median ms | time / {ours} | first call s |"
    yield "|---|---|---|---|"
    for name, times in seconds.items():
        ratio = np.median(np.array(times) / np.array(seconds[ours]))
        yield (
            f"| {name:22} | {1e3 * np.median(times):.1f} | {ratio:.2f} "
            f"| {first[name]:.1f} |"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=SIZE", help="sizes of the cases"
    )
    parser.add_argument("--json", type=Path, help="where to write all measurements")
    arguments = parser.parse_args()
    sizes = {}
    for pair in arguments.set:
        name, _, size = pair.partition("=")
        if not size.isdigit() or int(size) < 1:
            parser.error(f"--set takes NAME=SIZE with a positive size, not {pair}")
        sizes[name] = int(size)

    report = {"machine": machine(), "cases": {}}
    print(json.dumps(report["machine"], indent=2), flush=True)
    for name in arguments.only:
        seconds, first = measure(CASES[name](**sizes), arguments.rounds)
        report["cases"][name] = {"sizes": sizes, "seconds": seconds, "first": first}
        print(f"\n### {name} {sizes or ''}\n", *table(seconds, first), sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
