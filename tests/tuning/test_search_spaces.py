"""The search spaces: what they hold, what they build, and what they refuse."""

import keras
import numpy as np
import pytest

from keras_nam import baselines
from keras_nam import datasets
from keras_nam import layers
from keras_nam import models
from keras_nam import tokenizers
from keras_nam import tuning

keras_tuner = pytest.importorskip("keras_tuner")
FailedTrialError = keras_tuner.errors.FailedTrialError

TRAINING = ["batch_size", "learning_rate", "final_learning_rate", "weight_decay"]
TRAINING += ["clip_norm", "mask_padding"]
CURRICULUM = ["length_curriculum", "curriculum_start", "curriculum_share"]
# A small value for what makes a model large.
SMALL = {"width": 8, "num_tapes": 2, "num_heads": 2, "intermediate_ratio": 1}


def make(family, **kwargs):
    arguments = {"padding_token": 11, "epochs": 2, "rows_per_epoch": 64, **kwargs}
    return family(16, **arguments)


def hyperparameters(**values):
    hp = keras_tuner.HyperParameters()
    hp.values = {"batch_size": 32, **SMALL, **values}
    return hp


class HyperPointwise(tuning.HyperSequenceModel):
    """What is trained is beside the point of most tests, so it is quick to trace."""

    def make_model(self, hp):
        core = keras.layers.Dense(hp.Choice("width", [8, 16]), "relu")
        return models.token_tagger(core, self.vocabulary_size, 8)


def names(space):
    hp = keras_tuner.HyperParameters()
    space.declare_hyperparameters(hp)
    space.build(hp)
    return [h.name for h in hp.space]


def rows(split, count=64):
    return datasets.load_task("reverse", split, count, digits=4)


TAGGERS = {
    "namtm": tuning.HyperNAMTM,
    "lsam": tuning.HyperLSAM,
    "transformer": tuning.HyperNAMTransformer,
    "ibert": tuning.HyperIBERT,
}


@pytest.fixture(params=list(TAGGERS))
def family(request):
    return TAGGERS[request.param]


def test_spaces_are_named_and_whole(family):
    found = names(make(family))
    assert len(found) == len(set(found))
    assert set(TRAINING + CURRICULUM + ["loss_on_answer_only", "width"]) <= set(found)
    unpadded = names(make(family, padding_token=None))
    assert set(found) - set(unpadded) == {"mask_padding", *CURRICULUM}


@pytest.mark.slow
def test_whatever_is_drawn_builds_for_any_length(family, tmp_path):
    space = make(family)
    tuner = keras_tuner.RandomSearch(
        space,
        space.objective,
        max_trials=4,
        seed=3,
        hyperparameters=tuning.narrow_space(space, fixed={"width": 16}),
        tune_new_entries=False,
        directory=tmp_path,
    )
    for i in range(4):
        hp = tuner.oracle.create_trial(f"tuner{i}").hyperparameters
        model = space.build(hp)
        for length in (5, 9):
            logits = model(np.zeros((2, length), "int32"))
            assert logits.shape == (2, length, 16)


def test_conditional_hyperparameters_exist_under_their_conditions():
    space = make(tuning.HyperNAMTM)
    for tape, exists in (("sequence", False), ("fixed", True)):
        hp = hyperparameters(tape=tape)
        model = space.build(hp)
        assert ("tape_length" in hp) == exists
        assert model.get_layer("namtm").cell.tape_length == (32 if exists else None)
    hp = hyperparameters()
    space.declare_hyperparameters(hp)
    assert "curriculum_start" not in hp
    hp = hyperparameters(length_curriculum=True)
    space.declare_hyperparameters(hp)
    assert hp["curriculum_start"] == 0.4


def test_a_tuner_knows_the_whole_space_before_the_first_trial(tmp_path):
    space = make(tuning.HyperNAMTransformer)
    tuner = keras_tuner.RandomSearch(space, space.objective, directory=tmp_path)
    found = {hp.name for hp in tuner.oracle.get_space().space}
    assert {"batch_size", "use_gates", *CURRICULUM} <= found


