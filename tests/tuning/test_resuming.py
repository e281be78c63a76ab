"""A search that was killed at any point goes on as if it had not been."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from keras_nam import tuning

keras_tuner = pytest.importorskip("keras_tuner")
OracleClient = pytest.importorskip("keras_tuner.src.distribute.oracle_client")
OracleClient = OracleClient.OracleClient

ROOT = Path(__file__).parents[2]


class Kill(BaseException):
    """Ends a search where it stands, past all that it would do at an end."""


class Tuner(keras_tuner.Tuner):
    """Computes a score instead of training, and lists the trials that it ran.

    Args:
        kill_at: Integer, the trial in which the search is killed.
        hold: Path, a file that the second trial makes, and then waits.
    """

    kill_at = None
    hold = None

    def on_search_begin(self):
        self.ran = []

    def run_trial(self, trial, *args, **kwargs):
        if len(self.ran) == self.kill_at:
            raise Kill
        if self.hold is not None and self.ran:
            self.hold.touch()
            time.sleep(60)
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


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    """The trials of searches that nothing interrupts."""
    wholes = {}
    for name in ORACLES:
        wholes[name], outcome, _ = run(name, tmp_path_factory.mktemp(name))
        assert outcome.complete
    return wholes


# A Gaussian process takes seconds, for the last trial only.
@pytest.mark.parametrize(
    ("name", "kill_at"),
    [(n, k) for n in ORACLES for k in (0, 1, 3) if k == 3 or n[:8] != "Bayesian"],
)
def test_killed_in_a_trial(name, kill_at, wholes, tmp_path):
    whole = wholes[name]
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
def test_killed_between_trials(name, wholes, tmp_path, monkeypatch):
    whole = wholes[name]

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
    """A process that is killed in its second trial, and goes on in this one."""
    command = [sys.executable, __file__, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment)
    wait_for((tmp_path / "hold").exists, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    trained, outcome, tuner = run("RandomSearch", tmp_path)
    assert outcome.complete
    assert outcome.completed == 5
    assert len(trained) == 4


def wait_for(condition, process):
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "the search ended too early"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


@pytest.mark.parametrize("version", ["1.3.5", "1.5.0", "2.0"])
def test_other_versions_of_keras_tuner_are_refused(version, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    with pytest.raises(RuntimeError, match=f"1.4 only.*Received: version {version}"):
        run("RandomSearch", tmp_path)


@pytest.fixture
def chief(tmp_path, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))
    oracle = keras_tuner.oracles.RandomSearchOracle("loss", max_trials=3)
    return Tuner(oracle, build, directory=tmp_path)


def work(chief, num_trials=None):
    """Does trials as a worker in a thread of this process, all or as many."""
    oracle, trials = OracleClient(chief.oracle), 0
    while (trial := oracle.create_trial("worker0")).status != "STOPPED":
        if trials == num_trials:
            return
        oracle.update_trial(trial.trial_id, {"loss": 1.0})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        trials += 1


def test_a_chief_ends_with_its_workers(chief):
    worker = threading.Timer(0.3, work, (chief,))
    worker.start()
    assert tuning.search(chief, patience=60) == (True, "", 3, 0, 0)
    worker.join()


def test_the_patience_of_a_chief(chief):
    reason = "for 0.5 seconds nothing came from any worker"
    assert tuning.search(chief, patience=0.5) == (False, reason, 0, 0, 0)


def test_a_worker_that_does_not_come_back_costs_its_trial(chief):
    worker = threading.Timer(0.3, work, (chief, 1))
    worker.start()
    outcome = tuning.search(chief, patience=1)
    worker.join()
    assert outcome[0] is False
    assert outcome[2:] == (1, 0, 1)
    assert "1 seconds nothing came from ['worker0']" in str(outcome)
    assert chief.oracle.create_trial("worker1").status == "STOPPED"


def test_a_worker_of_the_same_name_gets_its_trial_again(chief):
    trial = chief.oracle.create_trial("worker0")
    assert chief.oracle.create_trial("worker0").trial_id == trial.trial_id


def test_errors_of_the_chief_are_raised(chief, monkeypatch):
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "not an address")
    with pytest.raises(RuntimeError):
        tuning.search(chief, patience=60)


def test_processes_of_a_distributed_search(tmp_path, capsys):
    """The example starts workers that die again, and leaves out those that go on."""
    spec = importlib.util.spec_from_file_location(
        "tune_distributed", ROOT / "examples/tune_distributed.py"
    )
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    code = "import os, sys, time\nname = os.environ['KERASTUNER_TUNER_ID']\n"
    code += f"log = open(r'{tmp_path}/' + name, 'a+')\nlog.write('x')\n"
    code += "log.flush()\n"
    code += f"lost = r'{tmp_path}/worker0'\n"
    code += "while name == 'chief' and not (os.path.exists(lost) "
    code += "and len(open(lost).read()) == 2): time.sleep(0.05)\n"
    code += "time.sleep(0.5 if name == 'chief' else 0)\n"
    code += "sys.exit({'chief': 7, 'worker0': 1, 'worker1': 0}[name])\n"
    command = [sys.executable, "-S", "-c", code]
    assert example.run(command, 2, 1, None, tmp_path / "logs") == 7
    printed = capsys.readouterr().out
    assert "worker0 died (1), and is started again" in printed
    assert "worker0 died (1), and is left out" in printed
    assert "worker1" not in printed


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    Tuner.hold = folder / "hold"
    run("RandomSearch", folder)
