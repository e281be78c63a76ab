"""Training, saving and exporting a model that learns classes."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from backends import needs_tensorflow

from keras_nam import datasets
from keras_nam import layers
from keras_nam import models

IMAGES = np.random.default_rng(0).uniform(size=(40, 8, 8, 1)).astype("float32")
LABELS = np.arange(40) % 8
HEADS = {
    "nam": lambda: layers.NAMClassifier(8, 3, 4),
    "in_order": lambda: layers.NAMClassifier(8, 3, 4, erase="in_order"),
    "attention": lambda: layers.CosineClassifier(8, 3, 4, generator="attention"),
}


def build(head="nam"):
    features = models.conv_features((8, 8, 1), (4, 6), num_pools=2)
    return models.FewShotClassifier(features, HEADS[head]())


def test_feature_extractors():
    assert models.conv_features((84, 84, 3)).output_shape == (None, 3200)
    assert models.residual_features((84, 84, 3)).output_shape == (None, 512)
    for small in (models.conv_features, models.residual_features):
        outputs = small((28, 28, 1), filters=(4, 4, 4, 8))(np.zeros((2, 28, 28, 1)))
        assert outputs.shape == (2, 8)
        for wrong in ((8, 8, 1), (28, 28)):
            with pytest.raises(ValueError, match="Received"):
                small(wrong)
        with pytest.raises(ValueError, match="Received"):
            small((28, 28, 1), filters=(4, 0))


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_two_stages(jit_compile):
    model = build()
    model.learn(IMAGES[:1], np.array([9]))
    model.feature_extractor.layers[1].trainable = False
    trained = [weight.path for weight in model.trainable_weights]
    first, second = models.fit_few_shot(
        model,
        IMAGES,
        LABELS,
        num_ways=2,
        epochs=2,
        episode_epochs=2,
        episodes_per_epoch=16,
        verbose=0,
        jit_compile=jit_compile,
    )
    assert len(first.history["loss"]) == len(second.history["loss"]) == 2
    assert np.isfinite(second.history["loss"]).all()
    assert {"base_answered_novel", "novel_answered_base"} <= set(second.history)
    # What was frozen is, and what was not is not.
    assert [weight.path for weight in model.trainable_weights] == trained
    assert not np.array(model.head.counts.value).any()


def test_what_makes_no_episodes_is_known_before_anything_is_trained():
    model = build()
    model(IMAGES[:1])
    before = model.get_weights()
    for wrong in (
        {"num_shots": 100},
        {"num_ways": 2, "base_classes": [0, 0, 1, 2, 3, 4, 5, 6]},
    ):
        arguments = {"num_ways": 2, "epochs": 1, "verbose": 0, **wrong}
        with pytest.raises(ValueError, match="Received"):
            models.fit_few_shot(model, IMAGES, LABELS, **arguments)
        for ours, theirs in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="of class 10"):
        models.fit_few_shot(model, IMAGES, LABELS + 10, num_ways=2, num_shots=100)


def test_episodes_are_images_and_their_features_alike():
    model = build()
    dataset = datasets.episodes(IMAGES, LABELS, range(8), num_ways=2, batch_size=3)
    inputs, targets = next(iter(dataset))
    scores = model(inputs)
    assert scores.shape == (*targets.shape, 8 - 2 + 3)
    one = model.head(
        model.extract(inputs["images"][1]),
        model.extract(inputs["support_images"][1]),
        inputs["support_labels"][1],
        inputs["base_classes"][1],
    )
    np.testing.assert_allclose(scores[1], one, atol=1e-4)


def test_wrong_models():
    features = models.conv_features((8, 8, 1), (4, 6), num_pools=2)
    for arguments in (
        (keras.layers.Dense(3), layers.CosineClassifier(3)),
        (features, keras.layers.Dense(3)),
        (keras.Sequential([keras.Input((8, 8, 1))]), layers.CosineClassifier(3)),
    ):
        with pytest.raises(ValueError, match="Received"):
            models.FewShotClassifier(*arguments)
    with pytest.raises(ValueError, match="Received"):
        build()(np.zeros((2, 9, 8, 1)))
    with pytest.raises(ValueError, match="Received"):
        models.export_teachable(features, "nowhere")
    for name, value in (
        ("base_classes", [0, 1]),
        ("base_classes", [0, 1, 2, 3, 4, 5, 6, 99]),
        ("num_ways", 4),
        ("images", IMAGES[:, :4]),
        ("images", IMAGES[:0]),
        ("labels", LABELS[:-1]),
        ("labels", LABELS * 1.0),
    ):
        arguments = {"images": IMAGES, "labels": LABELS, name: value}
        with pytest.raises(ValueError, match=rf"(?s)(?=.*{name}).*Received: "):
            models.fit_few_shot(build(), **arguments)


@pytest.mark.parametrize("head", list(HEADS))
def test_saved_and_loaded(head, tmp_path):
    model = build(head)
    before = np.array(model(IMAGES))
    model.learn(IMAGES[:3], np.array([8, 8, 10]))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(IMAGES), model(IMAGES))
    again.forget([8, 10])
    np.testing.assert_array_equal(again(IMAGES), before)


SERVE = """
import sys, threading
import numpy as np
import tensorflow as tf
assert "keras_nam" not in sys.modules
served = tf.saved_model.load(sys.argv[1]).signatures
arrays = np.load(sys.argv[2])
images = tf.constant(arrays["images"])
scores = lambda: served["classify"](images=images)["scores"].numpy()
def learn(label, count=2):
    lesson = images[label - 8 : label - 8 + count]
    return served["learn"](images=lesson, labels=tf.fill([count], label))
