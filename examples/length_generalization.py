"""Trains a model on short problems and measures it on longer ones.

    python examples/length_generalization.py                     # NAM-TM on reverse
    python examples/length_generalization.py --task addition --ask 95 7
    python examples/length_generalization.py --model lsam --steps 2000

A model with a tape is trained beside an LSTM of the same size. The table that is
printed, the plots, the `.keras` model and the SavedModel go to `--out`; at the end a
new process answers a question from the SavedModel without importing `keras_nam`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import keras_nam
from keras_nam import datasets
from keras_nam import models
from keras_nam import visualization

BATCH_SIZE = 128
EPOCH_STEPS = 400
ROWS = 512

# How each task is trained; one without an entry is trained like "reverse".
RECIPES = {
    "reverse": {
        "steps": 400,
        "learning_rate": 1e-3,
        "clip": 1.0,
        "train_rows": 51_200,
        "loss_on_answer_only": True,
    },
    "addition": {
        "steps": 8_000,
        "learning_rate": 1e-3,
        "clip": 0.1,
        "train_rows": 409_600,
        "loss_on_answer_only": False,
    },
}
RECIPES["arithmetic"] = RECIPES["addition"]
TASKS = ["reverse", "copy", "repeated_copy", "reduction", "addition", "arithmetic"]
QUESTIONS = {
    "addition": ["95", "7"],
    "arithmetic": ["7", "95"],
    "repeated_copy": ["314", "159", "265"],
    "reduction": ["30010405"],
}


def build_model(name, width):
    """Builds a model by the name of what it remembers with."""
    if name == "lstm":
        layers = [keras.layers.LSTM(width, return_sequences=True) for _ in range(2)]
        return models.token_tagger(layers, 16, width, name="lstm")
    if name == "namtm":
        # A tape as long as the sequence never wraps around.
        return models.namtm_tagger(width=width, num_tapes=2, tape_length=None)
    if name == "lsam":
        return models.lsam_tagger(width=width, num_heads=4, intermediate_dim=4 * width)
    layer = keras_nam.layers.NAM(width, num_heads=4, return_sequences=True)
    return models.token_tagger(layer, 16, width, name="nam")


def train(model, task, steps, recipe, seed, jit_compile):
    """Fits the model on 1 to 10 digits and returns the seconds that it took."""
    inputs, targets, answers = datasets.load_task(
        task, "train", recipe["train_rows"], digits=10, seed=seed
    )
    order = np.random.default_rng(seed).permutation(len(inputs))
    weight = answers[order] if recipe["loss_on_answer_only"] else None
    schedule = keras.optimizers.schedules.ExponentialDecay(
        recipe["learning_rate"], EPOCH_STEPS, 0.98, staircase=True
    )
    model.compile(
        keras.optimizers.Adam(schedule, global_clipnorm=recipe["clip"]),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[keras_nam.metrics.SequenceAccuracy()],
        jit_compile=jit_compile,
    )
    inputs, targets = inputs[order], targets[order]
    epoch_steps = min(steps, EPOCH_STEPS)
    epoch_rows = epoch_steps * BATCH_SIZE
    start = time.perf_counter()
    for epoch in range(-(-steps // epoch_steps)):
        rows = np.arange(epoch * epoch_rows, (epoch + 1) * epoch_rows) % len(inputs)
        model.fit(
            inputs[rows],
            targets[rows],
            sample_weight=None if weight is None else weight[rows],
            batch_size=BATCH_SIZE,
            initial_epoch=epoch,
            epochs=epoch + 1,
        )
    return time.perf_counter() - start


def evaluate(model, task, seed):
    """Sequence accuracy on the answer, by group of lengths and by length."""
    groups = {
        "trained (ID)": {"split": "id"},
        "+1..+6 (OOD)": {"split": "ood"},
        "+7..+12 (far)": {"split": "far"},
    }
    for factor in (2, 4, 8):
        digits = 10 * factor
        groups[f"{factor}x"] = {
            "split": "far",
            "min_digits": digits,
            "max_digits": digits,
        }
    by_group, by_length = {}, {}
    for group, settings in groups.items():
        rows = ROWS if "min_digits" not in settings else ROWS // 4
        inputs, targets, answers = datasets.load_task(
            task, num_examples=rows, digits=10, seed=seed, **settings
        )
        logits = model.predict(inputs, batch_size=64, verbose=0)
        by_group[group] = accuracy(targets, logits, answers)
        if "min_digits" in settings:
            by_length[settings["max_digits"]] = by_group[group]
            continue
        first, last = datasets.split_lengths(10)[settings["split"]]
        lengths = first + (last - first + 1) * np.arange(rows) // rows
        for length in np.unique(lengths):
            at = lengths == length
            by_length[int(length)] = accuracy(targets[at], logits[at], answers[at])
    return by_group, dict(sorted(by_length.items()))


def accuracy(targets, logits, answers):
    metric = keras_nam.metrics.SequenceAccuracy()
    metric.update_state(targets, logits, sample_weight=answers)
    return float(metric.result())


def print_table(results):
    groups = list(next(iter(results.values()))["by_group"])
    width = max(len(g) for g in groups)
    print("\nSequence accuracy on the answer, in percent")
    print(f"{'':12}" + "".join(f"{g:>{width + 2}}" for g in groups))
    for name, result in results.items():
        cells = (f"{100 * result['by_group'][g]:.1f}" for g in groups)
        print(f"{name:12}" + "".join(f"{c:>{width + 2}}" for c in cells))
    print()


def plot_accuracy(results, task, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    markers = iter("osD^")
    for name, result in results.items():
        lengths, values = zip(*result["by_length"].items(), strict=True)
        percent = 100 * np.array(values)
        axes.plot(lengths, percent, marker=next(markers), markersize=4, label=name)
    axes.axvline(10, color="gray", linestyle="--", label="longest trained length")
    axes.set_xscale("log")
    ticks = [5, 10, 16, 22, 40, 80]
    axes.set_xticks(ticks, ticks)
    axes.minorticks_off()
    axes.set_xlabel("digits")
    axes.set_ylabel("sequences answered without error (%)")
    axes.set_ylim(-3, 103)
    axes.set_title(f"{task}, trained on 1 to 10 digits")
    axes.legend()
    figure.savefig(path, dpi=150)


def plot_heads(model, task, question, path):
    tokens = datasets.encode_question(task, *question)
    trajectory = visualization.trajectory(model, tokens[None])
    labels = datasets.decode(tokens[None], task)[0].split()
    visualization.plot_tape_heads(trajectory, tokens=labels).savefig(path, dpi=150)


def answer_in_new_process(exported, task, question):
    """Asks the SavedModel in a process that knows nothing of this package."""
    script = Path(__file__).with_name("answer.py")
    command = [sys.executable, str(script), str(exported), task, *question]
    print("$ python", script.name, exported, task, *question, flush=True)
    subprocess.run(command, check=True)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=TASKS, default="reverse")
    parser.add_argument(
        "--model", choices=["namtm", "lsam", "nam", "lstm"], default="namtm"
    )
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--steps", type=int, help="default: by task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument(
        "--ask", nargs="+", metavar="DIGITS", help="what to ask the exported model"
    )
    parser.add_argument(
        "--no-jit", action="store_true", help="train without XLA compilation"
    )
    arguments = parser.parse_args()
    for name in ("width", "steps"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be a positive integer, not {value}")
    return arguments


def main():
    arguments = parse_arguments()
    task, name = arguments.task, arguments.model
    recipe = RECIPES.get(task, RECIPES["reverse"])
    steps = arguments.steps or recipe["steps"]
    question = arguments.ask or QUESTIONS.get(task, ["31415926535"])
    out = arguments.out / f"{task}-{name}"
    out.mkdir(parents=True, exist_ok=True)

    results = {}
    for contender in dict.fromkeys([name, "lstm"]):
        keras.utils.set_random_seed(arguments.seed)
        contender_model = build_model(contender, arguments.width)
        parameters = contender_model.count_params()
        print(f"\n{contender}: {parameters:,} parameters, {steps} steps on {task}")
        seconds = train(
            contender_model,
            task,
            steps,
            recipe,
            arguments.seed,
            not arguments.no_jit,
        )
        # Every length is a new shape, which is not worth compiling for one pass.
        contender_model.compile(jit_compile=False)
        by_group, by_length = evaluate(contender_model, task, arguments.seed)
        results[contender] = {
            "parameters": parameters,
            "seconds": round(seconds, 1),
            "by_group": by_group,
            "by_length": by_length,
        }
        if contender == name:
            model = contender_model

    print_table(results)
    settings = {"task": task, "steps": steps, "width": arguments.width}
    settings.update(seed=arguments.seed, batch_size=BATCH_SIZE, results=results)
    (out / "results.json").write_text(json.dumps(settings, indent=2))
    plot_accuracy(results, task, out / "accuracy.png")
    if name == "namtm":
        plot_heads(model, task, question, out / "heads.png")
    model.save(out / "model.keras")
    model.export(out / "saved_model", verbose=False)
    print(f"Saved to {out}:", ", ".join(sorted(p.name for p in out.iterdir())), "\n")
    answer_in_new_process(out / "saved_model", task, question)


if __name__ == "__main__":
    main()
