"""Which rows take part in a training, and when."""

import numpy as np

from keras_nam.tuning.curriculum import LengthCurriculum
from keras_nam.tuning.curriculum import draw_batches

LENGTHS = np.random.default_rng(0).permutation(np.arange(1, 101))


def drawn(curriculum, progress):
    rng = np.random.default_rng(1)
    return LENGTHS[curriculum.draw(progress, 5000, rng)]


def test_the_longest_row_grows_with_the_training():
    curriculum = LengthCurriculum(LENGTHS, start=0.2, share=0.5)
    for progress, longest in ((0.0, 20), (0.25, 60), (0.5, 100), (1.0, 100)):
        assert drawn(curriculum, progress).max() == longest
        assert drawn(curriculum, progress).min() == 1


def test_without_a_curriculum_all_rows_take_part():
    assert drawn(LengthCurriculum(LENGTHS), 0.0).max() == 100


def test_the_shortest_rows_take_part_whatever_the_start():
    curriculum = LengthCurriculum(np.array([90, 100, 90]), start=0.1, share=1.0)
    rows = curriculum.draw(0.0, 50, np.random.default_rng(0))
    assert set(rows) == {0, 2}


def test_a_training_that_goes_on_sees_the_batches_that_it_would_have_seen():
    rows = np.arange(100)
    curriculum = LengthCurriculum(LENGTHS, 0.2, 0.5)
    whole = draw_batches((rows, LENGTHS), curriculum, 8, 0, 10, seed=3)
    batches = [next(whole) for _ in range(6)]
    rest = draw_batches((rows, LENGTHS), curriculum, 8, 4, 10, seed=3)
    for expected in batches[4:]:
        for ours, reference in zip(next(rest), expected, strict=True):
            np.testing.assert_array_equal(ours, reference)
    np.testing.assert_array_equal(LENGTHS[batches[0][0]], batches[0][1])
