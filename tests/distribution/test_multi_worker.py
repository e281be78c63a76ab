"""Workers in processes of their own train like one process, and survive a death."""

import contextlib
import json
import signal
from pathlib import Path

import keras
import multi_worker_run
import numpy as np
import pytest
import tensorflow as tf
from processes import Script
from processes import free_ports

from keras_nam import callbacks
from keras_nam import datasets
from keras_nam import distribution

pytestmark = pytest.mark.xdist_group("multi_worker")
SCRIPT = Path(multi_worker_run.__file__)


def cluster(size):
    """The environments of the workers."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(size)]
    tasks = [{"type": "worker", "index": index} for index in range(size)]
    configs = [{"cluster": {"worker": workers}, "task": task} for task in tasks]
    return [{"TF_CONFIG": json.dumps(config)} for config in configs]


@contextlib.contextmanager
def started(commands):
    """The workers of a cluster, one for each command."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(Script(*arguments))
            for arguments in zip(commands, cluster(len(commands)), strict=True)
        ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The model and the history of one process without interruption."""
    return multi_worker_run.fit(tmp_path_factory.mktemp("alone"), verbose=0)


@pytest.mark.slow
def test_a_killed_worker_ends_the_others_and_the_rerun_ends_as_one_process(
    tmp_path, alone
):
    model, history = alone
    command = [SCRIPT, tmp_path]
    # In the second epoch, a step after its checkpoint.
    killed = [command, [*command, "--die", "1", "3"]]
    with started(killed) as (chief, worker):
        assert worker.status == -signal.SIGKILL, worker.output
        assert chief.status == 1, chief.output
        output = chief.output
    assert "WorkerLostError: Worker 0 has lost another one of the workers" in output
    assert "Start all workers again with the same arguments" in output
    assert list((tmp_path / "checkpoints").glob("ckpt-4.index")), output

    with started([command, command]) as (chief, worker):
        assert chief.status == 0, chief.output
        assert worker.status == 0, worker.output
        # Only the chief tells how far it is.
        assert "Epoch 3/3" in chief.output
        assert "Epoch 3/3" not in worker.output
    results = [json.loads((tmp_path / f"{i}.json").read_text()) for i in range(2)]
    assert results[0] == results[1]
    assert results[0]["epochs"] == [1, 2]
    for name, values in results[0]["history"].items():
        np.testing.assert_allclose(values, history.history[name][1:], rtol=1e-5)
    for index in range(2):
        trained = multi_worker_run.make_model()
        trained.optimizer.build(trained.trainable_variables)
        trained.load_weights(tmp_path / f"{index}.weights.h5")
        for ours, theirs in zip(
            trained.get_weights(), model.get_weights(), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_worker_that_never_comes_is_not_waited_for(tmp_path):
    command = [SCRIPT, tmp_path, "--timeout", "5"]
    with Script(command, cluster(2)[0]) as lonely:
        assert lonely.status == 1
        assert "to come, for 5.0 seconds at most" in lonely.output
        assert "Timeout (0:00:05)!" in lonely.output


def test_one_process_goes_on_in_the_middle_of_an_epoch(tmp_path, alone):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == (1, 2):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        multi_worker_run.fit(tmp_path, callbacks=[Interrupt()], verbose=0)
    model, history = multi_worker_run.fit(tmp_path, verbose=0)
    expected_model, expected = alone
    for name, values in history.history.items():
        np.testing.assert_allclose(values, expected.history[name][1:], rtol=1e-6)
    for ours, theirs in zip(
        model.get_weights(), expected_model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    # Once it is done, there is nothing left to do.
    model, history = multi_worker_run.fit(tmp_path, verbose=0)
    assert history.history == {}
    np.testing.assert_allclose(
        model.get_weights()[-1], expected_model.get_weights()[-1], rtol=1e-5, atol=1e-7
    )


def test_it_trains_like_fit(tmp_path, alone):
    model, history = alone
    other = multi_worker_run.make_model()
    losses = [
        other.fit(multi_worker_run.make_dataset(epoch), verbose=0, shuffle=False)
        for epoch in range(multi_worker_run.EPOCHS)
    ]
    np.testing.assert_allclose(
        [each.history["loss"][0] for each in losses], history.history["loss"], rtol=1e-5
    )
    # What is returned can go on.
    for ours, theirs in zip(
        model.optimizer.variables, other.optimizer.variables, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def fit(folder, make_model=None, make_dataset=None, **kwargs):
    arguments = {"epochs": 1, "checkpoint_dir": folder, "verbose": 0, **kwargs}
    return distribution.fit_multi_worker(
        make_model or multi_worker_run.make_model,
        make_dataset or multi_worker_run.make_dataset,
        **arguments,
    )


def line(**kwargs):
    """A function that makes a model which draws a line through points."""

    def make():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(**{"optimizer": "sgd", "loss": "mse", **kwargs})
        return model

    return make


def assert_same_weights(model, expected):
    pairs = zip(model.get_weights(), expected.get_weights(), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def points(bad=None):
    x = np.linspace(-1, 1, 10, dtype="float32")[:, None]
    inputs = x.copy()
    if bad is not None:
        inputs[bad] = np.nan
    dataset = tf.data.Dataset.from_tensor_slices((inputs, 3 * x))
    return dataset.batch(2, drop_remainder=True)


def test_averages_of_weights_take_their_place_as_in_fit(tmp_path):
    def make():
        optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
        return line(optimizer=optimizer)()

    expected = make()
    expected.fit(points(), epochs=2, verbose=0)
    # The second time, all is done.
    for _ in range(2):
        model, _ = fit(tmp_path, make, lambda epoch: points(), epochs=2)
        assert_same_weights(model, expected)


def test_a_loss_that_is_not_finite_is_explained_and_not_kept(tmp_path):
    stop = callbacks.StopOnNaN()

    def broken(epoch):
        return points(bad=7 if epoch == 1 else None)

    arguments = {"epochs": 3, "steps_per_checkpoint": 1, "callbacks": [stop]}
    fit(tmp_path, line(), broken, **arguments)
    assert "Batch 3 began it: the inputs of the model" in stop.message
    # The same command goes on before it.
    model, history = fit(tmp_path, line(), lambda epoch: points(), **arguments)
    assert history.epoch == [1, 2]
    expected = line()()
    expected.fit(points(), epochs=3, verbose=0)
    assert_same_weights(model, expected)


def test_training_that_a_callback_stops_goes_on_at_its_step(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    def fit_epoch(*callbacks):
        arguments = {"epochs": 1, "callbacks": list(callbacks)}
        return fit("~/line", line(), lambda epoch: [points()][epoch], **arguments)

    fit_epoch(Stop())
    assert (tmp_path / "line" / "checkpoint").exists()
    model, history = fit_epoch()
    assert history.epoch == [0]
    expected = line()()
    expected.fit(points(), verbose=0)
    assert_same_weights(model, expected)
    # What is done needs no data of a further epoch.
    assert fit_epoch()[1].epoch == []


def test_a_curriculum_goes_on_in_the_middle_of_an_epoch(tmp_path):
    lengths = []

    class Note(keras.callbacks.Callback):
        def __init__(self, kill):
            super().__init__()
            self.kill = kill

        def on_train_batch_end(self, batch, logs=None):
            lengths.append(curriculum.length)
            if batch == self.kill:
                raise KeyboardInterrupt

    def fit_steps(kill=None):
        nonlocal curriculum
        curriculum = callbacks.LengthCurriculum({0: 5, 3: 9}, "step", padding_value=11)
        size = tf.data.experimental.assert_cardinality(4)
        batches = curriculum.batches(rows, 8, shuffle=False).apply(size)
        fit(
            tmp_path,
            make_dataset=lambda epoch: batches,
            steps_per_checkpoint=1,
            callbacks=[curriculum, Note(kill)],
        )

    rows = datasets.load_task("reverse", "train", 32, min_digits=1, max_digits=3)
    curriculum = None
    with pytest.raises(KeyboardInterrupt):
        fit_steps(kill=1)
    # Batch 1 was not saved.
    fit_steps()
    assert lengths == [5, 5, 5, 5, 9]


def test_bad_arguments(tmp_path, monkeypatch):
    def batches(*sizes):
        x = np.ones((6, 3), "int32")
        dataset = tf.data.Dataset.from_tensor_slices((x, x))
        return dataset.batch(*sizes)

    with pytest.raises(ValueError, match="epochs"):
        fit(tmp_path, epochs=0)
    with pytest.raises(ValueError, match="timeout"):
        fit(tmp_path, timeout=0)
    with pytest.raises(ValueError, match="batches of a known size"):
        fit(tmp_path, make_dataset=lambda epoch: batches(4))
    with pytest.raises(ValueError, match="known number of batches"):
        fit(tmp_path, make_dataset=lambda epoch: batches(4, True).repeat())
    fit(tmp_path / "line", line(), lambda epoch: points())
    for other in (
        (line(optimizer="adam"), lambda epoch: points()),
        (multi_worker_run.make_model, multi_worker_run.make_dataset),
    ):
        with pytest.raises(ValueError, match="of this model and its optimizer"):
            fit(tmp_path / "line", *other)
    with pytest.raises(ValueError, match="built and compiled"):
        fit(tmp_path, make_model=lambda: keras.Sequential([keras.Input((3,))]))
    for config in ("{", '{"cluster": {}}', '{"cluster": {"ps": ["a:1"]}, "task": 3}'):
        monkeypatch.setenv("TF_CONFIG", config)
        with pytest.raises(ValueError, match="TF_CONFIG must be JSON"):
            fit(tmp_path)
    config = {"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(ValueError, match="Only chiefs and workers"):
        fit(tmp_path)
