"""Multi-query associative recall: pairs to keep in mind, and keys to look up."""

import numpy as np

from keras_nam.arguments import check_cells
from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_positive
from keras_nam.datasets.algorithms.alphabets import PAIRS
from keras_nam.datasets.algorithms.rows import Rows
from keras_nam.datasets.algorithms.rows import draw_rows

_MAX_VOCABULARY_SIZE = len(PAIRS.symbols)
_FILLERS = ("blank", "keys")
_PAD = PAIRS.token(".")


def associative_recall(
    num_examples,
    num_pairs=8,
    length=64,
    vocabulary_size=256,
    num_queries=None,
    gap_power=0.01,
    num_overwrites=0,
    filler="blank",
    seed=0,
    split="train",
):
    """Rows of key-value pairs, followed by keys whose values are asked for.

    An input row reads `k7 v2 k4 v9 . k4 . . k7`: pairs of a key and a value, then
    keys once more, with filler between them. The target holds, in the place of every
    key that is asked for, the value that was written with it: `. v9 . . v2`. A model
    answers at the very cell that shows the key.

    Keys and values of a row are distinct and uniformly drawn. The cells after the
    pairs are at gaps 1, 2, and so on from them, and queries fall on a gap with a
    probability proportional to `gap ** (gap_power - 1)`, so most come early and some
    very late. Every key is asked for once before any is asked for again.

    With `num_overwrites`, that many further pairs write a new value to a key of the
    row, in any order among the others. The latest value counts: a memory that adds
    without erasing mixes it with the earlier ones.

    Args:
        num_examples: Non-negative integer. The number of rows.
        num_pairs: Positive integer. The number of distinct keys in a row.
        length: Positive integer. The length of the rows.
        vocabulary_size: Integer of at least 3. The number of tokens. Half of them are
            keys and half are values. The published benchmark has 8192.
        num_queries: Positive integer. How many keys are asked for. `None` means each
            key once.
        gap_power: Positive number. Queries come the later, the larger it is; 1 spreads
            them evenly.
        num_overwrites: Non-negative integer. How many pairs repeat a key.
        filler: String. What stands between the queries: `"blank"` for the padding
            token, or `"keys"` for keys that were never written in the row, which a
            model has to leave unanswered.
        seed: Non-negative integer of any size. The same arguments give the same rows.
        split: String, one of `"train"`, `"id"`, `"ood"`, `"far"`. No row of the other
            splits is ever part of `"train"`, whatever the seeds and lengths.

    Returns:
        A tuple `(inputs, targets, sample_weight)` of arrays of shape `(num_examples,
        length)`: int32 tokens, int32 tokens, and float32 weights that are 1 where a
        value is asked for and 0 elsewhere. Token 0 is blank, the odd tokens are keys
        and the even ones values; inputs and targets agree where nothing is asked for.

    Example:

    ```python
    inputs, targets, sample_weight = keras_nam.datasets.associative_recall(
        1000, num_pairs=2, length=10, vocabulary_size=8
    )
    keras_nam.datasets.decode(inputs[0], task="associative_recall")
    # 'k3 v1 k1 v2 k1 . k3 . . .'
    keras_nam.datasets.decode(targets[0], task="associative_recall")
    # 'k3 v1 k1 v2 v2 . v1 . . .'
    ```

    Raises:
        ValueError: If an argument is out of range, if pairs and queries do not fit
            into the length, or if the vocabulary has too few keys or values.

    Reference:

    - [Zoology](https://arxiv.org/abs/2312.04927)
    """
    num_examples = check_integer("num_examples", num_examples, at_least=0)
    num_pairs = check_integer("num_pairs", num_pairs, at_least=1)
    length = check_integer("length", length, at_least=1)
    vocabulary_size = check_integer("vocabulary_size", vocabulary_size, at_least=3)
    if num_queries is None:
        num_queries = num_pairs
    num_queries = check_integer("num_queries", num_queries, at_least=1)
    gap_power = check_positive("gap_power", gap_power)
    num_overwrites = check_integer("num_overwrites", num_overwrites, at_least=0)
    check_choice("filler", filler, _FILLERS)
    num_symbols = (vocabulary_size - 1) // 2
    needed = max(num_pairs + num_overwrites, num_pairs + (filler == "keys"))
    if num_symbols < needed or vocabulary_size > _MAX_VOCABULARY_SIZE:
        raise ValueError(
            f"Argument `vocabulary_size` must be from {2 * needed + 1} to "
            f"{_MAX_VOCABULARY_SIZE}, for distinct keys and values in a row. "
            f"Received: vocabulary_size={vocabulary_size}, num_pairs={num_pairs}, "
            f"num_overwrites={num_overwrites}, filler={filler!r}"
        )
    num_writes = num_pairs + num_overwrites
    if length < 2 * num_writes + num_queries:
        raise ValueError(
            "Argument `length` must have room for two cells per pair and one per "
            f"query. Received: length={length}, num_pairs={num_pairs}, "
            f"num_overwrites={num_overwrites}, num_queries={num_queries}"
        )

    check_cells((num_examples, length), num_examples=num_examples, length=length)

    def make(random, counts):
        rows = len(counts)
        keys = 1 + 2 * _distinct(random, rows, num_symbols, num_pairs)
        values = 2 + 2 * _distinct(random, rows, num_symbols, num_writes)
        which = _order_of_writes(random, rows, num_pairs, num_overwrites)
        asked = _order_of_queries(random, rows, num_pairs, num_queries)
        tail = length - 2 * num_writes
        cells = 2 * num_writes + _gaps(random, rows, tail, num_queries, gap_power)

        inputs = np.full((rows, length), _PAD, np.int32)
        if filler == "keys":
            inputs[:, 2 * num_writes :] = _other_keys(random, keys, num_symbols, tail)
        inputs[:, : 2 * num_writes : 2] = np.take_along_axis(keys, which, axis=1)
        inputs[:, 1 : 2 * num_writes : 2] = values
        np.put_along_axis(
            inputs, cells, np.take_along_axis(keys, asked, axis=1).astype(np.int32), 1
        )
        latest = _latest_values(which, values, num_pairs)
        targets = inputs.copy()
        np.put_along_axis(
            targets, cells, np.take_along_axis(latest, asked, 1).astype(np.int32), 1
        )
        sample_weight = np.zeros((rows, length), np.float32)
        np.put_along_axis(sample_weight, cells, 1.0, axis=1)
        return Rows(inputs, targets, sample_weight, np.full(rows, length)), True

    return draw_rows(
        "associative_recall",
        np.full(num_examples, num_pairs),
        make,
        seed,
        split,
        _PAD,
        measure="numbers of pairs",
    )


