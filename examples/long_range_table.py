"""Compares attentions on long-range tasks: same data, same budget, several seeds.

    python examples/long_range_table.py
    python examples/long_range_table.py --tasks listops pixels --seeds 0 1 2 --steps 500

What is not named here, like `--steps`, goes to every run of `long_range.py`. Every run
is a process of its own, so that its peak memory is its own, and leaves a file in
`--out`; runs that are already there with the same settings are not repeated. Prints a
table of mean accuracy and its range over the seeds.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from finished_runs import finished_run
from finished_runs import start_example

ATTENTIONS = ["nam", "softmax", "linear"]


def run(task, attention, seed, further, out):
    """The result of one run, from `out` if it is there."""
    settings = ["--task", task, "--attention", attention, "--seed", str(seed), *further]

    def start():
        printed = start_example("long_range", settings)
        return json.loads(printed[printed.rindex("{") :])

    return finished_run(out / f"{task}-{attention}-{seed}.json", settings, start)


def rows(results):
    yield "| task | length | attention | accuracy % | range | steps / s | peak MB |"
    yield "|---|---|---|---|---|---|---|"
    for group in results:
        accuracy = 100 * np.array([r["accuracy"] for r in group])
        speed = np.median([r["steps_per_second"] for r in group])
        memory = max(r["peak_megabytes"] for r in group)
        first = group[0]
        yield (
            f"| {first['task']} | {first['length']} | {first['attention']} "
            f"| {accuracy.mean():.1f} | {accuracy.min():.1f} to {accuracy.max():.1f} "
            f"| {speed:.1f} | {memory:.0f} |"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", default=["listops", "pixels"])
    parser.add_argument("--attentions", nargs="+", default=ATTENTIONS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("results/long_range"))
    arguments, further = parser.parse_known_args()
    # Seeds outermost: a table that is broken off has all attentions.
    results = {}
    for seed in arguments.seeds:
        for task in arguments.tasks:
            for attention in arguments.attentions:
                result = run(task, attention, seed, further, arguments.out)
                results.setdefault((task, attention), []).append(result)
    print(*rows(results.values()), sep="\n")


if __name__ == "__main__":
    main()
