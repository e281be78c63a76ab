"""Images of many classes, drawn and read."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_nam import datasets
from keras_nam.datasets.few_shot.glyphs import draw_characters


def test_glyphs():
    pytest.importorskip("matplotlib")
    images, labels = datasets.glyphs(max_classes=30)
    assert images.shape == (600, 28, 28, 1)
    assert images.dtype == "float32"
    assert images.min() == 0
    assert images.max() == 1
    assert (np.bincount(labels) == 20).all()
    drawn = draw_characters(None, 20, 28, None)
    assert len(drawn) > 90
    assert {"A", "b", "7"} <= set(drawn)
    every = np.stack(list(drawn.values())) / np.float32(255)
    assert every.shape == (len(drawn), 20, 28, 28)
    np.testing.assert_array_equal(images[..., 0], every[:30].reshape(-1, 28, 28))
    # No two classes are drawn alike.
    means = every.reshape(len(drawn), 20, -1).mean(1)
    apart = np.abs(means[:, None] - means).max(-1) + np.eye(len(means))
    assert apart.min() > 0.1


def test_glyphs_of_a_folder(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    fonts = matplotlib.get_data_path() + "/fonts/ttf"
    images, labels = datasets.glyphs(fonts, fonts_per_class=3, image_size=16)
    assert images.shape == (3 * (labels[-1] + 1), 16, 16, 1)
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
    for split in ("validation", "test"):
        with pytest.raises(ValueError, match="Received"):
            datasets.load_mini_imagenet(tmp_path, split)
    (tmp_path / "train").rename(tmp_path / "val")
    again, _ = datasets.load_mini_imagenet(tmp_path, "validation", image_size=12)
    np.testing.assert_array_equal(again, images)


def test_transparent_images_from_a_folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "a").mkdir()
    pixels = np.full((4, 4, 4), (255, 0, 0, 0), "uint8")
    pixels[:2, :, 3] = 255
    image.fromarray(pixels).save(tmp_path / "a" / "0.webp", lossless=True)
    for channels, brightness in ((3, [1, 0, 0]), (1, [0.299])):
        images, _ = datasets.load_images(tmp_path, 4, channels)
        np.testing.assert_allclose(images[0, 0, 0], brightness, rtol=1e-6)
        assert not images[0, 2:].any()


def test_a_picture_is_the_same_in_a_folder_and_in_a_dataset(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "a").mkdir()
    pixels = np.random.default_rng(0).integers(256, size=(6, 6, 4)).astype("uint8")
    for mode, picture in (
        ("L", pixels[..., 0]),
        ("LA", pixels[..., :2]),
        ("RGB", pixels[..., :3]),
        ("RGBA", pixels),
    ):
        image.fromarray(picture, mode).save(tmp_path / "a" / "0.png")
        for channels in (1, 3):
            ours, _ = datasets.load_images([(picture, 0)], 4, channels)
            theirs, _ = datasets.load_images(tmp_path, 4, channels)
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
    with pytest.raises(ValueError, match="one to four channels. Received"):
        datasets.load_images([(np.zeros((4, 4, 5)), 0)])


def test_images_from_a_dataset():
    rows = {"image": np.full((3, 10, 10, 3), 255, "uint8"), "label": [5, 6, 5]}
    dataset = tf.data.Dataset.from_tensor_slices(rows)
    images, labels = datasets.load_images(dataset, image_size=4, channels=3)
    np.testing.assert_array_equal(labels, [5, 6, 5])
    np.testing.assert_allclose(images, np.ones((3, 4, 4, 3)), atol=1e-6)


def test_what_images_of_a_dataset_may_be():
    for image in (np.full((4, 4), 51), np.full((4, 4, 1), 0.2)):
        images, labels = datasets.load_images([(image, np.int64(3))], image_size=4)
        np.testing.assert_allclose(images, np.full((1, 4, 4, 1), 0.2), atol=1e-6)
        assert labels == [3]
    good = np.zeros((4, 4, 1))
    for source in (
        [(good + 2, 0)],
        [(good - 1, 0)],
        [(good * np.nan, 0)],
        [(good, 0.5)],
        [(good, None)],
        [(good[:0], 0)],
        [(good.astype("str"), 0)],
        [good],
        [{"image": good}],
        [],
        3,
        None,
    ):
        with pytest.raises(ValueError, match="`source` must .*Received: "):
            datasets.load_images(source, image_size=4)


def test_omniglot(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    with pytest.raises(ValueError, match="download=True"):
        datasets.load_omniglot(folder=tmp_path)
    with tfds.testing.mock_data(num_examples=4):
        images, labels = datasets.load_omniglot()
    assert images.shape == (4, 28, 28, 1)
    assert labels.shape == (4,)
