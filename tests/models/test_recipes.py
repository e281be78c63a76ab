"""Every recipe makes a machine for the rows of its task, of any length."""

import numpy as np
import pytest

from keras_nam import datasets
from keras_nam import models
from keras_nam.models.recipes import BATCH_SIZE
from keras_nam.models.recipes import PUBLISHED
from keras_nam.models.recipes import RECIPES
from keras_nam.models.recipes import Stage
from keras_nam.models.recipes import build_machine
from keras_nam.models.recipes import load_rows
from keras_nam.models.recipes import rows_of


@pytest.mark.parametrize("task", list(RECIPES))
def test_recipes(task):
    model = build_machine(**RECIPES[task].model_arguments())
    trained = load_rows(task, 8, **rows_of(task, "train"))
    longer = load_rows(task, 8, **rows_of(task, "far", 4))
    assert longer[0].shape[1] > 3 * trained[0].shape[1] / 1.1
    assert longer[2].any(axis=1).all()
    for tokens in (trained[0], longer[0]):
        assert tokens.max() < model.output_shape[-1]
    assert np.isfinite(model(trained[0])).all()


def test_the_machine_of_the_papers_can_jump():
    cell = models.namtm_tagger(**PUBLISHED.model_arguments()).get_layer("namtm").cell
    assert cell.use_jump
    assert cell.sharpness == 1.0


def test_rows_of_training_grow_in_stages():
    stages = Stage(0.4, rows={"digits": 2}), Stage(0.6, rows={"digits": 4})
    recipe = RECIPES["addition"]._replace(stages=stages)
    stages = list(recipe.training_rows("addition", steps=5, seed=0))
    assert [len(inputs) for inputs, _, _ in stages] == [2 * BATCH_SIZE, 3 * BATCH_SIZE]
    for rows, stage in zip(stages, recipe.stages, strict=True):
        inputs, targets, weight = rows
        drawn = datasets.load_task("addition", num_examples=1, **stage.rows)
        assert inputs.shape == targets.shape == (len(inputs), drawn[0].shape[1])
        lengths = weight.sum(axis=1)
        assert lengths[:BATCH_SIZE].mean() < lengths[-BATCH_SIZE:].mean() - 0.2
        assert lengths[-BATCH_SIZE:].min() <= 2  # Short ones stay.
    assert len(list(recipe.training_rows("addition", steps=1, seed=0))) == 1
    everything = recipe._replace(loss_on_answer=False)
    assert next(everything.training_rows("addition", 1, 0))[2] is None


def test_the_value_of_an_expression_stands_in_its_last_bracket():
    split = rows_of("listops", "ood")
    inputs, targets, answers = load_rows("listops", 20, seed=3, **split)
    expressions, values, _ = datasets.load_task(
        "listops", num_examples=20, seed=3, **split
    )
    np.testing.assert_array_equal(inputs, expressions)
    assert (answers.sum(axis=1) == 1).all()
    rows = np.arange(20), answers.argmax(axis=1)
    assert set(datasets.decode(inputs[rows], "listops").split()) == {"]"}
    np.testing.assert_array_equal(targets[rows], values + 1)
    targets[rows] = inputs[rows]
    np.testing.assert_array_equal(targets, inputs)
    assert {*(answers.argmax(axis=1) + 1)} <= {*range(31, 49)}
