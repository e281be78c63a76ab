"""Methods, and calls of layers, refuse by name what is not what they take."""

import keras
import numpy as np
import pytest

import keras_nam
from keras_nam import layers
from keras_nam import models
from keras_nam import tokenizers

X = np.ones((2, 5, 3), "float32")
IMAGES = np.ones((2, 8, 8, 1), "float32")
NOTHING_OF_USE = [-1, 1.5, np.nan, True, {}, object(), [[1, 2], [3]], None]


def streaming():
    core = layers.NAM(4, 2, return_sequences=True)
    stream = models.StreamingModel(models.token_tagger(core, 9, 4))
    return stream, stream.initial_state(1)


def few_shot():
    features = models.conv_features((8, 8, 1), (2, 3), num_pools=2)
    return models.FewShotClassifier(features, layers.NAMClassifier(4, 3))


def methods():
    """Functions of what is wrong, by their names."""
    stream, state = streaming()
    images, nam = few_shot(), layers.NAM(4, 2)
    nam(X)
    curriculum = keras_nam.callbacks.LengthCurriculum({0: 4})
    words = tokenizers.WordTokenizer(["the", "dog"])
    return {
        "StreamingModel.initial_state": stream.initial_state,
        "StreamingModel inputs": lambda x: stream(x, state),
        "StreamingModel state": lambda x: stream(np.array([[1, 2]]), x),
        "StreamingModel.export": stream.export,
        "FewShotClassifier.learn images": lambda x: images.learn(x, [4, 4]),
        "FewShotClassifier.learn labels": lambda x: images.learn(IMAGES, x),
        "FewShotClassifier.forget": images.forget,
        "FewShotClassifier.extract": images.extract,
        "NAM initial_state": lambda x: nam(X, initial_state=[x]),
        "NAM mask": lambda x: nam(X, mask=[x]),
        "NAM.trajectory": nam.trajectory,
        "LengthCurriculum.batches": lambda x: curriculum.batches(x, 2),
        "LengthCurriculum.batches size": lambda x: curriculum.batches((X, X), x),
        "WordTokenizer.tokenize": words.tokenize,
        "WordTokenizer.detokenize": words.detokenize,
        "WordTokenizer.adapt": tokenizers.WordTokenizer().adapt,
    }


def test_methods_refuse_what_they_do_not_take(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problems = []
    for name, method in methods().items():
        for value in NOTHING_OF_USE:
            if value is None and name in ("NAM mask",):
                continue  # No mask.
            try:
                method(value)
            except (ValueError, TypeError) as error:
                explains = "Received" in str(error) or "xpected" in str(error)
                if not explains and value != [[1, 2], [3]]:
                    problems.append(f"{name} on {value!r}: {error!s:.100}")
            except Exception as error:
                problems.append(f"{name} on {value!r}: {type(error)} {error!s:.100}")
            else:
                problems.append(f"{name} accepts {value!r}")
    assert not problems, "\n".join(problems)
    assert not list(tmp_path.iterdir())


def test_what_a_refused_lesson_leaves():
    model = few_shot()
    before = model.head.get_weights()
    with pytest.raises(ValueError, match="labels"):
        model.learn(IMAGES, None)
    for ours, then in zip(model.head.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, then)
    assert isinstance(model, keras.Model)
