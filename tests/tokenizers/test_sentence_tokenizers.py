"""Tokenizers: there and back, vocabularies, and what is saved of them."""

import keras
import numpy as np
import pytest

from keras_nam.datasets import generated_sentences
from keras_nam.tokenizers import CharacterTokenizer
from keras_nam.tokenizers import WordTokenizer

TOKENIZERS = [WordTokenizer, CharacterTokenizer]


@pytest.fixture(scope="module")
def sentences():
    return generated_sentences(200)


def adapted(kind, sentences, **kwargs):
    tokenizer = kind(**kwargs)
    tokenizer.adapt(sentences)
    return tokenizer


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_there_and_back(kind, sentences):
    tokenizer = adapted(kind, sentences)
    tokens = tokenizer.tokenize(sentences)
    assert tokens.dtype == "int32"
    assert tokenizer.detokenize(tokens) == sentences
    assert tokenizer.detokenize(tokens[0]) == sentences[0]
    single = tokenizer.tokenize(sentences[0])
    np.testing.assert_array_equal(tokens[0, : single.shape[0]], single)


def test_rows_begin_and_end_with_marks():
    tokenizer = WordTokenizer(["a", "b"])
    tokens = tokenizer.tokenize(["a b", "", "b"]).numpy().tolist()
    assert tokens == [[1, 6, 7, 2], [1, 2, 0, 0], [1, 7, 2, 0]]
    ragged = tokenizer.tokenize(["a b", "", "b"], ragged=True)
    assert ragged.to_list() == [[1, 6, 7, 2], [1, 2], [1, 7, 2]]
    assert tokenizer.detokenize(ragged) == ["a b", "", "b"]
    assert tokenizer.detokenize(tokens) == ["a b", "", "b"]


def test_words_by_frequency_up_to_the_limit():
    texts = ["b b b a c c", "A <unk> <mask> <pad> <etc> d"]
    tokenizer = adapted(WordTokenizer, texts)
    # The same frequency: in alphabetical order. Special symbols are not counted.
    assert tokenizer.get_vocabulary()[6:] == ["b", "a", "c", "d"]
    tokenizer = adapted(WordTokenizer, texts, max_tokens=8)
    assert tokenizer.get_vocabulary() == [
        *("<pad>", "<bos>", "<eos>", "<unk>", "<etc>", "<mask>"),
        *("b", "a"),
    ]
    assert tokenizer.vocabulary_size() == 8
    assert tokenizer.tokenize("a c nothing <unk>").numpy().tolist() == [
        *(1, 7, 4, 4, 3, 2)
    ]


def test_marks_in_a_text_are_words_that_are_not_known():
    tokenizer = WordTokenizer(["a"])
    tokens = tokenizer.tokenize("<pad> a <bos> <eos>").numpy().tolist()
    assert tokens == [1, 4, 6, 4, 4, 2]


def test_the_papers_characters():
    tokenizer = CharacterTokenizer()
    assert tokenizer.vocabulary_size() == 41
    text = tokenizer.detokenize(tokenizer.tokenize("A 19\\7 é, ünd\u3000 <unk>"))
    assert text == "a NN\\N <etc><etc> <etc>nd<etc> <unk>"


def test_characters_of_other_texts():
    tokenizer = adapted(CharacterTokenizer, ["für Ümit 3 7", "N,"])
    assert set(tokenizer.get_vocabulary()[6:-1]) == set("fürmit,N") | {"n"}
    assert tokenizer.detokenize(tokenizer.tokenize("Für 1,")) == "für N,"
    assert tokenizer.get_vocabulary()[-1] == "<etc>"


def test_a_number_keeps_its_sign_in_lower_case():
    tokenizer = WordTokenizer(["N", "n", "nn"])
    assert tokenizer.tokenize("N n NN").numpy().tolist() == [1, 6, 7, 8, 2]
    as_written = WordTokenizer(["N", "n", "NN"], lowercase=False)
    assert as_written.tokenize("N n NN").numpy().tolist() == [1, 6, 7, 8, 2]


def test_the_sign_of_a_blank_is_a_blank():
    tokenizer = CharacterTokenizer()
    expected = tokenizer.tokenize("a b")
    for text in ("a_b", " a  b ", "a _ b_"):
        np.testing.assert_array_equal(tokenizer.tokenize(text), expected)


def test_masks_stand_where_they_are_written():
    words = WordTokenizer(["a", "b"])
    assert words.tokenize("a<mask> b").numpy().tolist() == [1, 6, 5, 7, 2]
    filled = words.replace_masks(
        ["a<mask> x", "<mask>"], [[0, 0, 7, 0, 0], [0, 6] + 3 * [0]]
    )
    assert [text.decode() for text in filled.numpy()] == ["a b x", "a"]
    characters = CharacterTokenizer()
    tokens = characters.tokenize("a <mask>b<mask>").numpy().tolist()
    assert tokens == [1, 6, 3, 5, 7, 5, 2]
    filled = characters.replace_masks(["a <mask>b<mask>"], [[0, 0, 0, 8, 0, 9, 0]])
    assert filled.numpy()[0] == b"a cbd"


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_config_holds_the_vocabulary(kind, sentences):
    tokenizer = adapted(kind, sentences, max_tokens=20, lowercase=False, name="t")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(tokenizer)
    )
    assert type(again) is kind
    assert again.get_config() == tokenizer.get_config()
    assert again.get_vocabulary() == tokenizer.get_vocabulary()
    assert (again.max_tokens, again.lowercase, again.name) == (20, False, "t")
    np.testing.assert_array_equal(
        again.tokenize(sentences), tokenizer.tokenize(sentences)
    )


def test_config_without_a_vocabulary():
    again = WordTokenizer.from_config(WordTokenizer(max_tokens=9).get_config())
    with pytest.raises(ValueError, match="no vocabulary yet"):
        again.tokenize("a")


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"distinct strings.*Received: .*'a'"):
        WordTokenizer(["a", "b", "a"])
    with pytest.raises(ValueError, match=r"special symbols.*Received: .*'<pad>'"):
        WordTokenizer(["a", "<pad>"])
    with pytest.raises(ValueError, match=r"Received: .*''"):
        WordTokenizer(["a", ""])
    with pytest.raises(ValueError, match=r"Received: max_tokens=0"):
        WordTokenizer(max_tokens=0)
    with pytest.raises(ValueError, match=r"leave room.*Received: max_tokens=6"):
        WordTokenizer(max_tokens=6).adapt(["a"])
    with pytest.raises(ValueError, match=r"list of strings.*Received: "):
        WordTokenizer(["a"]).tokenize([["a"]])