first = scores()
np.testing.assert_allclose(first, arrays["scores"], atol=1e-4)

assert learn(9)["counts"].numpy().tolist() == [1, 2, 0]
assert not np.array_equal(scores(), first)
served["forget"](labels=tf.constant([9]))
np.testing.assert_array_equal(scores(), first)

one = images[:1]
wrong = [
    ("learn", {"images": one, "labels": tf.constant([3])}),
    ("learn", {"images": one, "labels": tf.constant([11])}),
    ("learn", {"images": one, "labels": tf.constant([9, 9])}),
    ("learn", {"images": one[:0], "labels": tf.zeros([0], "int32")}),
    ("learn", {"images": one * np.nan, "labels": tf.constant([9])}),
    ("learn", {"images": images[:5], "labels": tf.fill([5], 9)}),
    ("learn", {"images": one[:, :4], "labels": tf.constant([9])}),
    ("learn", {"images": one, "labels": tf.constant([9.0])}),
    ("forget", {"labels": tf.constant([9])}),
]
for name, inputs in wrong:
    try:
        served[name](**inputs)
    except tf.errors.InvalidArgumentError:
        pass
    else:
        raise AssertionError(f"{name} took {inputs}")
np.testing.assert_array_equal(scores(), first)

served["reset"]()
learn(9); learn(10)
both = scores()
served["forget"](labels=tf.constant([9, 10]))
allowed = [scores()]
for label in (9, 10):
    learn(label)
    allowed.append(scores())
    served["forget"](labels=tf.constant([label]))
allowed.append(both)
seen, running = [], True
def watch():
    while running:
        seen.append(scores())
def teach(label):
    for _ in range(15):
        learn(label)
        served["forget"](labels=tf.constant([label]))
    learn(label)
watcher = threading.Thread(target=watch)
watcher.start()
teachers = [threading.Thread(target=teach, args=(label,)) for label in (9, 10)]
for thread in teachers:
    thread.start()
for thread in teachers:
    thread.join()
running = False
watcher.join()
np.testing.assert_array_equal(scores(), both)
for found in seen:
    assert any(np.array_equal(found, whole) for whole in allowed)
"""


@pytest.mark.slow
@needs_tensorflow
@pytest.mark.parametrize(
    "head",
    [
        name if name == "in_order" else pytest.param(name, marks=pytest.mark.slow)
        for name in HEADS
    ],
)
def test_exported_model_is_taught_elsewhere(head, tmp_path):
    model = build(head)
    model.learn(IMAGES[:1], np.array([8]))
    models.export_teachable(model, tmp_path / "teachable")
    images = IMAGES[:6]
    np.savez(tmp_path / "arrays.npz", images=images, scores=model(images))
    command = [sys.executable, "-c", textwrap.dedent(SERVE)]
    command += [str(tmp_path / "teachable"), str(tmp_path / "arrays.npz")]
    # Not in the folder of the package, where it could be imported by accident.
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert result.returncode == 0, result.stderr
