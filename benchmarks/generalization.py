"""Models with a memory and others, on problems longer than those of training.

    python -m benchmarks.generalization                          # about a day of a core
    python -m benchmarks.generalization --tasks reverse --models namtm lsam --seeds 0
    python -m benchmarks.generalization --preset paper
    python -m benchmarks.generalization --out benchmarks/cells --table

All models of a task have about the same number of parameters, the same rows in the same
order, and the same number of steps, those of the task's recipe; `--preset paper` takes
the recipe, the budget and the machine of the papers. The machine of a recipe is a
NAM-TM, but for associative recall, where it is a NAM behind a convolution, and the
convolution stands in front of all models. Where a model has heads, their sharpness is
chosen on the split `"ood"`, and both are reported. Nothing is chosen on longer rows.

Every cell, a model with a seed on a task, runs in a process of its own and is kept in
`--out`: what is there is not run again, so that the command goes on where it was ended.
It prints a table in Markdown of the means over the seeds and their ranges, and draws
them, a panel for each task, as `comparison.png`; with `--table` the same command does
so with the cells that are there.
"""

import argparse
import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
EXAMPLES = Path(__file__).parent.parent / "examples"
# The loop of training stands among the examples, which are scripts.
sys.path.insert(0, str(EXAMPLES))

import numpy as np  # noqa: E402
from finished_runs import finished_run  # noqa: E402
from finished_runs import kept_run  # noqa: E402

TASKS = (
    "reverse",
    "reduction",
    "addition",
    "repeated_copy",
    "dyck",
    "associative_recall",
)
MODELS = (
    "namtm",
    "lsam",
    "nam",
    "lstm",
    "dnc",
    "ntm",
    "stack_rnn",
    "universal",
    "alibi",
)
WITH_HEADS = ("namtm", "dnc", "ntm")
# Lengths that are so many times the longest ones of training.
LONGER = {4: (128, 16), 8: (64, 8)}
GROUPS = ("ID", "OOD", "far", "4x", "8x")


