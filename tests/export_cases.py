"""What runs where: the cases of `docs/export.md`, and how each format is tried.

    python tests/export_cases.py

writes the table of `docs/export.md` from the list below. `test_export_formats.py`
tries every cell of it, and that the page says what the list says.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

import keras_nam
from keras_nam import baselines
from keras_nam import layers
from keras_nam import models

PAGE = Path(__file__).parent.parent / "docs" / "export.md"
START, END = "<!-- table: tests/export_cases.py -->\n", "<!-- end of table -->\n"

FEATURES = 4
FIXED = (2, 9)
# Batch sizes and lengths, one of them longer than a chunk of the memories.
SIZES = ((1, 1), (3, 7), (2, 70))


class Works(NamedTuple):
    """A format that a model works in, and what it takes.

    Args:
        scope: Boolean. Whether the export has to stand in a `PortableScope`.
        fixed: Boolean. Whether batch size and length are fixed at the export.
        note: String. What else is limited.
    """

    scope: bool = False
    fixed: bool = False
    note: str = ""

    def __str__(self):
        limits = [
            "in `PortableScope`" if self.scope else "",
            "fixed batch and length" if self.fixed else "",
            self.note,
        ]
        return ", ".join(["works", *filter(None, limits)])


class Case(NamedTuple):
    """A line of the table."""

    build: Callable
    onnx: Works
    litert: Works
    saved_model: Works = Works()
    keras: Works = Works()


def sequence_model(layer, length=None):
    inputs = keras.Input((length, FEATURES))
    return keras.Model(inputs, layer(inputs))


def attention_model(layer, **arguments):
    inputs = keras.Input((None, FEATURES))
    return keras.Model(inputs, layer(inputs, inputs, **arguments))


def few_shot_model(head):
    features = models.conv_features((8, 8, 1), (2, 3), num_pools=2)
    model = models.FewShotClassifier(features, head)
    model.learn(draw_inputs(model, 2, None), np.full(2, 4))
    return model


def recurrent(layer_class, length=None, **arguments):
    return lambda: sequence_model(
        layer_class(**arguments, return_sequences=True), length
    )


SCOPE, FIXED_SCOPE = Works(scope=True), Works(scope=True, fixed=True)
UNROLLED = {"length": 4, "unroll": True}
BUILT = Works(note="the length it was built for")
ANSWERS = Works(note="answers only, with what it was taught")
TAUGHT = Works(note="and goes on learning with `export_teachable`")

CASES = {
    "`NAM`": Case(recurrent(layers.NAM, units=4, num_heads=2), SCOPE, FIXED_SCOPE),
    "`NAM(use_erase=False)`": Case(
        recurrent(layers.NAM, units=4, num_heads=2, use_erase=False), Works(), Works()
    ),
    '`NAM(decay="channel")`': Case(
        recurrent(layers.NAM, units=4, num_heads=2, decay="channel"),
        SCOPE,
        FIXED_SCOPE,
    ),
    "`GatedDeltaNet`": Case(
        # New layers normalise what is close to zero, and every rounding with it.
        lambda: sequence_model(layers.GatedDeltaNet(4, 3, 2, 2, epsilon=0.01)),
        SCOPE,
        FIXED_SCOPE,
    ),
    "`LSAM`": Case(recurrent(layers.LSAM, units=4, num_heads=2), SCOPE, FIXED_SCOPE),
    "`NAMTM`": Case(
        recurrent(layers.NAMTM, units=4, num_tapes=2, tape_length=5, sharpness=3.0),
        SCOPE,
        FIXED_SCOPE,
    ),
    "`NAMTM(use_jump=False)`": Case(
        recurrent(layers.NAMTM, units=4, num_tapes=2, tape_length=5, use_jump=False),
        SCOPE,
        FIXED_SCOPE,
    ),
    "`LSAM(unroll=True)`": Case(
        recurrent(layers.LSAM, units=4, num_heads=2, **UNROLLED),
        BUILT,
        Works(fixed=True),
        BUILT,
        BUILT,
    ),
    "`NAMTM(unroll=True)`": Case(
        recurrent(layers.NAMTM, units=4, num_tapes=2, tape_length=3, **UNROLLED),
        SCOPE._replace(note=BUILT.note),
        Works(fixed=True),
        BUILT,
        BUILT,
    ),
    "`NAMAttention`": Case(
        lambda: attention_model(layers.NAMAttention(2, 3)), Works(), Works()
    ),
    "`NAMAttention`, causal": Case(
        lambda: attention_model(layers.NAMAttention(2, 3), use_causal_mask=True),
        Works(),
        Works(),
    ),
    "`NAMAttention(use_erase=True)`, causal": Case(
        lambda: attention_model(
            layers.NAMAttention(2, 3, use_erase=True), use_causal_mask=True
        ),
        SCOPE,
        FIXED_SCOPE,
    ),
    "`LinearAttention`": Case(
        lambda: attention_model(layers.LinearAttention(2, 3)), Works(), Works()
    ),
    "`NAMTransformerEncoder`": Case(
        lambda: sequence_model(layers.NAMTransformerEncoder(6, 2)), Works(), Works()
    ),
    "`RotaryAttention(window=4)`, causal": Case(
        lambda: attention_model(
            baselines.RotaryAttention(2, 4, window=4), use_causal_mask=True
        ),
        Works(),
        Works(),
    ),
    "`LSTMEncoder`": Case(
        lambda: sequence_model(layers.LSTMEncoder(3)), SCOPE, FIXED_SCOPE
    ),
    "`IBERTEncoder`": Case(
        lambda: sequence_model(layers.IBERTEncoder(1, 2, 6)), SCOPE, FIXED_SCOPE
    ),
    "`NTM`": Case(
        recurrent(baselines.NTM, units=4, memory_size=5, word_size=3),
        SCOPE,
        FIXED_SCOPE,
    ),
    "`DNC`": Case(
        recurrent(baselines.DNC, units=4, memory_size=5, word_size=3),
        SCOPE,
        FIXED_SCOPE,
    ),
    "`StackRNN`": Case(
        recurrent(baselines.StackRNN, units=4, num_stacks=2), SCOPE, FIXED_SCOPE
    ),
    "`NAMClassifier` in `FewShotClassifier`": Case(
        lambda: few_shot_model(layers.NAMClassifier(4, 2, 3)), ANSWERS, ANSWERS, TAUGHT
    ),
    "`CosineClassifier` in `FewShotClassifier`": Case(
        lambda: few_shot_model(layers.CosineClassifier(4, 2, 3)),
        ANSWERS,
        ANSWERS,
        TAUGHT,
    ),
    "`token_tagger` of `LSAM`, with `mask_token`": Case(
        lambda: models.token_tagger(
            layers.LSAM(4, num_heads=2, return_sequences=True), 9, 4, mask_token=0
        ),
        SCOPE,
        FIXED_SCOPE,
    ),
    "`sequence_classifier` of `NAMTransformerEncoder`": Case(
        lambda: models.sequence_classifier(
            layers.NAMTransformerEncoder(6, 2), 9, 4, num_classes=3, mask_token=0
        ),
        Works(),
        Works(),
    ),
}


def draw_inputs(model, batch, length):
    """Images, tokens or vectors, whatever the model takes."""
    generator = np.random.default_rng(0)
    if isinstance(model, models.FewShotClassifier):
        return generator.uniform(size=(batch, 8, 8, 1)).astype("float32")
    length = model.input.shape[1] or length
    if model.input.dtype == "int32":
        return generator.integers(0, 9, (batch, length)).astype("int32")
    return generator.normal(size=(batch, length, FEATURES)).astype("float32")


def build(case):
    """A model whose weights look as if it was trained: no bias is zero."""
    model = case.build()
    generator = np.random.default_rng(1)
    for weight in model.trainable_weights:
        noise = generator.normal(size=weight.shape)
        weight.assign(weight + 0.05 * noise.astype("float32"))
    # Keras exports to ONNX what was called once.
    model(draw_inputs(model, *FIXED))
    return model


def run_keras(model, folder, how):
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    return lambda inputs: loaded(inputs)


def run_saved_model(model, folder, how):
    model.export(folder / "model", verbose=False)
    loaded = tf.saved_model.load(str(folder / "model"))
    return lambda inputs: loaded.serve(inputs)


def run_onnx(model, folder, how):
    import onnxruntime

    path = folder / "model.onnx"
    with scope(how):
        model.export(path, format="onnx", verbose=False, **signature(model, how))
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    return lambda inputs: session.run(None, {name: inputs})[0]


def run_litert(model, folder, how):
    from ai_edge_litert.interpreter import Interpreter

    path = folder / "model.tflite"
    # No operators of TensorFlow beside LiteRT's own.
    target = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    with scope(how):
        model.export(
            path,
            format="litert",
            verbose=False,
            target_spec=target,
            **signature(model, how),
        )

    def run(inputs):
        interpreter = Interpreter(str(path))
        at = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(at, inputs.shape, strict=True)
        interpreter.allocate_tensors()
        interpreter.set_tensor(at, inputs)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run


FORMATS = {
    "keras": (".keras", run_keras),
    "saved_model": ("SavedModel", run_saved_model),
    "onnx": ("ONNX", run_onnx),
    "litert": ("LiteRT", run_litert),
}


def scope(how):
    return keras_nam.ops.PortableScope() if how.scope else contextlib.nullcontext()


def signature(model, how):
    if not how.fixed:
        return {}
    like = draw_inputs(model, *FIXED)
    return {"input_signature": [keras.InputSpec(shape=like.shape, dtype=like.dtype)]}


def table():
    """The table of the page, in Markdown."""
    lines = [["", *(title for title, _ in FORMATS.values())]]
    lines += [["---"] * len(lines[0])]
    for name, case in CASES.items():
        lines.append([name, *(str(getattr(case, form)) for form in FORMATS)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main():
    text = PAGE.read_text()
    before, rest = text.split(START)
    _, after = rest.split(END)
    PAGE.write_text(before + START + table() + END + after)


if __name__ == "__main__":
    main()
