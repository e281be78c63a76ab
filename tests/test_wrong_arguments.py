"""Every argument of every public name: taken as documented, or refused by its name.

What an argument is, is read from how its entry in the docstring begins. All values of
`PROBES` are tried for it: those that its kind does not hold must be refused, and those
that it holds may be, as in a size that the number of heads does not divide.
"""

import contextlib
import functools
import importlib
import inspect
import math
import numbers
import re
import shutil
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest

import keras_nam
from keras_nam import layers
from keras_nam import models

PROBES = {
    "None": None,
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "nan": math.nan,
    "inf": math.inf,
    "text": "x",
    "list": [],
    "object": object(),
    "True": True,
    "int64": np.int64(4),
    "float32": np.float32(0.5),
    "array": np.zeros((2, 3, 1, 2, 1), "float32"),
    "huge": 2**99,
}
INTEGERS = {"-1", "0", "int64"}
NUMBERS = {"-1", "0", "int64", "1.5", "float32", "huge"}
ANY = set(PROBES)

# How an entry of a docstring begins, and which probes such an argument may take.
KINDS = {
    r"Positive (even )?integer or tuple": {"int64"},
    r"Positive (even )?integer": {"int64"},
    r"Non-negative integer of any size": {"0", "int64", "huge"},
    r"Non-negative integer": {"0", "int64"},
    r"Integer, 1 to print": {"0", "True"},
    r"Integer or list of integers": {"-1", "0", "int64", "list"},
    r"Integers, the (filters|labels)": set(),
    r"Integers of shape `\(time,\)` or": {"list"},
    r"Integer": INTEGERS,
    r"Booleans?[.,]": {"True"},
    r"Float, the rate": {"0", "float32"},
    r"Number from 0 to below 1": {"0", "float32"},
    r"Number (above 0, up to|between 0 and) 1": {"float32"},
    r"(Positive number|Number above 0|Number of seconds)": NUMBERS - {"-1", "0"},
    r"Number of at least 0": NUMBERS - {"-1"},
    r"(Number|Float)": NUMBERS,
    r"String[.,] [Tt]he name of the (model|metric)": {"text", "None"},
    r"String[.,] (the|The) (folder|name of)": {"text"},
    r"String\.$": {"text"},
    r"String or path": {"text"},
    r"String": set(),
    r"`\"|When examples erase": set(),
    r"List of": {"list", "array"},
    r"What `search_results` returned": {"list"},
    r"What the model takes": {"array"},
    r"Tuple": set(),
    r"Dictionary": set(),
    r"(Initializer|Activation)": {"None", "int64", "float32", "array"},
    r"(Regularizer|Constraint)": set(),
    r"As in `keras.Model.compile`": {"True"},
    r"As in `keras.Model.fit`": {"0", "True", "int64"},
    r"The dtype": set(),
    r"Function": set(),
    r"Layer\b": set(),
    r"Pair of integers": set(),
    r"1 or 3": {"int64"},
    r"Numbers of shape `\(": {"list"},
    r"A layer or a list": {"list"},
    r"Tensor of any rank": NUMBERS | {"array", "list"},
    r"(Boolean t|T)ensor of shape": {"float32", "0", "int64", "1.5", "-1", "array"},
    r"(Array|Integers) of shape": set(),
    r"(A|An|As|The|What|Model)\b|`keras": set(),
}
# What docstrings leave to others, and where they do not begin like that.
ENTRIES = {
    "bias_initializer": "Initializer",
    "dropout": "Float, the rate",
    "kernel_initializer": "Initializer",
    "key_dim": "Positive integer",
    "layer_norm_epsilon": "Number above 0",
    "num_heads": "Positive integer",
    "use_bias": "Boolean.",
    "epsilon": "Number above 0",
}


RESULT = {
    "trial": "0",
    "status": "COMPLETED",
    "score": 0.5,
    "measures": {},
    "hyperparameters": {"width": 4},
}


class Reached(Exception):
    """What was passed was taken, and the work would begin."""


