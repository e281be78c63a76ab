"""Trains language models on bytes and measures them on longer contexts.

    python examples/language_model.py                    # all, on made-up sentences
    python examples/language_model.py --folder FOLDER --seeds 0 1 2 --models nam decay
    python examples/language_model.py --table docs/language-brown.json

All models have the same block around what mixes the steps, the same number of
parameters (by the width of the feed-forward parts) and the same budget. The folder
holds the Penn Treebank or the Brown corpus in their usual files, or any texts. Prints
bits per byte at the trained length of the context and at 4 and 16 times of it, seconds
per step, and tokens per second and bytes of state after 100 and after 20,000 tokens;
writes this, a plot of it and a sample of text to `--out`. A model that is finished is
kept there, so that the same command goes on where it was broken off; `--table FILE`
prints and draws the `results.json` of an earlier call.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from finished_runs import finished_run

from keras_nam import baselines
from keras_nam import datasets
from keras_nam import layers
from keras_nam import models
from keras_nam import tokenizers

LONGER = (1, 4, 16)
# Tokens after which generation is timed, and how many are then timed.
AFTER, TIMED = (100, 20_000), 320


def mixers(width, heads):
    """What mixes the steps in the block of each model."""
    return {
        "nam": lambda: layers.NAMAttention(heads, width // heads, use_erase=True),
        "decay": lambda: layers.NAMAttention(
            heads, width // heads, use_erase=True, decay="head"
        ),
        "gated_delta_net": lambda: layers.GatedDeltaNet(heads, width // heads),
        "window": lambda: baselines.RotaryAttention(heads, width // heads, window=128),
        "rotary": lambda: baselines.RotaryAttention(heads, width // heads),
        "lstm": lambda: layers.LSTMEncoder(width, bidirectional=False),
    }


NAMES = tuple(mixers(1, 1))


def build_model(name, arguments):
    """A model that has about as many parameters as asked for."""

    def build(feedforward):
        mixer = mixers(arguments.width, arguments.heads)[name]
        blocks = [
            layers.TransformerBlock(mixer(), feedforward, arguments.dropout)
            for _ in range(arguments.layers)
        ]
        core = [*blocks, keras.layers.LayerNormalization()]
        tokenizer = tokenizers.ByteTokenizer()
        return models.causal_lm(
            core, tokenizer, arguments.width, tie_embeddings=True, name=name
        )

    one, two = (build(size).count_params() for size in (1, 2))
    feedforward = 1 + round((arguments.parameters - one) / (two - one))
    if feedforward < 1:
        raise SystemExit(
            f"{name} has {one:,} parameters without its feed-forward parts: "
            "--parameters must be higher, or --width lower"
        )
    return build(feedforward)


def load_texts(arguments):
    """One text to train on and one that is held out."""
    if arguments.folder is None:
        sentences = datasets.generated_sentences(arguments.sentences)
    else:
        sentences = datasets.load_sentences(arguments.folder)
    tenth = -(-len(sentences) // 10)
    return "\n".join(sentences[tenth:]), "\n".join(sentences[:tenth])


def rows(text, length, batch, **kwargs):
    """Rows of one text, each of them without what came before."""
    dataset = datasets.packed_language_dataset(
        [text], tokenizers.ByteTokenizer(), length, batch, **kwargs
    )
    return dataset.map(lambda inputs, *others: (inputs["tokens"], *others))


def train(model, text, seed, arguments):
    """Fits the model and returns the seconds per step, without the first epoch."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        arguments.steps,
        warmup_target=arguments.learning_rate,
        warmup_steps=arguments.steps // 10,
    )
    model.compile(
        keras.optimizers.AdamW(schedule, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        jit_compile=not arguments.no_jit,
    )
    dataset = rows(text, arguments.context, arguments.batch, training=True, seed=seed)
    # Batches of another size would be compiled anew.
    dataset = dataset.unbatch().batch(arguments.batch, drop_remainder=True).repeat()
    steps = -(-arguments.steps // 10)
    times = [time.perf_counter()]
    model.fit(
        dataset,
        epochs=10,
        steps_per_epoch=steps,
        shuffle=False,  # The dataset is shuffled.
        verbose=arguments.verbose,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda *_: times.append(time.perf_counter())
            )
        ],
    )
    return float(np.median(np.diff(times)[1:])) / steps


def measure_generation(model, prompt, seed, arguments):
    """A sample, tokens per second after texts of some lengths, bytes of the state."""
    try:
        state = models.StreamingModel(model).initial_state(1)
    except ValueError:  # Attention that keeps all that it has seen.
        return None
    (sample,) = models.generate(
        model, [prompt], arguments.sample, temperature=0.8, seed=seed
    )
    sizes = [keras.ops.convert_to_numpy(x).nbytes for x in state.values()]
    result = {"sample": sample, "state_bytes": sum(sizes)}
    for length in AFTER:
        seconds = {}
        for count in (32, 32 + TIMED):
            for _ in range(2):  # The first time may compile.
                start = time.perf_counter()
                models.generate(model, ["a" * length], count, seed=0)
                seconds[count] = time.perf_counter() - start
        rate = TIMED / max(seconds[32 + TIMED] - seconds[32], 1e-9)
        result[f"tokens_per_second_after_{length}"] = round(rate, 1)
    return result


