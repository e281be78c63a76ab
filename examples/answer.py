"""Answers a question from an exported model, with TensorFlow alone.

    python examples/answer.py results/reverse-namtm/saved_model reverse 31415926535
    python examples/answer.py results/addition-namtm/saved_model addition 95 7

The digits may be as many as you like: the model takes sequences of any length.
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

DELIMITER, END, MASK = 10, 13, 14


def question_tokens(task, operands):
    """The row of a question: operands, and a mask for every digit of the answer."""
    if task in ("reverse", "copy"):
        (string,) = operands
        digits = [int(c) for c in string]
        return [DELIMITER, *digits, DELIMITER, *[MASK] * len(digits), END]
    numbers = [int(n) for n in operands]
    if task == "arithmetic":
        low, high = numbers = sorted(numbers)
        answer = 2 * high - low
    else:
        answer = sum(numbers)
    row = [DELIMITER]
    for number in numbers:
        row += [*(int(c) for c in reversed(str(number))), DELIMITER]
    # The number of digits of the answer is part of the question, as in training.
    return [*row, *[MASK] * len(str(answer)), END]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("saved_model")
    parser.add_argument("task", choices=["reverse", "copy", "addition", "arithmetic"])
    parser.add_argument("operands", nargs="+", metavar="DIGITS")
    arguments = parser.parse_args()
    expected = 1 if arguments.task in ("reverse", "copy") else 2
    if len(arguments.operands) != expected:
        parser.error(f"{arguments.task} takes {expected} strings of digits")
    for operand in arguments.operands:
        if not (operand.isascii() and operand.isdigit()):
            parser.error(f"an operand must be digits, not {operand!r}")

    model = tf.saved_model.load(arguments.saved_model)
    tokens = np.array([question_tokens(arguments.task, arguments.operands)], "int32")
    logits = model.serve(tokens).numpy()
    digits = "".join(map(str, logits[0].argmax(-1)[tokens[0] == MASK]))
    if arguments.task in ("addition", "arithmetic"):
        digits = digits[::-1]
    imported = "keras_nam" in sys.modules
    print(f"{arguments.task} {' '.join(arguments.operands)} -> {digits}")
    print(f"(keras_nam imported: {imported})")


if __name__ == "__main__":
    main()
