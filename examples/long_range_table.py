"""Compares attentions on long-range tasks: same data, same budget, several seeds.

    python examples/long_range_table.py
    python examples/long_range_table.py --tasks listops pixels --seeds 0 1 2 --steps 500
    python examples/long_range_table.py --preset long --tasks text --source spam \\
        --folder FOLDER --lengths 1024 4096 --plot curves.png

What is not named here, like `--steps`, goes to every run of `long_range.py`. Every run
is a process of its own, so that its peak memory is its own, and leaves a file in
`--out`; runs that are already there with the same settings are not repeated. Prints a
table of mean accuracy and its range over the seeds, and of what a step costs, which a
few `--steps` tell. The results are written to `results.json` there; `--table FILE ...`
prints, draws and writes those of earlier calls together.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from finished_runs import finished_run
from finished_runs import grouped
from finished_runs import label
from finished_runs import read_results
from finished_runs import record_name
from finished_runs import start_example

ATTENTIONS = ["nam", "softmax", "linear"]
# So many tell what a step costs, and nothing about accuracy.
FEW_STEPS = 20


def run(task, attention, length, seed, further, out):
    """The result of one run, from `out` if it is there."""
    settings = ["--task", task, "--attention", attention, "--seed", str(seed), *further]
    if length is not None:
        settings += ["--length", str(length)]

    def start():
        printed = start_example("long_range", settings)
        return json.loads(printed[printed.rindex("{") :])

    return finished_run(out / f"{record_name(settings)}.json", settings, start)


def groups(results):
    """What the table has a row for, with its name: the results of all seeds."""
    for group in grouped(results, ["task", "length", "attention", "steps"]):
        yield label(group[0], results, "attention", ["steps"]), group


def rows(results):
    yield (
        "| task | length | attention | accuracy % | range | seconds "
        "| processor s / step | peak MB |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, group in groups(results):
        accuracy = 100 * np.array([r["accuracy"] for r in group])
        cells = f"{accuracy.mean():.1f} | {accuracy.min():.1f} to {accuracy.max():.1f}"
        if group[0]["steps"] < FEW_STEPS:
            cells = "not trained | "
        seconds = np.median([r["seconds"] for r in group])
        step = np.median([r["processor_seconds_per_step"] for r in group])
        memory = max(r["peak_megabytes"] for r in group)
        first = group[0]
        yield (
            f"| {first['task']} | {first['length']} | {name} "
            f"| {cells} | {seconds:.0f} | {step:.2f} | {memory:.0f} |"
        )


def plot(results, path):
    """The accuracy in training against processor time, averaged over the seeds."""
    from matplotlib.figure import Figure

    panels = sorted({(result["task"], result["length"]) for result in results})
    figure = Figure(figsize=(4.5 * len(panels), 3.6), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    lines = {}
    for axes, panel in zip(grid, panels, strict=True):
        for name, group in groups(results):
            first = group[0]
            if (first["task"], first["length"]) == panel:
                accuracy = np.mean([r["curve"] for r in group], axis=0)
                step = np.median([r["processor_seconds_per_step"] for r in group])
                seconds = step * first["steps"] * np.arange(1, len(accuracy) + 1)
                seconds = seconds / len(accuracy)
                color = lines[name].get_color() if name in lines else f"C{len(lines)}"
                (lines[name],) = axes.plot(seconds, 100 * accuracy, color=color)
        axes.set_title(f"{panel[0]}, {panel[1]:,} tokens")
        axes.set_xlabel("seconds of processor time (log)")
        axes.set_xscale("log")
        axes.set_ylabel("accuracy in training (%)")
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=5)
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
    parser.add_argument(
        "--table", type=Path, nargs="+", help="only print and draw these files"
    )
    arguments, further = parser.parse_known_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.table is not None:
        results = read_results(arguments.table)
    else:
        results = run_all(arguments, further)
    (arguments.out / "results.json").write_text(json.dumps(results))
    print(*rows(results), sep="\n")
    if arguments.plot is not None:
        plot(results, arguments.plot)


def run_all(arguments, further):
    """The results of every task, length and attention."""
    # Seeds outermost: a table that is broken off has all cells.
    cells = itertools.product(
        dict.fromkeys(arguments.seeds),
        arguments.tasks,
        arguments.lengths,
        arguments.attentions,
    )
    return [
        run(task, attention, length, seed, further, arguments.out)
        for seed, task, length, attention in cells
    ]


if __name__ == "__main__":
    main()