@pytest.mark.parametrize(
    ("family", "builder", "wrong"),
    [
        (tuning.HyperNAMTM, "namtm.namtm_tagger", {"num_tapes": 3}),
        (tuning.HyperLSAM, "lsam.lsam_tagger", {"num_heads": 3}),
        (tuning.HyperLSAM, "lsam.lsam_tagger", {"num_heads": 16}),
        (
            tuning.HyperNAMTransformer,
            "transformer.token_tagger",
            {"num_heads": 3},
        ),
        (tuning.HyperIBERT, "ibert.token_tagger", {"num_heads": 3}),
    ],
)
def test_what_does_not_divide_is_rejected_before_it_builds(
    family, builder, wrong, monkeypatch
):
    built = []
    monkeypatch.setattr(f"keras_nam.tuning.{builder}", lambda *a, **k: built.append(a))
    with pytest.raises(FailedTrialError, match="must be divisible by"):
        family(16).build(hyperparameters(**wrong))
    assert not built


def test_bad_arguments():
    for kwargs in ({"epochs": 0}, {"rows_per_epoch": 1.5}, {"seed": -1}):
        with pytest.raises(ValueError, match="Received"):
            tuning.HyperLSAM(16, **kwargs)
    with pytest.raises(ValueError, match="num_classes"):
        tuning.HyperNAMTM(16, num_classes=10)
    with pytest.raises(ValueError, match="num_ways"):
        tuning.HyperFewShot((28, 28, 1), 10, num_ways=0)


@pytest.mark.parametrize(
    "family",
    [
        HyperPointwise,
        pytest.param(tuning.HyperNAMTransformer, marks=pytest.mark.slow),
    ],
)
def test_fit_measures_on_longer_rows(family):
    space = make(family)
    hp = hyperparameters(length_curriculum=True, num_layers=1)
    model = space.build(hp)
    longer = rows("ood")
    history = space.fit(
        hp, model, *rows("train"), validation_data=rows("id"), longer_data=longer
    )
    assert len(history.history["loss"]) == 2
    assert {"val_loss", "val_sequence_accuracy"} < set(history.history)
    expected = model.evaluate(
        *longer[:2], sample_weight=longer[2], verbose=0, return_dict=True
    )
    assert space.objective.name == "val_longer_sequence_accuracy"
    for name, value in expected.items():
        measured = history.history[f"val_longer_{name}"][-1]
        np.testing.assert_allclose(measured, value, rtol=1e-4)


@pytest.mark.slow
def test_a_classifier_is_searched_for_accuracy():
    space = make(tuning.HyperNAMTransformer, num_classes=10, padding_token=0)
    assert space.objective.name == "val_longer_accuracy"
    assert "loss_on_answer_only" not in names(space)
    hp = hyperparameters(num_layers=1, mask_padding=True)
    x, y = np.random.randint(1, 16, (64, 12)), np.arange(64) % 10
    history = space.fit(hp, space.build(hp), x, y, longer_data=(x, y))
    assert "val_longer_accuracy" in history.history


LETTERS = tokenizers.CharacterTokenizer([*"abcdefgh"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({"decay": "channel"}, [layers.NAMAttention] * 2),
        (
            {"memory": "gated_delta_net", "softmax_every": 2},
            [layers.GatedDeltaNet, baselines.RotaryAttention],
        ),
    ],
)
def test_language_models_are_searched_for_perplexity(values, kinds):
    space = tuning.HyperCausalLM(LETTERS, epochs=2, rows_per_epoch=64)
    assert space.objective.name == "val_longer_masked_perplexity"
    assert space.objective.direction == "min"
    hp = hyperparameters(**values)
    model = space.build(hp)
    assert ("window" in hp) == ("softmax_every" in values)
    assert ("decay" in hp) == ("memory" not in values)
    blocks = [model.get_layer(f"block_{i}").attention_layer for i in range(2)]
    assert [type(attention) for attention in blocks] == kinds
    dataset = datasets.packed_language_dataset(["abcdefgh" * 99], LETTERS, 12, 99)
    ((inputs, targets, weights),) = dataset
    rows = [np.array(x) for x in (inputs["tokens"], targets, weights)]
    longer = tuple(np.reshape(x[:66], (33, 24)) for x in rows)
    history = space.fit(hp, model, *rows, longer_data=longer).history
    expected = model.evaluate(*longer[:2], sample_weight=longer[2], verbose=0)
    np.testing.assert_allclose(history[space.objective.name][-1], expected[1], 1e-4)
    assert models.generate(model, ["ab"], 3)[0].startswith("ab")


