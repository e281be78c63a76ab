"""Symbols of a fixed table, and bytes, as tokens: at once and in a graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_nam import datasets
from keras_nam.tokenizers import ByteTokenizer
from keras_nam.tokenizers import SymbolTokenizer


def in_a_graph(tokenizer, texts):
    """Tokens, and the texts they are read as again, from a compiled function."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def run(texts):
        rows = tokenizer.tokenize(texts, ragged=True)
        return tokenizer.fill_up(rows), tokenizer.decode(rows)

    tokens, again = run(tf.constant(texts, tf.string))
    return tokens, [text.decode() for text in again.numpy()]


@pytest.mark.parametrize("task", datasets.TASKS)
def test_symbols_of_the_tasks(task):
    tokenizer = datasets.task_tokenizer(task)
    settings = {"min_length": 10, "max_length": 60} if task == "listops" else {}
    inputs, *_ = datasets.load_task(task, "train", 6, **settings)
    texts = datasets.decode(inputs, task)
    for tokens, again in (
        in_a_graph(tokenizer, texts),
        (tokenizer.tokenize(texts), tokenizer.detokenize(inputs)),
    ):
        np.testing.assert_array_equal(tokens, inputs)
        assert again == texts
    assert 0 <= inputs.min() <= inputs.max() < tokenizer.vocabulary_size()
    padding = datasets.encode(".", task)
    assert tokenizer.pad_token_id == padding
    mask = {"listops": None, "associative_recall": None, "reduction": padding[0]}
    expected = mask.get(task, "M")
    if expected == "M":
        [expected] = datasets.encode("M", task)
    assert tokenizer.mask_token_id == expected


def test_rows_are_filled_up_and_texts_are_not():
    tokenizer = datasets.task_tokenizer("addition")
    texts = ["_5 _", "", "  _12_MM E"]
    tokens, again = in_a_graph(tokenizer, texts)
    assert tokens.numpy().tolist() == [
        [10, 5, 10, 11, 11, 11, 11],
        [11] * 7,
        [10, 1, 2, 10, 14, 14, 13],
    ]
    assert again == ["_ 5 _", "", "_ 1 2 _ M M E"]
    rows = tokenizer.tokenize(texts, ragged=True)
    assert rows.row_lengths().numpy().tolist() == [3, 0, 7]
    assert tokenizer.detokenize(rows) == again
    assert tokenizer.tokenize([""]).shape == (1, 1)
    assert tokenizer.tokenize([]).shape == (0, 1)
    assert tokenizer.tokenize("_5 _").numpy().tolist() == [10, 5, 10]
    assert tokenizer.tokenize("").shape == (1,)
    assert tokenizer.tokenize("", ragged=True).shape == (0,)


def test_what_means_nothing_is_left_out():
    text = "( [MAX 2 ( [MIN 4 7 ] ) ]"
    tokens = datasets.task_tokenizer("listops").tokenize(text)
    np.testing.assert_array_equal(tokens, datasets.encode(text, "listops"))
    assert len(tokens) == 7


def test_unknown_symbols():
    tokenizer = datasets.task_tokenizer("addition")
    for unknown in ("_1x", "_1é_"):
        with pytest.raises(ValueError, match="must consist of.*Received: .*[xé]"):
            tokenizer.tokenize(["_1_", unknown])
        with pytest.raises(tf.errors.InvalidArgumentError, match="must consist of"):
            in_a_graph(tokenizer, ["_1_", unknown])


def test_bytes():
    texts = ["a\0b", "", "naïve ☂", "long" * 50]
    tokenizer = ByteTokenizer()
    for tokens, again in (
        in_a_graph(tokenizer, texts),
        (
            tokenizer.tokenize(texts),
            tokenizer.detokenize(tokenizer.tokenize(texts)),
        ),
    ):
        assert tokens.shape == (4, 200)
        assert tokens[0, :4].numpy().tolist() == [98, 1, 99, 0]
        assert again == texts
    short = ByteTokenizer(5)
    assert short.tokenize(texts).shape == (4, 5)
    lengths = short.tokenize(texts, ragged=True).row_lengths()
    assert lengths.numpy().tolist() == [3, 0, 5, 5]
    # Bytes that are not text, as a model may predict them.
    assert tokenizer.detokenize([256, 98]) == "\ufffda"
    assert tokenizer.tokenize([b"\xff"]).numpy().tolist() == [[256]]


@pytest.mark.parametrize(
    "tokenizer",
    [
        ByteTokenizer(7, name="t"),
        SymbolTokenizer(["a", "bc", "?"], pad="?", mask="a", ignored=["-"]),
    ],
    ids=["bytes", "symbols"],
)
def test_config(tokenizer):
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(tokenizer)
    )
    assert again.get_config() == tokenizer.get_config()
    tokens = tokenizer.tokenize(["a bc - a"]) if tokenizer.name != "t" else 0
    if tokenizer.name != "t":
        np.testing.assert_array_equal(again.tokenize(["a bc - a"]), tokens)
        assert again.mask_token_id == 0
        assert again.pad_token_id == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"symbols": []},
        {"symbols": "ab"},
        {"symbols": ["a", "a", "."]},
        {"symbols": ["a", "b c", "."]},
        {"symbols": ["", "."]},
        {"symbols": [1, "."]},
        {"pad": "x"},
        {"pad": None},
        {"mask": "x"},
        {"ignored": "ab"},
    ],
)
def test_wrong_tables(arguments):
    with pytest.raises(ValueError, match="Received: "):
        SymbolTokenizer(**{"symbols": ["a", "."], "pad": ".", **arguments})


@pytest.mark.parametrize(
    "tokens", [[[5]], [[-1]], [0.5], "a", None, [[0], [1, 2]], 3, [[[1]]], [True]]
)
def test_wrong_tokens(tokens):
    tokenizer = SymbolTokenizer(["a", "."], pad=".")
    with pytest.raises(ValueError, match="Argument `tokens` .*Received: "):
        tokenizer.detokenize(tokens)


@pytest.mark.parametrize("texts", [None, 3, [["a"]], ["a", 1], "\ud800", ["\ud800"]])
def test_wrong_texts(texts):
    for tokenizer in (SymbolTokenizer(["a", "."], pad="."), ByteTokenizer()):
        with pytest.raises(ValueError, match="Argument `texts` .*Received: "):
            tokenizer.tokenize(texts)
