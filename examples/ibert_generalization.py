"""Trains an encoder on short inputs and measures it on longer ones.

    python examples/ibert_generalization.py                       # I-BERT on reverse
    python examples/ibert_generalization.py --task addition --model rotary
    python examples/ibert_generalization.py --task words --folder FOLDER

The tasks are `copy`, `reverse` and `addition` on numbers of digits, and `words` and
`characters`, masked language modelling on the sentences of a folder: the Penn Treebank
or the Brown corpus in their usual files, or any texts. All models of
`keras_nam.baselines.ENCODERS` are there by name. Prints the accuracy (for texts the
perplexity of the masked symbols) by length, and writes it, a plot of it and the model
to `--out`. Steps are rounded up to whole epochs, which have 200 of them.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from keras_nam import baselines
from keras_nam import datasets
from keras_nam import metrics
from keras_nam import models
from keras_nam import tokenizers
from keras_nam.models.recipes import short_rows_first

DIGIT_TASKS = ("copy", "reverse", "addition")
TEXT_TASKS = ("words", "characters")
# Digits to train on, and the numbers of digits that are evaluated.
MAX_DIGITS = 12
EVALUATED_DIGITS = (4, 8, 12, 13, 14, 15, 16, 20, 24)
TRAIN_ROWS, ROWS_PER_LENGTH = 51_200, 256
# Lengths of sentences that are evaluated together, in tokens of a row.
BUCKETS = {
    "words": ((4, 11), (12, 19), (20, 31), (33, 40), (41, 50), (51, 63)),
    "characters": ((10, 40), (41, 70), (71, 98), (99, 114)),
}
SENTENCES_PER_BUCKET = 2_048
EPOCH_STEPS = 200
# What is kept with a result.
SETTINGS = ("batch", "width", "layers", "heads", "intermediate", "dropout")
SETTINGS += ("learning_rate", "vocabulary")


def load_digits(arguments):
    """Batches to train on, and by the number of digits what to evaluate."""
    task, seed = arguments.task, arguments.seed
    share = arguments.short_first
    count = arguments.steps * arguments.batch if share else TRAIN_ROWS
    rows = datasets.load_task(task, "train", count, digits=MAX_DIGITS, seed=seed)
    if share:
        # Every row once, in this order.
        order = short_rows_first(count, share, seed)
        rows = tuple(cells[order] for cells in rows)
    train = tf.data.Dataset.from_tensor_slices(rows)
    if not share:
        train = train.shuffle(TRAIN_ROWS, seed=seed)
    evaluation = {}
    for digits in EVALUATED_DIGITS:
        rows = datasets.load_task(
            task,
            "id" if digits <= MAX_DIGITS else "ood",
            ROWS_PER_LENGTH,
            digits=MAX_DIGITS,
            seed=seed,
            min_digits=digits,
            max_digits=digits,
        )
        dataset = tf.data.Dataset.from_tensor_slices(rows).batch(arguments.batch)
        evaluation[digits] = (dataset, digits <= MAX_DIGITS)
    return train.batch(arguments.batch, drop_remainder=True), evaluation, None


def load_sentences(arguments):
    """The same for the sentences of a folder, by ranges of lengths."""
    sentences = datasets.load_sentences(arguments.folder)
    parts = datasets.partition_by_length(sentences, arguments.task)
    if arguments.task == "words":
        tokenizer = tokenizers.WordTokenizer(max_tokens=arguments.vocabulary)
        tokenizer.adapt(parts.train)
        longest = 31
    else:
        tokenizer = tokenizers.CharacterTokenizer()
        longest = 98
    train = datasets.masked_language_dataset(
        parts.train,
        tokenizer,
        arguments.batch,
        length=longest,
        training=True,
        seed=arguments.seed,
    )
    held_out = parts.validation + parts.longer
    lengths = tokenizer.tokenize(held_out, ragged=True).row_lengths().numpy()
    evaluation = {}
    for low, high in BUCKETS[arguments.task]:
        at = np.flatnonzero((low <= lengths) & (lengths <= high))[:SENTENCES_PER_BUCKET]
        dataset = datasets.masked_language_dataset(
            [held_out[i] for i in at], tokenizer, arguments.batch, length=high
        )
        evaluation[f"{low} to {high}"] = (dataset, high <= longest)
    return train, evaluation, tokenizer


def build_model(name, tokenizer, arguments):
    """One of the encoders between an embedding and logits."""
    core = baselines.make_encoder(
        name,
        num_layers=arguments.layers,
        num_heads=arguments.heads,
        intermediate_dim=arguments.intermediate,
        dropout=arguments.dropout,
    )
    further = {
        "width": arguments.width,
        "embeddings_initializer": keras.initializers.RandomNormal(stddev=1.0),
        "name": name,
    }
    if tokenizer is not None:
        return models.masked_lm(core, tokenizer, **further)
    padding = datasets.task_tokenizer(arguments.task).pad_token_id
    return models.token_tagger(core, 16, mask_token=padding, **further)


def make_metric(task):
    if task in DIGIT_TASKS:
        return metrics.SequenceAccuracy(name="accuracy")
    return metrics.MaskedPerplexity(name="perplexity")


def train(model, dataset, arguments):
    """Fits the model and returns the seconds that it took."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        arguments.steps,
        warmup_target=arguments.learning_rate,
        warmup_steps=arguments.steps // 10,
    )
    model.compile(
        keras.optimizers.Adam(schedule, global_clipnorm=1.0),
        # Of the answer alone: what is copied from the input needs no learning.
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=[make_metric(arguments.task)],
        jit_compile=not arguments.no_jit,
    )
    epoch_steps = min(arguments.steps, EPOCH_STEPS)
    # Batches of another size would be compiled anew.
    dataset = dataset.unbatch().batch(arguments.batch, drop_remainder=True)
    start = time.perf_counter()
    model.fit(
        dataset.repeat(),
        steps_per_epoch=epoch_steps,
        epochs=-(-arguments.steps // epoch_steps),
        shuffle=False,  # The dataset is shuffled.
        verbose=arguments.verbose,
    )
    return time.perf_counter() - start


def evaluate(model, evaluation, task):
    """The metric by length."""
    values = {}
    for length, (dataset, _) in evaluation.items():
        metric = make_metric(task)
        for inputs, targets, weights in dataset:
            logits = model.predict_on_batch(inputs)
            metric.update_state(targets, logits, sample_weight=weights)
        values[str(length)] = float(metric.result())
    return values


def run(arguments):
    """Trains and measures one model; `(model, result)`."""
    keras.utils.set_random_seed(arguments.seed)
    load = load_digits if arguments.task in DIGIT_TASKS else load_sentences
    dataset, evaluation, tokenizer = load(arguments)
    model = build_model(arguments.model, tokenizer, arguments)
    seconds = train(model, dataset, arguments)
    steps = int(model.optimizer.iterations)
    # Every length is a new shape, which is not worth compiling for one pass.
    model.compile(jit_compile=False)
    names = ("task", "model", "seed", "short_first", *SETTINGS)
    return model, {
        **{name: getattr(arguments, name) for name in names},
        "steps": steps,
        "parameters": model.count_params(),
        "seconds": round(seconds, 1),
        "by_length": evaluate(model, evaluation, arguments.task),
        "trained": [str(n) for n, (_, trained) in evaluation.items() if trained],
    }


def print_table(result):
    unit = "accuracy %" if result["task"] in DIGIT_TASKS else "perplexity"
    print(f"\n{result['model']} on {result['task']}: {unit} by length")
    for length, value in result["by_length"].items():
        value = 100 * value if unit == "accuracy %" else value
        trained = "" if length in result["trained"] else "   longer than trained"
        print(f"{length:>12} {value:8.1f}{trained}")


def plot(results, path):
    """Draws the metric of one task against the length, a line for each result."""
    from matplotlib.figure import Figure

    first = results[0]
    digits = first["task"] in DIGIT_TASKS
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    lengths = list(first["by_length"])
    for i, result in enumerate(results):
        values = np.array(list(result["by_length"].values()))
        axes.plot(
            range(len(lengths)),
            100 * values if digits else values,
            marker="osD^vP*X"[i % 8],
            linestyle=("-", "--", ":")[i // 8 % 3],
            label=result["model"],
        )
    axes.axvline(
        len(first["trained"]) - 0.5,
        color="gray",
        linestyle="--",
        label="longest trained length",
    )
    axes.set_xticks(range(len(lengths)), lengths)
    axes.set_xlabel("digits" if digits else "tokens in the row")
    axes.set_ylabel(
        "rows answered without error (%)" if digits else "perplexity of masked symbols"
    )
    if not digits:
        axes.set_yscale("log")
        for axis_format in (
            axes.yaxis.set_major_formatter,
            axes.yaxis.set_minor_formatter,
        ):
            axis_format("{x:g}")
    same_steps = len({result["steps"] for result in results}) == 1
    steps = f", {first['steps']:,} steps" if same_steps else ""
    axes.set_title(first["task"] + steps)
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=130)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=DIGIT_TASKS + TEXT_TASKS, default="reverse")
    parser.add_argument("--model", choices=list(baselines.ENCODERS), default="ibert")
    parser.add_argument("--folder", type=Path, help="of sentences, for texts")
    parser.add_argument("--vocabulary", type=int, default=5_000, help="words at most")
    parser.add_argument("--size", choices=list(models.SIZES), help="the paper's widths")
    for name, value in {
        "steps": 2_000,
        "batch": 64,
        "width": 64,
        "layers": 2,
        "heads": 4,
        "intermediate": 256,
        "seed": 0,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument(
        "--short-first",
        type=float,
        default=0.0,
        help="share of the steps in which long numbers wait their turn",
    )
    parser.add_argument("--no-jit", action="store_true", help="train without XLA")
    parser.add_argument(
        "--quiet", dest="verbose", action="store_const", const=0, default="auto"
    )
    parser.add_argument("--out", type=Path, default=Path("results/ibert"))
    arguments = parser.parse_args()
    if arguments.size:
        arguments.width, arguments.heads, arguments.layers = models.SIZES[
            arguments.size
        ]
        arguments.intermediate = 2048
    if arguments.task in TEXT_TASKS and arguments.folder is None:
        parser.error(f"--task {arguments.task} needs --folder with sentences")
    if not 0 <= arguments.short_first <= 1:
        parser.error("--short-first must be between 0 and 1")
    if arguments.task in TEXT_TASKS and arguments.short_first:
        parser.error("--short-first is for numbers of digits")
    for name in ("steps", "batch", "width", "layers", "heads", "intermediate"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be positive")
    return arguments


def main():
    arguments = parse_arguments()
    model, result = run(arguments)
    print_table(result)
    out = arguments.out / f"{arguments.task}-{arguments.model}-{arguments.seed}"
    out.mkdir(parents=True, exist_ok=True)
    (out / "result.json").write_text(json.dumps(result, indent=1))
    plot([result], out / "by_length.png")
    model.save(out / "model.keras")
    print(f"Saved to {out}")


if __name__ == "__main__":
    main()
