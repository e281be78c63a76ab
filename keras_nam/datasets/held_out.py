"""The splits of data that comes in one piece, held apart by what it says."""

import hashlib

from keras_nam.datasets.splits import random_generator

LONG_RANGE_SPLITS = ("train", "validation", "test")

_SHARES = 10
# The splits of the generated tasks whose problems and random streams stand for these.
GENERATED_SPLITS = {"train": "train", "validation": "id", "test": "ood"}


def split_of(content):
    """Returns the split that a piece of data belongs to, whatever surrounds it.

    Args:
        content: Bytes. Equal contents are in the same split on every machine.

    Returns:
        `"test"` for one content in ten, `"validation"` for another, else `"train"`.
    """
    return {0: "test", 1: "validation"}.get(_number_of(content) % _SHARES, "train")


def is_held_out(content, share):
    """Tells whether a piece of data belongs to a share that is held out.

    Args:
        content: Bytes. Equal contents are on the same side on every machine.
        share: Number from 0 to 1.
    """
    return _number_of(content) < share * 2**64


def _number_of(content):
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little")


def choose(count, num_examples, task, split, seed):
    """Draws the rows to return, in random order.

    Args:
        count: Integer. How many rows there are.
        num_examples: Integer. How many to choose, `None` for all of them.
        task: String.
        split: String. One of `LONG_RANGE_SPLITS`.
        seed: Non-negative integer.

    Returns:
        An integer array of indices.
    """
    if num_examples is not None and num_examples > count:
        raise ValueError(
            f"Split '{split}' of task '{task}' has {count} rows. "
            f"Received: num_examples={num_examples}"
        )
    random = random_generator(task, GENERATED_SPLITS[split], seed)
    return random.permutation(count)[:num_examples]
