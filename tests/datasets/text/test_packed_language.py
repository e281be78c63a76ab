"""Documents packed into rows: what is asked for, and in which order."""

import numpy as np
import pytest

from keras_nam import datasets
from keras_nam import tokenizers

TEXTS = ["abc", "", "defgh", "i", "jk"]


def rows(dataset):
    batches = [(i["tokens"], i["segment_ids"], t, w) for i, t, w in dataset]
    return [np.concatenate(x) for x in zip(*batches, strict=True)]


@pytest.mark.parametrize("length", [1, 3, 4, 10, 50])
@pytest.mark.parametrize("training", [False, True])
def test_every_next_token_once(length, training):
    tokenizer = tokenizers.ByteTokenizer()
    dataset = datasets.packed_language_dataset(
        TEXTS, tokenizer, length, 2, training=training
    )
    tokens, ids, targets, weights = rows(dataset)
    assert len(dataset) == -(-len(tokens) // 2)
    pairs = [
        f"{chr(a - 1)}{chr(b - 1)}"
        for a, b, w in zip(tokens.flat, targets.flat, weights.flat, strict=True)
        if w
    ]
    # Of the documents alone, none across, none of padding.
    assert sorted(pairs) == ["ab", "bc", "de", "ef", "fg", "gh", "jk"]
    assert (targets[weights == 0] == 0).all()
    assert ((ids == 0) == (tokens == 0)).all()
    for row, segments in zip(tokens, ids, strict=True):
        for segment in set(segments) - {0}:
            text = "".join(chr(x - 1) for x in row[segments == segment])
            assert any(text in whole for whole in TEXTS)
        assert segments[0] == 1


def test_orders_repeat_by_seed():
    tokenizer = tokenizers.WordTokenizer()
    sentences = datasets.generated_sentences(50)
    tokenizer.adapt(sentences)

    def epochs(**kwargs):
        dataset = datasets.packed_language_dataset(sentences, tokenizer, 16, **kwargs)
        return [rows(dataset)[0] for _ in range(2)]

    first, second = epochs(training=True)
    again, _ = epochs(training=True)
    other, _ = epochs(training=True, seed=1)
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (first != other).any()
    plain, same = epochs()
    np.testing.assert_array_equal(plain, same)
    assert plain[0, 0] == tokenizer.start_token_id


def test_nothing_to_read_is_refused():
    with pytest.raises(ValueError, match="2 empty documents"):
        datasets.packed_language_dataset(["", ""], tokenizers.ByteTokenizer(), 4)