def lay_out_recall(tokens):
    """One row of pairs and of keys that are asked for, given one after the other."""
    latest, targets = {}, tokens.copy()
    is_key = tokens % 2 == 1
    pairs = 0
    while is_key[2 * pairs : 2 * pairs + 2].tolist() == [True, False]:
        latest[tokens[2 * pairs]] = tokens[2 * pairs + 1]
        pairs += 1
    asked = tokens[2 * pairs :].tolist()
    if _PAD in tokens or not asked or not latest.keys() >= set(asked):
        raise ValueError(
            "Pairs of a key and a value must come first, and then keys among them. "
            f"Received: {[PAIRS.symbols[token] for token in tokens]}"
        )
    targets[2 * pairs :] = [latest[key] for key in asked]
    weight = np.arange(len(tokens)) >= 2 * pairs
    rows = (tokens, targets, weight.astype(np.float32))
    return Rows(*(cells[None] for cells in rows), np.array([len(tokens)]))


def _distinct(random, rows, population, size):
    """Draws `size` distinct numbers below `population` for each row, in any order."""
    chosen = np.full((rows, size), -1)
    # Floyd's algorithm: a number that was taken before is replaced by the newest one.
    for column, newest in enumerate(range(population - size, population)):
        drawn = random.integers(0, newest, rows, endpoint=True)
        taken = (chosen[:, :column] == drawn[:, None]).any(axis=1)
        chosen[:, column] = np.where(taken, newest, drawn)
    return random.permuted(chosen, axis=1)


def _order_of_writes(random, rows, num_pairs, num_overwrites):
    """Which of the row's keys each pair writes to; every key at least once."""
    first = np.broadcast_to(np.arange(num_pairs), (rows, num_pairs))
    if not num_overwrites:
        return first
    again = random.integers(0, num_pairs, (rows, num_overwrites))
    return random.permuted(np.concatenate([first, again], axis=1), axis=1)


def _order_of_queries(random, rows, num_pairs, num_queries):
    """Which of the row's keys each query asks for."""
    every = np.broadcast_to(np.arange(num_pairs), (rows, num_pairs))
    rounds = -(-num_queries // num_pairs)
    asked = [random.permuted(every, axis=1) for _ in range(rounds)]
    return np.concatenate(asked, axis=1)[:, :num_queries]


def _gaps(random, rows, tail, num_queries, gap_power):
    """Draws distinct cells of the tail with power law probabilities, in order."""
    # The largest of such scores are a draw without replacement (the Gumbel trick).
    scores = random.gumbel(size=(rows, tail))
    scores += (gap_power - 1) * np.log(np.arange(1, tail + 1))
    chosen = np.argpartition(-scores, num_queries - 1, axis=1)[:, :num_queries]
    return np.sort(chosen, axis=1)


def _other_keys(random, keys, num_symbols, tail):
    """Draws keys that are not among the row's own."""
    rows, num_pairs = keys.shape
    others = random.integers(0, num_symbols - num_pairs, (rows, tail))
    for key in np.sort(keys, axis=1).T:
        others += others >= key[:, None] // 2
    return 1 + 2 * others


def _latest_values(which, values, num_pairs):
    """The last value written to every key, of shape `(rows, num_pairs)`."""
    latest = np.zeros((len(values), num_pairs), values.dtype)
    every = np.arange(len(values))
    for key, value in zip(which.T, values.T, strict=True):
        latest[every, key] = value
    return latest
