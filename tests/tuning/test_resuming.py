"""A search that was killed at any point goes on as if it had not been."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_nam import tuning

keras_tuner = pytest.importorskip("keras_tuner")

SCRIPT = Path(__file__).with_name("tiny_search.py")
ROOT = Path(__file__).parents[2]


class Kill(BaseException):
    """Ends a search where it stands, past all that it would do at an end."""


class Tuner(keras_tuner.Tuner):
    """Computes a score instead of training, and lists the trials that it ran.

    Args:
        kill_at: Integer, the trial in which the search is killed.
    """

    kill_at = None

    def on_search_begin(self):
        self.ran = []

    def run_trial(self, trial, *args, **kwargs):
        if len(self.ran) == self.kill_at:
            raise Kill
        values = trial.hyperparameters.values
        values = {n: v for n, v in values.items() if not n.startswith("tuner/")}
        self.ran.append(json.dumps(values, sort_keys=True))
        return values["rate"] * (1 + values.get("momentum", 0))


def build(hp):
    hp.Choice("kind", ["sgd", "momentum"])
    with hp.conditional_scope("kind", ["momentum"]):
        hp.Choice("momentum", [0.1, 0.2])
    hp.Choice("rate", [0.01, 0.02, 0.03])


ORACLES = {
    "RandomSearch": {"max_trials": 5},
    "BayesianOptimization": {"max_trials": 5, "num_initial_points": 4},
    "GridSearch": {},
    "Hyperband": {"max_epochs": 4, "factor": 3},
}


def run(name, folder, kill_at=None):
    oracle_class = getattr(keras_tuner.oracles, f"{name}Oracle")
    objective = keras_tuner.Objective("score", "min")
    oracle = oracle_class(objective, seed=1, **ORACLES[name])
    tuner = Tuner(oracle, build, directory=folder)
    tuner.kill_at = kill_at
    try:
        outcome = tuning.search(tuner, verbose=0)
    except Kill:
        outcome = None
    return tuner.ran, outcome, tuner


@pytest.mark.parametrize("name", list(ORACLES))
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


@pytest.mark.parametrize("name", list(ORACLES))
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
    monkeypatch.setitem(ORACLES, "RandomSearch", {"max_trials": 6})
    trained, outcome, _ = run("RandomSearch", tmp_path)
    assert len(trained) == 1
    assert outcome.completed == 6


def test_two_searches_in_one_folder_are_one_too_many(tmp_path, monkeypatch):
    refused = []

    def search_again(tuner, trial, *args, **kwargs):
        with pytest.raises(RuntimeError, match="Another process searches") as error:
            tuning.search(tuner)
        refused.append(error)
        return 0.0

    monkeypatch.setattr(Tuner, "run_trial", search_again)
    *_, outcome, _ = run("RandomSearch", tmp_path)
    assert outcome.completed == len(refused) == 5


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
