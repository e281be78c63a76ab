"""A chief and workers, as real processes on the loopback address."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from keras_nam import tuning
from keras_nam.tuning.launching import _free_port

keras_tuner = pytest.importorskip("keras_tuner")

SCRIPT = Path(__file__).with_name("tiny_search.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """Launches `tiny_search.py` from a thread, and lets go of workers at the end."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    threads = []

    def launch(*arguments, **settings):
        launched = []
        command = [sys.executable, str(SCRIPT), str(tmp_path), *arguments]
        settings = {"log_directory": tmp_path / "logs", **settings}

        def run():
            launched.append(tuning.launch_search(command, **settings))

        thread = threading.Thread(target=run)
        threads.append(thread)
        thread.start()

        def result():
            thread.join(100)
            (outcome,) = launched
            return outcome, json.loads((tmp_path / "outcome.json").read_text())

        return result

    yield launch
    for path in tmp_path.glob("hold-*"):
        path.unlink()
    for thread in threads:
        thread.join(100)


def begun(folder, worker="*"):
    """The trials that have begun, as `(values, worker, process)`."""
    names = (path.name.split("-") for path in folder.glob(f"begun-*-{worker}-*"))
    return [tuple(name[1:]) for name in names]


def hold_all(folder):
    """Holds both workers, or the one that starts sooner may take all trials."""
    for worker in ("worker0", "worker1"):
        (folder / f"hold-{worker}").touch()


def wait_for(condition):
    end = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def test_a_worker_that_is_killed_gets_its_trial_again(launch, tmp_path):
    hold_all(tmp_path)
    result = launch("--trials", "5", num_workers=2)
    wait_for(lambda: begun(tmp_path, "worker0"))
    (tmp_path / "hold-worker1").unlink()
    ((trial, _, process),) = begun(tmp_path, "worker0")
    os.kill(int(process), signal.SIGKILL)
    (tmp_path / "hold-worker0").unlink()
    launched, outcome = result()
    assert launched == (0, {"chief": 0, "worker0": 1, "worker1": 0}, ())
    assert outcome["complete"]
    assert outcome["completed"] == 5
    again = [entry for entry in begun(tmp_path) if entry[0] == trial]
    assert [entry[1] for entry in again] == ["worker0", "worker0"]
    assert len(begun(tmp_path)) == 6


def test_a_worker_that_does_not_come_back_costs_its_trial(launch, tmp_path):
    hold_all(tmp_path)
    result = launch("--trials", "4", num_workers=2, max_restarts=0)
    wait_for(lambda: begun(tmp_path, "worker0"))
    (tmp_path / "hold-worker1").unlink()
    ((_, _, process),) = begun(tmp_path, "worker0")
    os.kill(int(process), signal.SIGKILL)
    launched, outcome = result()
    assert launched.returncode == 3
    assert launched.lost == ("worker0",)
    assert not outcome["complete"]
    assert (outcome["completed"], outcome["unfinished"]) == (3, 1)
    assert outcome["reason"] == "it was told to"


def test_a_worker_that_hangs_exhausts_the_patience(launch, tmp_path):
    (tmp_path / "hold-worker0").touch()
    result = launch("--trials", "1", "--patience", "12", num_workers=1)
    launched, outcome = result()
    assert launched == (3, {"chief": 0, "worker0": 0}, ())
    assert outcome["completed"] == 0
    # Which of both it says depends on how long the worker took to start.
    assert outcome["reason"] in (
        "for 12 seconds nothing came from ['worker0']",
        "for 12 seconds nothing came from any worker",
    )


def test_a_script_that_fails_is_not_started_for_ever(tmp_path, capfd):
    code = "import os, sys, time\nname = os.environ['KERASTUNER_TUNER_ID']\n"
    code += f"open(r'{tmp_path}/' + name, 'a').write('x')\n"
    code += "import signal\nend = []\n"
    code += "signal.signal(signal.SIGUSR1, lambda *_: end.append(1))\n"
    code += "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])\n"
    code += "while name == 'chief' and not end: time.sleep(0.05)\n"
    code += "sys.exit(7 if name == 'chief' else 1)\n"
    launched = tuning.launch_search([sys.executable, "-c", code], max_restarts=1)
    assert launched.returncode == 7
    assert sorted(launched.lost) == ["worker0", "worker1"]
    starts = {path.name: len(path.read_text()) for path in tmp_path.iterdir()}
    assert starts == {"chief": 1, "worker0": 2, "worker1": 2}
    assert "worker0 died (1), and is left out" in capfd.readouterr().out


def test_a_chief_that_is_killed_is_started_again(tmp_path):
    code = "import os, pathlib, time\nname = os.environ['KERASTUNER_TUNER_ID']\n"
    code += f"seen = pathlib.Path(r'{tmp_path}/seen')\n"
    code += "if name == 'chief' and not seen.exists():\n"
    code += "    seen.touch()\n    os.kill(os.getpid(), 9)\n"
    launched = tuning.launch_search([sys.executable, "-c", code], num_workers=1)
    assert launched == (0, {"chief": 1, "worker0": 0}, ())


def test_processes_end_with_what_launched_them(tmp_path):
    code = "import os, sys, time\nfrom keras_nam.tuning.searching import "
    code += "_end_with_launcher\n_end_with_launcher()\n"
    code += f"open(r'{tmp_path}/' + str(os.getpid()), 'w')\ntime.sleep(100)\n"
    launcher = f"import sys\nfrom keras_nam import tuning\ncode = {code!r}\n"
    launcher += "tuning.launch_search([sys.executable, '-c', code], num_workers=1)\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pid = os.spawnve(
        os.P_NOWAIT, sys.executable, [sys.executable, "-c", launcher], environment
    )
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for path in tmp_path.iterdir():
        wait_for(lambda path=path: not is_alive(int(path.name)))


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    # Whoever takes over an orphan may never ask how it ended.
    return state != "Z"


@pytest.fixture
def chief(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(_free_port()))
    oracle = keras_tuner.oracles.RandomSearchOracle("loss", max_trials=3)
    return keras_tuner.Tuner(
        oracle, lambda hp: hp.Float("rate", 0.0, 1.0), directory=tmp_path
    )


def test_patience_in_the_chief(chief):
    assert tuning.search(chief, patience=0.5) == (
        False,
        "for 0.5 seconds nothing came from any worker",
        0,
        0,
        0,
    )


def test_what_ended_counts_and_no_more_is_given_out(chief):
    oracle = chief.oracle

    def work():
        trial = oracle.create_trial("worker0")
        oracle.update_trial(trial.trial_id, {"loss": 1.0})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        oracle.create_trial("worker0")

    worker = threading.Timer(0.3, work)
    worker.start()
    outcome = tuning.search(chief, patience=1)
    worker.join()
    assert outcome[0] is False
    assert outcome[2:] == (1, 0, 1)
    assert "nothing came from ['worker0']" in str(outcome)
    assert oracle.create_trial("worker1").status == "STOPPED"


def test_errors_of_the_chief_are_raised(chief, monkeypatch):
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "not an address")
    with pytest.raises(RuntimeError):
        tuning.search(chief, patience=60)


def test_bad_arguments(chief):
    with pytest.raises(ValueError, match="patience=0"):
        tuning.search(chief, patience=0)
    with pytest.raises(ValueError, match="num_workers"):
        tuning.launch_search(["true"], num_workers=0)
    with pytest.raises(ValueError, match="max_restarts"):
        tuning.launch_search(["true"], max_restarts=-1)
