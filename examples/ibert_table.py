"""Compares I-BERT with other encoders: same data, same budget, several seeds.

    python examples/ibert_table.py --tasks copy reverse addition
    python examples/ibert_table.py --tasks words characters --folder FOLDER --steps 500

What is not named here, like `--steps`, goes to every run of `ibert_generalization.py`.
Prints a table of means over the seeds and their ranges, trained and longer lengths
apart, and draws a plot for each task. Runs that are already in `--out` with the same
settings are not repeated, so that a table can be broken off and grown; `--table FILE`
prints and draws the `results.json` of an earlier call.
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
from ibert_generalization import DIGIT_TASKS
from ibert_generalization import TEXT_TASKS
from ibert_generalization import plot

from keras_nam import baselines


def run(task, model, seed, arguments, further):
    """The result of one run, from `--out` if it is there."""
    settings = ["--task", task, "--model", model, "--seed", str(seed), *further]
    folder = arguments.out / f"{task}-{model}-{seed}"

    def start():
        places = ["--quiet", "--out", arguments.out]
        if task in TEXT_TASKS:
            places += ["--folder", arguments.folder]
        start_example("ibert_generalization", [*settings, *places])
        return json.loads((folder / "result.json").read_text())

    # The folder of the sentences may have another name next time.
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


def named(result, results):
    return label(result, results, "model", ["steps", "layers", "short_first"])


def rows(results):
    """The table: a row for each task and model, the mean and range of the seeds."""
    yield "| task | model | parameters | trained lengths | longer lengths | seconds |"
    yield "|---|---|---|---|---|---|"
    for group in results:
        cells = []
        for trained in (True, False):
            values = [mean_over_lengths(result, trained) for result in group]
            spread = f" ({min(values):.1f} to {max(values):.1f})" if values[1:] else ""
            cells.append(f"{np.mean(values):.1f}{spread}")
        seconds = np.median([result["seconds"] for result in group])
        first = group[0]
        names = first["task"], named(first, results), f"{first['parameters']:,}"
        yield f"| {' | '.join([*names, *cells, f'{seconds:.0f}'])} |"


def mean_result(group, results):
    """One result with the means of all seeds, to be plotted."""
    by_length = {
        length: float(np.mean([result["by_length"][length] for result in group]))
        for length in group[0]["by_length"]
    }
    name = named(group[0], results)
    return {**group[0], "model": name, "by_length": by_length}


def run_all(arguments, further):
    """The results of every task and model, those of all seeds together."""
    cells = itertools.product(arguments.tasks, arguments.models)

    def run_cell(task, model, seed):
        return run(task, model, seed, arguments, further)

    return list(groups_of_seeds(arguments.seeds, cells, run_cell).values())


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
    parser.add_argument("--table", type=Path, help="only print and draw this file")
    arguments, further = parser.parse_known_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.table is not None:
        results = json.loads(arguments.table.read_text())
    else:
        results = run_all(arguments, further)
        (arguments.out / "results.json").write_text(json.dumps(results))
    print("Accuracy in percent for digits, perplexity of masked symbols for texts.")
    print(*rows(results), sep="\n")
    means = [mean_result(group, results) for group in results]
    for task in dict.fromkeys(mean["task"] for mean in means):
        plot([m for m in means if m["task"] == task], arguments.out / f"{task}.png")


if __name__ == "__main__":
    main()
