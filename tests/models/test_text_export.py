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
from keras_nam import tokenizers


def tagger(vocabulary_size=16, **arguments):
    core = layers.NAM(8, num_heads=2, return_sequences=True)
    return models.token_tagger(core, vocabulary_size, 8, **arguments)


def serve(model, tokenizer, folder, *texts, **arguments):
    models.export_text_model(model, folder / "exported", tokenizer, **arguments)
    loaded = tf.saved_model.load(str(folder / "exported"))
    return loaded.serve(*(tf.constant(text) for text in texts))


def strings(tensor):
    return [text.decode() for text in tensor.numpy().tolist()]


@pytest.mark.parametrize(
    ("task", "vocabulary_size", "question", "open_cells"),
    [
        ("reverse", 16, "_1234_MMMME", "M"),
        pytest.param("reduction", 16, "30010_.....", ".", marks=pytest.mark.slow),
        pytest.param("dyck", 11, "[([<_MMMM", "M", marks=pytest.mark.slow),
    ],
)
def test_blanks_are_filled_in(task, vocabulary_size, question, open_cells, tmp_path):
    model = tagger(vocabulary_size)
    texts = [question, question[: len(question) // 2]]
    found = strings(
        serve(model, datasets.task_tokenizer(task), tmp_path, texts)["texts"]
    )
    for text, answer in zip(texts, found, strict=True):
        tokens = datasets.encode(text, task)
        predicted = np.argmax(model(tokens[None])[0], -1)
        blank = datasets.encode(open_cells, task)
        expected = np.where(tokens == blank, predicted, tokens)
        assert answer == datasets.decode(expected, task)


def test_without_blanks_all_is_predicted(tmp_path):
    tokenizer = tokenizers.ByteTokenizer()
    model = tagger(257, mask_token=0)
    found = serve(model, tokenizer, tmp_path, ["some bytes"])["texts"]
    predicted = np.argmax(model(tokenizer.tokenize(["some bytes"])), -1)
    expected = b"".join(bytes([t - 1]) for t in predicted[0].tolist() if t)
    assert found.numpy()[0] == expected


def test_classes_and_pairs(tmp_path):
    block = layers.NAMTransformerEncoder(8, num_heads=2)
    model = models.matching_classifier(block, 257, 8, mask_token=0)
    tokenizer = tokenizers.ByteTokenizer()
    texts = [["a text", "of any length"], ["another", ""]]
    found = serve(model, tokenizer, tmp_path, *texts, classes=["other", "same"])
    tokens = [tokenizer.tokenize(text) for text in texts]
    scores = keras.ops.softmax(model(tokens))
    np.testing.assert_allclose(found["scores"], scores, atol=1e-6)
    names = np.array(["other", "same"])[np.argmax(scores, -1)]
    assert strings(found["labels"]) == names.tolist()


def test_another_tokenizer(tmp_path):
    """What a user brings: letters, with a token for all that is unknown."""

    class Letters(tokenizers.Tokenizer):
        mask_token_id = 1

        def vocabulary_size(self):
            return 28

        def encode(self, texts):
            codes = tf.strings.unicode_decode(texts, "UTF-8")
            tokens = codes - ord("a") + 2
            return tf.where((tokens >= 2) & (tokens < 28), tokens, 1)

        def decode(self, tokens):
            return tf.strings.unicode_encode(tokens + ord("a") - 2, "UTF-8")

    model = tagger(28)
    found = strings(serve(model, Letters(), tmp_path, ["ab?d"])["texts"])
    predicted = int(np.argmax(model(np.array([[2, 3, 1, 5]]))[0, 2]))
    assert found == ["ab" + chr(predicted + ord("a") - 2) + "d"]


def test_text_model_runs_without_this_package(tmp_path):
    model = tagger()
    tokenizer = datasets.task_tokenizer("reverse")
    path = tmp_path / "exported"
    models.export_text_model(models.StreamingModel(model), path, tokenizer)
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
    tokenizer = datasets.task_tokenizer("reverse")
    vectors = keras.Input((None, 4))
    two = keras.Input((None,), dtype="int32")
    same = keras.layers.Identity()(two)
    for model, classes in (
        (keras.Model(vectors, layers.NAM(4)(vectors)), None),
        (keras.Model(two, [same, same]), None),
        (keras.layers.LSTM(3), None),
        (tagger(), ["a"]),
        (tagger(17), None),
        (models.sequence_classifier(layers.NAMTransformerEncoder(4, 2), 3, 4, 2), "a"),
    ):
        with pytest.raises(ValueError, match="Received"):
            models.export_text_model(model, tmp_path / "nowhere", tokenizer, classes)
