"""The stages of a curriculum, from its hyperparameters."""

import keras
import keras_tuner
import numpy as np
import pytest

from keras_nam import datasets
from keras_nam.callbacks import LengthCurriculum
from keras_nam.models import token_tagger
from keras_nam.tuning import HyperSequenceModel
from keras_nam.tuning.curriculum import curriculum_stages
from keras_nam.tuning.curriculum import row_ends


def test_rows_grow_in_equal_parts():
    stages = curriculum_stages(np.arange(1, 101), 0.2, 0.5, num_steps=80)
    assert stages == {0: 20, 10: 40, 20: 60, 30: 80, 40: 100}


def test_the_first_stage_has_the_shortest_rows():
    stages = curriculum_stages(np.array([70, 100]), 0.2, 0.5, num_steps=80)
    assert stages == {0: 70, 30: 80, 40: 100}


@pytest.mark.parametrize("num_steps", [1, 2, 5, 7])
def test_short_trainings_end_with_all_rows(num_steps):
    stages = curriculum_stages(np.array([3, 10]), 0.4, 0.75, num_steps)
    assert min(stages) == 0
    assert max(stages.values()) == 10
    # Which checks the order of steps and lengths.
    LengthCurriculum(stages, unit="step")


def test_ends_of_rows():
    x = np.array([[11, 5, 11, 11], [11, 11, 11, 11], [1, 2, 11, 4]])
    y = np.array([[11, 5, 5, 11], [11, 11, 11, 11], [1, 2, 3, 4]])
    assert row_ends(x, y, 11).tolist() == [3, 1, 4]
    assert row_ends(x, np.zeros(3), 11).tolist() == [2, 1, 4]


class HyperPointwise(HyperSequenceModel):
    def make_model(self, hp):
        return token_tagger(keras.layers.Dense(8), self.vocabulary_size, 8)


def test_a_promoted_trial_goes_on_with_its_stage():
    space = HyperPointwise(16, padding_token=11, epochs=4, rows_per_epoch=128)
    hp = keras_tuner.HyperParameters()
    hp.values = {
        "batch_size": 64,
        "length_curriculum": True,
        "curriculum_start": 0.5,
        "curriculum_share": 0.75,
    }
    model = space.build(hp)
    rows = datasets.load_task("reverse", "train", 200, digits=4)
    first = space.fit(hp, model, *rows, epochs=2)
    second = space.fit(hp, model, *rows, epochs=4, initial_epoch=2)
    lengths = first.history["length"] + second.history["length"]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[2] < lengths[-1] == 11
