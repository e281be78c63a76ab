"""Time and peak memory of a step against the length, as a table and a log-log plot.

    python -m benchmarks.scaling --only scan --lengths 1024 4096 16384
    python -m benchmarks.scaling --only nam --contenders "NAM" "keras attention, causal"
    KERAS_BACKEND=jax python -m benchmarks.scaling --only nam    # on a GPU, say

Contenders take turns at every length. One whose step took longer than `--limit` seconds
is left out at the lengths beyond.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import benchmarks.cases  # noqa: F401
from benchmarks import measure
from benchmarks import report
from benchmarks.case import CASES
from benchmarks.case import make_case
from benchmarks.case import sizes_of
from benchmarks.steps import full_precision

PLOTS = report.FOLDER / "plots"


def measure_lengths(name, lengths, contenders, rounds, limit, changed):
    """`{contender: {length: (seconds, megabytes)}}`."""
    results = {}
    for length in lengths:
        sizes = sizes_of(name, **changed, length=length)
        case = make_case(name, sizes)
        with full_precision():
            case.check()
        chosen = {
            label
            for label in case.contenders
            if (not contenders or label in contenders)
            and all(seconds <= limit for seconds, _ in results.get(label, {}).values())
        }
        steps, _, missing = measure.build(case, chosen)
        for label, reason in missing.items():
            print(f"{length:>8} {label:32} not measured: {reason}", flush=True)
        seconds = measure.take_turns(steps, rounds)
        for label in steps:
            megabytes = measure.peak_megabytes(steps[label], name, sizes, label)
            results.setdefault(label, {})[length] = (
                float(np.median(seconds[label])),
                megabytes,
            )
            print(f"{length:>8} {label:32} {results[label][length]}", flush=True)
    return results


def rows(results, lengths):
    yield "| contender | " + " | ".join(f"{n:,} steps" for n in lengths) + " |"
    yield "|---|" + "---|" * len(lengths)
    for label, by_length in results.items():
        cells = []
        for length in lengths:
            seconds, megabytes = by_length.get(length, (None, None))
            time = "" if seconds is None else _milliseconds(seconds)
            cells.append(time if megabytes is None else f"{time}, {megabytes:.0f} MB")
        yield f"| {label} | " + " | ".join(cells) + " |"


def _milliseconds(seconds):
    """Three digits at least, and no powers of ten."""
    return f"{1e3 * seconds:{'.0f' if seconds >= 0.1 else '.3g'}} ms"


def plot(name, results, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for i, (axis, quantity) in enumerate(
        zip(axes, ("milliseconds per step", "peak megabytes"), strict=True)
    ):
        for label, by_length in results.items():
            points = [(n, v[i]) for n, v in by_length.items() if v[i]]
            scale = 1 if i else 1e3
            axis.loglog(
                [n for n, _ in points],
                [scale * v for _, v in points],
                marker="o",
                label=label,
            )
        axis.set_xlabel("length")
        axis.set_ylabel(quantity)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.suptitle(f"{name}: forward and backward")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    with_length = [name for name in CASES if "length" in sizes_of(name)]
    parser.add_argument("--only", choices=with_length, required=True)
    parser.add_argument("--lengths", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--contenders", nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=5.0)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--plot", type=Path, help="by default benchmarks/plots")
    arguments = parser.parse_args()
    changed = {} if arguments.batch is None else {"batch": arguments.batch}
    lengths = sorted(arguments.lengths)
    results = measure_lengths(
        arguments.only,
        lengths,
        arguments.contenders,
        arguments.rounds,
        arguments.limit,
        changed,
    )
    print(report.describe(report.machine()), "", *rows(results, lengths), sep="\n")
    plot(arguments.only, results, arguments.plot or PLOTS / f"{arguments.only}.png")


if __name__ == "__main__":
    main()
