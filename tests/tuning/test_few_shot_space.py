"""The search space of few-shot classifiers."""

import keras
import numpy as np
import pytest

from keras_nam import layers
from keras_nam import tuning

keras_tuner = pytest.importorskip("keras_tuner")

SMALL = {"filters": 16, "num_pools": 2, "batch_size": 32, "augmentation": False}


def examples(classes, seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(classes, 8)
    patterns = np.random.default_rng(0).uniform(size=(10, 8, 8, 1))
    images = patterns[labels] + 0.1 * rng.normal(size=(len(labels), 8, 8, 1))
    return images.astype("float32"), labels


@pytest.fixture
def space():
    return tuning.HyperFewShot(
        (8, 8, 1),
        num_base_classes=5,
        num_ways=2,
        epochs=2,
        episodes_per_epoch=16,
        validation_episodes=10,
    )


@pytest.fixture
def data():
    images, labels = examples(np.arange(5), seed=1)
    novel = [5, 6, 7]
    return {
        "images": images,
        "labels": labels,
        "validation_data": (*examples(np.arange(8), seed=2), novel),
    }


@pytest.mark.parametrize(
    ("values", "layer"),
    [
        ({"head": "nam", "erase": "together", "use_attention": True}, "NAMClassifier"),
        ({"head": "nam", "erase": "in_order", "gate_units": 32}, "NAMClassifier"),
        ({"head": "cosine", "generator": "attention"}, "CosineClassifier"),
    ],
)
def test_heads(space, values, layer):
    hp = keras_tuner.HyperParameters()
    hp.values = {**SMALL, **values}
    model = space.build(hp)
    assert isinstance(model.head, getattr(layers, layer))
    for name, value in values.items():
        assert getattr(model.head, name, value) == value
    inactive = {"generator"} if values["head"] == "nam" else {"erase", "gate_units"}
    if values.get("erase") != "together":
        inactive.add("use_attention")
    assert all(name not in hp for name in inactive)


def test_images_bound_the_poolings():
    hp = keras_tuner.HyperParameters()
    tuning.HyperFewShot((9, 9, 1), 5).build(hp)
    (pools,) = [h for h in hp.space if h.name == "num_pools"]
    assert (pools.min_value, pools.max_value) == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "tuner_class", ["RandomSearch", pytest.param("Hyperband", marks=pytest.mark.slow)]
)
def test_search_keeps_the_best_weights(space, data, tmp_path, tuner_class):
    settings = {"RandomSearch": {"max_trials": 1}, "Hyperband": {"max_epochs": 2}}
    tuner = getattr(keras_tuner, tuner_class)(
        space,
        space.objective,
        hyperparameters=tuning.narrow_space(space, ["head"], SMALL),
        tune_new_entries=False,
        seed=1,
        directory=tmp_path,
        **settings[tuner_class],
    )
    # A callback that begins and ends with the training.
    logger = keras.callbacks.CSVLogger(tmp_path / "measures.csv")
    outcome = tuning.search(tuner, **data, callbacks=[logger], verbose=0)
    assert "val_novel_accuracy" in (tmp_path / "measures.csv").read_text()
    assert outcome.complete
    assert outcome.completed >= 1
    best = tuning.search_results(tuner)[0]
    assert {"val_accuracy", "val_novel_accuracy"} <= set(best["measures"])
    (model,) = tuner.get_best_models()
    again = space._validate(model, np.arange(5), *data["validation_data"])
    np.testing.assert_allclose(again["val_accuracy"], best["score"], atol=1e-6)


def test_validation_data_are_needed(space, data):
    hp = keras_tuner.HyperParameters()
    hp.values = dict(SMALL)
    with pytest.raises(ValueError, match="validation_data"):
        space.fit(hp, space.build(hp), data["images"], data["labels"])


@pytest.mark.slow
def test_a_loss_that_is_not_finite_fails_the_trial(space, data):
    hp = keras_tuner.HyperParameters()
    hp.values = dict(SMALL)
    data["images"] = data["images"] * np.nan
    with pytest.raises(keras_tuner.errors.FailedTrialError, match="diverged"):
        space.fit(hp, space.build(hp), **data)
