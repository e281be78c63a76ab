"""The tasks by name: their functions, vocabularies and the papers' settings."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_nam.arguments import check_choice
from keras_nam.datasets.brackets import dyck
from keras_nam.datasets.expressions import listops
from keras_nam.datasets.numbers import addition
from keras_nam.datasets.numbers import arithmetic
from keras_nam.datasets.recall import associative_recall
from keras_nam.datasets.reductions import reduction
from keras_nam.datasets.splits import SPLITS
from keras_nam.datasets.splits import split_lengths
from keras_nam.datasets.strings import copy
from keras_nam.datasets.strings import repeated_copy
from keras_nam.datasets.strings import reverse
from keras_nam.datasets.tokens import BRACKETS
from keras_nam.datasets.tokens import DIGITS
from keras_nam.datasets.tokens import EXPRESSIONS
from keras_nam.datasets.tokens import PAIRS
from keras_nam.datasets.tokens import Vocabulary

_PAPER_DIGITS = 10


class _Task(NamedTuple):
    """What the package knows of a task.

    `split_arguments` holds the arguments of each split, or is a function that makes
    them from a number of digits.
    """

    draw: Callable
    vocabulary: Vocabulary
    split_arguments: Callable | dict
    train_examples: int = 51200
    evaluation_examples: int = 2560
    further_settings: frozenset = frozenset()


def _digit_ranges(digits):
    return {
        split: {"min_digits": low, "max_digits": high}
        for split, (low, high) in split_lengths(digits).items()
    }


def _repeated_copy_ranges(digits):
    ranges = _digit_ranges(digits)
    for split, arguments in ranges.items():
        arguments["repeats"] = 4 if split == "far" else 3
    return ranges


_DYCK_ARGUMENTS = {
    "train": {"min_depth": 2, "max_depth": 8, "min_length": 8, "max_length": 32},
    "id": {"min_depth": 8, "max_depth": 8, "min_length": 8, "max_length": 32},
    "ood": {"min_depth": 8, "max_depth": 8, "min_length": 32, "max_length": 64},
    "far": {"min_depth": 9, "max_depth": 12, "min_length": 32, "max_length": 64},
}
_LISTOPS_ARGUMENTS = {
    "train": {"min_length": 500, "max_length": 2000},
    "id": {"min_length": 500, "max_length": 2000},
    "ood": {"min_length": 2000, "max_length": 3000},
    "far": {"min_length": 3000, "max_length": 4000},
}
_RECALL_ARGUMENTS = {
    "train": {"num_pairs": 8, "length": 64},
    "id": {"num_pairs": 8, "length": 64},
    "ood": {"num_pairs": 16, "length": 128},
    "far": {"num_pairs": 32, "length": 256},
}

_TASKS = {
    "addition": _Task(addition, DIGITS, _digit_ranges),
    "arithmetic": _Task(arithmetic, DIGITS, _digit_ranges),
    "reverse": _Task(reverse, DIGITS, _digit_ranges),
    "copy": _Task(copy, DIGITS, _digit_ranges),
    "repeated_copy": _Task(repeated_copy, DIGITS, _repeated_copy_ranges),
    "reduction": _Task(reduction, DIGITS, _digit_ranges),
    "dyck": _Task(dyck, BRACKETS, _DYCK_ARGUMENTS, 12800, 2048),
    "listops": _Task(
        listops,
        EXPRESSIONS,
        _LISTOPS_ARGUMENTS,
        96000,
        2000,
        further_settings=frozenset({"max_depth", "max_args"}),
    ),
    "associative_recall": _Task(
        associative_recall,
        PAIRS,
        _RECALL_ARGUMENTS,
        further_settings=frozenset(
            {"vocabulary_size", "num_queries", "gap_power", "num_overwrites", "filler"}
        ),
    ),
}
TASKS = tuple(_TASKS)


def find_task(task):
    """Returns the entry of a task, or raises a `ValueError` if there is none."""
    check_choice("task", task, TASKS)
    return _TASKS[task]


def load_task(task, split="train", num_examples=None, digits=None, seed=0, **settings):
    """Draws a split of a task with the lengths and sizes of the papers.

    The digit tasks (all but the last three of `TASKS`) train on 1 to `digits` digits
    and are evaluated on three ranges, see `split_lengths`. `"repeated_copy"` repeats
    3 times, and 4 times in `"far"`.

    `"dyck"` trains on depths 2 to 8; `"id"` has depth 8 and lengths as in training
    (above 8, below 32), `"ood"` depth 8 and lengths above 32 and below 64, `"far"`
    depths 9 to 12 and these lengths. `"listops"` has lengths above 500 and below 2000
    in `"train"` and `"id"`; the papers know no longer ones, here `"ood"` reaches to
    3000 and `"far"` from there to 4000. `"associative_recall"` has 8 pairs in 64 cells
    in `"train"` and `"id"`, 16 in 128 in `"ood"` and 32 in 256 in `"far"`.

    Args:
        task: String. One of `TASKS`.
        split: String, one of `"train"`, `"id"`, `"ood"`, `"far"`.
        num_examples: Non-negative integer. `None` means the size used in the papers:
            51200 rows to train on and 2560 per evaluation split (12800 and 2048 for
            `"dyck"`, 96000 and 2000 for `"listops"`).
        digits: Positive integer. The largest number of digits to train on. `None`
            means 10. Must be `None` for `"dyck"`, `"listops"` and
            `"associative_recall"`.
        seed: Non-negative integer.
        **settings: Arguments of the function that is named like the task, in place of
            what the split would have: `min_digits` and `max_digits` (both for rows of
            any other length), `repeats`, for `"dyck"` and `"listops"` the depths
            and lengths, or any argument of `associative_recall`.

    Returns:
        A tuple `(inputs, targets, sample_weight)` of arrays, see the function that is
        named like the task.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.load_task("reverse", "ood", 100)
    inputs.shape  # (100, 35)

    # Strings four times as long as the longest ones of the training rows.
    inputs, targets, sample_weight = keras_nam.datasets.load_task(
        "reverse", "far", 100, min_digits=40, max_digits=40
    )
    ```

    Raises:
        ValueError: If there is no such task, split or setting, or a number is out of
            range.
    """
    entry = find_task(task)
    check_choice("split", split, SPLITS)
    arguments = _split_arguments(task, digits)[split]
    unknown = sorted(settings.keys() - arguments.keys() - entry.further_settings)
    if unknown:
        known = sorted({*arguments, *entry.further_settings})
        raise ValueError(f"Task '{task}' has the settings {known}. Received: {unknown}")
    arguments = {**arguments, **settings}
    if num_examples is None:
        is_training = split == "train"
        num_examples = (
            entry.train_examples if is_training else entry.evaluation_examples
        )
    return entry.draw(num_examples, **arguments, seed=seed, split=split)


def _split_arguments(task, digits):
    arguments = find_task(task).split_arguments
    if callable(arguments):
        return arguments(_PAPER_DIGITS if digits is None else digits)
    if digits is not None:
        raise ValueError(
            f"Argument `digits` must be `None` for task '{task}', which has no "
            f"digits. Received: digits={digits!r}"
        )
    return arguments


def encode(text, task="addition"):
    """Turns text into tokens.

    Args:
        text: String, or list of strings that make rows of one length. In the digit
            tasks a digit stands for itself, `_` for the delimiter, `.` for padding,
            `S` for the start, `E` for the end, `M` for a mask and `C` for the token
            that the papers keep in reserve. `"dyck"` has the brackets `[](){}<>`, `_`,
            `M` and `.`; `"listops"` has `[MIN`, `[MAX`, `[MED`, `[SM`, `]`, digits
            and `.`, and its round brackets are skipped; `"associative_recall"` has
            `k1`, `v1`, `k2`, `v2` and so on, and `.`. Blanks part the symbols; where
            all symbols are single characters they may be left out.
        task: String. One of `TASKS`.

    Returns:
        An int32 array of shape `(time,)`, or `(batch, time)` for a list.

    Example:

    ```python
    keras_nam.datasets.encode("_ 1 2 _ M M E")
    # array([10,  1,  2, 10, 14, 14, 13], dtype=int32)
    ```

    Raises:
        ValueError: If a symbol is unknown, or rows differ in length.
    """
    vocabulary = find_task(task).vocabulary
    if not isinstance(text, (list, tuple)):
        return vocabulary.encode(text)
    rows = [vocabulary.encode(row) for row in text]
    if len({len(row) for row in rows}) != 1:
        raise ValueError(
            "Argument `text` must hold rows of one length, at least one. "
            f"Received: {len(rows)} rows with {[len(row) for row in rows]} tokens"
        )
    return np.stack(rows)


def decode(tokens, task="addition"):
    """Turns tokens into readable text, padding included.

    Args:
        tokens: Integers of shape `(time,)` or `(batch, time)`, for example the
            `argmax` of what a model predicts.
        task: String. One of `TASKS`. See `encode` for the symbols of each.

    Returns:
        A string of symbols with blanks between them, or a list of such strings.

    Example:

    ```python
    keras_nam.datasets.decode([10, 1, 2, 10, 14, 14, 13])  # '_ 1 2 _ M M E'
    ```

    Raises:
        ValueError: If a token is not in the vocabulary of the task, or if `tokens`
            are not integers of rank 1 or 2.
    """
    vocabulary = find_task(task).vocabulary
    tokens = np.asarray(tokens)
    if tokens.ndim == 2:
        return [vocabulary.decode(row) for row in tokens]
    return vocabulary.decode(tokens)
