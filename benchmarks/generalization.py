"""Models with a memory and others, on problems longer than those of training.

    python -m benchmarks.generalization                          # about a day of a core
    python -m benchmarks.generalization --tasks reverse --models namtm lsam --seeds 0
    python -m benchmarks.generalization --preset paper
    python -m benchmarks.generalization --out benchmarks/cells --table

All models of a task have about the same number of parameters, the same rows in the same
order, and the same number of steps, those of the task's recipe. Its machine is a NAM-TM
or, for associative recall, a NAM behind a convolution, which stands in front of all
models. Each of the others has what suits it best around it, as found with reverse:
`--around plain` gives all of them small embeddings and nothing else, `front` large ones
that are normalised, `both` a normalisation behind the model as well. Where a model has
heads, their sharpness is chosen on the split `"ood"`, and both are reported. Nothing is
chosen on longer rows. Rows with more steps than the memory of a DNC or an NTM has cells
are measured with as many cells as they have steps, which changes no weight.

`--preset paper` takes the recipe, the budget and the sizes of the papers: some models
have more parameters than others, and the machine of every task is a NAM-TM. In the
papers' code the same 51,200 rows come in every epoch; here all rows are new.

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
from finished_runs import run_process  # noqa: E402

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
# What stands around a model if nothing else is said, and it is not the recipe's own.
AROUND = {
    "namtm": "both",
    "lsam": "both",
    "nam": "both",
    "lstm": "front",
    "dnc": "both",
    "ntm": "both",
    "stack_rnn": "front",
    "universal": "plain",
    "alibi": "plain",
}
WITH_HEADS = ("namtm", "dnc", "ntm")
# Lengths that are so many times the longest ones of training.
LONGER = {4: (128, 16), 8: (64, 8)}
GROUPS = ("ID", "OOD", "far", "4x", "8x")


# Of the size "medium", which has 512, 8 heads and 8 layers; the papers have no NTM, NAM
# and ALiBi, which are as the DNC, the LSAM and the Transformer.
PAPER_WIDTHS = {
    "namtm": 1024,
    "lsam": 1024,
    "nam": 1024,
    "lstm": 1448,
    "dnc": 1024,
    "ntm": 1024,
    "stack_rnn": 2048,
    "universal": 1536,
    "alibi": 512,
}


def core_of(name, width, paper=False):
    """The layers of a tagger of that width, between embedding and logits."""
    import keras

    from keras_nam import baselines
    from keras_nam import layers
    from keras_nam.models.recipes import MODEL

    sequences = {"return_sequences": True}
    few, some = (8, 8) if paper else (2, 4)
    make = {
        "namtm": lambda: layers.NAMTM(
            width,
            num_tapes=MODEL["num_tapes"],
            tape_length=MODEL["tape_length"],
            use_jump=MODEL["use_jump"],
            **sequences,
        ),
        "lsam": lambda: keras.layers.Bidirectional(
            layers.LSAM(width // 2, num_heads=few, **sequences)
        ),
        "nam": lambda: layers.NAM(width, num_heads=some, **sequences),
        "lstm": lambda: keras.layers.Bidirectional(
            keras.layers.LSTM(width // 2, **sequences)
        ),
        "dnc": lambda: baselines.DNC(
            width,
            memory_size=32 if paper else 64,
            word_size=width // some,
            num_read_heads=few,
            controller_units=width,
            use_masking=True,
            use_deallocation=True,
            use_sharpening=True,
            **sequences,
        ),
        "ntm": lambda: baselines.NTM(
            width,
            memory_size=32 if paper else 128,
            word_size=width // some,
            num_read_heads=few,
            num_write_heads=1,
            controller_units=width,
            **sequences,
        ),
        "stack_rnn": lambda: baselines.StackRNN(
            width, num_stacks=width // 8 if paper else 8, **sequences
        ),
        "universal": lambda: baselines.UniversalTransformerEncoder(
            8 if paper else 4, some, 4 * width, dropout=0.1
        ),
        "alibi": lambda: baselines.TransformerEncoder(
            8 if paper else 2, some, 4 * width, positions="alibi", dropout=0.1
        ),
    }[name]
    if name in ("lsam", "lstm", "nam", "stack_rnn"):
        return [make(), make()]
    return [make()]


def build_model(name, recipe, around, paper=False):
    """The machine of a recipe, or another model.

    That has about as many parameters or, with `paper`, the size that it has there.
    `around` is one of the values of `AROUND`.
    """
    import keras

    from keras_nam import models
    from keras_nam.models.recipes import build_machine

    arguments = recipe.model_arguments()
    if name == recipe.machine:
        return build_machine(**arguments)
    tokens = arguments["vocabulary_size"]

    @functools.cache
    def build(width):
        core = core_of(name, width, paper)
        embeddings = "uniform"
        if around != "plain":
            core.insert(0, keras.layers.LayerNormalization())
            embeddings = keras.initializers.RandomNormal(stddev=1.0)
        if around == "both":
            core.append(keras.layers.LayerNormalization())
        if recipe.machine == "nam":
            filters, kernel = width, "glorot_uniform"
            if around != "plain":
                # As orthogonal as in `build_machine`, and in as many dimensions.
                filters, kernel = 2 * width, "orthogonal"
                embeddings = keras.initializers.Orthogonal(gain=width**0.5)
            convolution = keras.layers.Conv1D(
                filters, 2, padding="causal", kernel_initializer=kernel
            )
            core.insert(0, convolution)
        return models.token_tagger(
            core,
            tokens,
            width,
            dropout=0.1,
            embeddings_initializer=embeddings,
        )

    if paper:
        return build(PAPER_WIDTHS[name])
    # The number of parameters grows with the square of the width.
    width, wanted = 64, build_machine(**arguments).count_params()
    for _ in range(4):
        factor = (wanted / build(width).count_params()) ** 0.5
        width = max(16, 8 * round(width * factor / 8))
    return build(width)


def with_cells(model, count):
    """The model with at least so many cells in the memory of a DNC or an NTM."""
    import keras

    def is_small(layer):
        return layer.get_config().get("memory_size", count) < count

    def clone(layer):
        size = {"memory_size": count} if is_small(layer) else {}
        return type(layer).from_config({**layer.get_config(), **size})

    if not any(map(is_small, model.layers)):
        return model
    larger = keras.models.clone_model(model, clone_function=clone)
    larger.set_weights(model.get_weights())
    larger.compile(jit_compile=False)
    return larger


def run_cell(task, name, seed, published, steps, around):
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
    model = build_model(name, recipe, around, paper=published)
    recipe = recipe._replace(steps=steps or recipe.steps)
    seconds = train(model, task, recipe, seed, True)
    # Every length is a new shape, which is not worth compiling for one pass.
    model.compile(jit_compile=False)
    machines = {"": model}
    if name in WITH_HEADS:
        rows = load_rows(task, ROWS, seed, **rows_of(task, "ood"))
        fitting = with_cells(model, rows[0].shape[1])
        sharpness = models.choose_sharpness(fitting, *rows)
        machines[f"sharpness {sharpness:g}"] = models.with_sharpness(model, sharpness)

    return {
        "parameters": model.count_params(),
        "seconds": round(seconds, 1),
        "accuracy": {
            label: evaluate(machine, task, seed, LONGER, with_cells)
            for label, machine in machines.items()
        },
    }


def start_cell(cell):
    """Runs a cell in a process of its own, which shows Keras' bar."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "cell.json"
        command = [sys.executable, "-m", "benchmarks.generalization"]
        command += ["--cell", json.dumps(cell), "--out", str(record)]
        run_process(command, cwd=EXAMPLES.parent)
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
    for axes in grid.flat[len(tasks) :]:
        axes.set_axis_off()
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
    parser.add_argument(
        "--around",
        choices=["plain", "front", "both"],
        help="default: what suits each model",
    )
    parser.add_argument("--out", type=Path, default=Path("results/generalization"))
    parser.add_argument("--table", action="store_true", help="only what is kept")
    parser.add_argument("--cell", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if min(arguments.seeds) < 0:
        parser.error(f"--seeds must not be negative, not {arguments.seeds}")
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
                "around": arguments.around or AROUND[name],
            }
            file = folder / f"{task}-{name}-{cell['around']}-{seed}.json"
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
    parts = [arguments.preset]
    if arguments.steps is not None:
        parts.append(f"{arguments.steps}-steps")
    folder = arguments.out / "-".join(parts)
    results = run_cells(arguments, folder)
    if not results:
        raise SystemExit(f"{folder} has none of these cells.")
    print(*table(results), sep="\n")
    plot(results, folder / "comparison.png")


if __name__ == "__main__":
    main()
