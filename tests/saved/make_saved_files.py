"""Saves a small model of every kind, for later versions of the package to load.

    python tests/saved/make_saved_files.py

writes `VERSION/NAME.keras` and, beside it, `VERSION/NAME.npz` with inputs and outputs.
Files of a version that was released are never written again: they are there to be
loaded by what comes after it.
"""

import sys
from pathlib import Path

import keras
import numpy as np

import keras_nam
from keras_nam import baselines
from keras_nam import layers
from keras_nam import metrics
from keras_nam import models

FOLDER = Path(__file__).parent
FEATURES = 4


def sequence_model(*core):
    inputs = keras.Input((None, FEATURES))
    x = inputs
    for layer in core:
        x = layer(x)
    return keras.Model(inputs, x)


def attention_model(layer, **arguments):
    inputs = keras.Input((None, FEATURES))
    return keras.Model(inputs, layer(inputs, inputs, **arguments))


def scan_model():
    """The memory as an operation of a functional model."""
    vectors = keras.Input((None, 1, FEATURES))
    gates = keras.Input((None, 1))
    key = keras_nam.ops.unit_normalize(vectors)
    outputs, _ = keras_nam.ops.memory_scan(
        key, key, vectors, gates, gates, implementation="chunked", chunk_size=3
    )
    return keras.Model([vectors, gates], outputs)


def trained_tagger():
    """A model that was compiled and trained, with the state of its optimizer."""
    model = models.token_tagger(
        layers.NAM(4, num_heads=2, return_sequences=True), 6, 4, mask_token=5
    )
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[metrics.SequenceAccuracy(), metrics.MaskedPerplexity()],
    )
    tokens = np.random.default_rng(1).integers(0, 5, (4, 6)).astype("int32")
    model.fit(tokens, tokens, epochs=1, verbose=0)
    return model


def language_model():
    """A memory that forgets, a softmax of a window, and a Gated DeltaNet."""
    core = [
        layers.NAMTransformerEncoder(6, 2, use_erase=True, decay="head"),
        layers.TransformerBlock(baselines.RotaryAttention(2, 2, window=3), 6),
        layers.TransformerBlock(layers.GatedDeltaNet(2, 2), 6),
    ]
    tokenizer = keras_nam.tokenizers.CharacterTokenizer([*"abc"])
    return models.causal_lm(core, tokenizer, 4, tie_embeddings=True)


def classifier(**arguments):
    block = layers.NAMTransformerEncoder(6, num_heads=2)
    return models.sequence_classifier(block, 9, 4, num_classes=3, **arguments)


def few_shot(head):
    model = models.FewShotClassifier(models.conv_features((8, 8, 1), (2, 3), 2), head)
    model.learn(np.random.default_rng(2).uniform(size=(2, 8, 8, 1)), np.full(2, 4))
    return model


