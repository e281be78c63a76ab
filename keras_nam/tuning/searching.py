"""A search that resumes after a kill, and whose chief does not wait for ever."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import NamedTuple

from keras_nam.tuning.resuming import ENDED
from keras_nam.tuning.resuming import resume

# How often a chief looks whether its search is over.
INTERVAL_S = 0.2
# Sent to a chief, it ends the search with what is complete.
END_SIGNAL = getattr(signal, "SIGUSR1", None)
# The process that started this one, and without which it is of no use.
LAUNCHER_VARIABLE = "KERAS_NAM_LAUNCHER"


class SearchOutcome(NamedTuple):
    """How a search ended.

    Attributes:
        complete: Boolean, whether all trials have ended.
        reason: String, why it ended before that. Empty if it is complete.
        completed: Integer, the number of trials with a result.
        failed: Integer, the number of trials that failed.
        unfinished: Integer, the number of trials that were started and did not end.
    """

    complete: bool
    reason: str
    completed: int
    failed: int
    unfinished: int

    def __str__(self):
        text = f"{self.completed} trials completed, {self.failed} failed"
        if self.complete:
            return f"The search is complete: {text}."
        return (
            f"The search ended early, because {self.reason}: {text}, "
            f"{self.unfinished} unfinished."
        )


def search(tuner, *args, patience=None, **kwargs):
    """Runs `tuner.search`, alone, as a chief or as a worker, and resumes it.

    A search that was interrupted, by `kill -9` for example, goes on where it was when
    it is run again with the same folder: trials that ended are kept, those that had
    begun are begun again. This holds for `RandomSearch`, `Hyperband`,
    `BayesianOptimization` and `GridSearch`.

    For a distributed search, run one script with the variables that Keras Tuner reads,
    once as the chief and any number of times as a worker, here or on other machines:

    ```bash
    export KERASTUNER_ORACLE_IP=127.0.0.1 KERASTUNER_ORACLE_PORT=8000
    KERASTUNER_TUNER_ID=chief python my_search.py &
    for i in 0 1; do KERASTUNER_TUNER_ID=worker$i python my_search.py & done; wait
    ```

    The folder has to be one that all of them see. A worker that is killed loses its
    trial at most: started again under its id, it gets the same trial again, and
    otherwise the others do the rest. As Keras Tuner's chief waits for ever for a worker
    that does not come back, `patience` bounds how long it waits here.

    Args:
        tuner: `keras_tuner.Tuner`.
        *args: What `tuner.search` takes, which passes it on to the `fit` of the
            search space.
        patience: Number of seconds above 0. If for so long no trial began or ended and
            no worker came, the chief ends the search with what is complete. It should
            be longer than any trial takes, and longer than workers take to start.
            `None` means to wait for ever.
        **kwargs: As `*args`.

    Returns:
        A `SearchOutcome`, or `None` for a worker, which does not know.

    Example:

    ```python
    import keras_tuner

    space = keras_nam.tuning.HyperNAMTM(16, epochs=1, rows_per_epoch=64)
    fixed = {"width": 8, "num_tapes": 1, "batch_size": 32}
    tuner = keras_tuner.RandomSearch(
        space,
        objective=space.objective,
        max_trials=1,
        hyperparameters=keras_nam.tuning.narrow_space(space, fixed=fixed),
        tune_new_entries=False,
        directory="search",
    )
    rows = keras_nam.datasets.load_task("reverse", "train", 100)
    longer = keras_nam.datasets.load_task("reverse", "ood", 10)
    outcome = keras_nam.tuning.search(tuner, *rows, longer_data=longer, verbose=0)
    outcome.complete, outcome.completed  # (True, 1)
    ```

    Raises:
        ValueError: If `patience` is not above 0.
        RuntimeError: If another process searches in the same folder.
    """
    if patience is not None and not patience > 0:
        raise ValueError(
            "Argument `patience` must be a number of seconds above 0, or `None`. "
            f"Received: patience={patience}"
        )
    _end_with_launcher()
    if is_worker():
        tuner.search(*args, **kwargs)
        return None
    reason = ""
    with _alone_in(tuner.project_dir):
        resume(tuner)
        if is_chief():
            reason = _Chief(tuner, patience).run(*args, **kwargs)
        else:
            tuner.search(*args, **kwargs)
    states = [trial.status for trial in tuner.oracle.trials.values()]
    unfinished = sum(state not in ENDED for state in states)
    if unfinished and not reason:
        reason = "some trials were not taken up again"
    return SearchOutcome(
        not reason,
        reason,
        states.count("COMPLETED"),
        states.count("FAILED"),
        unfinished,
    )


def is_chief():
    """Whether this process is the chief of a distributed search."""
    return _is_distributed() and "chief" in os.environ["KERASTUNER_TUNER_ID"]


def is_worker():
    """Whether this process is a worker of a distributed search."""
    return _is_distributed() and not is_chief()


def _is_distributed():
    return "KERASTUNER_ORACLE_IP" in os.environ


@contextlib.contextmanager
def _alone_in(folder):
    """Keeps a second search, or a second chief, out of a folder."""
    try:
        import fcntl
    except ImportError:
        # No Unix. Nothing else is lost without the lock.
        yield
        return
    with (Path(folder) / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(
                f"Another process searches in {folder}. Wait for it, or end it first."
            ) from error
        yield


class _Chief:
    """Serves a search from a thread of its own and watches what comes of it."""

    def __init__(self, tuner, patience):
        self.tuner = tuner
        self.oracle = tuner.oracle
        self.patience = patience
        self.told_to_end = threading.Event()
        self.had_workers = False
        self.error = None

    def run(self, *args, **kwargs):
        """Returns why the search ended early, an empty string if it did not."""

        def serve():
            try:
                self.tuner.search(*args, **kwargs)
            except BaseException as error:
                self.error = error

        self._listen()
        server = threading.Thread(target=serve, name="chief", daemon=True)
        server.start()
        reason = self._wait(server)
        if self.error is not None:
            raise self.error
        if reason:
            # The server goes on as long as this process does, but gives out nothing
            # more: workers that ask are told to stop.
            self.oracle.max_trials = max(1, len(self.oracle.trials))
            self.oracle._retry_queue.clear()
        return reason

    def _listen(self):
        in_main_thread = threading.current_thread() is threading.main_thread()
        if END_SIGNAL is not None and in_main_thread:
            # It stays: a signal that comes late must not end what comes after.
            signal.signal(END_SIGNAL, lambda *_: self.told_to_end.set())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [END_SIGNAL])

    def _wait(self, server):
        state, since = None, time.monotonic()
        while server.is_alive() and not self._is_over():
            if self.told_to_end.is_set():
                return "it was told to"
            if self._state() != state:
                state, since = self._state(), time.monotonic()
            if self.patience is not None and time.monotonic() - since > self.patience:
                waiting = sorted(self.oracle.ongoing_trials) or "any worker"
                return f"for {self.patience:g} seconds nothing came from {waiting}"
            server.join(INTERVAL_S)
        return ""

    def _is_over(self):
        """Whether every worker that came has been told that there is nothing left.

        Keras Tuner's chief asks the same, but up to 20 seconds later.
        """
        self.had_workers = self.had_workers or bool(self.oracle.tuner_ids)
        busy = self.oracle.tuner_ids or self.oracle.ongoing_trials
        return self.had_workers and not busy

    def _state(self):
        return (
            len(self.oracle.start_order),
            len(self.oracle.end_order),
            sorted(self.oracle.tuner_ids),
            sorted(self.oracle.ongoing_trials),
        )


def _end_with_launcher():
    """Ends this process when the one that launched it is gone."""
    launcher = os.environ.get(LAUNCHER_VARIABLE)
    if launcher is None:
        return

    def watch():
        while os.getppid() == int(launcher):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="launcher", daemon=True).start()
