"""The tasks by name: their functions, alphabets and the papers' settings."""

from collections.abc import Callable
from typing import NamedTuple

from keras_nam.arguments import check_choice
from keras_nam.datasets.algorithms.alphabets import BRACKETS
from keras_nam.datasets.algorithms.alphabets import DIGITS
from keras_nam.datasets.algorithms.alphabets import EXPRESSIONS
from keras_nam.datasets.algorithms.alphabets import PAIRS
from keras_nam.datasets.algorithms.alphabets import Alphabet
from keras_nam.datasets.algorithms.associative_recall import associative_recall
from keras_nam.datasets.algorithms.dyck import dyck
from keras_nam.datasets.algorithms.listops import listops
from keras_nam.datasets.algorithms.numbers import addition
from keras_nam.datasets.algorithms.numbers import arithmetic
from keras_nam.datasets.algorithms.reduction import reduction
from keras_nam.datasets.algorithms.strings import copy
from keras_nam.datasets.algorithms.strings import repeated_copy
from keras_nam.datasets.algorithms.strings import reverse
from keras_nam.datasets.splits import SPLITS
from keras_nam.datasets.splits import split_lengths

_PAPER_DIGITS = 10


class _Task(NamedTuple):
    """What the package knows of a task.

    `split_arguments` holds the arguments of each split, or is a function that makes
    them from a number of digits.
    """

    draw: Callable
    alphabet: Alphabet
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
    "addition": _Task(
        addition,
        DIGITS,
        _digit_ranges,
        further_settings=frozenset({"carries"}),
    ),
    "arithmetic": _Task(
        arithmetic,
        DIGITS,
        _digit_ranges,
        further_settings=frozenset({"carries"}),
    ),
    "reverse": _Task(reverse, DIGITS, _digit_ranges),
    "copy": _Task(copy, DIGITS, _digit_ranges),
    "repeated_copy": _Task(
        repeated_copy,
        DIGITS,
        _repeated_copy_ranges,
        further_settings=frozenset({"same_length"}),
    ),
    "reduction": _Task(
        reduction,
        DIGITS,
        _digit_ranges,
        further_settings=frozenset({"zeros"}),
    ),
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
        seed: Non-negative integer of any size.
        **settings: Arguments of the function that is named like the task, in place of
            what the split would have: `min_digits` and `max_digits` (both for rows of
            any other length), `repeats`, `same_length`, `carries`, `zeros`, for
            `"dyck"` and `"listops"` the depths and lengths, or any argument of
            `associative_recall`.

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