def reach(*args, **kwargs):
    raise Reached


def tokens(*shape):
    return np.ones(shape, "int32")


def core():
    return layers.NAM(4, return_sequences=True)


def tensor(*shape):
    return np.zeros(shape, "float32")


@functools.cache
def few_shot_model():
    features = models.conv_features((8, 8, 1), (4, 6), num_pools=2)
    return models.FewShotClassifier(features, layers.NAMClassifier(4, 2, 2))


@functools.cache
def tagger():
    return models.token_tagger(core(), 8, 4)


@functools.cache
def turing_machine():
    return models.namtm_tagger(8, width=4, num_tapes=2, tape_length=3)


@functools.cache
def language_model():
    tokenizer = keras_nam.tokenizers.CharacterTokenizer(["a", "b"])
    return models.masked_lm(core(), tokenizer, 4)


@functools.cache
def causal_model():
    tokenizer = keras_nam.tokenizers.ByteTokenizer()
    return models.causal_lm(core(), tokenizer, 4, packed=True)


def packed():
    tokenizer = keras_nam.tokenizers.ByteTokenizer()
    return keras_nam.datasets.packed_language_dataset(["ab", "c"], tokenizer, 4)


@functools.cache
def hypermodel():
    return keras_nam.tuning.HyperLSAM(8)


def tuner():
    import keras_tuner

    tuner = keras_tuner.RandomSearch(hypermodel(), "loss", max_trials=1)
    tuner.run_trial = lambda trial: 1.0
    return tuner


@functools.cache
def trajectory():
    layer = layers.NAMTM(4, num_tapes=2, tape_length=3)
    return keras_nam.visualization.trajectory(layer, tensor(1, 3, 4))


def few_fonts():
    fonts = Path(matplotlib.get_data_path(), "fonts/ttf")
    for name in ("cmr10.ttf", "cmtt10.ttf"):
        shutil.copy(fonts / name, name)
    return "."


def few_images():
    Path("train/class").mkdir(parents=True, exist_ok=True)
    keras.utils.save_img("train/class/1.png", tensor(2, 2, 3))
    return "."


def few_sentences():
    Path("sentences.txt").write_text("a b c")
    return "."


