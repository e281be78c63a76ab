"""A machine that does not solve its task starts again, and the best one is kept."""

import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_nam.models.recipes import RECIPES

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.append(str(EXAMPLES))


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location(
        "length_generalization", EXAMPLES / "length_generalization.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("right", "name", "kept", "starts"),
    [
        ((1.0,), "namtm", 0, 1),
        ((0.9, 0.996), "namtm", 1, 2),
        ((0.9, 0.99, 0.95), "namtm", 1, 3),
        ((0.5, 0.5, 0.5), "namtm", 0, 3),
        ((0.0,), "lstm", 0, 1),  # Only the machine of the recipe.
    ],
)
def test_starts(example, monkeypatch, right, name, kept, starts):
    trained, rates = [], iter(right)

    def build_model(name, recipe):
        dense = keras.layers.Dense(3, name=f"start_{len(trained)}")
        return keras.Sequential([keras.Input((3,)), dense])

    def train(model, task, recipe, seed, jit_compile, callbacks):
        weights = model.get_weights()[0].sum()
        trained.append((seed, weights))
        callbacks[0].points["step"].append(len(trained))
        return 2.0

    monkeypatch.setattr(example, "build_model", build_model)
    monkeypatch.setattr(example, "train", train)
    monkeypatch.setattr(example, "accuracy", lambda *_: next(rates))
    monkeypatch.setattr(example, "sharpened", lambda m, *_: (m, {"sharpness": 4}))
    learned = example.learn(name, "reverse", RECIPES["reverse"], 7, False)
    model, sharp, factors, curves, seconds = learned
    assert model.layers[-1].name == f"start_{kept}"
    assert seconds == 2.0 * starts
    assert [curve["step"] for curve in curves] == [[n + 1] for n in range(starts)]
    assert factors == ({"sharpness": 4} if name == "namtm" else {})
    assert next(rates, None) is None
    # The first start is that of the seed; no two have the same rows or weights.
    assert trained[0][0] == 7
    assert len(set(trained)) == len({w for _, w in trained}) == starts


def test_starts_and_factors_for_brackets_are_chosen_on_deeper_ones(
    example, monkeypatch
):
    def sharpened(model, recipe, longer, inside):
        seen.extend([longer, inside])
        return model, {}

    def accuracy(model, rows, batch_size):
        seen.append(rows)
        return 1.0

    seen = []
    monkeypatch.setattr(example, "build_model", lambda *_: keras.Sequential([]))
    monkeypatch.setattr(example, "train", lambda *_: 0.0)
    monkeypatch.setattr(example, "sharpened", sharpened)
    monkeypatch.setattr(example, "accuracy", accuracy)
    monkeypatch.setattr(keras.Model, "count_params", lambda _: 0)
    example.learn("namtm", "dyck", RECIPES["dyck"], 0, False)
    # A row is answered by as many brackets as it is deep.
    depths = [set(answers.sum(axis=1)) for _, _, answers in seen]
    assert depths == [{16}, {8}, {16}]


@pytest.mark.parametrize("task", ["dyck", "addition"])
def test_factors_of_the_recipe_are_tried(example, monkeypatch, task):
    def choose_sharpness(model, rows, candidates, sharpen=None):
        tried.append((model, rows, sharpen, list(candidates)))
        return sorted(candidates)[-2]

    tried, recipe, chosen = [], RECIPES[task], example.models
    for copy in ("sharpen_controller", "with_sharpness"):
        monkeypatch.setattr(chosen, copy, lambda model, factor: (model, factor))
    monkeypatch.setattr(chosen, "choose_sharpness", choose_sharpness)
    model, factors = example.sharpened("trained", recipe, ["ood"], ["id"])
    if task == "dyck":
        assert tried == [
            ("trained", "ood", None, [1, 1.25, 1.5, 2, 4]),
            ("trained", "id", None, [1, 1.25, 1.5, 2]),
        ]
        assert (model, factors) == (("trained", 1.5), {"sharpness": 1.5})
    else:
        sharper = ("trained", 1.5)
        assert tried == [
            ("trained", "ood", chosen.sharpen_controller, [1, 1.5, 2]),
            (sharper, "ood", None, [1, 2, 4]),
            (sharper, "id", None, [1, 2]),
        ]
        assert (model, factors) == ((sharper, 1), {"controller": 1.5, "sharpness": 1})


@pytest.mark.parametrize("steps", [7, 50])
def test_learning_curve_measures_and_changes_nothing(example, steps):
    inputs, targets = np.random.default_rng(0).integers(0, 5, (2, steps, 4))
    rows = inputs, targets, np.ones((steps, 4), np.float32)
    curve = example.LearningCurve({"ID": rows}, steps)

    def train(callbacks):
        keras.utils.set_random_seed(0)
        tokens = keras.Input((4,))
        hidden = keras.layers.Dropout(0.5)(keras.layers.Embedding(5, 8)(tokens))
        model = keras.Model(tokens, keras.layers.Dense(5)(hidden))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, jit_compile=False)
        settings = {"batch_size": 1, "verbose": 0, "callbacks": callbacks}
        model.fit(inputs[:5], targets[:5], **settings)
        model.fit(inputs[5:], targets[5:], **settings)
        return model

    model = train([curve])
    # After 3, 5, 8 of 50 steps, and so on, across both calls; after each of a few.
    expected = np.unique(np.ceil(steps * np.arange(1, 21) / 20))
    np.testing.assert_array_equal(curve.points["step"], expected)
    assert len(curve.points["ID"]) == len(expected)
    assert curve.points["ID"][-1] == example.accuracy(model, rows, 3)
    for alone, beside in zip(train([]).get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(alone, beside)


def test_learning_curves_are_drawn(example, tmp_path):
    points = {"step": [1, 2], "ID": [0.1, 0.2], "OOD": [0.0, 0.3], "far": [0.0, 0.0]}
    curves = {"namtm": [points, points], "lstm": [points]}
    example.plot_learning_curves(curves, "reverse", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size
