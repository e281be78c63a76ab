"""A search that goes on after a kill, and whose chief does not wait for ever."""

import contextlib
import functools
import importlib.metadata
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

from keras_nam.arguments import check_instance
from keras_nam.arguments import check_positive
from keras_nam.optional import keras_tuner
from keras_nam.tuning.results import start_place

# What `_resume` writes is the state of an oracle as these versions store it.
KERAS_TUNER = "1.4"
ENDED = ("COMPLETED", "FAILED")
# How often a chief looks whether its search is over.
INTERVAL_S = 0.2


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
    `BayesianOptimization` and `GridSearch` of Keras Tuner 1.4.

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
        ValueError: If `tuner` is no tuner, or `patience` is not above 0.
        RuntimeError: If another process searches in the same folder, or Keras Tuner
            is of another version.
    """
    check_instance("tuner", tuner, keras_tuner.engine.base_tuner.BaseTuner)
    if patience is not None:
        patience = check_positive("patience", patience)
    version = importlib.metadata.version("keras-tuner")
    if version.split(".")[:2] != KERAS_TUNER.split("."):
        raise RuntimeError(
            f"A search is resumed with Keras Tuner {KERAS_TUNER} only: install "
            f"`keras-tuner=={KERAS_TUNER}.*`, or call `tuner.search`, which is not "
            f"resumed. Received: version {version}"
        )
    is_distributed = "KERASTUNER_ORACLE_IP" in os.environ
    is_chief = "chief" in os.environ.get("KERASTUNER_TUNER_ID", "")
    if is_distributed and not is_chief:
        tuner.search(*args, **kwargs)
        return None
    reason = ""
    with _alone_in(tuner.project_dir):
        if (Path(tuner.project_dir) / "oracle.json").exists():
            _resume(tuner.oracle)
        if is_distributed:
            reason = _serve(tuner, patience, args, kwargs)
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


def _resume(oracle):
    """Takes up what an earlier process left, where Keras Tuner does not.

    It reloads its folder by itself, with four gaps: a folder written under another
    tuner id, as by workers and a chief, or left before the end of the first trial, is
    not reloaded; a trial that ended while its chief was killed is run again; one that
    was stored before the oracle itself was is lost; and a grid search forgets where in
    the grid it is.
    """
    if not oracle.trials:
        oracle.reload()
    # Nothing runs yet, so what has not ended was interrupted, or waits for a retry.
    trials = {
        name: oracle.trials[name] for name in sorted(oracle.trials, key=start_place)
    }
    ended = [name for name, trial in trials.items() if trial.status in ENDED]
    state = oracle.get_state()
    state["retry_queue"] = [name for name in reversed(trials) if name not in ended]
    for key, names in (("start_order", trials), ("end_order", ended)):
        state[key] = list(dict.fromkeys([*state[key], *names]))
    oracle.set_state(state)
    if isinstance(oracle, keras_tuner.oracles.GridSearchOracle):
        # It keeps neither its order nor its queue in the state. All trials go back to
        # the order of the grid, each to be followed by its next one if that is new.
        def compare(first, second):
            values = (trials[name].hyperparameters.values for name in (first, second))
            return oracle._compare(*values)

        for name in sorted(trials, key=functools.cmp_to_key(compare)):
            oracle._ordered_ids.insert(name)
        oracle._populate_next[:] = state["start_order"]


def _serve(tuner, patience, args, kwargs):
    """Serves workers as the chief, and returns why that ended early, if it did.

    Keras Tuner's chief ends when all workers have been told that nothing is left, and
    never if one of them is gone. So it runs in a thread, which is given up then.
    """
    oracle, errors = tuner.oracle, []

    def serve():
        try:
            tuner.search(*args, **kwargs)
        except BaseException as error:
            errors.append(error)

    server = threading.Thread(target=serve, name="chief", daemon=True)
    server.start()
    state, since = None, time.monotonic()
    while server.is_alive():
        workers, trials = sorted(oracle.tuner_ids), sorted(oracle.ongoing_trials)
        news = (workers, trials, len(oracle.start_order), len(oracle.end_order))
        if news != state:
            state, since = news, time.monotonic()
        elif patience is not None and time.monotonic() - since > patience:
            # A worker that comes back is told that nothing is left.
            oracle.max_trials = max(1, len(oracle.trials))
            waiting = trials or "any worker"
            return f"for {patience:g} seconds nothing came from {waiting}"
        server.join(INTERVAL_S)
    if errors:
        raise errors[0]
    return ""