def core_of(name, width):
    """The layers of a tagger of that width, between embedding and logits."""
    import keras

    from keras_nam import baselines
    from keras_nam import layers
    from keras_nam.models.recipes import MODEL

    sequences = {"return_sequences": True}
    make = {
        "namtm": lambda: layers.NAMTM(
            width,
            num_tapes=MODEL["num_tapes"],
            tape_length=MODEL["tape_length"],
            use_jump=MODEL["use_jump"],
            **sequences,
        ),
        "lsam": lambda: keras.layers.Bidirectional(
            layers.LSAM(width // 2, num_heads=2, **sequences)
        ),
        "nam": lambda: layers.NAM(width, num_heads=4, **sequences),
        "lstm": lambda: keras.layers.Bidirectional(
            keras.layers.LSTM(width // 2, **sequences)
        ),
        "dnc": lambda: baselines.DNC(
            width,
            memory_size=64,
            word_size=width // 4,
            num_read_heads=2,
            controller_units=width,
            use_masking=True,
            use_deallocation=True,
            use_sharpening=True,
            **sequences,
        ),
        "ntm": lambda: baselines.NTM(
            width,
            memory_size=128,
            word_size=width // 4,
            num_read_heads=2,
            num_write_heads=1,
            controller_units=width,
            **sequences,
        ),
        "stack_rnn": lambda: baselines.StackRNN(width, num_stacks=8, **sequences),
        "universal": lambda: baselines.UniversalTransformerEncoder(
            4, 4, 4 * width, dropout=0.1
        ),
        "alibi": lambda: baselines.TransformerEncoder(
            2, 4, 4 * width, positions="alibi", dropout=0.1
        ),
    }[name]
    if name in ("lstm", "nam", "stack_rnn"):
        return [make(), make()]
    return [make()]


def build_model(name, recipe):
    """The machine of a recipe, or another model with about as many parameters."""
    import keras

    from keras_nam import models
    from keras_nam.models.recipes import build_machine

    arguments = recipe.model_arguments()
    machine = build_machine(**arguments)
    if name == recipe.machine:
        return machine
    wanted, tokens = machine.count_params(), arguments["vocabulary_size"]

    @functools.cache
    def build(width):
        core = core_of(name, width)
        if recipe.machine == "nam":
            core.insert(0, keras.layers.Conv1D(width, 2, padding="causal"))
        return models.token_tagger(core, tokens, width, dropout=0.1)

    # The number of parameters grows with the square of the width.
    width = 64
    for _ in range(4):
        factor = (wanted / build(width).count_params()) ** 0.5
        width = max(16, 8 * round(width * factor / 8))
    return build(width)


def run_cell(task, name, seed, published, steps):
    """Trains and measures one model, and returns what is kept of it."""
    import keras
    from length_generalization import ROWS
    from length_generalization import evaluate
    from length_generalization import train

    from keras_nam import models
    from keras_nam.models.recipes import load_rows
    from keras_nam.models.recipes import recipe_of
    from keras_nam.models.recipes import rows_of

    recipe = recipe_of(task, published)
    keras.utils.set_random_seed(seed)
    model = build_model(name, recipe)
    recipe = recipe._replace(steps=steps or recipe.steps)
    seconds = train(model, task, recipe, seed, True)
    # Every length is a new shape, which is not worth compiling for one pass.
    model.compile(jit_compile=False)
    machines = {"": model}
    if name in WITH_HEADS:
        rows = load_rows(task, ROWS, seed, **rows_of(task, "ood"))
        sharpness = models.choose_sharpness(model, *rows)
        machines[f"sharpness {sharpness:g}"] = models.with_sharpness(model, sharpness)

    return {
        "parameters": model.count_params(),
        "seconds": round(seconds, 1),
        "accuracy": {
            label: evaluate(machine, task, seed, LONGER)
            for label, machine in machines.items()
        },
    }


def start_cell(cell):
    """Runs a cell in a process of its own, which shows Keras' bar."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "cell.json"
        command = [sys.executable, "-m", "benchmarks.generalization"]
        command += ["--cell", json.dumps(cell), "--out", str(record)]
        subprocess.run(command, cwd=EXAMPLES.parent, check=True)
        return json.loads(record.read_text())


def table(results):
    """Rows in Markdown: the mean over the seeds and, if they differ, the range."""
    yield f"| task | model | parameters | seeds | {' | '.join(GROUPS)} | seconds |"
    yield "|---" * (len(GROUPS) + 5) + "|"
    for (task, name), cells in results.items():
        # Sharpness is chosen for each seed: one line for what it makes of all.
        for is_sharp in (False, True)[: 1 + (name in WITH_HEADS)]:
            measured = [list(c["accuracy"].values())[is_sharp] for c in cells]
            columns = []
            for group in GROUPS:
                values = [100 * m[group] for m in measured]
                low, high = min(values), max(values)
                spread = f" ({low:.0f} to {high:.0f})" if high - low >= 1 else ""
                columns.append(f"{np.mean(values):.1f}{spread}")
            label = f"{name}, sharp" if is_sharp else name
            seconds = np.median([c["seconds"] for c in cells])
            parameters = f"{cells[0]['parameters']:,}"
            columns = [task, label, parameters, str(len(cells)), *columns]
            yield f"| {' | '.join(columns)} | {seconds:.0f} |"


def plot(results, path):
    """Draws a panel for each task: the mean over the seeds, and their range."""
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(task for task, _ in results))
    columns = min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(4 * columns, 0.6 + 3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    lines = {}
    for axes, task in zip(grid.flat, tasks, strict=False):
        for i, name in enumerate(MODELS):
            if (task, name) not in results:
                continue
            cells = [list(c["accuracy"].values())[-1] for c in results[task, name]]
            percent = 100 * np.array([[cell[g] for g in GROUPS] for cell in cells])
            (lines[name],) = axes.plot(
                GROUPS,
                percent.mean(axis=0),
                color=f"C{i}",
                marker="osD^vP*X<"[i],
                linewidth=2 if name == "namtm" else 1,
            )
            low, high = percent.min(axis=0), percent.max(axis=0)
            axes.fill_between(GROUPS, low, high, color=f"C{i}", alpha=0.15, linewidth=0)
        axes.set_title(task)
        axes.set_ylim(-3, 103)
    figure.supxlabel("length of the problems")
    figure.supylabel("answered without error (%)")
    figure.legend(lines.values(), lines, loc="outside right upper")
    figure.savefig(path, dpi=130)


def parse_arguments(given=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=["laptop", "paper"], default="laptop")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="default: those of the recipe")
    parser.add_argument("--out", type=Path, default=Path("results/generalization"))
    parser.add_argument("--table", action="store_true", help="only what is kept")
    parser.add_argument("--cell", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if arguments.steps is not None and arguments.steps < 1:
        parser.error(f"--steps must be a positive integer, not {arguments.steps}")
    return arguments


def run_cells(arguments, folder):
    """The results of all models on all tasks, those of all seeds together."""
    results = {
        cell: [] for cell in itertools.product(arguments.tasks, arguments.models)
    }
    # Seeds outermost: a table that is broken off has all cells.
    for seed in dict.fromkeys(arguments.seeds):
        for (task, name), group in results.items():
            cell = {
                "task": task,
                "name": name,
                "seed": seed,
                "published": arguments.preset == "paper",
                "steps": arguments.steps,
            }
            file = folder / f"{task}-{name}-{seed}.json"
            settings = [f"{key}={value}" for key, value in cell.items()]
            if not arguments.table:
                start = functools.partial(start_cell, cell)
                group.append(finished_run(file, settings, start))
            elif (result := kept_run(file, settings)) is not None:
                group.append(result)
    return {cell: group for cell, group in results.items() if group}


def main():
    arguments = parse_arguments()
    if arguments.cell is not None:
        arguments.out.write_text(json.dumps(run_cell(**arguments.cell)))
        return
    folder = arguments.out / arguments.preset
    if arguments.steps is not None:
        folder = folder.with_name(f"{folder.name}-{arguments.steps}-steps")
    results = run_cells(arguments, folder)
    if not results:
        raise SystemExit(f"{folder} has none of these cells.")
    print(*table(results), sep="\n")
    plot(results, folder / "comparison.png")


if __name__ == "__main__":
    main()
