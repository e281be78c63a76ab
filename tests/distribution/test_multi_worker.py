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
