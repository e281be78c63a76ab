"""Masks: one whole word each, repeatable, and as the paper draws them."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from golden_datasets import plain
from golden_datasets import published

from keras_nam.datasets import generated_sentences
from keras_nam.datasets import masked_language_dataset
from keras_nam.datasets.text.masked_language import draw_mask
from keras_nam.tokenizers import CharacterTokenizer
from keras_nam.tokenizers import WordTokenizer

PAD, START, END, MASK = 0, 1, 2, 5


def word_tokenizer(sentences):
    tokenizer = WordTokenizer()
    tokenizer.adapt(sentences)
    return tokenizer


@pytest.fixture(scope="module")
def sentences():
    return generated_sentences(150, max_words=12)


@pytest.fixture(params=["words", "characters"])
def tokenizer(request, sentences):
    if request.param == "characters":
        return CharacterTokenizer()
    return word_tokenizer(sentences)


def read(dataset):
    """The rows of a dataset as lists, without their padding."""
    rows = []
    for batch in dataset:
        for inputs, targets, weights in zip(*(x.numpy() for x in batch), strict=True):
            used = np.count_nonzero(targets != PAD)
            assert (inputs[used:] == PAD).all()
            assert (weights[used:] == 0).all()
            rows.append((inputs[:used], targets[:used], weights[:used]))
    return rows


def inputs_of(dataset):
    return [row[0].tolist() for row in read(dataset)]


def test_one_whole_word_is_masked_and_asked_for(sentences, tokenizer):
    dataset = masked_language_dataset(sentences, tokenizer, batch_size=32)
    assert len(dataset) == len(list(dataset)) == 5
    rows = read(dataset)
    texts = [tokenizer.detokenize(inputs) for inputs, _, _ in dataset]
    originals = [tokenizer.detokenize(targets) for _, targets, _ in dataset]
    assert sum(originals, []) == sentences
    rows = zip(rows, sum(texts, []), sentences, strict=True)
    for (inputs, targets, weights), text, sentence in rows:
        is_masked = inputs == MASK
        np.testing.assert_array_equal(weights, is_masked)
        np.testing.assert_array_equal(inputs[~is_masked], targets[~is_masked])
        assert not np.isin(targets[is_masked], (PAD, START, END, MASK)).any()
        # With the word cut out, the sentence lacks just that word.
        words = text.split(" ")
        places = [i for i, word in enumerate(words) if "<mask>" in word]
        assert len(places) == 1
        assert words[places[0]].replace("<mask>", "") == ""
        hidden = sentence.split()[places[0]]
        width = 1 if isinstance(tokenizer, WordTokenizer) else len(hidden)
        assert is_masked.sum() == width
        if isinstance(tokenizer, CharacterTokenizer):
            assert places[0] > 0


def test_every_word_comes_to_be_masked(sentences, tokenizer):
    sentence = "two dogs greet one cat"
    dataset = masked_language_dataset([sentence] * 300, tokenizer, batch_size=300)
    [(inputs, _, _)] = dataset
    places = Counter(
        ["<mask>" in word for word in text.split()].index(True)
        for text in tokenizer.detokenize(inputs)
    )
    first = 0 if isinstance(tokenizer, WordTokenizer) else 1
    assert sorted(places) == list(range(first, 5))
    # Six standard deviations from even.
    share = 1 / len(places)
    off = 6 * np.sqrt(300 * share * (1 - share))
    assert all(abs(count - 300 * share) < off for count in places.values())


def test_a_sentence_of_one_word_stays(tokenizer):
    dataset = masked_language_dataset(["dogs", "two dogs"], tokenizer)
    first, second = read(dataset)
    np.testing.assert_array_equal(first[0], first[1])
    assert first[2].sum() == 0
    assert second[2].sum() >= 1


def test_evaluation_never_changes(sentences, tokenizer):
    dataset = masked_language_dataset(sentences, tokenizer, batch_size=8)
    first = inputs_of(dataset)
    assert inputs_of(dataset) == first
    tf.random.set_seed(1234)
    again = masked_language_dataset(sentences, tokenizer, batch_size=50)
    assert inputs_of(again) == first
    part = masked_language_dataset(sentences[:20], tokenizer)
    assert inputs_of(part) == first[:20]
    other = masked_language_dataset(sentences, tokenizer, seed=1)
    assert inputs_of(other) != first


def test_training_changes_with_each_epoch_and_repeats_by_seed(sentences, tokenizer):
    def epochs(count=3, **kwargs):
        dataset = masked_language_dataset(
            sentences, tokenizer, batch_size=16, training=True, **kwargs
        )
        return [inputs_of(dataset) for _ in range(count)]

    first = epochs()
    assert first[0] != first[1] != first[2] != first[0]
    # Not in their order alone.
    masked = [{tuple(row) for row in epoch} for epoch in first]
    assert len(masked[0] & masked[1]) < len(sentences) / 2
    whole = [sorted(t.tolist() for _, t, _ in read_training(sentences, tokenizer))]
    plain_rows = masked_language_dataset(sentences, tokenizer)
    assert whole[0] == sorted(t.tolist() for _, t, _ in read(plain_rows))
    tf.random.set_seed(99)
    assert epochs() == first
    assert epochs(1, seed=1)[0] != first[0]


def read_training(sentences, tokenizer):
    return read(masked_language_dataset(sentences, tokenizer, training=True))


def test_fixed_length_and_all_positions(sentences, tokenizer):
    dataset = masked_language_dataset(
        sentences, tokenizer, length=128, batch_size=100, all_positions=True
    )
    shapes = [tuple(x.shape) for batch in dataset for x in batch]
    assert shapes == [(100, 128)] * 3 + [(50, 128)] * 3
    inputs, targets, weights = next(iter(dataset))
    assert (weights.numpy() == 1).all()
    assert (np.sum(inputs != targets, axis=1) > 0).all()


def test_wrong_arguments(sentences, tokenizer):
    with pytest.raises(ValueError, match=r"at least one. Received: sentences=\[\]"):
        masked_language_dataset([], tokenizer)
    with pytest.raises(ValueError, match=r"longest row.*Received: length=5"):
        masked_language_dataset(sentences, tokenizer, length=5)
    with pytest.raises(ValueError, match=r"no masks.*Received: 'a <mask>'"):
        masked_language_dataset(["a b", "a <mask>"], tokenizer)
    with pytest.raises(ValueError, match=r"Received: batch_size=0"):
        masked_language_dataset(sentences, tokenizer, batch_size=0)
    with pytest.raises(ValueError, match=r"Received: seed=-1"):
        masked_language_dataset(sentences, tokenizer, seed=-1)


def golden_tokenizer(name):
    if name == "ptbc":
        return CharacterTokenizer()
    return WordTokenizer([str(word) for word in published("ptbw", "vocab")][6:])


@pytest.mark.golden
def test_published_characters():
    tokenizer = CharacterTokenizer()
    keys = published("ptbc", "char_to_id_keys")
    values = published("ptbc", "char_to_id_vals")
    for key, value in zip(keys, values, strict=True):
        # The empty string is a slip of the published list; <NUM> is no character.
        if key not in ("", "<NUM>"):
            assert tokenizer.token_to_id(str(key)) == value, key


@pytest.mark.golden
@pytest.mark.parametrize("name", ["ptbw", "ptbc"])
def test_published_rows(name):
    tokenizer = golden_tokenizer(name)
    kept = [plain(name, line) for line in published(name, "kept")]
    sentences = [kept[index] for index in published(name, "index")]
    length = int(published(name, "cfg.maxSeq"))
    dataset = masked_language_dataset(sentences, tokenizer, length=length)
    [(_, targets, _)] = dataset
    np.testing.assert_array_equal(targets, published(name, "target"))
    assert targets.dtype == published(name, "target").dtype


@pytest.mark.golden
@pytest.mark.parametrize("name", ["ptbw", "ptbc"])
def test_published_masks_are_among_those_that_may_be_drawn(name):
    tokenizer = golden_tokenizer(name)
    rows = zip(published(name, "input"), published(name, "target"), strict=True)
    for inputs, targets in rows:
        used = np.count_nonzero(targets)
        starts, lengths = tokenizer.maskable_words(tf.constant(targets[:used]))
        stretches = list(zip(starts.numpy(), lengths.numpy(), strict=True))
        places = np.flatnonzero(inputs == MASK)
        assert (places[0], len(places)) in stretches
        for seed in range(1000):
            mask = draw_mask(tf.constant(targets[:used]), tokenizer, [seed, 0])
            if np.array_equal(np.flatnonzero(mask), places):
                break
        else:
            pytest.fail("the published mask was never drawn")
        drawn = np.where(np.pad(mask, (0, len(targets) - used)), MASK, targets)
        np.testing.assert_array_equal(drawn, inputs)
