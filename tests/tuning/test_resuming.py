"""A search that was killed at any point goes on as if it had not been."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_nam import tuning

keras_tuner = pytest.importorskip("keras_tuner")

SCRIPT = Path(__file__).with_name("tiny_search.py")
ROOT = Path(__file__).parents[2]


class Kill(BaseException):
    """Ends a search where it stands, past all that it would do at an end."""


class Space(keras_tuner.HyperModel):
    """A model of one weight, and a list of the trials that were trained."""

    def __init__(self, kill_at=None, kill_after_fit=False):
        super().__init__()
        self.kill_at = kill_at
        self.kill_after_fit = kill_after_fit
        self.trained = []

    def build(self, hp):
        kind = hp.Choice("kind", ["sgd", "momentum"])
        with hp.conditional_scope("kind", ["momentum"]):
            momentum = hp.Choice("momentum", [0.1, 0.2])
        rate = hp.Choice("rate", [0.01, 0.02, 0.03])
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(rate, momentum or 0.0), "mse")
        assert kind in ("sgd", "momentum")
        return model

    def fit(self, hp, model, *args, **kwargs):
        kill = len(self.trained) == self.kill_at
        if kill and not self.kill_after_fit:
            raise Kill
        history = model.fit(*args, **kwargs)
        if kill:
            raise Kill
        values = {n: v for n, v in hp.values.items() if not n.startswith("tuner/")}
        self.trained.append(json.dumps(values, sort_keys=True))
        return history


TUNERS = {
    "RandomSearch": {"max_trials": 5},
    "BayesianOptimization": {"max_trials": 5, "num_initial_points": 2},
    "GridSearch": {},
    "Hyperband": {"max_epochs": 4, "factor": 3},
}
DATA = np.ones((4, 1)), np.ones((4, 1))


def run(name, folder, **kill):
    space = Space(**kill)
    tuner = getattr(keras_tuner, name)(
        space, "loss", seed=1, directory=folder, **TUNERS[name]
    )
    try:
        outcome = tuning.search(tuner, *DATA, verbose=0)
    except Kill:
        outcome = None
    return space.trained, outcome, tuner


@pytest.mark.parametrize("name", list(TUNERS))
@pytest.mark.parametrize("kill_at", [0, 1, 3])
def test_killed_in_a_trial(name, kill_at, tmp_path):
    whole, outcome, _ = run(name, tmp_path / "whole")
    assert outcome.complete
    before, outcome, _ = run(name, tmp_path / "killed", kill_at=kill_at)
    assert outcome is None
    assert len(before) == kill_at
    after, outcome, tuner = run(name, tmp_path / "killed")
    assert outcome.complete
    assert outcome.unfinished == 0
    assert outcome.completed == len(whole) == len(before + after)
    if name in ("GridSearch", "RandomSearch"):
        assert sorted(before + after) == sorted(whole)
    # And once more, when nothing is left to do.
    assert run(name, tmp_path / "killed")[:2] == ([], outcome)
    assert len(tuner.oracle.end_order) == len(set(tuner.oracle.end_order))


@pytest.mark.parametrize("name", list(TUNERS))
def test_killed_between_trials(name, tmp_path, monkeypatch):
    whole, *_ = run(name, tmp_path / "whole")

    def kill(tuner, trial, end_trial=keras_tuner.Tuner.on_trial_end):
        end_trial(tuner, trial)
        if len(tuner.oracle.end_order) == 2:
            raise Kill

    with monkeypatch.context() as patched:
        patched.setattr(keras_tuner.Tuner, "on_trial_end", kill)
        before, outcome, _ = run(name, tmp_path / "killed")
    assert outcome is None
    after, outcome, _ = run(name, tmp_path / "killed")
    assert outcome.completed == len(whole) == len(before + after)
    if name == "GridSearch":
        assert sorted(before + after) == sorted(whole)


def test_killed_between_two_files(tmp_path, monkeypatch):
    """A trial is stored before the oracle is, at its begin and at its end."""
    oracle_class = keras_tuner.oracles.RandomSearchOracle
    for begun, status in ((3, "RUNNING"), (3, "COMPLETED")):
        folder = tmp_path / status

        def kill(oracle, save=oracle_class.save, status=status, begun=begun):
            trials = oracle.trials.values()
            if [t.status for t in trials][begun - 1 :] == [status]:
                raise Kill
            save(oracle)

        with monkeypatch.context() as patched:
            patched.setattr(oracle_class, "save", kill)
            before, outcome, _ = run("RandomSearch", folder)
        assert outcome is None
        after, outcome, _ = run("RandomSearch", folder)
        assert outcome.completed == 5
        assert len(before + after) == 5


def test_a_folder_of_another_tuner_id(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker7")
    before, *_ = run("GridSearch", tmp_path, kill_at=2)
    monkeypatch.delenv("KERASTUNER_TUNER_ID")
    after, outcome, _ = run("GridSearch", tmp_path)
    assert outcome.completed == len(before + after) == 9


def test_more_trials_extend_a_search(tmp_path, monkeypatch):
    run("RandomSearch", tmp_path)
    monkeypatch.setitem(TUNERS, "RandomSearch", {"max_trials": 8})
    trained, outcome, _ = run("RandomSearch", tmp_path)
    assert len(trained) == 3
    assert outcome.completed == 8


def test_two_searches_in_one_folder_are_one_too_many(tmp_path):
    space = Space()
    tuner = keras_tuner.RandomSearch(space, "loss", max_trials=1, directory=tmp_path)

    class Second(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pytest.raises(RuntimeError, match="Another process searches"):
                tuning.search(tuner, *DATA)
            space.trained.append("refused")

        def __deepcopy__(self, memo):
            return self

    tuning.search(tuner, *DATA, verbose=0, callbacks=[Second()])
    assert "refused" in space.trained


def test_kill_9(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    (tmp_path / "hold-alone").touch()
    process = subprocess.Popen(command, env=environment)
    wait_for(lambda: list(tmp_path.glob("begun-*")), process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (tmp_path / "hold-alone").unlink()
    subprocess.run(command, env=environment, check=True, timeout=100)
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    assert outcome["complete"]
    assert outcome["completed"] == 4
    # Four trials, of which the first began twice.
    begun = [path.name.split("-")[1] for path in tmp_path.glob("begun-*")]
    assert len(begun) == 5
    assert len(set(begun)) == 4


def wait_for(condition, process):
    end = time.monotonic() + 100
    while not condition():
        assert process.poll() is None, "the search ended too early"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
