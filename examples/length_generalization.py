"""Trains a model on short problems and measures it on longer ones.

    python examples/length_generalization.py                     # NAM-TM on reverse
    python examples/length_generalization.py --task copy --seed 1
    python examples/length_generalization.py --task addition --published
    python examples/length_generalization.py --model lsam --steps 2000

A model with a tape is trained, by the recipe of its task, beside an LSTM of the same
size. How sharp its heads are is then chosen on problems a little longer than those of
training; if it does not solve those, it starts again, from other weights and on other
rows. The table that is printed, the plots, among them what each start gets right while
it learns, the `.keras` model and the SavedModel go to `--out`; at the end a new process
answers a question from the SavedModel without importing `keras_nam`.
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
from learning_curve import LearningCurve
from learning_curve import accuracy
from learning_curve import plot_learning_curves

import keras_nam
from keras_nam import datasets
from keras_nam import models
from keras_nam import visualization
from keras_nam.models.presets import save_preset
from keras_nam.models.recipes import BATCH_SIZE
from keras_nam.models.recipes import MODEL
from keras_nam.models.recipes import RECIPES
from keras_nam.models.recipes import build_machine
from keras_nam.models.recipes import load_rows
from keras_nam.models.recipes import recipe_of
from keras_nam.models.recipes import rows_of

SCRIPT = "examples/length_generalization.py"
DECAY_STEPS = 400
SPLITS = {"ID": "id", "OOD": "ood", "far": "far"}
ROWS = 512
# Of each split for the learning curve.
CURVE_ROWS = 64
# From this share of right rows of those to choose on, there is no other start.
SOLVED = 0.995
# Of problems that are so many times as long: how many rows, and how many at a time.
LONGER = {2: (128, 64), 4: (128, 32), 8: (64, 8), 64: (8, 1)}
QUESTIONS = {
    "addition": ["95", "7"],
    "arithmetic": ["7", "95"],
    "repeated_copy": ["314", "159", "265"],
    "reduction": ["30010405"],
    "dyck": ["[({<>"],
    "associative_recall": ["k1", "v5", "k2", "v9", "k2", "k1"],
}


def build_model(name, recipe):
    """Builds a model by the name of what it remembers with."""
    arguments = recipe.model_arguments()
    tokens, width = arguments["vocabulary_size"], arguments["width"]
    if name == "lstm":
        layers = [keras.layers.LSTM(width, return_sequences=True) for _ in range(2)]
        return models.token_tagger(layers, tokens, width, name="lstm")
    if name == recipe.machine:
        return build_machine(**arguments)
    if name == "namtm":
        return models.namtm_tagger(**MODEL | {"vocabulary_size": tokens})
    if name == "lsam":
        sizes = {"width": width, "num_heads": 4, "intermediate_dim": 4 * width}
        return models.lsam_tagger(tokens, **sizes)
    layer = keras_nam.layers.NAM(width, num_heads=4, return_sequences=True)
    return models.token_tagger(layer, tokens, width, name="nam")


class AdamL2(keras.optimizers.Adam):
    """Adam that adds a share of each weight to its gradient, once this is clipped."""

    def __init__(self, *args, l2=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        gradient = gradient + self.l2 * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


def train(model, task, recipe, seed, jit_compile, callbacks=()):
    """Fits the model on the lengths of training; returns the seconds that it took."""
    steps = recipe.steps
    schedules = keras.optimizers.schedules
    if recipe.cosine:
        schedule = schedules.CosineDecay(recipe.learning_rate, steps)
    else:
        schedule = schedules.ExponentialDecay(
            recipe.learning_rate, DECAY_STEPS, 0.98, staircase=True
        )
    model.compile(
        AdamL2(schedule, global_clipnorm=recipe.clip, l2=recipe.l2)
        if recipe.l2
        else keras.optimizers.Adam(schedule, global_clipnorm=recipe.clip),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[keras_nam.metrics.SequenceAccuracy()],
        jit_compile=jit_compile,
    )
    callbacks = list(callbacks)
    if recipe.sharpen != 1 and model.name == "namtm_tagger":
        sharpen = keras_nam.callbacks.SharpenHeads(recipe.sharpen, 4 * steps // 5)
        callbacks.append(sharpen)
    stages = list(recipe.training_rows(task, steps, seed))
    start = time.perf_counter()
    for inputs, targets, weight in stages:
        model.fit(
            inputs,
            targets,
            sample_weight=weight,
            batch_size=BATCH_SIZE,
            shuffle=False,
            callbacks=callbacks,
        )
    return time.perf_counter() - start


def sharpened(model, recipe, longer, inside):
    """The model with the best factors for its controllers and heads, and the factors.

    Args:
        model: A model with NAM-TMs.
        recipe: The recipe, which says what factors to try.
        longer: Inputs, targets and answers of longer rows, on which they are chosen.
        inside: The same of the split `"id"`: heads are no sharper than these bear.
    """
    used = {}
    if len(recipe.controller) > 1:
        sharpen = models.sharpen_controller
        used["controller"] = models.choose_sharpness(
            model, *longer, candidates=recipe.controller, sharpen=sharpen
        )
        model = sharpen(model, used["controller"])
    highest = models.choose_sharpness(model, *longer, candidates=recipe.heads)
    used["sharpness"] = models.choose_sharpness(
        model, *inside, candidates=[x for x in recipe.heads if x <= highest]
    )
    return models.with_sharpness(model, used["sharpness"]), used


def learn(name, task, recipe, seed, jit_compile):
    """Trains a model, and again from another start while it does not solve its task.

    Returns:
        The best of the models on longer rows as it was trained, the same with the
        factors that were chosen for it, these factors, the points of the learning
        curve of each start, and how many seconds all of it took.
    """
    inside = load_rows(task, ROWS, seed, **rows_of(task, "id"))
    longer = load_rows(task, ROWS, seed, **{**rows_of(task, "ood"), **recipe.chosen_on})
    measured = {
        group: load_rows(task, CURVE_ROWS, seed, **rows_of(task, split))
        for group, split in SPLITS.items()
    }
    starts = recipe.starts if name == recipe.machine else 1
    best, highest, curves, seconds = None, -1.0, [], 0.0
    for start in range(starts):
        own_seed = seed + 100 * start
        keras.utils.set_random_seed(own_seed)
        trained = build_model(name, recipe)
        print(f"\n{name}: {trained.count_params():,} parameters", end=", ")
        print(f"{recipe.steps} steps on {task}, start {start + 1} of at most {starts}")
        curve = LearningCurve(measured, recipe.steps)
        seconds += train(trained, task, recipe, own_seed, jit_compile, [curve])
        curves.append(curve.points)
        # Every length is a new shape, which is not worth compiling for one pass.
        trained.compile(jit_compile=False)
        sharp, factors = trained, {}
        if name == "namtm":
            sharp, factors = sharpened(trained, recipe, longer, inside)
        right = accuracy(sharp, longer, 64)
        if right > highest:
            best, highest = (trained, sharp, factors), right
        if right >= SOLVED:
            break
    return *best, curves, seconds


def evaluate(model, task, seed, longer=LONGER, for_steps=lambda model, steps: model):
    """Sequence accuracy on the answer, by the lengths of the problems.

    `for_steps` makes of the model the one for rows of that many steps.
    """
    groups = {
        group: (ROWS, 64, rows_of(task, split)) for group, split in SPLITS.items()
    }
    for factor, (count, batch_size) in longer.items():
        groups[f"{factor}x"] = count, batch_size, rows_of(task, "far", factor)
    accuracies = {}
    for group, (count, batch_size, settings) in groups.items():
        rows = load_rows(task, count, seed, **settings)
        fitting = for_steps(model, rows[0].shape[1])
        accuracies[group] = accuracy(fitting, rows, batch_size)
    return accuracies


def write_preset(task, model, recipe, seed, sharpness, accuracies):
    """Puts the trained machine into the package, as `from_preset(task)`."""
    card = {
        "task": task,
        "recipe": recipe._asdict(),
        "command": f"python {SCRIPT} --task {task} --seed {seed} --preset",
        "seed": seed,
        "accuracy": accuracies,
        "version": keras_nam.__version__,
    }
    arguments = recipe.model_arguments()
    if sharpness is not None:
        arguments["sharpness"] = sharpness
    save_preset(task, model, arguments, card)


def print_table(results):
    groups = list(next(iter(results.values()))["accuracy"])
    width, labels = max(5, *map(len, groups)), max(map(len, results))
    print("\nSequence accuracy on the answer, in percent")
    print(" " * labels + "".join(f"{g:>{width + 2}}" for g in groups))
    for name, result in results.items():
        cells = (f"{100 * result['accuracy'][g]:.1f}" for g in groups)
        print(f"{name:{labels}}" + "".join(f"{c:>{width + 2}}" for c in cells))
    print()


def plot_accuracy(results, task, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    markers = iter("osD^")
    for name, result in results.items():
        percent = [100 * value for value in result["accuracy"].values()]
        marker = next(markers)
        axes.plot(list(result["accuracy"]), percent, marker=marker, label=name)
    axes.set_xlabel("length of the problems")
    axes.set_ylabel("answered without error (%)")
    axes.set_ylim(-3, 103)
    axes.set_title(f"{task}, trained on short problems")
    axes.legend()
    figure.savefig(path, dpi=150)


def plot_heads(model, task, question, out):
    tokens = datasets.encode_question(task, *question)
    labels = datasets.decode(tokens[None], task)[0].split()
    machines = [x for x in model.layers if isinstance(x, keras_nam.layers.NAMTM)]
    for layer in machines:
        trajectory = visualization.trajectory(model, tokens[None], layer)
        for name in ("tape_heads", "head_entropy"):
            figure = getattr(visualization, f"plot_{name}")(trajectory, tokens=labels)
            figure.savefig(out / f"{layer.name}_{name}.png", dpi=150)


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
    parser.add_argument("--task", choices=list(RECIPES), default="reverse")
    parser.add_argument(
        "--model",
        choices=["namtm", "lsam", "nam", "lstm"],
        help="default: the machine of the recipe",
    )
    parser.add_argument("--steps", type=int, help="default: by task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument(
        "--published", action="store_true", help="the papers' recipe and machine"
    )
    parser.add_argument(
        "--preset", action="store_true", help="put the machine into the package"
    )
    parser.add_argument(
        "--ask", nargs="+", metavar="DIGITS", help="what to ask the exported model"
    )
    parser.add_argument(
        "--no-jit", action="store_true", help="train without XLA compilation"
    )
    arguments = parser.parse_args()
    if arguments.preset and (arguments.published or arguments.steps is not None):
        parser.error("a preset is what a recipe of the table makes")
    if arguments.steps is not None and arguments.steps < 1:
        parser.error(f"--steps must be a positive integer, not {arguments.steps}")
    if arguments.ask is not None:
        try:
            datasets.encode_question(arguments.task, *arguments.ask)
        except (TypeError, ValueError) as error:
            parser.error(f"--ask: {error}")
    return arguments


def main():
    arguments = parse_arguments()
    task, seed = arguments.task, arguments.seed
    recipe = recipe_of(task, arguments.published)
    name = arguments.model or recipe.machine
    if arguments.steps is not None:
        # A trial, which is not meant to solve anything.
        recipe = recipe._replace(steps=arguments.steps, starts=1)
    out = arguments.out / f"{task}-{name}-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    question = arguments.ask or QUESTIONS.get(task, ["31415926535"])

    results, curves = {}, {}
    for contender in dict.fromkeys([name, "lstm"]):
        trained, sharp, factors, curves[contender], seconds = learn(
            contender, task, recipe, seed, not arguments.no_jit
        )
        is_preset = arguments.preset and contender == recipe.machine
        if is_preset:
            # What is measured is what the preset holds.
            sharp.set_weights([w.astype("float16") for w in sharp.get_weights()])
        label = ", ".join([contender, *(f"{k} {v:g}" for k, v in factors.items())])
        for row, copy in {contender: trained, label: sharp}.items():
            results[row] = {
                "parameters": copy.count_params(),
                "starts": len(curves[contender]),
                "seconds": round(seconds, 1),
                "accuracy": evaluate(copy, task, seed),
            }
        if contender == name:
            model = sharp
        if is_preset:
            accuracies = results[label]["accuracy"]
            sharpness = factors.get("sharpness")
            write_preset(task, model, recipe, seed, sharpness, accuracies)

    print_table(results)
    settings = {"task": task, "recipe": recipe._asdict()}
    settings.update(seed=seed, batch_size=BATCH_SIZE, results=results, curves=curves)
    (out / "results.json").write_text(json.dumps(settings, indent=2))
    plot_accuracy(results, task, out / "accuracy.png")
    plot_learning_curves(curves, task, out / "learning_curve.png")
    if name == "namtm" and task != "listops":
        plot_heads(model, task, question, out)
    model.save(out / "model.keras")
    model.export(out / "saved_model", verbose=False)
    print(f"Saved to {out}:", ", ".join(sorted(p.name for p in out.iterdir())), "\n")
    if task not in ("dyck", "associative_recall", "listops"):
        answer_in_new_process(out / "saved_model", task, question)


if __name__ == "__main__":
    main()
