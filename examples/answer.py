"""Answers a question from an exported model, with TensorFlow alone.

    python examples/answer.py results/reverse-namtm-0/saved_model reverse 31415926535
    python examples/answer.py results/addition-namtm-0/saved_model addition 95 7

The digits may be as many as you like: the model takes sequences of any length.
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

DELIMITER, PADDING, END, MASK = 10, 11, 13, 14
# How many strings of digits a question of each task is made of; `None` is any number.
OPERANDS = {
    "reverse": 1,
    "copy": 1,
    "repeated_copy": None,
    "reduction": 1,
    "addition": 2,
    "arithmetic": 2,
}


def question_tokens(task, operands):
    """The row of a question: its operands, and a cell for every digit of the answer.

    As in training, the row tells how many digits the answer has, but for reduction.
    """
    strings = [[int(c) for c in operand] for operand in operands]
    if task in ("reverse", "copy"):
        return [DELIMITER, *strings[0], DELIMITER, *[MASK] * len(strings[0]), END]
    if task == "repeated_copy":
        return [t for s in strings for t in (*s, DELIMITER, *[MASK] * len(s), END)]
    if task == "reduction":
        return [*strings[0], DELIMITER, *[PADDING] * len(strings[0])]
    numbers = [int(operand) for operand in operands]
    if task == "arithmetic":
        numbers = low, high = sorted(numbers)
    answer = sum(numbers) if task == "addition" else 2 * high - low
    row = [DELIMITER]
    for number in numbers:
        row += [*(int(c) for c in reversed(str(number))), DELIMITER]
    return [*row, *[MASK] * len(str(answer)), END]


def read_answer(task, question, tokens):
    """The digits of the answer, in the order in which people write them."""
    cells = tokens[question == (PADDING if task == "reduction" else MASK)]
    digits = "".join(str(t) if t < 10 else "." for t in cells)
    return digits[::-1] if task in ("addition", "arithmetic") else digits


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("saved_model")
    parser.add_argument("task", choices=list(OPERANDS))
    parser.add_argument("operands", nargs="+", metavar="DIGITS")
    arguments = parser.parse_args()
    expected = OPERANDS[arguments.task]
    if expected not in (None, len(arguments.operands)):
        parser.error(f"{arguments.task} takes {expected} strings of digits")
    for operand in arguments.operands:
        if not (operand.isascii() and operand.isdigit()):
            parser.error(f"an operand must be digits, not {operand!r}")

    model = tf.saved_model.load(arguments.saved_model)
    question = np.array(question_tokens(arguments.task, arguments.operands), "int32")
    logits = model.serve(question[None]).numpy()
    digits = read_answer(arguments.task, question, logits[0].argmax(-1))
    imported = "keras_nam" in sys.modules
    print(f"{arguments.task} {' '.join(arguments.operands)} -> {digits}")
    print(f"(keras_nam imported: {imported})")


if __name__ == "__main__":
    main()
