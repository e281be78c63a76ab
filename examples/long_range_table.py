"""Compares attentions on long-range tasks: same data, same budget, several seeds.

    python examples/long_range_table.py
    python examples/long_range_table.py --tasks listops pixels --seeds 0 1 2 --steps 500
    python examples/long_range_table.py --preset long --tasks text --source spam \\
        --folder FOLDER --lengths 1024 4096 --plot curves.png

What is not named here, like `--steps`, goes to every run of `long_range.py`. Every run
is a process of its own, so that its peak memory is its own, and leaves a file in
`--out`; runs that are already there with the same settings are not repeated. Prints a
table of mean accuracy and its range over the seeds, and of what a step costs, which a
few `--steps` tell; `--table FILE` prints that of the `results.json` of an earlier call.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from finished_runs import finished_run
from finished_runs import groups_of_seeds
from finished_runs import label
from finished_runs import start_example

ATTENTIONS = ["nam", "softmax", "linear"]
# So many tell what a step costs, and nothing about accuracy.
FEW_STEPS = 20


def run(task, attention, length, seed, further, out):
    """The result of one run, from `out` if it is there."""
    settings = ["--task", task, "--attention", attention, "--seed", str(seed), *further]
    name = f"{task}-{attention}"
    if length is not None:
        settings += ["--length", str(length)]
        name += f"-{length}"

    def start():
        printed = start_example("long_range", settings)
        return json.loads(printed[printed.rindex("{") :])

    return finished_run(out / f"{name}-{seed}.json", settings, start)


def named(result, results):
    return label(result, results, "attention", ["steps"])


def rows(results):
    yield (
        "| task | length | attention | accuracy % | range | seconds "
        "| processor s / step | peak MB |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for group in results:
        accuracy = 100 * np.array([r["accuracy"] for r in group])
        cells = f"{accuracy.mean():.1f} | {accuracy.min():.1f} to {accuracy.max():.1f}"
        if group[0]["steps"] < FEW_STEPS:
            cells = "not trained | "
        seconds = np.median([r["seconds"] for r in group])
        step = np.median([r["processor_seconds_per_step"] for r in group])
        memory = max(r["peak_megabytes"] for r in group)
        first = group[0]
        yield (
            f"| {first['task']} | {first['length']} | {named(first, results)} "
            f"| {cells} | {seconds:.0f} | {step:.2f} | {memory:.0f} |"
        )


def plot(results, path):
    """The accuracy in training against processor time, averaged over the seeds."""
    from matplotlib.figure import Figure

    panels = sorted({(r["task"], r["length"]) for group in results for r in group})
    figure = Figure(figsize=(4.5 * len(panels), 3.6), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(grid, panels, strict=True):
        for group in results:
            first = group[0]
            if (first["task"], first["length"]) == panel:
                accuracy = np.mean([r["curve"] for r in group], axis=0)
                step = np.median([r["processor_seconds_per_step"] for r in group])
                seconds = step * first["steps"] * np.arange(1, len(accuracy) + 1)
                seconds = seconds / len(accuracy)
                axes.plot(seconds, 100 * accuracy, label=named(first, results))
        axes.set_title(f"{panel[0]}, {panel[1]:,} tokens")
        axes.set_xlabel("seconds of processor time (log)")
        axes.set_xscale("log")
        axes.set_ylabel("accuracy in training (%)")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=5
    )
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", default=["listops", "pixels"])
    parser.add_argument("--attentions", nargs="+", default=ATTENTIONS)
    parser.add_argument("--lengths", type=int, nargs="+", default=[None])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("results/long_range"))
    parser.add_argument("--plot", type=Path, help="where to draw accuracy against time")
    parser.add_argument("--table", type=Path, help="only print and draw this file")
    arguments, further = parser.parse_known_args()
    if arguments.table is not None:
        results = json.loads(arguments.table.read_text())
    else:
        results = run_all(arguments, further)
        (arguments.out / "results.json").write_text(json.dumps(results))
    print(*rows(results), sep="\n")
    if arguments.plot is not None:
        plot(results, arguments.plot)


def run_all(arguments, further):
    """The results of every task, length and attention, those of all seeds together."""
    cells = itertools.product(arguments.tasks, arguments.lengths, arguments.attentions)

    def run_cell(task, length, attention, seed):
        return run(task, attention, length, seed, further, arguments.out)

    return list(groups_of_seeds(arguments.seeds, cells, run_cell).values())


if __name__ == "__main__":
    main()
