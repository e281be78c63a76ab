"""Sentences split by their length, to train on short and be tested on longer ones."""

from typing import NamedTuple

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_range
from keras_nam.arguments import check_rate
from keras_nam.arguments import check_strings
from keras_nam.datasets.splits import is_held_out
from keras_nam.optional import OptionalModule
from keras_nam.optional import tf

tokenizers = OptionalModule("keras_nam.tokenizers")


class LengthPartition(NamedTuple):
    """The parts of a corpus, each a list of sentences in the order of the corpus.

    Args:
        train: List of strings, to learn from.
        validation: List of strings of the same lengths, none of which is in `train`.
        longer: List of longer strings.
    """

    train: list
    validation: list
    longer: list


def partition_by_length(
    sentences, level="words", train_bounds=None, longer_bounds=None, held_out=0.1
):
    """Splits sentences into those to train on, held-out ones, and longer ones.

    Lengths are those of the I-BERT paper, and so are the default bounds. For
    `"words"`, it is the number of words plus 2, one each for beginning and end. For
    `"characters"` it is the length of the line in a file that is spelled out, like
    `t h e _ d o g` with a blank after each symbol and a line feed: about twice the
    number of characters. A sentence is in a part if its length is above the lower and
    below the upper bound. Equal to a bound, it is in none.

    The paper has no held-out sentences of the lengths that were trained on. Here a hash
    of its letters says whether a sentence is held out. So one that comes twice, or
    differs in case, digits and punctuation alone, is never on both sides.

    Args:
        sentences: List of strings, see `load_sentences`.
        level: String, `"words"` or `"characters"`. What lengths are counted in.
        train_bounds: Pair of integers, the bounds of lengths to train on. `None` means
            `(2, 32)` for words and `(16, 192)` for characters.
        longer_bounds: Pair of integers, the bounds of longer lengths. `None` means
            `(32, 64)` for words and `(192, 224)` for characters.
        held_out: Number from 0 to below 1, the share of the sentences within
            `train_bounds` that is for validation.

    Returns:
        A named tuple `(train, validation, longer)` of lists of strings.

    Example:

    ```python
    sentences = ["the dog runs", "the dog", "a cat and a dog", "a dog sees " * 12]
    parts = keras_nam.datasets.partition_by_length(sentences, held_out=0)
    len(parts.train), len(parts.validation), len(parts.longer)  # (3, 0, 1)
    short = keras_nam.datasets.partition_by_length(
        sentences, train_bounds=(3, 6), longer_bounds=(6, 40), held_out=0
    )
    short.train  # ['the dog runs', 'the dog']
    len(short.longer)  # 2
    ```

    Raises:
        ValueError: If an argument is out of range, or nothing is left to train on.

    Reference:

    - [I-BERT](https://arxiv.org/abs/2006.10220)
    """
    check_choice("level", level, _LEVELS)
    sentences = check_strings("sentences", sentences, at_least=1)
    lengths_of, default_train, default_longer = _LEVELS[level]
    low, high = _check_bounds("train_bounds", train_bounds, default_train)
    longer = _check_bounds("longer_bounds", longer_bounds, default_longer)
    if longer[0] < high - 1:
        raise ValueError(
            "Lengths within `longer_bounds` must exceed those within `train_bounds`. "
            f"Received: train_bounds={(low, high)}, longer_bounds={longer}"
        )
    held_out = check_rate("held_out", held_out)
    parts = LengthPartition([], [], [])
    for sentence, length in zip(sentences, lengths_of(sentences), strict=True):
        if low < length < high:
            is_validation = is_held_out(_letters(sentence), held_out)
            (parts.validation if is_validation else parts.train).append(sentence)
        elif longer[0] < length < longer[1]:
            parts.longer.append(sentence)
    if not parts.train:
        raise ValueError(
            f"Argument `sentences` must have some of a length in {level} between "
            f"`train_bounds`, and less than all of them held out "
            "(those of the same letters are so together). "
            f"Received: {len(sentences)} sentences, train_bounds={(low, high)}, "
            f"held_out={held_out}"
        )
    return parts


def _check_bounds(name, bounds, default):
    bounds = default if bounds is None else bounds
    try:
        low, high = bounds
    except (TypeError, ValueError):
        raise ValueError(
            f"Argument `{name}` must be a pair of integers. Received: {name}={bounds!r}"
        ) from None
    return check_range(f"{name}[0]", low, f"{name}[1]", high, at_least=0)


def _lengths_in_words(sentences):
    return [len(sentence.split()) + 2 for sentence in sentences]


def _lengths_in_characters(sentences):
    tokenizer = tokenizers.CharacterTokenizer(lowercase=False)
    symbols = tokenizer.split(tf.constant(sentences))
    sizes = tf.strings.length(symbols, unit="UTF8_CHAR")
    # Each symbol has a blank after it, and the line a line feed.
    return (tf.reduce_sum(sizes + 1, axis=1) + 1).numpy().tolist()


_LEVELS = {
    "words": (_lengths_in_words, (2, 32), (32, 64)),
    "characters": (_lengths_in_characters, (16, 192), (192, 224)),
}


def _letters(sentence):
    letters = "".join(filter(str.isalpha, sentence.lower()))
    return letters.encode("utf-8", "surrogatepass")
