"""The splits, and what keeps them apart.

Rows that are drawn come from a random stream of their own for each split. A problem is
an input row without its shift and its padding, and a hash of the problem says on which
side it falls: one problem in eight is held out from training, for every length, seed
and number of examples. So no evaluation row can be a training row, nor a shifted copy
of one.

Data that comes in one piece is split by a hash of what it says, too.
"""

import hashlib

import numpy as np

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_seed

# In distribution as in training, out of it, and far out of it.
SPLITS = ("train", "id", "ood", "far")
CORPUS_SPLITS = ("train", "validation", "test")
# The splits of drawn rows whose problems and random streams stand for those of corpora.
DRAWN_SPLITS = {"train": "train", "validation": "id", "test": "ood"}

_HELD_OUT_SHARE = 8
_CORPUS_SHARES = 10


def split_lengths(digits=10):
    """Returns the lengths that the papers train and evaluate on.

    Args:
        digits: Positive integer. The largest length of the training rows.

    Returns:
        A dictionary from split to `(min_digits, max_digits)`: `"train"` has 1 to
        `digits`, `"id"` the upper half of that (in distribution), `"ood"` the six
        lengths that follow (out of distribution), and `"far"` the six after those.

    Example:

    ```python
    keras_nam.datasets.split_lengths(10)
    # {'train': (1, 10), 'id': (5, 10), 'ood': (11, 16), 'far': (17, 22)}
    ```

    Raises:
        ValueError: If `digits` is not a positive integer.
    """
    digits = check_integer("digits", digits, at_least=1)
    return {
        "train": (1, digits),
        "id": (max(1, digits // 2), digits),
        "ood": (digits + 1, digits + 6),
        "far": (digits + 7, digits + 12),
    }


def random_generator(task, split, seed):
    """Returns the random generator that belongs to a split of a task and a seed."""
    seed = check_seed("seed", seed)
    check_choice("split", split, SPLITS)
    label = int.from_bytes(f"{task}/{split}".encode(), "little")
    return np.random.default_rng(np.random.SeedSequence([seed, label]))


def one_of(random, choices):
    """What `random.choice(choices)` returns, in a fifth of the time."""
    return choices[random.integers(len(choices))]


def fingerprint(problems, pad):
    """Hashes rows that start at cell 0, whatever padding follows.

    Args:
        problems: Integer array of shape `(rows, cells)`.
        pad: Integer. The token of the cells that do not count.

    Returns:
        A uint64 array of shape `(rows,)`, the same on every machine.
    """
    cells = np.arange(problems.shape[1], dtype=np.uint64)
    # Cell and token together are one number, so that the order of tokens matters.
    numbers = (cells << np.uint64(8)) + problems.astype(np.uint64)
    codes = np.where(problems == pad, np.uint64(0), _scramble(numbers))
    return _scramble(codes.sum(axis=1, dtype=np.uint64))


def belongs_to(split, fingerprints):
    """Tells for every fingerprint whether its problem may appear in `split`."""
    held_out = fingerprints % np.uint64(_HELD_OUT_SHARE) == 0
    return ~held_out if split == "train" else held_out


def _scramble(x):
    """Mixes the bits of 64-bit numbers (the finalizer of SplitMix64)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def split_of(content):
    """Returns the split that a piece of data belongs to, whatever surrounds it.

    Args:
        content: Bytes. Equal contents are in the same split on every machine.

    Returns:
        `"test"` for one content in ten, `"validation"` for another, else `"train"`.
    """
    share = _number_of(content) % _CORPUS_SHARES
    return {0: "test", 1: "validation"}.get(share, "train")


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
        split: String. One of `CORPUS_SPLITS`.
        seed: Non-negative integer.

    Returns:
        An integer array of indices.
    """
    if num_examples is not None and num_examples > count:
        raise ValueError(
            f"Split '{split}' of task '{task}' has {count} rows. "
            f"Received: num_examples={num_examples}"
        )
    random = random_generator(task, DRAWN_SPLITS[split], seed)
    return random.permutation(count)[:num_examples]
