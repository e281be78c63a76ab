"""Episodes, and the images that they are drawn from."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_nam import datasets

LABELS = np.repeat(np.arange(12), 6)
# An image is its own number, so that it can be told where it came from.
IMAGES = np.arange(len(LABELS), dtype="float32")[:, None]
BASE, NOVEL = [3, 0, 7, 5, 1], [2, 11, 8]


def draw(**arguments):
    arguments = {"num_ways": 2, "num_shots": 3, "num_queries": 8, **arguments}
    return list(datasets.episodes(IMAGES, LABELS, BASE, **arguments))


@pytest.mark.parametrize("novel", [None, NOVEL])
def test_an_episode_asks_for_what_it_shows(novel):
    batches = draw(novel_classes=novel, batch_size=4, num_episodes=8)
    assert len(batches) == 2
    for inputs, targets in batches:
        assert targets.shape == (4, 8 + 15)
        for i in range(4):
            rows = {k: v[i].numpy() for k, v in inputs.items()}
            support = rows["support_images"][:, 0].astype(int)
            queries = rows["images"][:, 0].astype(int)
            base = BASE if novel else [BASE[j] for j in rows["base_classes"]]
            meaning = dict(enumerate(base))
            for row, label in zip(support, rows["support_labels"], strict=True):
                assert meaning.setdefault(label, LABELS[row]) == LABELS[row]
            assert len(meaning) == len(base) + 2 == len(set(meaning.values()))
            expected = [meaning[t] for t in targets[i].numpy()]
            assert (LABELS[queries] == expected).all()
            assert not set(support) & set(queries)
            if novel:
                assert set(LABELS[support]) <= set(novel)
            else:
                assert set(base) | set(LABELS[support]) == set(BASE)


def test_seeds():
    def flat(**arguments):
        batches = draw(num_episodes=4, **arguments)
        return np.concatenate([x[0]["images"].numpy().ravel() for x in batches])

    np.testing.assert_array_equal(flat(seed=3), flat(seed=3))
    np.testing.assert_array_equal(flat(seed=3), flat(seed=3, batch_size=3))
    assert not np.array_equal(flat(seed=3), flat(seed=4))


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_ways": 0},
        {"num_ways": 5},
        {"num_shots": 6},
        {"num_queries": 0},
        {"num_episodes": 0},
        {"batch_size": 0},
        {"seed": -1},
        {"novel_classes": [2]},
        {"novel_classes": [2, 3, 8]},
        {"novel_classes": [2, 99]},
    ],
)
def test_wrong_episodes(arguments):
    with pytest.raises(ValueError, match="Received"):
        draw(**arguments)


def test_as_many_labels_as_images():
    with pytest.raises(ValueError, match="Received"):
        datasets.episodes(IMAGES[:5], LABELS, BASE)


def test_glyphs():
    pytest.importorskip("matplotlib")
    images, labels, characters = datasets.glyphs()
    assert images.shape == (20 * len(characters), 28, 28, 1)
    assert images.dtype == "float32"
    assert images.min() == 0
    assert images.max() == 1
    assert (np.bincount(labels) == 20).all()
    assert len(characters) > 90
    assert {"A", "b", "7"} <= set(characters)
    again = datasets.glyphs(max_classes=30)
    np.testing.assert_array_equal(again[0], images[:600])
    # No two classes are drawn alike.
    means = images.reshape(len(characters), 20, -1).mean(1)
    apart = np.abs(means[:, None] - means).max(-1) + np.eye(len(means))
    assert apart.min() > 0.1


def test_glyphs_of_a_folder(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    fonts = matplotlib.get_data_path() + "/fonts/ttf"
    images, _, characters = datasets.glyphs(fonts, fonts_per_class=3, image_size=16)
    assert images.shape == (3 * len(characters), 16, 16, 1)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match="Received"):
            datasets.glyphs(folder)


def test_digits():
    pytest.importorskip("sklearn")
    images, labels = datasets.digits()
    assert images.shape == (1797, 28, 28, 1)
    assert set(labels) == set(range(10))
    assert images.max() <= 1


def test_images_from_a_folder(tmp_path):
    pytest.importorskip("PIL")
    for name, value in (("b", 0), ("a", 255)):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(2):
            path = tmp_path / "train" / name / f"{i}.png"
            keras.utils.save_img(path, np.full((9, 7, 3), value), scale=False)
    images, labels = datasets.load_images(tmp_path / "train", image_size=8)
    assert images.shape == (4, 8, 8, 1)
    np.testing.assert_array_equal(labels, [0, 0, 1, 1])
    np.testing.assert_allclose(images[:, 3, 3, 0], [1, 1, 0, 0], atol=1e-6)
    images, _ = datasets.load_mini_imagenet(tmp_path, image_size=12)
    assert images.shape == (4, 12, 12, 3)
    for wrong in (tmp_path / "missing", tmp_path):
        with pytest.raises(ValueError, match="Received"):
            datasets.load_images(wrong)
    with pytest.raises(ValueError, match="Received"):
        datasets.load_mini_imagenet(tmp_path, "test")


def test_images_from_a_dataset():
    rows = {"image": np.full((3, 10, 10, 3), 255, "uint8"), "label": [5, 6, 5]}
    dataset = tf.data.Dataset.from_tensor_slices(rows)
    images, labels = datasets.load_images(dataset, image_size=4, channels=3)
    np.testing.assert_array_equal(labels, [5, 6, 5])
    np.testing.assert_allclose(images, np.ones((3, 4, 4, 3)), atol=1e-6)


def test_omniglot(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    with pytest.raises(ValueError, match="download=True"):
        datasets.load_omniglot(data_dir=str(tmp_path))
    with tfds.testing.mock_data(num_examples=4):
        images, labels = datasets.load_omniglot()
    assert images.shape == (4, 28, 28, 1)
    assert labels.shape == (4,)
