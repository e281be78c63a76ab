"""Compares I-BERT with other encoders: same data, same budget, several seeds.

    python examples/ibert_table.py --tasks copy reverse addition
    python examples/ibert_table.py --tasks words characters --folder FOLDER --steps 500

What is not named here, like `--steps`, goes to every run of `ibert_generalization.py`.
Prints a table of means over the seeds and their ranges, trained and longer lengths
apart, and draws a plot for each task. Runs that are already in `--out` with the same
settings are not repeated, so that a table can be broken off and grown. The results are
written to `results.json` there; `--table FILE ...` prints, draws and writes those of
earlier calls together.
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
from ibert_generalization import DIGIT_TASKS
from ibert_generalization import TEXT_TASKS
from ibert_generalization import plot

from keras_nam import baselines

# What tells one row of the table from another, beside task and model.
SETTINGS = ("steps", "layers", "short_first")


def run(task, model, seed, arguments, further):
    """The result of one run, from `--out` if it is there."""
    settings = ["--task", task, "--model", model, "--seed", str(seed), *further]
    folder = arguments.out / record_name(settings)
    if task in TEXT_TASKS:
        settings += ["--folder", str(arguments.folder)]

    def start():
        start_example("ibert_generalization", [*settings, "--quiet", "--out", folder])
        file = folder / f"{task}-{model}-{seed}" / "result.json"
        return json.loads(file.read_text())

    return finished_run(folder / "finished.json", settings, start)


def mean_over_lengths(result, trained):
    scale = 100 if result["task"] in DIGIT_TASKS else 1
    values = [
        scale * value
        for length, value in result["by_length"].items()
        if (length in result["trained"]) == trained
    ]
    # A perplexity is a power, whose mean is that of the losses.
    return np.mean(values) if scale == 100 else np.exp(np.mean(np.log(values)))


def groups(results):
    """What the table has a row for, with its name: the results of all seeds."""
    for group in grouped(results, ["task", "model", *SETTINGS]):
        yield label(group[0], results, "model", SETTINGS), group


def rows(results):
    """The table: a row for each task and model, the mean and range of the seeds."""
    yield "| task | model | parameters | trained lengths | longer lengths | seconds |"
    yield "|---|---|---|---|---|---|"
    for name, group in groups(results):
        cells = []
        for trained in (True, False):
            values = [mean_over_lengths(result, trained) for result in group]
            spread = f" ({min(values):.1f} to {max(values):.1f})" if values[1:] else ""
            cells.append(f"{np.mean(values):.1f}{spread}")
        seconds = np.median([result["seconds"] for result in group])
        names = group[0]["task"], name, f"{group[0]['parameters']:,}"
        yield f"| {' | '.join([*names, *cells, f'{seconds:.0f}'])} |"


def mean_result(name, group):
    """One result with the means of all seeds, to be plotted."""
    by_length = {
        length: float(np.mean([result["by_length"][length] for result in group]))
        for length in group[0]["by_length"]
    }
    return {**group[0], "model": name, "by_length": by_length}


def run_all(arguments, further):
    """The results of every task and model."""
    # Seeds outermost: a table that is broken off has all models.
    seeds = dict.fromkeys(arguments.seeds)
    cells = itertools.product(seeds, arguments.tasks, arguments.models)
    return [run(task, model, seed, arguments, further) for seed, task, model in cells]


def main():
    tasks, models = DIGIT_TASKS + TEXT_TASKS, list(baselines.ENCODERS)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=DIGIT_TASKS)
    parser.add_argument("--models", nargs="+", choices=models, default=models)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, help="of sentences, for texts")
    parser.add_argument("--out", type=Path, default=Path("results/ibert"))
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
    print("Accuracy in percent for digits, perplexity of masked symbols for texts.")
    print(*rows(results), sep="\n")
    means = [mean_result(name, group) for name, group in groups(results)]
    for task in dict.fromkeys(mean["task"] for mean in means):
        plot([m for m in means if m["task"] == task], arguments.out / f"{task}.png")


if __name__ == "__main__":
    main()
