"""SavedModels that take strings and give strings, where this package is missing."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_nam import datasets
from keras_nam import layers
from keras_nam import models


def tagger(vocabulary_size=16, **arguments):
    core = layers.NAM(8, num_heads=2, return_sequences=True)
    return models.token_tagger(core, vocabulary_size, 8, **arguments)


def serve(model, codec, folder, *texts, **arguments):
    models.export_text_model(model, folder / "exported", codec, **arguments)
    loaded = tf.saved_model.load(str(folder / "exported"))
    return loaded.serve(*(tf.constant(text) for text in texts))


def strings(tensor):
    return [text.decode() for text in tensor.numpy().tolist()]


@pytest.mark.parametrize("task", datasets.TASKS)
def test_codecs_read_what_encode_reads(task):
    codec = datasets.text_codec(task)
    settings = {"max_length": 60} if task == "listops" else {}
    if task == "listops":
        settings["min_length"] = 10
    inputs, *_ = datasets.load_task(task, "train", 6, **settings)
    written = datasets.decode(inputs, task)
    tokens, lengths = codec.encode(tf.constant(written))
    np.testing.assert_array_equal(tokens, inputs)
    assert set(lengths.numpy().tolist()) == {inputs.shape[1]}
    assert strings(codec.decode(tokens, lengths)) == written


def test_codecs_fill_up_with_padding_and_cut_it_off():
    codec = datasets.text_codec("addition")
    tokens, lengths = codec.encode(tf.constant(["_5 _", "", "  _12_MM E"]))
    assert tokens.numpy().tolist() == [
        [10, 5, 10, 11, 11, 11, 11],
        [11] * 7,
        [10, 1, 2, 10, 14, 14, 13],
    ]
    assert lengths.numpy().tolist() == [3, 0, 7]
    assert strings(codec.decode(tokens, lengths)) == ["_ 5 _", "", "_ 1 2 _ M M E"]
    assert codec.encode(tf.constant([""]))[0].shape == (1, 1)
    assert codec.encode(tf.constant([], tf.string))[0].shape == (0, 1)
    expressions = datasets.text_codec("listops")
    text = "( [MAX 2 ( [MIN 4 7 ] ) ]"
    tokens, _ = expressions.encode(tf.constant([text]))
    np.testing.assert_array_equal(tokens[0], datasets.encode(text, "listops"))
    for unknown in ("_1x", "_1é_"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="not in the vocab"):
            codec.encode(tf.constant(["_1_", unknown]))


def test_bytes():
    codec = datasets.text_codec("text")
    texts = ["a\0b", "", "naïve ☂", "long" * 50]
    tokens, lengths = codec.encode(tf.constant(texts))
    assert tokens.shape == (4, 200)
    assert tokens[0, :4].numpy().tolist() == [98, 1, 99, 0]
    assert strings(codec.decode(tokens, lengths)) == texts
    tokens, lengths = datasets.text_codec("text", 5).encode(tf.constant(texts))
    assert tokens.shape == (4, 5)
    assert lengths.numpy().tolist() == [3, 0, 5, 5]
    for arguments in (("text", 0), ("reverse", 5), ("pixels",)):
        with pytest.raises(ValueError, match="Received"):
            datasets.text_codec(*arguments)


@pytest.mark.parametrize(
    ("task", "vocabulary_size", "question", "open_cells"),
    [
        ("reverse", 16, "_1234_MMMME", "M"),
        ("reduction", 16, "30010_.....", "."),
        ("dyck", 11, "[([<_MMMM", "M"),
    ],
)
def test_blanks_are_filled_in(task, vocabulary_size, question, open_cells, tmp_path):
    model = tagger(vocabulary_size)
    texts = [question, question[: len(question) // 2]]
    found = strings(serve(model, datasets.text_codec(task), tmp_path, texts)["texts"])
    for text, answer in zip(texts, found, strict=True):
        tokens = datasets.encode(text, task)
        predicted = np.argmax(model(tokens[None])[0], -1)
        blank = datasets.encode(open_cells, task)
        expected = np.where(tokens == blank, predicted, tokens)
        assert answer == datasets.decode(expected, task)


def test_without_blanks_all_is_predicted(tmp_path):
    codec = datasets.text_codec("text")
    model = tagger(257, mask_token=0)
    found = serve(model, codec, tmp_path, ["some bytes"])["texts"]
    tokens, lengths = codec.encode(tf.constant(["some bytes"]))
    predicted = np.argmax(model(tokens), -1).astype("int32")
    assert found.numpy()[0] == codec.decode(predicted, lengths).numpy()[0]


def test_classes_and_pairs(tmp_path):
    block = layers.NAMTransformerEncoder(8, num_heads=2)
    model = models.matching_classifier(block, 257, 8, mask_token=0)
    codec = datasets.text_codec("matching")
    texts = [["a text", "of any length"], ["another", ""]]
    found = serve(model, codec, tmp_path, *texts, classes=["other", "same"])
    tokens = [codec.encode(tf.constant(text))[0] for text in texts]
    scores = keras.ops.softmax(model(tokens))
    np.testing.assert_allclose(found["scores"], scores, atol=1e-6)
    names = np.array(["other", "same"])[np.argmax(scores, -1)]
    assert strings(found["labels"]) == names.tolist()


def test_another_codec(tmp_path):
    """What a user brings: letters, with a token for all that is unknown."""

    class Letters(datasets.TextCodec):
        blank = 1
        vocabulary_size = 28

        def encode(self, texts):
            codes = tf.strings.unicode_decode(texts, "UTF-8")
            tokens = codes - ord("a") + 2
            tokens = tf.where((tokens >= 2) & (tokens < 28), tokens, 1)
            lengths = tf.cast(tokens.row_lengths(), tf.int32)
            return tokens.to_tensor(0), lengths

        def decode(self, tokens, lengths):
            codes = tf.RaggedTensor.from_tensor(tokens + ord("a") - 2, lengths)
            return tf.strings.unicode_encode(codes, "UTF-8")

    model = tagger(28)
    found = strings(serve(model, Letters(), tmp_path, ["ab?d"])["texts"])
    predicted = int(np.argmax(model(np.array([[2, 3, 1, 5]]))[0, 2]))
    assert found == ["ab" + chr(predicted + ord("a") - 2) + "d"]


def test_text_model_runs_without_this_package(tmp_path):
    model = tagger()
    codec = datasets.text_codec("reverse")
    models.export_text_model(models.StreamingModel(model), tmp_path / "exported", codec)
    question = datasets.encode("_123_MMME")
    predicted = np.argmax(model(question[None])[0], -1)
    answer = datasets.decode(np.where(question == 14, predicted, question))
    code = """
    import sys
    import tensorflow as tf
    served = tf.saved_model.load(sys.argv[1] + "/exported")
    question, answer = "_123_MMME", sys.argv[2]
    for rows in (1, 3):
        found = served.signatures["serve"](texts=tf.constant([question] * rows))
        assert found["texts"].numpy().tolist() == [answer.encode()] * rows, found
    for size in (1, 4, 9):
        state = served.signatures["initial_state"](batch_size=tf.constant(2))
        words = []
        for at in range(0, len(question), size):
            pieces = tf.constant([question[at : at + size]] * 2)
            results = served.signatures["step"](texts=pieces, **state)
            state = {name: results[name] for name in state}
            words.append(results["texts"].numpy()[1].decode())
        assert " ".join(words) == answer, words
    for refused in (["_1", "_12"], ["", ""], ["x", "y"]):
        try:
            served.signatures["step"](texts=tf.constant(refused), **state)
        except tf.errors.InvalidArgumentError:
            pass
        else:
            raise AssertionError(refused)
    assert "keras_nam" not in sys.modules
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), answer],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr


def test_what_cannot_be_exported(tmp_path):
    codec = datasets.text_codec("reverse")
    vectors = keras.Input((None, 4))
    two = keras.Input((None,), dtype="int32")
    for model, classes in (
        (keras.Model(vectors, layers.NAM(4)(vectors)), None),
        (keras.Model(two, [two, two]), None),
        (keras.layers.LSTM(3), None),
        (tagger(), ["a"]),
        (tagger(17), None),
        (models.sequence_classifier(layers.NAMTransformerEncoder(4, 2), 3, 4, 2), "a"),
    ):
        with pytest.raises(ValueError, match="Received"):
            models.export_text_model(model, tmp_path / "nowhere", codec, classes)
