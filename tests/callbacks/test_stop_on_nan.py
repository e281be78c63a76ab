"""The layer that is named is the one that was broken."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_nam import layers
from keras_nam.callbacks import StopOnNaN


class Root(keras.layers.Layer):
    """Has outputs that are finite, and a gradient that is not, where inputs are 0."""

    def call(self, x):
        return ops.sqrt(ops.maximum(x, 0.0))


class Exploding(keras.layers.Layer):
    """Is infinite on inputs above 10."""

    def call(self, x):
        return x / ops.cast(x < 10, x.dtype)


def dense(name):
    return keras.layers.Dense(
        3, use_bias=False, kernel_initializer="identity", name=name
    )


class Wrapping(keras.layers.Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner
        self.before = dense(name="before")

    def call(self, x):
        return self.inner(self.before(x)) * 1.0


def make(*core, **kwargs):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            dense(name="first"),
            *core,
            keras.layers.Dense(1, name="last"),
        ],
        name="model",
    )
    kwargs = {"optimizer": "sgd", "loss": "mse", "jit_compile": False, **kwargs}
    model.compile(**kwargs)
    return model


def fit(model, x, y=None, stop=None, **kwargs):
    stop = stop or StopOnNaN()
    y = np.ones(len(x)) if y is None else y
    arguments = {"batch_size": 2, "shuffle": False, "verbose": 0, **kwargs}
    history = model.fit(x, y, callbacks=[stop], **arguments)
    return stop.message, history


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_the_first_layer_with_a_bad_output(jit_compile, steps_per_execution):
    model = make(
        Wrapping(Exploding(name="exploding"), name="wrapping"),
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
    x = np.ones((12, 3))
    x[7, 1] = 20.0
    message, history = fit(model, x, epochs=3)
    assert "batch 3 of epoch 0" in message
    assert "Layer `model/wrapping/exploding` (Exploding)" in message
    assert "at [1, 1]" in message
    assert len(history.history["loss"]) == 1
    # The weights are those from before that batch.
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert fit(model, np.ones((4, 3)))[0] is None


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_a_bad_gradient_is_told_from_the_step_before(jit_compile, steps_per_execution):
    model = make(
        Wrapping(Root(name="root"), name="wrapping"),
        keras.layers.Dense(3, name="after"),
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
    x = np.ones((12, 3))
    x[6] = 0.0
    message, _ = fit(model, x)
    assert "Run again, batch 3 of epoch 0" in message
    assert "Layer `model/wrapping/root` (Root)" in message
    assert "gradient" in message
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_bad_data_are_told_from_bad_layers():
    x, y = np.ones((8, 3)), np.ones(8)
    x[5, 2] = np.nan
    message, _ = fit(make(), x, y)
    assert "the inputs of the model are not finite" in message
    assert "batch 2 of epoch 0" in message
    assert "the first, nan, at [1, 2]" in message
    y[3] = np.inf
    assert "the targets are not finite" in fit(make(), np.ones((8, 3)), y)[0]
    weight = np.ones(8)
    weight[0] = np.nan
    message, _ = fit(make(), np.ones((8, 3)), sample_weight=weight)
    assert "the sample weights are not finite" in message


def test_losses_weights_and_optimizers():
    message, _ = fit(
        make(loss=lambda y, y_pred: ops.log(-ops.square(y_pred))), np.ones((4, 3))
    )
    assert "the loss is not finite, although all outputs" in message

    model = make(keras.layers.Dense(3, kernel_regularizer=ops.log, name="middle"))
    assert "Layer `model/middle` (Dense) adds" in fit(model, np.ones((4, 3)))[0]

    model = make()
    bad = [np.full_like(w, np.nan) for w in model.layers[-1].get_weights()]
    model.layers[-1].set_weights(bad)
    message, _ = fit(model, np.ones((4, 3)))
    assert "`model/last/kernel` was not finite before" in message

    constant = keras.optimizers.SGD(lambda: tf.constant(np.inf))
    message, _ = fit(make(optimizer=constant), np.ones((8, 3)))
    assert "the optimizer made weight" in message
    assert "batch 0 of epoch 0" in message


def test_operations_between_layers_are_named():
    inputs = keras.Input((3,))
    x = keras.layers.Dense(3, kernel_initializer="identity")(inputs)
    x = ops.log(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile("sgd", "mse")
    assert "Operation `log" in fit(model, -np.ones((4, 3)))[0]


def test_memories_and_their_parts_are_named():
    inputs = keras.Input((None, 4))
    x = layers.NAMTM(4, num_tapes=2, tape_length=5, name="machine")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile("adam", "mse", jit_compile=True)
    x = np.random.normal(size=(6, 5, 4))
    assert fit(model, x)[0] is None
    weights = model.get_layer("machine").get_weights()
    model.get_layer("machine").set_weights([3e38 * np.ones_like(w) for w in weights])
    message, _ = fit(model, x)
    assert "Layer `machine" in message


def test_dropout_is_run_again_as_it_was():
    model = make(keras.layers.Dropout(0.5, seed=3), Exploding(name="exploding"))
    x = np.full((2, 3), 7.0)
    # Doubled by dropout if it is kept, which it is about half of the time.
    message, _ = fit(model, x, epochs=20)
    assert "Layer `model/exploding`" in message


def test_raising_and_interrupting():
    model = make()
    x = np.full((4, 3), np.nan)
    with pytest.raises(RuntimeError, match="the inputs of the model are not finite"):
        fit(model, x, stop=StopOnNaN(raise_error=True))

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    function = model.train_function
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, np.ones(4), callbacks=[Interrupt(), StopOnNaN()], verbose=0)
    stop = StopOnNaN()
    model.fit(np.ones((4, 3)), np.ones(4), callbacks=[stop], verbose=0)
    assert model.train_function is function


def test_training_is_what_it_is_without():
    x = np.random.normal(size=(16, 3))
    results = []
    for callbacks in ([], [StopOnNaN()]):
        keras.utils.set_random_seed(1)
        model = make(keras.layers.Dropout(0.3), optimizer="adam", steps_per_execution=3)
        history = model.fit(
            x, x[:, :1], batch_size=3, epochs=2, callbacks=callbacks, verbose=0
        )
        results.append((history.history["loss"], model.get_weights()))
    (loss, weights), (watched_loss, watched_weights) = results
    np.testing.assert_allclose(watched_loss, loss, rtol=1e-6)
    for watched, weight in zip(watched_weights, weights, strict=True):
        np.testing.assert_allclose(watched, weight, rtol=1e-5, atol=1e-7)
