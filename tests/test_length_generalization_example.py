"""A machine that does not solve its task starts again, and the best one is kept."""

import importlib.util
from pathlib import Path

import keras
import pytest

from keras_nam.models.recipes import RECIPES

EXAMPLES = Path(__file__).parents[1] / "examples"


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

    def train(model, task, recipe, seed, jit_compile):
        weights = model.get_weights()[0].sum()
        trained.append((seed, weights))
        return 2.0

    monkeypatch.setattr(example, "build_model", build_model)
    monkeypatch.setattr(example, "train", train)
    monkeypatch.setattr(example, "accuracy", lambda *_: next(rates))
    monkeypatch.setattr(example, "sharpened", lambda m, *_: (m, {"sharpness": 4}))
    learned = example.learn(name, "reverse", RECIPES["reverse"], 7, False)
    model, sharp, factors, used, seconds = learned
    assert model.layers[-1].name == f"start_{kept}"
    assert (used, seconds) == (starts, 2.0 * starts)
    assert factors == ({"sharpness": 4} if name == "namtm" else {})
    assert next(rates, None) is None
    # The first start is that of the seed; no two have the same rows or weights.
    assert trained[0][0] == 7
    assert len(set(trained)) == len({w for _, w in trained}) == starts
