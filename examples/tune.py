"""Searches for the hyperparameters that generalise to longer sequences.

    python examples/tune.py                                    # NAM-TM on reverse
    python examples/tune.py --model transformer --tuner bayesian --trials 30
    python examples/tune.py --model few_shot --task digits --tuner hyperband
    python examples/tune.py --tuner grid --tune num_tapes use_jump --set width=64

The objective is measured on rows longer than those trained on, or, for `few_shot`, on
classes that were not. A search that was killed goes on when the same command is run
again, and one with more `--trials` is extended. The table of all trials, their plot,
and the best model, which is built and trained anew, go to `--out`.

The exit status is 0 if the search is complete, 3 if it ended early with some results,
and 1 if there are none.
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import keras_tuner
import numpy as np

from keras_nam import datasets
from keras_nam import models
from keras_nam import tokenizers
from keras_nam import tuning

DIGIT_TASKS = ["reverse", "copy", "repeated_copy", "reduction", "addition"]
DIGIT_TASKS += ["arithmetic"]
IMAGE_TASKS = ["glyphs", "digits"]
TEXT_TASKS = ["sentences"]
TASKS = [*DIGIT_TASKS, "dyck", "listops", *IMAGE_TASKS, *TEXT_TASKS]
MODELS = {
    "causal_lm": tuning.HyperCausalLM,
    "namtm": tuning.HyperNAMTM,
    "lsam": tuning.HyperLSAM,
    "transformer": tuning.HyperNAMTransformer,
    "ibert": tuning.HyperIBERT,
    "few_shot": tuning.HyperFewShot,
}
TUNERS = {
    "random": keras_tuner.RandomSearch,
    "hyperband": keras_tuner.Hyperband,
    "bayesian": keras_tuner.BayesianOptimization,
    "grid": keras_tuner.GridSearch,
}
# What a grid is made of unless it is said: few values, or it never ends.
GRIDS = {
    "causal_lm": ["memory", "softmax_every"],
    "namtm": ["num_tapes", "length_curriculum", "mask_padding"],
    "lsam": ["num_heads", "length_curriculum", "mask_padding"],
    "transformer": ["attention", "positions", "length_curriculum"],
    "ibert": ["recurrent", "num_layers", "length_curriculum"],
    "few_shot": ["head", "filters", "feature_views"],
}
# The lengths of expressions that a model is trained on, chosen by, and tested on.
LISTOPS_LENGTHS = {"id": (5, 30), "longer": (31, 60), "far": (61, 120)}
# The bytes of context that a language model is trained on, chosen by, and tested on.
TEXT_LENGTHS = {"id": 128, "ood": 512, "far": 2048}
BATCH_SIZE = 128
EVALUATION_ROWS = 256
DEFAULT_TRIALS = 20
ENDED_EARLY = 3


def load_sequences(task, rows, seed):
    """Returns the arguments of `search`, and groups of rows to test on."""
    if task == "listops":

        def load(split, count, lengths):
            low, high = LISTOPS_LENGTHS[lengths]
            settings = {"min_length": low, "max_length": high, "max_depth": 4}
            return datasets.load_long_range(
                task, split, num_examples=count, seed=seed, **settings
            )

        inputs, targets = load("train", rows, "id")
        data = {
            "validation_data": load("validation", EVALUATION_ROWS, "id"),
            "longer_data": load("validation", EVALUATION_ROWS, "longer"),
        }
        groups = {n: load("test", EVALUATION_ROWS, n) for n in LISTOPS_LENGTHS}
        return {"x": inputs, "y": targets, **data}, groups

    def load(split, rows=EVALUATION_ROWS, seed=seed, **settings):
        return datasets.load_task(task, split, rows, seed=seed, **settings)

    inputs, targets, answers = load("train", rows)
    data = {"x": inputs, "y": targets, "sample_weight": answers}
    data |= {"validation_data": load("id"), "longer_data": load("ood")}
    # Other rows than those that the hyperparameters were chosen by.
    groups = {split: load(split, seed=seed + 1) for split in ("id", "ood", "far")}
    if task in DIGIT_TASKS:
        for digits in (20, 40):
            settings = {"min_digits": digits, "max_digits": digits}
            groups[f"{digits} digits"] = load("far", seed=seed + 1, **settings)
    return data, groups


def load_texts(rows, seed):
    """Returns the arguments of `search`, and groups of rows to test on, of bytes."""
    sentences = datasets.generated_sentences(5 * rows + 2_000, seed=seed)

    def load(sentences, length):
        text = "\n".join(sentences)
        tokenizer = tokenizers.ByteTokenizer()
        count = len(text.encode()) // length + 2
        # One batch of all rows.
        dataset = datasets.packed_language_dataset([text], tokenizer, length, count)
        inputs, targets, weights = next(iter(dataset))
        return tuple(np.array(x) for x in (inputs["tokens"], targets, weights))

    inputs, targets, weights = (
        x[:rows] for x in load(sentences[:-2_000], TEXT_LENGTHS["id"])
    )
    held_out, test = sentences[-2_000:-1_000], sentences[-1_000:]
    data = {"x": inputs, "y": targets, "sample_weight": weights}
    data["validation_data"] = load(held_out, TEXT_LENGTHS["id"])
    data["longer_data"] = load(held_out, TEXT_LENGTHS["ood"])
    return data, {name: load(test, length) for name, length in TEXT_LENGTHS.items()}


def load_images(task, seed):
    """Returns the arguments of `search`, and a group of images to test on.

    Half of the classes are base classes; those that are novel in the validation are
    not those of the test.
    """
    if task == "digits":
        images, labels = datasets.digits()
    else:
        images, labels = datasets.glyphs(max_classes=80)
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.unique(labels))
    half, quarter = len(classes) // 2, len(classes) // 4
    base, validation, test = np.split(classes, [half, half + quarter])
    # Of the images of base classes, a third is held out, half for each.
    sixth = rng.integers(6, size=len(labels))
    is_base = np.isin(labels, base)
    train = is_base & (sixth > 1)

    def select(novel, part):
        rows = (is_base & (sixth == part)) | np.isin(labels, novel)
        return images[rows], labels[rows], novel

    data = {"images": images[train], "labels": labels[train], "base_classes": base}
    return {**data, "validation_data": select(validation, 0)}, {"test": select(test, 1)}


def make_hypermodel(name, task, data, steps, epochs, seed):
    """Makes the search space, with a budget for each trial."""
    if name == "few_shot":
        ways = min(5, len(data["validation_data"][2]))
        return tuning.HyperFewShot(
            data["images"].shape[1:],
            num_base_classes=len(data["base_classes"]),
            num_ways=ways,
            epochs=epochs,
            episodes_per_epoch=max(8, 8 * steps // epochs),
            seed=seed,
        )
    if name == "causal_lm":
        return tuning.HyperCausalLM(
            tokenizers.ByteTokenizer(),
            epochs=epochs,
            rows_per_epoch=max(1, BATCH_SIZE * steps // epochs),
            seed=seed,
        )
    sizes = {"vocabulary_size": 11 if task == "dyck" else 16}
    if task == "listops":
        info = datasets.long_range_info(task)
        sizes = {"vocabulary_size": info.vocabulary_size}
        sizes["num_classes"] = info.num_classes
    return MODELS[name](
        **sizes,
        padding_token=datasets.task_tokenizer(task).pad_token_id,
        epochs=epochs,
        rows_per_epoch=max(1, BATCH_SIZE * steps // epochs),
        seed=seed,
    )


def make_tuner(arguments, hypermodel, objective, folder):
    tune, trials = arguments.tune, arguments.trials
    if arguments.tuner == "grid":
        tune = tune or [n for n in GRIDS[arguments.model] if n not in arguments.set]
    settings = {
        "hyperparameters": tuning.narrow_space(hypermodel, tune, arguments.set),
        "tune_new_entries": False,
        # To Keras Tuner, a seed of 0 is none.
        "seed": arguments.seed + 1,
        "max_retries_per_trial": 1,
        "max_consecutive_failed_trials": 10,
        "directory": folder,
        "project_name": "search",
    }
    if arguments.tuner == "hyperband":
        settings["max_epochs"] = arguments.epochs
    elif arguments.tuner != "grid":
        trials = trials or DEFAULT_TRIALS
    if arguments.tuner == "bayesian":
        settings["num_initial_points"] = max(3, trials // 3)
    tuner = TUNERS[arguments.tuner](hypermodel, objective, **settings)
    # Hyperband knows no such bound by itself.
    tuner.oracle.max_trials = trials
    return tuner


def get_objective(arguments, hypermodel):
    if arguments.objective is None:
        return hypermodel.objective
    smaller = arguments.objective.endswith(("loss", "perplexity"))
    direction = "min" if smaller else "max"
    return keras_tuner.Objective(arguments.objective, direction)


def report(tuner, objective, is_few_shot, folder):
    """Prints the table of the trials and plots them; returns how many are complete."""
    results = tuning.search_results(tuner)
    measures = [objective.name.replace("val_longer_", "val_")]
    if is_few_shot:
        measures = ["val_novel_accuracy", "val_base_accuracy"]
    print(f"\nTrials by {objective.name}\n")
    print(tuning.search_table(results, measures))
    (folder / "trials.json").write_text(json.dumps(results, indent=1))
    if results and results[0]["score"] is not None:
        figure = tuning.plot_search(
            results, objective.name, objective.direction, measures[0]
        )
        figure.savefig(folder / "search.png", dpi=150)
    return sum(result["score"] is not None for result in results)


def train_best(tuner, hypermodel, data, groups, folder):
    """Builds the best model anew, trains it, measures it, and exports it."""
    hp = tuner.get_best_hyperparameters()[0]
    print("\nTraining the best model anew:", json.dumps(hp.values), flush=True)
    model = hypermodel.build(hp)
    hypermodel.fit(hp, model, **data)
    if isinstance(model, models.FewShotClassifier):
        images, labels, novel = groups["test"]
        ways = model.head.num_novel_classes
        rows = datasets.episodes(
            images,
            labels,
            data["base_classes"],
            novel,
            num_ways=min(ways, len(novel)),
            batch_size=10,
            num_episodes=200,
        )
        measures = {"test": model.evaluate(rows, verbose=0, return_dict=True)}
        models.export_teachable(model, str(folder / "saved_model"))
    else:
        measures = {
            name: model.evaluate(
                *rows[:2],
                sample_weight=rows[2] if len(rows) == 3 else None,
                verbose=0,
                return_dict=True,
            )
            for name, rows in groups.items()
        }
        model.export(folder / "saved_model", verbose=False)
    model.save(folder / "model.keras")
    print_measures(measures)
    (folder / "measures.json").write_text(json.dumps(measures, indent=1))


def print_measures(measures):
    first = next(iter(measures.values()))
    names = [n for n in first if n.endswith(("accuracy", "perplexity"))]
    print("\n| accuracies in percent | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for group, values in measures.items():
        cells = (
            f"{(100 if name.endswith('accuracy') else 1) * values[name]:.1f}"
            for name in names
        )
        print(f"| {group} | " + " | ".join(cells) + " |")


def check_settings(arguments, folder):
    """Keeps two different searches out of one folder."""
    settings = {
        name: getattr(arguments, name)
        for name in ("steps", "epochs", "seed", "tune", "set", "objective")
    }
    path = folder / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings:
        sys.exit(
            f"{folder} holds a search with other settings, {path.read_text()}. Repeat "
            "them to go on with it, or choose another --out."
        )
    folder.mkdir(parents=True, exist_ok=True)
    # In one step, as a chief and its workers come here at the same time.
    written = folder / f"settings.json.{os.getpid()}"
    written.write_text(json.dumps(settings))
    written.replace(path)


def parse_setting(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tuner", choices=list(TUNERS), default="random")
    parser.add_argument("--model", choices=list(MODELS), default="namtm")
    parser.add_argument(
        "--task", choices=TASKS, help="default: reverse, glyphs or sentences"
    )
    parser.add_argument(
        "--trials",
        type=int,
        help=f"at most so many; default: {DEFAULT_TRIALS}, for hyperband and grid all",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=360,
        help=f"of a training with batches of {BATCH_SIZE}; others see as many rows",
    )
    parser.add_argument(
        "--epochs", type=int, default=9, help="in how many parts steps are measured"
    )
    parser.add_argument("--tune", nargs="+", metavar="NAME", help="search only these")
    parser.add_argument(
        "--set",
        nargs="+",
        type=parse_setting,
        default=[],
        metavar="NAME=VALUE",
        help="hyperparameters that are not searched",
    )
    parser.add_argument("--objective", help="for example val_longer_accuracy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--final-steps", type=int, help="of the best model; default: --steps; 0: none"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=1800,
        help="seconds that a chief waits for workers from which nothing comes",
    )
    parser.add_argument("--out", type=Path, help="default: results/tune-MODEL-...")
    arguments = parser.parse_args()
    arguments.set = dict(arguments.set)
    is_few_shot = arguments.model == "few_shot"
    is_language = arguments.model == "causal_lm"
    default = "glyphs" if is_few_shot else "sentences" if is_language else "reverse"
    arguments.task = arguments.task or default
    if (is_few_shot, is_language) != (
        arguments.task in IMAGE_TASKS,
        arguments.task in TEXT_TASKS,
    ):
        parser.error(f"--model {arguments.model} has no task {arguments.task}")
    if arguments.task == "listops" and arguments.model != "transformer":
        parser.error("--task listops has one class per row: --model transformer")
    for name in ("trials", "steps", "epochs"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be a positive integer, not {value}")
    if arguments.patience <= 0:
        parser.error(f"--patience must be above 0, not {arguments.patience}")
    if arguments.out is None:
        name = f"tune-{arguments.model}-{arguments.task}-{arguments.tuner}"
        arguments.out = Path("results") / name
    return arguments


def main():
    arguments = parse_arguments()
    check_settings(arguments, arguments.out)
    keras.utils.set_random_seed(arguments.seed)
    if arguments.model == "few_shot":
        data, groups = load_images(arguments.task, arguments.seed)
    else:
        rows = min(51_200, max(1000, BATCH_SIZE * arguments.steps))
        if arguments.model == "causal_lm":
            data, groups = load_texts(min(rows, 10_000), arguments.seed)
        else:
            data, groups = load_sequences(arguments.task, rows, arguments.seed)

    def make(steps):
        return make_hypermodel(
            arguments.model,
            arguments.task,
            data,
            steps,
            arguments.epochs,
            arguments.seed,
        )

    hypermodel = make(arguments.steps)
    objective = get_objective(arguments, hypermodel)
    tuner = make_tuner(arguments, hypermodel, objective, arguments.out)
    budget = {} if arguments.tuner == "hyperband" else {"epochs": arguments.epochs}
    outcome = tuning.search(tuner, **data, **budget, patience=arguments.patience)
    if outcome is None:
        return 0  # A worker.
    complete = report(tuner, objective, arguments.model == "few_shot", arguments.out)
    print(f"\n{outcome}", flush=True)
    final_steps = arguments.final_steps
    final_steps = arguments.steps if final_steps is None else final_steps
    if complete and final_steps:
        train_best(tuner, make(final_steps), data, groups, arguments.out)
        names = sorted(path.name for path in arguments.out.iterdir())
        print(f"\nIn {arguments.out}:", *names)
    if not complete:
        return 1
    return 0 if outcome.complete else ENDED_EARLY


if __name__ == "__main__":
    sys.exit(main())
