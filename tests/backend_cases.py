"""What runs on which backend: the cases of `docs/backends.md`, and how they are tried.

    KERAS_BACKEND=jax python tests/backend_cases.py FOLDER NAME ...

writes what models of `tests/saved` give there to `FOLDER/NAME.npz`;
`test_other_backends.py` runs it, compares, and holds the page to what came out.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from backends import BACKEND
from backends import differentiate
from keras import ops

import keras_nam

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "backends.md"
START, END = "<!-- table: tests/test_other_backends.py -->\n", "<!-- end of table -->\n"

FILES = {path.stem: path for path in sorted((TESTS / "saved").glob("*/*.keras"))}
# Lines of the table, and the saved models that stand for them.
LINES = {
    "`NAM`": ["nam", "nam_no_erase", "nam_decay"],
    "`GatedDeltaNet`": ["gated_delta_net"],
    "`LSAM`": ["lsam", "bidirectional"],
    "`NAMTM`": ["namtm", "namtm_no_jump", "namtm_sharp"],
    "`NAMCell`, `LSAMCell`, `NAMTMCell` in `keras.layers.RNN`": ["cells"],
    "`NAMAttention`": ["attention", "attention_erase"],
    "`LinearAttention`": ["linear_attention"],
    "`NAMTransformerEncoder`, `TransformerBlock`": [
        "transformer_encoder",
        "transformer_block",
    ],
    "`causal_lm`, `RotaryAttention(window=4)`": ["causal_lm"],
    "`LSTMEncoder`": ["lstm_encoder"],
    "`IBERTEncoder`": ["ibert_encoder"],
    "`NAMClassifier` in `FewShotClassifier`": ["nam_classifier"],
    "`CosineClassifier` in `FewShotClassifier`": ["cosine_classifier"],
    "`token_tagger`, `TokenEmbedding`": ["token_tagger"],
    "`sequence_classifier`, `PositionEmbedding`, `ClassToken`, `MeanPooling`": [
        "sequence_classifier",
        "sequence_classifier_learned",
    ],
    "`namtm_tagger`": ["namtm_tagger"],
    "`lsam_tagger`": ["lsam_tagger"],
    "`NTM`, `DNC`, `StackRNN`": ["ntm", "dnc", "stack_rnn"],
    "`UniversalTransformerEncoder`": ["universal_transformer"],
    "`keras_nam.ops`": ["memory_scan"],
}


def evaluate(name):
    """Outputs of a saved model, and the gradients of its weights, as arrays."""
    arrays = np.load(FILES[name].with_suffix(".npz"))
    inputs = [arrays[f"inputs_{i}"] for i in range(len(arrays.files) - 1)]
    model = keras.saving.load_model(FILES[name])

    def loss_and_outputs(*inputs):
        outputs = model(inputs[0] if len(inputs) == 1 else list(inputs))
        return ops.sum(ops.sin(3.0 * outputs)), outputs

    outputs, _, gradients = differentiate(
        loss_and_outputs, inputs, model.trainable_variables, BACKEND == "jax"
    )
    names = [f"{i} {v.name}" for i, v in enumerate(model.trainable_variables)]
    return {"outputs": outputs, **dict(zip(names, gradients, strict=True))}


def train():
    """The losses of a tagger with a Turing machine that learns to reverse."""
    keras.utils.set_random_seed(0)
    model = keras_nam.models.namtm_tagger(16, width=16, num_tapes=2, tape_length=8)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[keras_nam.metrics.SequenceAccuracy()],
        jit_compile=BACKEND == "jax",
    )
    x, y, weight = keras_nam.datasets.reverse(640, 3)
    history = model.fit(x, y, sample_weight=weight, batch_size=64, epochs=6, verbose=0)
    return np.array(history.history["loss"])


def differences(folder, names):
    """What is not as on TensorFlow, by the name of the model."""
    found = {}
    for name in names:
        ours, expected = np.load(folder / f"{name}.npz"), evaluate(name)
        for key in expected.keys() | set(ours.files):
            largest = np.abs(expected[key]).max(initial=1e-2)
            error = np.abs(ours[key] - expected[key]).max(initial=0.0)
            if not error <= 2e-4 * largest:
                found.setdefault(name, []).append((key, float(error), float(largest)))
    return found


def column(different):
    """What the page has to say of a backend, by the line."""
    return {
        line: "differs" if set(names) & set(different) else "works"
        for line, names in LINES.items()
    }


def printed_column(backend):
    """What the page says of a backend, by the line."""
    text = PAGE.read_text().split(START)[1].split(END)[0]
    title, _, *lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()
    ]
    return {line[0]: line[title.index(backend)] for line in lines}


def write_answers(folder, *names):
    for name in names:
        np.savez(Path(folder) / f"{name}.npz", **evaluate(name))
    np.savez(Path(folder) / "training.npz", losses=train())


if __name__ == "__main__":
    write_answers(*sys.argv[1:])