# What arguments without a default are by their names, and what more is needed.
BY_NAME = {
    "core": core,
    "tokenizer": keras_nam.tokenizers.CharacterTokenizer,
    "units": 4,
    "num_heads": 2,
    "num_layers": 1,
    "intermediate_dim": 4,
    "key_dim": 2,
    "vocabulary_size": 8,
    "width": 4,
    "num_classes": 2,
    "num_base_classes": 4,
    "num_novel_classes": 2,
    "num_examples": 2,
    "task": "listops",
    "input_dim": 8,
    "output_dim": 4,
}
NEEDED = {
    "ops.memory_attention": lambda: {
        name: tensor(1, 3, 1, 2) for name in ("query", "key", "value")
    },
    "ops.memory_read": lambda: {"memory": tensor(1, 2, 2), "query": tensor(1, 2)},
    "ops.memory_read_set": lambda: {
        "memory": tensor(1, 2, 2),
        "queries": tensor(1, 3, 2),
    },
    "ops.memory_scan": lambda: {
        **{name: tensor(1, 3, 1, 2) for name in ("query", "key", "value")},
        "write_gate": None,
    },
    "ops.memory_write": lambda: {
        "memory": tensor(1, 2, 2),
        "key": tensor(1, 2),
        "value": tensor(1, 2),
    },
    "ops.memory_write_set": lambda: {
        "memory": tensor(1, 2, 2),
        "keys": tensor(1, 3, 2),
        "values": tensor(1, 3, 2),
    },
    "ops.unit_normalize": lambda: {"x": tensor(2, 3)},
    "layers.TransformerBlock": lambda: {
        "attention": layers.NAMAttention(2, 2),
        "feedforward": 4,
    },
    "baselines.make_encoder": lambda: {"name": "learned"},
    "models.FewShotClassifier": lambda: {
        "feature_extractor": few_shot_model().feature_extractor,
        "head": layers.NAMClassifier(4),
    },
    "models.bits_by_position": lambda: {"model": causal_model(), "dataset": packed()},
    "models.export_causal_lm": lambda: {"model": causal_model(), "path": "export"},
    "models.generate": lambda: {
        "model": causal_model(),
        "prompts": ["a", "bc"],
        "max_new_tokens": 2,
    },
    "models.export_masked_lm": lambda: {"model": language_model(), "path": "export"},
    "models.export_teachable": lambda: {"model": few_shot_model(), "path": "export"},
    "models.export_text_model": lambda: {
        "model": models.token_tagger(core(), 16, 4),
        "path": "export",
        "tokenizer": keras_nam.datasets.task_tokenizer("addition"),
    },
    "models.fill_masks": lambda: {
        "model": language_model(),
        "sentences": ["a <mask>"],
        "num_candidates": 2,
    },
    "models.StreamingModel": lambda: {"model": tagger()},
    "models.conv_features": lambda: {
        "input_shape": (8, 8, 1),
        "filters": (4, 4),
        "num_pools": 2,
    },
    "models.residual_features": lambda: {"input_shape": (8, 8, 1), "filters": (4,)},
    "models.ibert_tagger": lambda: {
        "width": 8,
        "num_heads": 2,
        "num_layers": 1,
        "intermediate_dim": 8,
    },
    "models.lsam_tagger": lambda: {"width": 8, "num_heads": 2, "intermediate_dim": 8},
    "models.namtm_tagger": lambda: {"width": 8, "num_tapes": 2, "tape_length": 3},
    "models.choose_sharpness": lambda: {
        "model": turing_machine(),
        "inputs": tokens(1, 3),
        "targets": tokens(1, 3),
        "candidates": [1],
    },
    "models.from_preset": lambda: {"name": "reverse"},
    "models.sharpen_controller": lambda: {"model": turing_machine(), "factor": 2.0},
    "models.with_sharpness": lambda: {"model": turing_machine(), "sharpness": 2.0},
    "models.fit_few_shot": lambda: {
        "model": few_shot_model(),
        "images": tensor(12, 8, 8, 1),
        "labels": np.arange(12) % 4,
        "num_ways": 1,
        "epochs": 1,
    },
    "metrics.FalsePositiveRate": lambda: {"group": "base"},
    "metrics.GroupAccuracy": lambda: {"group": "base"},
    "metrics.LengthBucket": lambda: {
        "metric": keras.metrics.SparseCategoricalAccuracy(),
        "min_length": 1,
    },
    **dict.fromkeys(
        ("metrics.base_novel_auc", "metrics.base_novel_curve"),
        lambda: {"y_true": [0, 5], "scores": np.eye(6)[:2], "num_novel_classes": 1},
    ),
    "metrics.confidence_interval": lambda: {"values": [0.1, 0.2, 0.4]},
    "metrics.rejection_auroc": lambda: {"known": [1.0], "unknown": [0.0]},
    "metrics.rejection_false_positive_rate": lambda: {
        "known": [1.0],
        "unknown": [0.0],
    },
    "callbacks.LengthCurriculum": lambda: {"lengths": {0: 4}},
    "callbacks.SharpenHeads": lambda: {"factor": 2.0, "steps": 4},
    "callbacks.MemorySummary": lambda: {"log_dir": "logs", "inputs": tokens(1, 3)},
    "distribution.fit_multi_worker": lambda: {
        "make_model": reach,
        "make_dataset": reach,
        "epochs": 1,
        "checkpoint_dir": "checkpoints",
    },
    "visualization.plot_gates": lambda: {"trajectory": trajectory()},
    "visualization.plot_head_entropy": lambda: {"trajectory": trajectory()},
    "visualization.plot_memory": lambda: {"trajectory": trajectory()},
    "visualization.plot_tape_heads": lambda: {"trajectory": trajectory()},
    "visualization.trajectory": lambda: {"model": tagger(), "inputs": tokens(1, 3)},
    "datasets.decode": lambda: {"tokens": [1, 2]},
    "datasets.encode": lambda: {"text": "12"},
    "datasets.episodes": lambda: {
        "images": tensor(60, 2),
        "labels": np.arange(60) % 6,
        "base_classes": range(6),
        "num_ways": 2,
    },
    "datasets.digits": lambda: {"image_size": 2},
    "datasets.glyphs": lambda: {
        "folder": few_fonts(),
        "fonts_per_class": 2,
        "image_size": 8,
    },
    "datasets.listops_text": lambda: {
        "tokens": keras_nam.datasets.encode("[MAX 3 5 ]", "listops")
    },
    "datasets.load": lambda: {"task": "copy"},
    "datasets.load_images": lambda: {"source": [(tensor(2, 2, 1), 0)]},
    "datasets.load_long_range": lambda: {
        "task": "text",
        "source": "generated",
        "num_examples": 2,
    },
    "datasets.load_mini_imagenet": lambda: {"folder": few_images(), "image_size": 2},
    "datasets.load_sentences": lambda: {"path": few_sentences()},
    "datasets.load_task": lambda: {"task": "copy", "num_examples": 2},
    "datasets.masked_language_dataset": lambda: {
        "sentences": ["a b", "b c a"],
        "tokenizer": keras_nam.tokenizers.WordTokenizer(["a", "b"]),
    },
    "datasets.packed_language_dataset": lambda: {
        "documents": ["a b", "b c a"],
        "tokenizer": keras_nam.tokenizers.ByteTokenizer(),
        "length": 4,
    },
    "datasets.partition_by_length": lambda: {"sentences": ["a b c"], "held_out": 0},
    "tokenizers.SymbolTokenizer": lambda: {"symbols": ["a", "."], "pad": "."},
    "tuning.narrow_space": lambda: {"hypermodel": hypermodel()},
    "tuning.plot_search": lambda: {"results": [RESULT], "objective": "score"},
    "tuning.search": lambda: {"tuner": tuner()},
    "tuning.search_results": lambda: {"tuner": tuner()},
    "tuning.search_table": lambda: {"results": [RESULT]},
    "tuning.HyperFewShot": lambda: {"image_shape": (8, 8, 1)},
}


