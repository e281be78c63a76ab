"""The partition by length: the paper's, and nothing of one part in another."""

import numpy as np
import pytest
from golden_datasets import corpus_file
from golden_datasets import plain
from golden_datasets import published
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_nam.datasets import generated_sentences
from keras_nam.datasets import load_sentences
from keras_nam.datasets import partition_by_length

BOUNDS = {"words": ((2, 32), (32, 64)), "characters": ((16, 192), (192, 224))}


def length(sentence, level):
    """The length of a sentence's line in the file that the paper reads."""
    if level == "words":
        return len(f" {sentence} \n".split(" "))
    return len("".join(f"{c} " for c in sentence.replace(" ", "_")) + "\n")


@pytest.mark.golden
@pytest.mark.parametrize("name", ["ptbw", "ptbc"])
def test_published_corpus(name, tmp_path):
    sentences = load_sentences(corpus_file(name, tmp_path))
    bounds = [int(published(name, f"cfg.{end}Seq")) for end in ("min", "max")]
    level = {"ptbw": "words", "ptbc": "characters"}[name]
    parts = partition_by_length(sentences, level, train_bounds=bounds, held_out=0)
    assert parts.train == [plain(name, line) for line in published(name, "kept")]
    assert parts.validation == []


@given(seed=st.integers(0, 1000), level=st.sampled_from(["words", "characters"]))
@settings(max_examples=10, deadline=None)
def test_parts_are_what_they_say(seed, level):
    sentences = generated_sentences(200, max_words=66, seed=seed)
    parts = partition_by_length(sentences, level, held_out=0.3)
    train, longer = BOUNDS[level]
    for sentence in [*parts.train, *parts.validation]:
        assert train[0] < length(sentence, level) < train[1]
    for sentence in parts.longer:
        assert longer[0] < length(sentence, level) < longer[1]
    assert not set(parts.train) & set(parts.validation)
    others = set(sentences) - set(parts.train + parts.validation + parts.longer)
    for sentence in others:
        size = length(sentence, level)
        assert size in (*train, *longer) or size > longer[1]


@pytest.mark.parametrize(("level", "word"), [("words", "a"), ("characters", "abcde")])
def test_a_length_equal_to_a_bound_is_in_no_part(level, word):
    sentences = [" ".join([word] * n) for n in range(1, 70)]
    low, bound, high = (length(sentences[i], level) for i in (2, 20, 40))
    parts = partition_by_length(
        sentences, level, train_bounds=(low, bound), longer_bounds=(bound, high),
        held_out=0,
    )  # fmt: skip
    assert parts.train == sentences[3:20]
    assert parts.longer == sentences[21:40]


def test_a_word_that_is_one_symbol_has_one_blank():
    sentence = "ab <unk> c<etc>"
    size = len("a b _ <unk> _ c <etc> \n")
    bounds = size - 1, size + 1
    parts = partition_by_length(
        [sentence], "characters", train_bounds=bounds, held_out=0
    )
    assert parts.train == [sentence]
    for bounds in ((size, size + 9), (size - 9, size)):
        with pytest.raises(ValueError, match="must have some of a length"):
            partition_by_length([sentence], "characters", train_bounds=bounds)


def test_held_out_share_and_doubles():
    sentences = generated_sentences(2000, max_words=25)
    parts = partition_by_length(sentences, held_out=0.25)
    share = len(parts.validation) / len(sentences)
    assert 0.2 < share < 0.3
    # A sentence falls on the same side wherever and however it is written.
    other = [f"{sentence.upper()} 7 !" for sentence in reversed(sentences)]
    bounds = {"train_bounds": (2, 40), "longer_bounds": (40, 64)}
    again = partition_by_length(other, held_out=0.25, **bounds)
    held_out = {sentence.upper() for sentence in parts.validation}
    assert {s.removesuffix(" 7 !") for s in again.validation} == held_out
    # A larger share holds out what a smaller one does, and more.
    more = partition_by_length(sentences, held_out=0.5)
    assert set(parts.validation) < set(more.validation)


def test_wrong_arguments():
    sentences = generated_sentences(10)
    with pytest.raises(ValueError, match=r"`level` must be one of.*Received: "):
        partition_by_length(sentences, "bytes")
    with pytest.raises(ValueError, match=r"list of strings.*Received: "):
        partition_by_length("a sentence")
    with pytest.raises(ValueError, match=r"must be a pair.*Received: train_bounds=3"):
        partition_by_length(sentences, train_bounds=3)
    with pytest.raises(ValueError, match=r"must not exceed.*Received: "):
        partition_by_length(sentences, train_bounds=(9, 3))
    with pytest.raises(ValueError, match=r"must exceed.*Received: "):
        partition_by_length(sentences, train_bounds=(2, 40))
    with pytest.raises(ValueError, match=r"`held_out` must.*Received: held_out=1"):
        partition_by_length(sentences, held_out=1)
    with pytest.raises(ValueError, match=r"`sentences` must have.*Received: 1 "):
        partition_by_length(["a " * 40])


def test_lengths_may_follow_without_a_gap():
    sentences = [" ".join("a" * n) for n in range(1, 20)]
    parts = partition_by_length(
        sentences, train_bounds=(2, 11), longer_bounds=(10, 30), held_out=0
    )
    assert [*parts.train, *parts.longer] == sentences
    assert np.max([len(s.split()) for s in parts.train]) == 8
