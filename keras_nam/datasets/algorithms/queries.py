"""Single problems, typed in by a user, as rows for a trained model."""

import operator

import numpy as np

from keras_nam.arguments import check_choice
from keras_nam.datasets.algorithms.associative_recall import lay_out_recall
from keras_nam.datasets.algorithms.dyck import lay_out_dyck
from keras_nam.datasets.algorithms.numbers import lay_out_addition
from keras_nam.datasets.algorithms.numbers import lay_out_arithmetic
from keras_nam.datasets.algorithms.reduction import lay_out_reduction
from keras_nam.datasets.algorithms.strings import lay_out_copy
from keras_nam.datasets.algorithms.strings import lay_out_repeated_copy
from keras_nam.datasets.algorithms.strings import lay_out_reverse
from keras_nam.datasets.algorithms.texts import encode

_NUMBER_LAYOUTS = {"addition": lay_out_addition, "arithmetic": lay_out_arithmetic}
_STRING_LAYOUTS = {
    "reverse": lay_out_reverse,
    "copy": lay_out_copy,
    "reduction": lay_out_reduction,
}
_QUERY_TASKS = (
    *_NUMBER_LAYOUTS,
    *_STRING_LAYOUTS,
    "repeated_copy",
    "dyck",
    "associative_recall",
)


def query(task, *operands):
    """Makes one row of a task for a problem of your own, without shift and padding.

    A model that takes rows of any length can be asked right away; fill the row up with
    padding for one that does not. For `"listops"`, use `encode`.

    Args:
        task: String, one of `TASKS` but `"listops"`.
        *operands: What the problem is made of. Two positive numbers for `"addition"`
            and `"arithmetic"` (which puts them in order), one string of digits for
            `"reverse"`, `"copy"` and `"reduction"`, one or more strings of the same
            length for `"repeated_copy"`; integers or strings, the first digit first.
            For `"dyck"` one string of brackets that leaves some open. For
            `"associative_recall"` keys and values in turn, then the keys that are asked
            for, as `"k1", "v5", "k2", "v9", "k1"`; the latest value of a key counts.

    Returns:
        A tuple `(inputs, targets, sample_weight)` of arrays of shape `(1, time)`, as
        the function that is named like the task returns them.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.query("addition", 95, 7)
    keras_nam.datasets.decode(inputs)  # ['_ 5 9 _ 7 _ M M M E']
    keras_nam.datasets.decode(targets)  # ['_ 5 9 _ 7 _ 2 0 1 E']
    ```

    Raises:
        ValueError: If the operands do not make a problem of the task.
    """
    check_choice("task", task, _QUERY_TASKS)
    if task in _NUMBER_LAYOUTS:
        _check_count(task, operands, 2)
        rows = _NUMBER_LAYOUTS[task](*map(_number, operands))
    elif task in _STRING_LAYOUTS:
        _check_count(task, operands, 1)
        rows = _STRING_LAYOUTS[task](_digits(*operands))
    elif task == "repeated_copy":
        strings = [_digits(operand) for operand in operands]
        if len({digits.shape for digits, _ in strings}) != 1:
            raise ValueError(
                "Task 'repeated_copy' takes strings of one length, at least one. "
                f"Received: {operands}"
            )
        rows = lay_out_repeated_copy(*strings)
    elif task == "associative_recall":
        rows = lay_out_recall(_symbols(operands))
    else:
        _check_count(task, operands, 1)
        rows = lay_out_dyck(*_open_brackets(*operands))
    return rows.inputs, rows.targets, rows.sample_weight


def encode_question(task, *operands):
    """Makes the input row of a problem of your own, without shift and padding.

    The first of what `query` returns, as a single row: all that a trained model of any
    length needs.

    Args:
        task: String, one of `TASKS` but `"listops"`.
        *operands: What the problem is made of, see `query`.

    Returns:
        An int32 array of shape `(time,)`.

    Example:

    ```python
    question = keras_nam.datasets.encode_question("reverse", "0123")
    keras_nam.datasets.decode(question)  # '_ 0 1 2 3 _ M M M M E'
    ```

    Raises:
        ValueError: If the operands do not make a problem of the task.
    """
    inputs, _, _ = query(task, *operands)
    return inputs[0]


def _check_count(task, operands, count):
    if len(operands) != count:
        raise ValueError(
            f"Task '{task}' takes {count} operand(s). Received: {operands}"
        )


def _digits(operand):
    """One string of digits as a pair `(digits, lengths)` of one row."""
    text = operand
    if not isinstance(operand, (str, bool)):
        try:
            text = str(operator.index(operand))
        except TypeError:
            text = ""
    # `isdigit` alone would let digits of other scripts pass.
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()):
        raise ValueError(
            "An operand must be a string of digits or a non-negative integer. "
            f"Received: {operand!r}"
        )
    digits = np.array([[int(digit) for digit in text]])
    return digits, np.array([len(text)])


def _number(operand):
    """One positive number as a pair `(digits, lengths)`, the last digit first."""
    digits, lengths = _digits(operand)
    if digits[0, 0] == 0:
        raise ValueError(
            "A number must be positive and have no leading zeros. "
            f"Received: {operand!r}"
        )
    return digits[:, ::-1], lengths


def _symbols(operands):
    """The tokens of keys and values, which no blanks may hide in."""
    if not operands or any(str(symbol).split() != [symbol] for symbol in operands):
        raise ValueError(
            "Task 'associative_recall' takes keys and values, each a string. "
            f"Received: {operands}"
        )
    return encode(" ".join(operands), task="associative_recall")


def _open_brackets(text):
    """One sequence of brackets and what would close it."""
    tokens = encode(text, task="dyck")
    due, balanced = [], bool((tokens < 8).all())
    for token in tokens.tolist():
        if token % 2 == 0:
            due.append(token + 1)
        elif not due or due.pop() != token:
            balanced = False
    if not balanced or not due:
        raise ValueError(
            f"The brackets must match, and some must be left open. Received: {text!r}"
        )
    closers = np.array([due[::-1]])
    return tokens[None], np.array([len(tokens)]), closers, np.array([len(due)])
