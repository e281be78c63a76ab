"""The few-shot example: heads that erase in other ways, and the sums of its table."""

import argparse
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_nam import layers
from keras_nam.metrics import confidence_interval

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "examples"))

import few_shot  # noqa: E402
import few_shot_heads  # noqa: E402
import few_shot_results  # noqa: E402
import teach  # noqa: E402

SIZES = {"num_base_classes": 6, "num_novel_classes": 2}
KEYS = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
LABELS = np.array([6, 6, 7, 7])


def with_weights_of(head, other):
    """A head with what it has in common with another one."""
    weights = {w.path.split("/", 1)[1]: w for w in other.weights}
    for weight in head.weights:
        name = weight.path.split("/", 1)[1]
        if name in weights:
            weight.assign(weights[name])
    return head


def build(head):
    head.build((None, 5))
    return head


def test_without_whitening_it_is_the_head_of_the_package():
    theirs = build(layers.NAMClassifier(**SIZES))
    ours = with_weights_of(build(few_shot_heads.ErasingBaseClasses(**SIZES)), theirs)
    for head in (theirs, ours):
        head.learn(KEYS, LABELS)
    np.testing.assert_allclose(ours(KEYS), theirs(KEYS), rtol=1e-4, atol=1e-4)


def test_whitened_keys_leave_base_images_alone():
    # Base images lie along the first axes, and hardly along the last.
    images = np.random.default_rng(1).normal(size=(200, 5)) * [3, 3, 3, 1, 0.1]
    changes = []
    for sees in (False, True):
        head = build(few_shot_heads.ErasingBaseClasses(**SIZES))
        head.kernel.assign(images[:6])
        if sees:
            head.see(images)
        before = np.array(head.class_memory())[:6]
        head.learn(KEYS[:1], LABELS[:1])
        after = np.array(head.class_memory())[:6]
        key = KEYS[0] / np.linalg.norm(KEYS[0])
        gate = float(head.slots["erase_gate"][0, 0])
        # The example itself loses as much either way.
        np.testing.assert_allclose(after @ key, (1 - gate) * (before @ key), atol=1e-5)
        changes.append(np.abs(images @ (after - before).T).mean())
    assert changes[1] < 0.5 * changes[0]


@pytest.mark.parametrize(
    "head", [few_shot_heads.ErasingWhereAnswered, few_shot_heads.ErasingByBoth]
)
def test_what_is_taught_is_what_an_episode_has(head):
    head = build(head(**SIZES))
    head.learn(KEYS, LABELS)
    np.testing.assert_allclose(
        head(KEYS), head(KEYS, KEYS, LABELS), rtol=1e-5, atol=1e-5
    )


def test_closed_gates_erase_nothing():
    head = build(few_shot_heads.ErasingWhereAnswered(**SIZES))
    before = np.array(head.class_memory())[:6]
    head.learn(KEYS, LABELS)
    assert np.abs(np.array(head.class_memory())[:6] - before).max() > 1e-3
    head.reset()
    few_shot_heads.fix_gate(head.eraser, 0.0)
    head.learn(KEYS, LABELS)
    np.testing.assert_allclose(head.class_memory()[:6], before, atol=1e-5)


def test_intervals_of_pooled_seeds():
    seeds = np.random.default_rng(0).normal(size=(3, 40))
    moments = [(x.mean(), x.std()) for x in seeds]
    found = few_shot_results.pooled_interval(moments, [40, 40, 40])
    np.testing.assert_allclose(found, confidence_interval(100 * seeds.ravel()))


def test_kept_base_weights_are_those_of_the_settings(tmp_path, monkeypatch):
    trained = []

    def fit(model, images, labels, *_, **arguments):
        trained.append(arguments["epochs"])
        model(images)
        model.head.kernel.assign(np.full(model.head.kernel.shape, len(trained)))
        return argparse.Namespace(history={"accuracy": [0.5]}), None

    monkeypatch.setattr(few_shot.models, "fit_few_shot", fit)
    images = np.zeros((4, 8, 8, 1), "float32")
    data = {"train": (images, [0, 0, 1, 1]), "base": [0, 1], "novel": []}
    given = {"data": "digits", "emoji": None, "fonts": None, "base_classes": 2}
    given |= {"max_novel_classes": 0, "ways": 2}

    def kernel(**other):
        arguments = argparse.Namespace(**{**given, **other})
        model = few_shot.train_base(arguments, data, 0, tmp_path)
        return np.array(model.head.kernel).max()

    assert [kernel(epochs=n) for n in (3, 3, 5)] == [1, 1, 2]
    assert kernel(epochs=5, fonts="FOLDER") == 3
    assert trained == [3, 5, 5]


@pytest.mark.parametrize("channels", [1, 3])
def test_files_keep_their_colors(tmp_path, channels):
    images = np.random.default_rng(0).integers(256, size=(2, 4, 4, channels))
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    for path, image in zip(paths, images, strict=True):
        keras.utils.save_img(path, image, scale=False)
    np.testing.assert_allclose(255 * teach.read_images(paths), images, atol=1e-3)


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("few-shot-*.json")))
def test_the_tables_of_the_page_are_those_of_the_kept_results(path):
    page = (ROOT / "docs" / "few-shot.md").read_text()
    rows = list(few_shot_results.table_rows(json.loads(path.read_text())))
    assert len(rows) > 4
    assert not [row for row in rows if row not in page]
