"""Made-up texts, to run the tasks on texts without any files: reviews and tales."""

import numpy as np

from keras_nam.datasets.splits import DRAWN_SPLITS
from keras_nam.datasets.splits import one_of
from keras_nam.datasets.splits import random_generator
from keras_nam.datasets.splits import split_of

_SUBJECTS = ("acting", "plot", "music", "ending", "script", "pace", "cast", "humour")
_VERBS = ("was", "felt", "seemed")
_NEGATIONS = ("was not", "never felt", "hardly seemed")
_PRAISE = ("good", "clever", "moving", "fresh", "bright", "subtle")
_BLAME = ("bad", "dull", "tired", "clumsy", "empty", "loud")
_LONGEST_SENTENCE = len("the humour hardly seemed clumsy. ")

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_DEEDS = ("met", "helped", "followed", "feared", "wrote to", "laughed at", "forgave")
_PLACES = ("by the river", "at noon", "in the market", "on the hill", "after supper")
_CAST = 4
_LONGEST_EVENT = len("bababa laughed at bababa in the market. ")


def draw_reviews(split, length, num_examples, seed):
    """Draws reviews of up to `length` bytes; 1 where most sentences praise the film.

    Half of the sentences are negated ("the plot was not dull"), so that the adjectives
    alone tell nothing. A hash of its text puts each review into its split.
    """
    most = _count("text", length, _LONGEST_SENTENCE)
    random, labels = _start("generated reviews", split, num_examples, seed)
    texts = []
    for label in labels:
        text = None
        while text is None or split_of(text) != split:
            # An odd number of sentences has a majority.
            count = 1 + 2 * int(random.integers((most + 1) // 2))
            text = _review(random, label, count)
        texts.append(text)
    return texts, labels


def draw_tales(split, length, num_examples, seed):
    """Draws pairs of tales of up to `length` bytes; 1 where both are about one cast.

    A cast is four people with made-up names. In the other pairs the second tale is
    about another four. A hash of its names puts each cast into its split.
    """
    count = _count("matching", length, _LONGEST_EVENT)
    random, labels = _start("generated tales", split, num_examples, seed)
    pairs = []
    for label in labels:
        first, other = _cast(random, split), _cast(random, split)
        second = first if label else other
        pairs.append((_tale(random, first, count), _tale(random, second, count)))
    return pairs, labels


def _count(task, length, longest):
    if length < longest:
        raise ValueError(
            f"Argument `length` must be at least {longest} for source 'generated' of "
            f"task '{task}'. Received: length={length}"
        )
    return length // longest


def _start(name, split, num_examples, seed):
    random = random_generator(name, DRAWN_SPLITS[split], seed)
    return random, random.permutation(np.arange(num_examples) % 2)


def _review(random, label, count):
    praises = random.integers(0, 2, count) == 1
    if (2 * praises.sum() > count) != (label == 1):
        praises = ~praises
    sentences = []
    for is_praise in praises:
        is_negated = random.integers(2) == 1
        verb = one_of(random, _NEGATIONS if is_negated else _VERBS)
        adjective = one_of(random, _PRAISE if is_praise != is_negated else _BLAME)
        sentences.append(f"the {one_of(random, _SUBJECTS)} {verb} {adjective}.")
    return " ".join(sentences).encode()


def _cast(random, split):
    while True:
        names = sorted({_name(random) for _ in range(_CAST)})
        if len(names) == _CAST and split_of(" ".join(names).encode()) == split:
            return names


def _name(random):
    syllables = (
        one_of(random, _CONSONANTS) + one_of(random, _VOWELS)
        for _ in range(random.integers(2, 4))
    )
    return "".join(syllables)


def _tale(random, names, count):
    events = []
    for _ in range(count):
        one, other = random.choice(len(names), 2, replace=False)
        deed, place = one_of(random, _DEEDS), one_of(random, _PLACES)
        events.append(f"{names[one]} {deed} {names[other]} {place}.")
    return " ".join(events).encode()
