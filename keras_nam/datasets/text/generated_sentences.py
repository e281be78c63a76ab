"""Made-up sentences of any length, whose masked words can be found out."""

from keras_nam.arguments import check_cells
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_range
from keras_nam.datasets.splits import one_of
from keras_nam.datasets.splits import random_generator

_NOUNS = ("dog", "cat", "farmer", "sailor", "child", "neighbour", "painter", "goose")
_VERBS = ("follow", "help", "greet", "find", "trust", "call")
_ADJECTIVES = ("old", "small", "clever", "quiet", "proud", "hungry")
_NUMBERS = {"one": False, "the only": False, "two": True, "many": True, "all": True}
_PLURALS = {"child": "children", "goose": "geese"}


def generated_sentences(num_examples, min_words=3, max_words=30, seed=0):
    """Makes up sentences, to try masked language modelling without any files.

    A sentence is a chain like `two old dogs greet one cat that trusts many geese`. A
    number word, the ending of its noun and that of the verb after it agree, so a masked
    word can be told from its neighbours in part, at any length.

    Args:
        num_examples: Non-negative integer.
        min_words: Integer of at least 3.
        max_words: Integer of at least `min_words`. Sentences are spread evenly over
            the lengths.
        seed: Non-negative integer of any size. The same arguments give the same
            sentences.

    Returns:
        A list of strings in random order.

    Example:

    ```python
    sentences = keras_nam.datasets.generated_sentences(1000)
    len(sentences)  # 1000
    longer = keras_nam.datasets.generated_sentences(10, min_words=31, max_words=60)
    min(len(sentence.split()) for sentence in longer)  # 31
    ```

    Raises:
        ValueError: If an argument is out of range.
    """
    num_examples = check_integer("num_examples", num_examples, at_least=0)
    min_words, max_words = check_range(
        "min_words", min_words, "max_words", max_words, at_least=3
    )
    shape = num_examples, max_words
    check_cells(shape, num_examples=num_examples, max_words=max_words)
    random = random_generator("generated sentences", "train", seed)
    lengths = random.integers(min_words, max_words, num_examples, endpoint=True)
    return [_sentence(random, length) for length in lengths]


def _sentence(random, length):
    words, is_plural = _noun_phrase(random)
    link = []
    while len(words) < length:
        verb = one_of(random, _VERBS)
        words += [*link, verb if is_plural else f"{verb}s"]
        phrase, is_plural = _noun_phrase(random)
        words += phrase
        link = ["that"]
    return " ".join(words[:length])


def _noun_phrase(random):
    number = one_of(random, list(_NUMBERS))
    adjectives = [one_of(random, _ADJECTIVES)] * int(random.integers(2))
    noun = one_of(random, _NOUNS)
    is_plural = _NUMBERS[number]
    if is_plural:
        noun = _PLURALS.get(noun, f"{noun}s")
    return [*number.split(), *adjectives, noun], is_plural