# Where there is nothing to try: they hold results, or take no arguments.
LEFT_OUT = {
    "datasets.LengthPartition",
    "datasets.LongRangeInfo",
    "datasets.encode_question",
    "datasets.query",
    "distribution.WorkerLostError",
    "ops.PortableScope",
    "tuning.SearchOutcome",
}
# What takes long to build, for every probe that is taken.
DEAR = {
    "datasets.glyphs",
    "models.choose_sharpness",
    "models.generate",
    "models.ibert_tagger",
    "models.lsam_tagger",
    "models.namtm_tagger",
}
PACKAGES = (
    "baselines",
    "callbacks",
    "datasets",
    "distribution",
    "layers",
    "metrics",
    "models",
    "ops",
    "tokenizers",
    "tuning",
    "visualization",
)


def public_names(package):
    module = importlib.import_module(f"keras_nam.{package}")
    names = [f"{package}.{name}" for name in module.__all__]
    return [name for name in names if callable(find(name)) and name not in LEFT_OUT]


def find(name):
    package, _, attribute = name.partition(".")
    return getattr(importlib.import_module(f"keras_nam.{package}"), attribute)


def classes(function):
    """What may take the arguments of a call: a function, or a class and its bases."""
    if not inspect.isclass(function):
        return [function]
    public = all_public()
    return [base for base in function.__mro__ if base is function or base in public]


@functools.cache
def all_public():
    return {find(name) for package in PACKAGES for name in public_names(package)}


