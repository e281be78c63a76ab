"""Every recipe makes a machine for the rows of its task, of any length."""

import numpy as np
import pytest

from keras_nam import datasets
from keras_nam import models
from keras_nam.models.recipes import PUBLISHED
from keras_nam.models.recipes import RECIPES
from keras_nam.models.recipes import build_machine
from keras_nam.models.recipes import rows_of


@pytest.mark.parametrize("task", list(RECIPES))
def test_recipes(task):
    model = build_machine(**RECIPES[task].model_arguments())
    trained = datasets.load_task(task, num_examples=8, **rows_of(task, "train"))
    longer = datasets.load_task(task, num_examples=8, **rows_of(task, "far", 4))
    assert longer[0].shape[1] > 3 * trained[0].shape[1] / 1.1
    assert longer[2].any(axis=1).all()
    for tokens in (trained[0], longer[0]):
        assert tokens.max() < model.output_shape[-1]
    assert np.isfinite(model(trained[0])).all()


def test_the_machine_of_the_papers_can_jump():
    cell = models.namtm_tagger(**PUBLISHED.model_arguments()).get_layer("namtm").cell
    assert cell.use_jump
    assert cell.sharpness == 1.0