MODELS = {
    "nam": lambda: sequence_model(layers.NAM(4, num_heads=2, return_sequences=True)),
    "nam_no_erase": lambda: sequence_model(layers.NAM(4, key_dim=3, use_erase=False)),
    "nam_decay": lambda: sequence_model(
        layers.NAM(4, num_heads=2, decay="channel", write_gate="channel")
    ),
    "gated_delta_net": lambda: sequence_model(
        layers.GatedDeltaNet(4, 3, 2, num_key_heads=2)
    ),
    "lsam": lambda: sequence_model(layers.LSAM(4, num_heads=2, return_sequences=True)),
    "namtm": lambda: sequence_model(
        layers.NAMTM(4, num_tapes=2, tape_length=5, return_sequences=True)
    ),
    "namtm_no_jump": lambda: sequence_model(
        layers.NAMTM(4, num_tapes=2, tape_length=None, use_jump=False)
    ),
    "namtm_sharp": lambda: sequence_model(
        layers.NAMTM(4, num_tapes=2, tape_length=5, sharpness=3.0)
    ),
    "cells": lambda: sequence_model(
        keras.layers.RNN(
            [
                layers.NAMCell(4),
                layers.LSAMCell(4, num_heads=2),
                layers.NAMTMCell(4, num_tapes=2, tape_length=3),
            ]
        )
    ),
    "bidirectional": lambda: sequence_model(keras.layers.Bidirectional(layers.LSAM(4))),
    "attention": lambda: attention_model(layers.NAMAttention(2, 3, use_gates=True)),
    "attention_erase": lambda: attention_model(
        layers.NAMAttention(2, 3, use_erase=True), use_causal_mask=True
    ),
    "linear_attention": lambda: attention_model(layers.LinearAttention(2, 3)),
    "transformer_encoder": lambda: sequence_model(layers.NAMTransformerEncoder(6, 2)),
    "transformer_block": lambda: sequence_model(
        layers.TransformerBlock(
            baselines.RotaryAttention(2, 4), layers.LSTMEncoder(FEATURES // 2)
        )
    ),
    "lstm_encoder": lambda: sequence_model(layers.LSTMEncoder(3)),
    "ibert_encoder": lambda: sequence_model(layers.IBERTEncoder(2, 2, 6)),
    "ntm": lambda: sequence_model(baselines.NTM(4, 5, 3, controller_units=6)),
    "dnc": lambda: sequence_model(
        baselines.DNC(
            4,
            5,
            3,
            num_read_heads=2,
            controller_units=[6, 4],
            use_masking=True,
            use_deallocation=True,
            use_sharpening=True,
        )
    ),
    "stack_rnn": lambda: sequence_model(baselines.StackRNN(4, num_stacks=2)),
    "universal_transformer": lambda: sequence_model(
        baselines.UniversalTransformerEncoder(2, 2, 6)
    ),
    "memory_scan": scan_model,
    "token_tagger": trained_tagger,
    "causal_lm": language_model,
    "sequence_classifier": lambda: classifier(mask_token=0),
    "sequence_classifier_learned": lambda: classifier(
        pooling="cls", positions="learned", max_length=9
    ),
    "namtm_tagger": lambda: models.namtm_tagger(9, width=4, num_tapes=2, tape_length=5),
    "lsam_tagger": lambda: models.lsam_tagger(
        9, width=4, num_heads=2, intermediate_dim=6
    ),
    "nam_classifier": lambda: few_shot(layers.NAMClassifier(4, 2, 3)),
    "cosine_classifier": lambda: few_shot(layers.CosineClassifier(4, 2, 3)),
}


def draw_inputs(model):
    """Inputs of a model: images, tokens, or vectors over 7 steps."""
    generator = np.random.default_rng(0)
    if isinstance(model, models.FewShotClassifier):
        return [generator.uniform(size=(2, 8, 8, 1)).astype("float32")]
    inputs = []
    for x in model.inputs:
        shape = [size or (2, 7)[axis] for axis, size in enumerate(x.shape)]
        if x.dtype == "int32":
            inputs.append(generator.integers(0, 6, shape).astype("int32"))
        else:
            inputs.append(generator.uniform(size=shape).astype("float32"))
    return inputs


def answer(model, inputs):
    return np.asarray(model(inputs[0] if len(inputs) == 1 else inputs))


def main():
    folder = FOLDER / keras_nam.__version__
    folder.mkdir(exist_ok=True)
    for name, build in MODELS.items():
        path = folder / f"{name}.keras"
        if path.exists():
            print(f"{path} is there already", file=sys.stderr)
            continue
        keras.utils.set_random_seed(0)
        model = build()
        model.save(path)
        inputs = draw_inputs(model)
        arrays = {f"inputs_{i}": array for i, array in enumerate(inputs)}
        np.savez(path.with_suffix(".npz"), outputs=answer(model, inputs), **arrays)


if __name__ == "__main__":
    main()
