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


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_batches_are_counted_one_by_one(policy):
    keras.config.set_dtype_policy(policy)
    x = np.ones((20, 3), "float32")
    x[13] = np.nan
    for accumulated, executed in ((4, 1), (None, 5), (3, 4)):
        optimizer = keras.optimizers.SGD(1e-3, gradient_accumulation_steps=accumulated)
        model = make(optimizer=optimizer, steps_per_execution=executed)
        message, _ = fit(model, x, batch_size=1)
        assert "Batch 13 began it: the inputs of the model" in message


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
    assert "at batch 3 of epoch 0" in message or steps_per_execution == 3
    assert "Batch 3 began it" in message
    assert "Layer `model/wrapping/exploding` (Exploding)" in message
    assert len(history.history["loss"]) == 1
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    assert fit(model, np.ones((4, 3)))[0] is None


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_a_bad_gradient_is_known_by_the_weight_it_spoils(
    jit_compile, steps_per_execution
):
    model = make(
        Wrapping(Root(name="root"), name="wrapping"),
        keras.layers.Dense(3, name="after"),
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
    x = np.ones((12, 3))
    x[6] = 0.0
    message, _ = fit(model, x)
    assert "Batch 4 began it: weight `model/first/kernel` was not finite" in message
    assert "gradient of the batch before" in message


def test_a_step_that_never_calls_its_model_names_no_layer():
    class Direct(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = ops.mean(ops.square(self.dense(x) - y))
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    model = Direct()
    model.dense.build((None, 3))
    model.built = True
    model.compile("sgd", "mse")
    message, _ = fit(model, np.full((4, 3), np.nan), np.ones((4, 1)))
    assert "is not finite" in message
    assert "targets" not in message


def test_bad_data_are_told_from_bad_layers():
    x, y = np.ones((8, 3)), np.ones(8)
    x[5, 2] = np.nan
    message, _ = fit(make(), x, y)
    assert "the inputs of the model are not finite" in message
    assert "at batch 2 of epoch 0" in message
    y[3] = np.inf
    message, _ = fit(make(), np.ones((8, 3)), y)
    assert "at batch 1 of epoch 0" in message
    assert "it is the targets" in message


def test_losses_and_weights():
    message, _ = fit(
        make(loss=lambda y, y_pred: ops.log(-ops.square(y_pred))), np.ones((4, 3))
    )
    assert "a regularizer or the loss function" in message

    model = make(keras.layers.Dense(3, kernel_regularizer=ops.log, name="middle"))
    assert "a regularizer or the loss function" in fit(model, np.ones((4, 3)))[0]

    model = make()
    bad = [np.full_like(w, np.nan) for w in model.layers[-1].get_weights()]
    model.layers[-1].set_weights(bad)
    message, _ = fit(model, np.ones((4, 3)))
    assert "`model/last/kernel` was not finite before" in message

    constant = keras.optimizers.SGD(lambda: tf.constant(np.inf))
    message, _ = fit(make(optimizer=constant), np.ones((8, 3)))
    assert "Batch 1 began it: weight `model/first/kernel`" in message


def test_operations_between_layers_are_named():
    inputs = keras.Input((3,))
    x = keras.layers.Dense(3, kernel_initializer="identity")(inputs)
    x = ops.log(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile("sgd", "mse")
    assert "Operation `log" in fit(model, -np.ones((4, 3)))[0]


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_memories_are_named(jit_compile):
    inputs = keras.Input((None, 4))
    x = layers.NAM(4, return_sequences=True, name="memory")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile("adam", "mse", jit_compile=jit_compile)
    x = np.random.normal(size=(6, 5, 4))
    weights = model.get_layer("memory").get_weights()
    model.get_layer("memory").set_weights([3e38 * np.ones_like(w) for w in weights])
    message, _ = fit(model, x)
    assert "Layer `memory" in message


def test_layers_in_loops_are_named_by_what_they_stand_in():
    """Cells of recurrent layers, a mask, nested models and validation."""
    inner = keras.Sequential(
        [keras.Input((None, 3)), keras.layers.Masking(), keras.layers.LSTM(3)],
        name="inner",
    )
    inputs = keras.Input((None, 3))
    x = keras.layers.TimeDistributed(dense("each"))(inputs)
    x = Exploding(name="exploding")(inner(x))
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile("sgd", "mse")
    x = np.ones((6, 4, 3))
    message, _ = fit(model, x, validation_data=(x * np.nan, np.ones(6)), epochs=2)
    assert message is None
    inner.layers[-1].set_weights(
        [np.full_like(w, np.nan) for w in inner.layers[-1].get_weights()]
    )
    assert "weight `" in fit(model, x)[0]


def test_dropout_is_noted_as_it_was():
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

    with pytest.raises(KeyboardInterrupt):
        model.fit(x, np.ones(4), callbacks=[Interrupt(), StopOnNaN()], verbose=0)
    assert "call" in vars(model.layers[0])
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    assert fit(model, np.ones((4, 3)))[0] is None
    assert "call" not in vars(model.layers[0])


@pytest.mark.slow
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
