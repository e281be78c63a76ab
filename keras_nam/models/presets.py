"""Trained machines that come with the package."""

import hashlib
import io
import json
import re
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_instance
from keras_nam.datasets.algorithms.queries import query
from keras_nam.datasets.algorithms.texts import decode
from keras_nam.models.recipes import build_machine

FOLDER = Path(__file__).parent / "preset_files"
# Positions take the square of the length of a row, half a gigabyte for this many.
MAX_CELLS = 4096
# TensorFlow answers rows of more cells sooner in a graph than step by step.
LONGEST_EAGER = 128
# What a question looks like, where it is not strings with blanks between them.
SEPARATORS = {"addition": r"\s*\+\s*", "arithmetic": r"\s*,\s*"}
LAST_DIGIT_FIRST = ("addition", "arithmetic")
SEVERAL_WORDS = ("repeated_copy", "associative_recall")


class Preset:
    """A trained machine for one task, which takes questions as people write them.

    `from_preset` makes it.

    Attributes:
        model: The `keras.Model`, from tokens to logits, to be trained on with `fit` or
            exported like any other; it streams if it was loaded with a `tape_length`.
        card: Dictionary with what is known of it: the task, the recipe, the command and
            the seed that trained it, the version of the package, and its accuracy by
            the length of the problem.
    """

    def __init__(self, model, card):
        self.model = model
        self.card = card

    def answer(self, question):
        """Answers a question of up to 4,096 cells with its answer.

        These are 2,000 digits for most tasks.

        Args:
            question: String: `"95 + 7"` for `"addition"`, whose shorter number is put
                first, as in the rows of training; `"7, 95"` for
                `"arithmetic"`, the number that follows; a string of digits for
                `"reverse"`, `"copy"` and `"reduction"`, several with blanks between
                them for `"repeated_copy"`; brackets that leave some open for `"dyck"`;
                pairs of a key and a value, then keys, for `"associative_recall"`, as
                in `"k1 v5 k2 v9 k2 k1"`.

        Returns:
            A string: what the machine says, right or not.

        Raises:
            ValueError: If the question is not one of the task, or so long that its
                tapes would not fit into memory.
        """
        task = self.card["task"]
        operands = self._operands(question)
        inputs, _, is_answer = self.rows(question)
        if keras.backend.backend() == "tensorflow" and inputs.size > LONGEST_EAGER:
            # A new model has to be traced: the one of before would not show what a
            # layer has become since then, by `enable_lora` say.
            traced = keras.Model(self.model.input, self.model.output)
            traced.compile(jit_compile=False)
            logits = traced.predict_on_batch(inputs)
        else:
            logits = self.model(inputs, training=False)
        tokens = ops.convert_to_numpy(ops.argmax(logits, axis=-1))[is_answer > 0]
        symbols = decode(tokens, task).split()
        if task in LAST_DIGIT_FIRST:
            symbols.reverse()
        if task == "reduction":
            symbols = [symbol for symbol in symbols if symbol != "."]
        if task == "repeated_copy":
            size = len(operands[0])
            symbols = [
                "".join(symbols[i : i + size]) for i in range(0, len(symbols), size)
            ]
        return (" " if task in SEVERAL_WORDS else "").join(symbols)

    def rows(self, question):
        """Makes the row of a question, to look at what the model does with it.

        Args:
            question: String, as in `answer`.

        Returns:
            A tuple `(inputs, targets, sample_weight)` of arrays of shape `(1, time)`,
            see `keras_nam.datasets.query`.

        Raises:
            ValueError: As in `answer`.
        """
        task = self.card["task"]
        rows = query(task, *self._operands(question))
        known = self.card["model"]["vocabulary_size"]
        if rows[0].max() >= known:
            symbols = f"{decode([1], task)} to {decode([known - 1], task)}"
            raise ValueError(
                f"Argument `question` must be of the symbols that the machine knows, "
                f"{symbols}. Received: question={question!r}"
            )
        if rows[0].size > MAX_CELLS:
            raise ValueError(
                f"Argument `question` must take at most {MAX_CELLS} cells with its "
                f"answer. Received: a question of {rows[0].size} cells"
            )
        return rows

    def _operands(self, question):
        check_instance("question", question, str)
        task = self.card["task"]
        operands = re.split(SEPARATORS.get(task, r"\s+"), question.strip())
        # In the rows of the task, the second number is hardly ever the shorter one.
        return sorted(operands, key=len) if task == "addition" else operands


def list_presets():
    """Returns the names that `from_preset` takes.

    Returns:
        A list of strings.

    Example:

    ```python
    "reverse" in keras_nam.models.list_presets()  # True
    ```
    """
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def from_preset(name, tape_length=None):
    """Loads a trained machine that comes with the package.

    Each of them answers almost all problems of its task that are drawn at random, to
    eight times the lengths of training at least: `card` says how it was trained, and
    how many of them at every length it answers without an error. Of arithmetic
    progressions that are chosen to be hard some are wrong from 20 digits on.

    Args:
        name: String, one of `list_presets()`.
        tape_length: Positive integer, the number of cells of a tape, for a machine
            with tapes to be streamed or to take rows in batches of any padding: as many
            as the longest row has. `None` makes the tape as long as the row.

    Returns:
        A `Preset`, whose `answer` takes questions as strings, and whose `model` is a
        `keras.Model`.

    Example:

    ```python
    preset = keras_nam.models.from_preset("reverse")
    preset.answer("31415926535")  # '53562951413'
    preset.card["seed"]  # 0
    ```

    Raises:
        ValueError: If there is no such preset, or its file is not the one that was
            released.
    """
    check_choice("name", name, list_presets())
    card = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    content = (FOLDER / f"{name}.npz").read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != card["sha256"]:
        raise ValueError(
            f"The file of preset '{name}' must have the SHA-256 hash {card['sha256']}, "
            f"and is damaged or another one. Received: {found}"
        )
    arguments = dict(card["model"])
    if "tape_length" in arguments:
        arguments["tape_length"] = tape_length
    model = build_machine(**arguments)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        model.set_weights([arrays[f"{i}"] for i in range(len(arrays.files))])
    return Preset(model, card)


def save_preset(name, model, arguments, card, folder=FOLDER):
    """Writes the files of a preset.

    Args:
        name: String.
        model: The trained model.
        arguments: Dictionary, the arguments of `build_machine` that build it.
        card: Dictionary, what else is to be known of it.
        folder: Path, where to write.
    """
    weights = {f"{i}": w.astype("float16") for i, w in enumerate(model.get_weights())}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **weights)
    content = buffer.getvalue()
    (folder / f"{name}.npz").write_bytes(content)
    card = {**card, "model": arguments, "sha256": hashlib.sha256(content).hexdigest()}
    text = json.dumps(card, indent=2) + "\n"
    (folder / f"{name}.json").write_text(text, encoding="utf-8")
