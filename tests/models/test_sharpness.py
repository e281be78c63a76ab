"""Heads of a trained machine become sharper, and only where they are meant to."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_nam import layers
from keras_nam import models
from keras_nam.callbacks import SharpenHeads
from keras_nam.ops import PortableScope

SHAPE = 2, 9, 4
INPUTS = np.random.default_rng(0).standard_normal(SHAPE).astype("float32")
TOKENS = np.random.default_rng(1).integers(0, 9, (6, 12)).astype("int32")


def machine(sharpness=1.0, **arguments):
    keras.utils.set_random_seed(0)
    layer = layers.NAMTM(
        6, 2, tape_length=5, return_sequences=True, sharpness=sharpness, **arguments
    )
    layer.build(SHAPE)
    return layer


def with_steeper_directions(factor):
    """The paper's machine whose weights make the logits of the directions larger."""
    layer = machine()
    dense, directions = layer.cell.action_dense, 2 * 4
    actions = directions + 3
    scale = np.where(np.arange(2 * actions) % actions < directions, factor, 1.0)
    dense.kernel.assign(dense.kernel * scale)
    dense.bias.assign(dense.bias * scale)
    return layer


def outputs(layer, **arguments):
    return ops.convert_to_numpy(layer(INPUTS, **arguments))


def test_sharpness_multiplies_the_logits_of_the_directions():
    plain, steep = outputs(machine()), outputs(with_steeper_directions(3.0))
    assert np.abs(plain - steep).max() > 1e-3
    np.testing.assert_allclose(outputs(machine(3.0)), steep, atol=1e-6)
    np.testing.assert_allclose(outputs(machine(3, unroll=True)), steep, atol=1e-6)
    with PortableScope():
        np.testing.assert_allclose(outputs(machine(3.0)), steep, atol=1e-6)
    rnn = keras.layers.RNN(machine(3.0).cell, return_sequences=True)
    np.testing.assert_allclose(outputs(rnn), steep, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "others"),
    [({}, 3), ({"use_jump": False}, 2), ({"use_shift": False}, 1)],
)
def test_heads_of_a_new_machine_stay_where_asked(arguments, others):
    idle = np.zeros((1, 6), "float32")
    machines = {bias: machine(stay_bias=bias, **arguments).cell for bias in (0, 2)}
    (plain, gates, _), (still, same_gates, _) = (
        cell.act(idle) for cell in machines.values()
    )
    share = 1 / (1 + others * np.exp(-2))
    np.testing.assert_allclose(plain[..., 1], 1 / (1 + others), atol=1e-6)
    np.testing.assert_allclose(still[..., 1], share, atol=1e-6)
    for name, gate in gates.items():
        np.testing.assert_array_equal(gate, same_gates[name])


def test_training_leaves_the_heads_as_they_are_unless_asked():
    plain, steep = outputs(machine()), outputs(with_steeper_directions(3.0))
    np.testing.assert_array_equal(outputs(machine(3.0), training=True), plain)
    rnn = keras.layers.RNN(machine(3.0).cell, return_sequences=True)
    np.testing.assert_allclose(outputs(rnn, training=True), plain, atol=1e-6)
    asked = machine(3.0, sharpen_training=True)
    np.testing.assert_allclose(outputs(asked, training=True), steep, atol=1e-6)


@pytest.mark.slow
def test_copies_are_sharp_wherever_the_machine_stands():
    inputs = keras.Input(SHAPE[1:])
    x = keras.layers.Bidirectional(machine())(inputs)
    x = keras.Sequential([keras.layers.RNN(layers.NAMTMCell(4, 2, 3))])(x)
    model = keras.Model(inputs, x)
    model.compile("adam", "mse")
    sharp = models.with_sharpness(model, 5)
    bidirectional, nested = sharp.layers[1:]
    cells = [
        bidirectional.forward_layer.cell,
        bidirectional.backward_layer.cell,
        nested.layers[0].cell,
    ]
    assert [cell.sharpness for cell in cells] == [5.0] * 3
    assert model.layers[1].forward_layer.cell.sharpness == 1.0
    assert np.abs(sharp(INPUTS) - model(INPUTS)).max() > 1e-3
    assert sharp.evaluate(INPUTS, INPUTS[:, 0], verbose=0) > 0
    back = models.with_sharpness(sharp, 1)
    np.testing.assert_allclose(back(INPUTS), model(INPUTS), atol=1e-6)


def test_a_controller_decides_more_sharply():
    model = models.namtm_tagger(9, width=8, num_tapes=2, num_layers=2)
    model.compile("adam", "sparse_categorical_crossentropy")
    sharp = models.sharpen_controller(model, 3)
    assert sharp.optimizer is not None
    for name in ("namtm", "namtm_2"):
        before, after = (m.get_layer(name).cell for m in (model, sharp))
        for old, new in zip(before.weights, after.weights, strict=True):
            factor = 3.0 if "controller" in old.path else 1.0
            np.testing.assert_allclose(new, factor * np.asarray(old), rtol=1e-6)
    assert np.abs(sharp(TOKENS) - model(TOKENS)).max() > 1e-3
    same = models.sharpen_controller(model, 1)
    np.testing.assert_array_equal(same(TOKENS), model(TOKENS))


def test_a_model_without_a_machine_is_refused():
    model = models.token_tagger(layers.NAM(4, return_sequences=True), 9, 4)
    with pytest.raises(ValueError, match="must hold a layer with a `sharpness`"):
        models.with_sharpness(model, 2)
    with pytest.raises(ValueError, match="`sharpness` must be a positive number"):
        models.with_sharpness(models.namtm_tagger(width=4, num_tapes=2), 0)
    with pytest.raises(ValueError, match="must hold a `keras_nam.layers.NAMTM`"):
        models.sharpen_controller(model, 2)
    with pytest.raises(ValueError, match="`factor` must be a positive number"):
        models.sharpen_controller(models.namtm_tagger(width=4, num_tapes=2), -1)