def test_the_space_of_language_models():
    found = names(tuning.HyperCausalLM(LETTERS))
    assert {"window", "decay", "tie_embeddings"} < set(found)
    assert not {"loss_on_answer_only", "mask_padding", *CURRICULUM} & set(found)
    with pytest.raises(FailedTrialError, match="must be divisible by"):
        tuning.HyperCausalLM(LETTERS).build(hyperparameters(num_heads=3))
    with pytest.raises(ValueError, match=r"`padding_token`.*Received"):
        tuning.HyperCausalLM(LETTERS, padding_token=0)
    with pytest.raises(ValueError, match="`tokenizer` must be"):
        tuning.HyperCausalLM(16)


def test_the_loss_counts_answers_only_or_all():
    losses = {}
    for answer_only in (True, False):
        space = make(HyperPointwise)
        hp = hyperparameters(loss_on_answer_only=answer_only, learning_rate=0.0)
        keras.utils.set_random_seed(1)
        model = space.build(hp)
        history = space.fit(hp, model, *rows("train"), epochs=1)
        losses[answer_only] = history.history["loss"][0]
    assert losses[True] != losses[False]


def test_a_promoted_trial_goes_on_with_its_optimizer(tmp_path):
    space = make(HyperPointwise)
    hp = hyperparameters(final_learning_rate=0.1)
    model = space.build(hp)
    space.fit(hp, model, *rows("train"), epochs=1)
    model.save_weights(tmp_path / "model.weights.h5")
    again = space.build(hp)
    again.load_weights(tmp_path / "model.weights.h5")
    assert int(again.optimizer.iterations) == 2
    for ours, reference in zip(
        again.optimizer.variables, model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(ours, reference)
    # 4 steps in all, after which a tenth is left.
    space.fit(hp, again, *rows("train"), epochs=2, initial_epoch=1)
    assert int(again.optimizer.iterations) == 4
    np.testing.assert_allclose(again.optimizer.learning_rate, 1e-4, rtol=1e-5)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_fails_the_trial(tmp_path):
    space = make(HyperPointwise)
    hp = hyperparameters()
    model = space.build(hp)
    model.get_layer("logits").bias.assign(np.full(16, np.nan))
    with pytest.raises(FailedTrialError, match=r"became nan in epoch 1"):
        space.fit(hp, model, *rows("train"))

    class Fragile(HyperPointwise):
        def make_model(self, hp):
            model = super().make_model(hp)
            if hp.Boolean("broken"):
                model.get_layer("logits").bias.assign(np.full(16, np.nan))
            return model

    space = Fragile(16, epochs=1, rows_per_epoch=32)
    fixed = {"batch_size": 32, "width": 8}
    tuner = keras_tuner.GridSearch(
        space,
        space.objective,
        hyperparameters=tuning.narrow_space(space, ["broken"], fixed),
        tune_new_entries=False,
        directory=tmp_path,
    )
    outcome = tuning.search(tuner, *rows("train"), longer_data=rows("ood"), verbose=0)
    assert outcome == (True, "", 1, 1, 0)
    statuses = [r["status"] for r in tuning.search_results(tuner)]
    assert statuses == ["COMPLETED", "FAILED"]


def test_narrowed_spaces():
    space = make(tuning.HyperNAMTM)
    hp = tuning.narrow_space(space, ["tape_length", "dropout"], {"tape": "fixed"})
    assert [h.name for h in hp.space] == ["tape", "tape_length", "dropout"]
    assert hp.values == {"tape": "fixed", "tape_length": 32, "dropout": 0.1}
    hp = tuning.narrow_space(space, [], {"tape": "fixed", "tape_length": 16})
    assert hp.values == {"tape": "fixed", "tape_length": 16}
    assert tuning.narrow_space(space, [], {"dropout": 0}).values == {"dropout": 0.0}
    fixed = {"width": np.int64(32), "dropout": np.float64(0.2)}
    assert tuning.narrow_space(space, [], fixed).values == {"width": 32, "dropout": 0.2}
    for tune, fixed, message in (
        (["widht"], None, "widht"),
        (["width"], {"width": 8}, "searched or fixed"),
        (["tape_length"], None, "exists only where 'tape'"),
        ([], {"tape_length": 8}, "exists only where 'tape'"),
        (None, {"width": "8"}, "type int"),
        (None, {"use_jump": 1}, "type bool"),
    ):
        with pytest.raises(ValueError, match=message):
            tuning.narrow_space(space, tune, fixed)