def run(name, seed, arguments):
    """Trains, saves and measures one model; what was measured."""
    keras.utils.set_random_seed(seed)
    text, held_out = load_texts(arguments)
    model = build_model(name, arguments)
    seconds = train(model, text, seed, arguments)
    model.save(arguments.out / f"{name}-{seed}.keras")
    model.compile(jit_compile=False)
    longest = LONGER[-1] * arguments.context
    bits, counts = models.bits_by_position(model, rows(held_out, longest, 1))
    by_context = {}
    for times in LONGER:
        # The last quarter of each context, with all of the context before it.
        end = times * arguments.context
        last = slice(end * 3 // 4, end)
        by_context[str(end)] = None
        if counts[last].any():
            total = np.nansum(bits[last] * counts[last])
            by_context[str(end)] = float(total / counts[last].sum())
    return {
        "model": name,
        "seed": seed,
        "steps": arguments.steps,
        "parameters": model.count_params(),
        "bits_per_byte": by_context,
        "seconds_per_step": round(seconds, 4),
        "generation": measure_generation(model, held_out[:40], seed, arguments),
    }


def spread(results, key):
    """The median over the seeds, and the range of them where there are several."""
    values = [result.get(key) for result in results]
    if None in values:
        return "-"
    digits = ",.0f" if min(values) >= 1_000 else ".4g"
    low, middle, high = (f"{np.quantile(values, q):{digits}}" for q in (0, 0.5, 1))
    return middle if low == high else f"{middle} ({low} to {high})"


def table(results):
    """The lines of a table in Markdown, a row for each model."""
    contexts = list(results[0]["bits_per_byte"])
    heads = ["model", "parameters", *(f"bits at {n}" for n in contexts)]
    heads += ["s / step", *(f"tokens / s after {n:,}" for n in AFTER), "bytes of state"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for name in dict.fromkeys(result["model"] for result in results):
        ours = [result for result in results if result["model"] == name]
        generations = [result["generation"] or {} for result in ours]
        bits = [result["bits_per_byte"] for result in ours]
        keys = *(f"tokens_per_second_after_{n}" for n in AFTER), "state_bytes"
        cells = [
            name,
            f"{ours[0]['parameters']:,}",
            *(spread(bits, n) for n in contexts),
            spread(ours, "seconds_per_step"),
            *(spread(generations, key) for key in keys),
        ]
        yield f"| {' | '.join(cells)} |"


def plot(results, path):
    """Draws the bits per byte against the context, a line for each result."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for result in results:
        contexts = [int(n) for n in result["bits_per_byte"]]
        values = [np.nan if x is None else x for x in result["bits_per_byte"].values()]
        color = f"C{NAMES.index(result['model'])}"
        label = result["model"] if result["seed"] == 0 else None
        axes.plot(contexts, values, marker="o", color=color, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(contexts, [f"{n:,}" for n in contexts])
    axes.set_xlabel("bytes of context")
    axes.set_ylabel("bits per byte in its last quarter")
    axes.set_title(f"trained on {contexts[0]:,} bytes, {results[0]['steps']:,} steps")
    axes.legend()
    figure.savefig(path, dpi=130)


def parse_arguments(given=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--folder", type=Path, help="of texts")
    for name, value in {
        "sentences": 20_000,
        "steps": 2_000,
        "batch": 16,
        "context": 256,
        "width": 128,
        "heads": 4,
        "layers": 2,
        "parameters": 500_000,
        "sample": 300,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--no-jit", action="store_true", help="train without XLA")
    parser.add_argument(
        "--quiet", dest="verbose", action="store_const", const=0, default="auto"
    )
    parser.add_argument("--out", type=Path, default=Path("results/language"))
    parser.add_argument("--table", type=Path, help="only print and draw this file")
    return parser.parse_args(given)


def run_all(arguments):
    """The results of all models, seed after seed."""
    elsewhere = {"models", "seeds", "verbose", "out", "table"}
    settings = [f"{k}={v}" for k, v in vars(arguments).items() if k not in elsewhere]
    # Seeds outermost: a table that is broken off has all models.
    for seed in dict.fromkeys(arguments.seeds):
        for name in arguments.models:
            result = finished_run(
                arguments.out / f"{name}-{seed}.json",
                [f"model={name}", f"seed={seed}", *settings],
                lambda name=name, seed=seed: run(name, seed, arguments),
            )
            generated = result["generation"]
            sample = generated["sample"] if generated else "It does not stream."
            print(f"\n{name}, seed {seed}:\n{sample}")
            yield result


def main():
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.table is not None:
        results = json.loads(arguments.table.read_text())
    else:
        results = list(run_all(arguments))
        (arguments.out / "results.json").write_text(json.dumps(results, indent=1))
    print("", *table(results), sep="\n")
    plot(results, arguments.out / "by_context.png")
    print(f"Saved to {arguments.out}")


if __name__ == "__main__":
    main()