@pytest.fixture(scope="module")
def tagger():
    keras.utils.set_random_seed(0)
    return models.namtm_tagger(9, width=8, num_tapes=2, tape_length=None)


@pytest.mark.slow
def test_the_factor_that_answers_most_rows_is_chosen(tagger):
    def answers(sharpness):
        logits = models.with_sharpness(tagger, sharpness)(TOKENS)
        return np.argmax(logits, axis=-1)

    assert (answers(6) != answers(1)).any()
    for factor in (1, 6):
        targets = answers(factor)
        assert models.choose_sharpness(tagger, TOKENS, targets, None, [1, 6]) == factor
    # Where they answer alike, the sharper one.
    weight = np.ones(TOKENS.shape)
    weight[answers(6) != answers(1)] = 0.0
    for candidates in ([1, 6], [6, 1]):
        chosen = models.choose_sharpness(tagger, TOKENS, answers(1), weight, candidates)
        assert chosen == 6


def test_the_factor_of_the_controller_is_chosen_alike(tagger):
    targets = np.argmax(models.sharpen_controller(tagger, 9)(TOKENS), axis=-1)
    assert (targets != np.argmax(tagger(TOKENS), axis=-1)).any()
    chosen = models.choose_sharpness(
        tagger,
        TOKENS,
        targets,
        candidates=[1, 9],
        sharpen=models.sharpen_controller,
    )
    assert chosen == 9


def test_wrong_candidates_are_refused(tagger):
    for candidates in ([], [1, 0], 2, [True]):
        with pytest.raises(ValueError, match="`candidates` must be"):
            models.choose_sharpness(tagger, TOKENS, TOKENS, candidates=candidates)
    with pytest.raises(ValueError, match="`inputs` must have a row. Received"):
        models.choose_sharpness(tagger, TOKENS[:0], TOKENS[:0])


def test_heads_become_sharp_in_training(monkeypatch):
    monkeypatch.setattr("keras_nam.callbacks.sharpen_heads.PERIOD", 2)
    factors = []
    monkeypatch.setattr(
        layers.NAMTMCell, "scale_directions", lambda cell, f: factors.append(f)
    )
    model = keras.Sequential([layers.NAMTM(4, 2, tape_length=3)])
    model.compile("sgd", "mse", run_eagerly=True)
    sharpen = SharpenHeads(4, steps=6)
    x, y = np.zeros((5, 3, 2), "float32"), np.zeros((5, 4), "float32")
    arguments = {"batch_size": 1, "callbacks": [sharpen], "verbose": 0}
    model.fit(x, y, epochs=1, **arguments)
    np.testing.assert_allclose(factors, [2, 3 / 2])
    # It goes on where it was, and stops at the factor.
    model.fit(x, y, epochs=1, **arguments)
    np.testing.assert_allclose(factors, [2, 3 / 2, 4 / 3])
    model = models.token_tagger(layers.NAM(4, return_sequences=True), 9, 4)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"needs a model with a .*NAMTM"):
        model.fit(x[:, :, 0], x, callbacks=[sharpen], verbose=0)


@pytest.mark.parametrize(
    ("batches", "steps", "accumulated"), [(8, 5, None), (4, 3, None), (8, 6, 2)]
)
def test_heads_are_as_sharp_as_asked_for(monkeypatch, batches, steps, accumulated):
    monkeypatch.setattr("keras_nam.callbacks.sharpen_heads.PERIOD", 4)
    factors = []
    monkeypatch.setattr(
        layers.NAMTMCell, "scale_directions", lambda cell, f: factors.append(f)
    )
    model = keras.Sequential([layers.NAMTM(4, 2, tape_length=3)])
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=accumulated)
    model.compile(optimizer, "mse", run_eagerly=True)
    x, y = np.zeros((batches, 3, 2), "float32"), np.zeros((batches, 4), "float32")
    sharpen = SharpenHeads(4, steps)
    model.fit(x, y, batch_size=1, callbacks=[sharpen], verbose=0)
    assert np.prod(factors) == pytest.approx(4)


@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_training_that_was_killed_goes_on_with_its_sharpness(
    monkeypatch, tmp_path, save_freq
):
    monkeypatch.setattr("keras_nam.callbacks.sharpen_heads.PERIOD", 1)
    x, y = np.zeros((4, 3, 2), "float32"), np.zeros((4, 4), "float32")

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == (1, 2):
                raise KeyboardInterrupt

    def fit(*callbacks):
        layer = layers.NAMTM(4, 2, tape_length=3)
        model = keras.Sequential([keras.Input((3, 2)), layer])
        # What is learned is nothing, what is left is what was multiplied.
        model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
        layer.cell.action_dense.kernel.assign(
            ops.ones_like(layer.cell.action_dense.kernel)
        )
        backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=save_freq)
        callbacks = [SharpenHeads(4, steps=8), backup, *callbacks]
        model.fit(x, y, batch_size=1, epochs=2, callbacks=callbacks, verbose=0)
        return ops.convert_to_numpy(layer.cell.action_dense.kernel).max()

    with pytest.raises(KeyboardInterrupt):
        fit(Kill())
    assert fit() == pytest.approx(4)


@pytest.mark.parametrize("flags", [{}, {"use_jump": False}, {"use_gates": False}])
def test_scaled_weights_are_as_a_sharp_machine(flags):
    sharp, scaled = machine(3.0, **flags), machine(**flags)
    scaled.cell.scale_directions(3.0)
    np.testing.assert_allclose(outputs(scaled), outputs(sharp), atol=1e-6)
