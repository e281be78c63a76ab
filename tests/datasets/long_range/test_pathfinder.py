"""Pathfinder: labels that are right, and nothing simple that tells them."""

import numpy as np
import pytest

from keras_nam import datasets
from keras_nam.datasets.long_range import pathfinder as module
from keras_nam.datasets.long_range.pathfinder import MARGIN
from keras_nam.datasets.long_range.pathfinder import SIDE
from keras_nam.datasets.long_range.pathfinder import draw_curves


def regions(image):
    """Numbers the regions of a boolean image from 1 on, 0 for the ground."""
    marks = np.zeros(image.shape, int)
    for start in np.argwhere(image):
        if marks[tuple(start)]:
            continue
        mark = marks.max() + 1
        pending = [tuple(start)]
        while pending:
            row, column = pending.pop()
            if image[row, column] and not marks[row, column]:
                marks[row, column] = mark
                pending += [(row - 1, column), (row + 1, column)]
                pending += [(row, column - 1), (row, column + 1)]
    return marks


def dots_of(image):
    """Centres of the two dots: the only ink that is thicker than a dash."""
    inside = image > 200
    for _ in range(7):
        padded = np.pad(inside, 1)
        inside = (
            padded[1:-1, 1:-1]
            & padded[:-2, 1:-1]
            & padded[2:, 1:-1]
            & padded[1:-1, :-2]
            & padded[1:-1, 2:]
        )
    marks = regions(inside)
    found = [
        np.argwhere(marks == mark).mean(axis=0) for mark in np.unique(marks[inside])
    ]
    assert len(found) == 2
    return found


def test_labels_follow_from_the_image_alone():
    # Grown by half the width of a gap, the dashes of a path merge and paths do not.
    images, labels = datasets.pathfinder(16, image_size=256)
    scale = 8
    gap = module.STEP - module._DASH - module._DASH_WIDTH
    clearance = MARGIN - module._DOT_RADIUS - module._DASH_WIDTH / 2
    reach = 5
    assert gap * scale < 2 * reach < (clearance - 0.1) * scale
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.argwhere(x**2 + y**2 <= reach**2)
    for image, label in zip(images, labels, strict=True):
        first, second = dots_of(image)
        padded = np.pad(image > 127, reach)
        thick = np.zeros(image.shape, bool)
        for row, column in disk:
            thick |= padded[row : row + 256, column : column + 256]
        marks = regions(thick)
        one, other = (marks[tuple(np.rint(dot).astype(int))] for dot in (first, second))
        assert (one == other) == label
        # Three long paths and three short ones, none of which touches another.
        assert len(np.unique(marks)) == 1 + 6


def test_curves_keep_their_distance():
    curves = draw_curves(np.random.default_rng(0), 200, [6, 6, 2])
    assert [curve.shape[1:] for curve in curves] == [(7, 2), (7, 2), (3, 2)]
    assert len(curves[0]) > 150
    along = np.linspace(0, 1, 9)[:, None]
    dense = []
    for curve in curves:
        assert curve.min() > 0
        assert curve.max() < SIDE
        steps = np.linalg.norm(np.diff(curve, axis=1), axis=-1)
        np.testing.assert_allclose(steps, module.STEP)
        parts = curve[:, :-1, None] * (1 - along) + curve[:, 1:, None] * along
        dense.append(parts.reshape(len(curve), -1, 2))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        gaps = dense[one][:, :, None] - dense[other][:, None]
        assert np.linalg.norm(gaps, axis=-1).min() > MARGIN - 0.5


def test_simple_statistics_do_not_tell_the_label():
    images, labels = datasets.pathfinder(1200, seed=5)
    values = images.reshape(len(images), -1).astype(float)
    y, x = np.mgrid[:32, :32]
    bright = images > 250
    counts = bright.sum(axis=(1, 2))
    distance = np.hypot(y - 15.5, x - 15.5)
    statistics = {
        "ink": values.mean(axis=1),
        "spread": values.std(axis=1),
        "bright pixels": counts,
        "bright pixels' distance from the centre": (bright * distance).sum((1, 2))
        / counts,
    }
    for name, statistic in statistics.items():
        best = 0
        for threshold in np.quantile(statistic, np.linspace(0.05, 0.95, 19)):
            accuracy = ((statistic > threshold) == labels).mean()
            best = max(best, accuracy, 1 - accuracy)
        assert best < 0.56, name


def test_dots_of_both_labels_lie_alike():
    curves = draw_curves(np.random.default_rng(1), 400, [6] * 3)
    kept, joined, parted = module._choose_dots(np.stack(curves, axis=1))
    assert len(kept) > 100
    differences = module._measures(joined) - module._measures(parted)
    assert np.abs(differences).max() < 1
    assert np.abs(differences.mean(axis=0)).max() < 0.1
    for index, pair, other in zip(kept, joined, parted, strict=True):
        ends = [curve[index][[0, -1]] for curve in curves]
        assert sum(np.array_equal(pair, end) for end in ends) == 1
        owners = [
            {i for i, end in enumerate(ends) if (end == dot).all(axis=1).any()}
            for dot in other
        ]
        assert len(owners[0]) == len(owners[1]) == 1
        assert owners[0] != owners[1]


def test_arrays():
    images, labels = datasets.pathfinder(7, image_size=50, num_distractors=0)
    assert images.shape == (7, 50, 50)
    assert images.dtype == np.uint8
    assert images.max() == 255
    assert labels.dtype == np.int32
    assert labels.sum() == 3
    assert datasets.pathfinder(0)[0].shape == (0, 32, 32)


def test_seeds_and_splits():
    images, labels = datasets.pathfinder(20, seed=3)
    again, same = datasets.pathfinder(20, seed=3)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, same)
    for other in ({"seed": 4}, {"seed": 3, "split": "id"}):
        assert not np.array_equal(images, datasets.pathfinder(20, **other)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_examples": -1}, "num_examples=-1"),
        ({"image_size": 31}, "image_size=31"),
        ({"num_dashes": 1}, "num_dashes=1"),
        ({"num_distractors": -1}, "num_distractors=-1"),
        ({"num_dashes": 40}, "num_dashes=40"),
        # Found out by trying.
        pytest.param(
            {"num_distractors": 60},
            "num_dashes=6, num_distractors=60",
            marks=pytest.mark.slow,
        ),
        ({"split": "test"}, "split='test'"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        datasets.pathfinder(**{"num_examples": 2, **arguments})