def parameters(function):
    """All arguments by their names, those that are passed on to a base included."""
    found = {}
    for base in classes(function):
        signature = inspect.signature(base).parameters.values()
        for p in signature:
            # What a base needs, its subclass passes.
            needed = p.default is p.empty and base is not function
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and not needed:
                found.setdefault(p.name, p)
        if all(p.kind != p.VAR_KEYWORD for p in signature):
            break
    return found


def documented(function, parameter):
    """How the entry of an argument in the docstring begins."""
    for base in classes(function):
        arguments = (inspect.getdoc(base) or "").partition("\nArgs:\n")[2]
        entry = re.search(
            rf"^ {{4}}(?:\w+,\s+)*{parameter}(?:,\s+\w+)*:\s((?:.|\n {{8}})*)",
            re.split(r"\n(?=\S)", arguments)[0],
            re.MULTILINE,
        )
        if entry:
            sibling = re.match(r"As in `(\w+)`", entry[1])
            if sibling:
                package = importlib.import_module(base.__module__.rpartition(".")[0])
                while not hasattr(package, sibling[1]):
                    name = package.__name__.rpartition(".")[0]
                    package = importlib.import_module(name)
                return documented(getattr(package, sibling[1]), parameter)
            return " ".join(entry[1].split())
    return ENTRIES[parameter]


def allowed_probes(function, parameter):
    entry = documented(function, parameter.name)
    kind = next((k for k in KINDS if re.match(k, entry)), None)
    assert kind is not None, f"Nobody knows what is this: {parameter.name}: {entry}"
    allowed = set(KINDS[kind])
    if parameter.default is None or "`None`" in entry:
        allowed.add("None")
    return allowed


def arguments_for(name, function):
    given = NEEDED.get(name, dict)()
    for p in parameters(function).values():
        if p.default is p.empty and p.name not in given:
            value = BY_NAME[p.name]
            given[p.name] = value() if callable(value) else value
    return given


def try_probe(function, given, parameter, probe):
    """Says what is wrong about the answer, or returns `None`."""
    allowed = allowed_probes(function, parameter)
    value = PROBES[probe]
    try:
        taken = function(**{**given, parameter.name: value})
    except Reached:
        taken = None
    except (ValueError, TypeError) as error:
        message = str(error)
        # Of two shapes that do not fit together, either may be the wrong one.
        names = parameters(function) if probe == "array" else [parameter.name]
        named = re.search(rf"\b({'|'.join(names)})\b", message)
        named = named and "Received" in message
        # Python and Keras say in their own words what they look up themselves.
        known = re.search(
            "multiple values for keyword argument|Could not interpret .* identifier"
            "|DTypePolicy|Inputs to a layer|is not optional|input tensors"
            "|Invalid input shape|direct tensor as initializer",
            message,
        )
        if not named and not known:
            return f"is refused without an explanation: {message[:200]!r}"
        return None
    except Exception as error:
        return f"ends in {type(error).__name__}: {str(error)[:200]!r}"
    if probe not in allowed:
        return "is taken"
    config = taken.get_config() if isinstance(taken, keras.layers.Layer) else {}
    kept = config.get(parameter.name)
    # What Keras has looked up, as initializers, is a dictionary.
    if value is None or not isinstance(kept, (numbers.Number, np.generic)):
        return None
    plain = kept == value and type(kept).__module__ == "builtins"
    return None if plain else f"becomes {kept!r} in the config"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in DEAR else ())
        for package in PACKAGES
        for name in public_names(package)
    ],
)
def test_arguments(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keras.export, "ExportArchive", reach)
    if name.startswith("datasets."):
        tfds = pytest.importorskip("tensorflow_datasets")
        monkeypatch.setattr(tfds, "load", reach)
    monkeypatch.setattr(keras.Model, "fit", reach)
    function = find(name)
    given = arguments_for(name, function)
    with contextlib.suppress(Reached):
        function(**given)
    problems = [
        f"{parameter.name}={probe} {problem}"
        for parameter in parameters(function).values()
        for probe in PROBES
        if (problem := try_probe(function, given, parameter, probe))
    ]
    assert not problems, "\n".join([name, *problems])
