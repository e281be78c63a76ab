"""What a search that was killed left, where Keras Tuner does not find its way back."""

import functools
from pathlib import Path

from keras_nam.optional import keras_tuner

ENDED = ("COMPLETED", "FAILED")


def resume(tuner):
    """Takes up what an earlier process left in the folder of a tuner.

    Keras Tuner reloads its folder by itself, with four gaps, which this closes: a
    folder written under another tuner id, as by workers and a chief, or left before
    the end of the first trial, is not reloaded; a trial that ended while its chief was
    killed is run again; one that was stored before the oracle itself was is lost; and
    a grid search forgets where in the grid it is.

    Args:
        tuner: `keras_tuner.Tuner` that has not searched yet.
    """
    oracle = tuner.oracle
    if not (Path(tuner.project_dir) / "oracle.json").exists():
        return
    if not oracle.trials:
        oracle.reload()
    # Nothing runs yet, so what has not ended was interrupted, or waits for a retry.
    interrupted = [t.trial_id for t in oracle.trials.values() if t.status not in ENDED]
    oracle._retry_queue[:] = sorted(interrupted, reverse=True)
    for trial_id, trial in sorted(oracle.trials.items()):
        if trial_id not in oracle.start_order:
            oracle.start_order.append(trial_id)
        if trial.status in ENDED and trial_id not in oracle.end_order:
            oracle.end_order.append(trial_id)
    if isinstance(oracle, keras_tuner.oracles.GridSearchOracle):
        _restore_grid(oracle)


def _restore_grid(oracle):
    """Puts the trials back in the order of the grid, each to be followed by the next.

    Keras Tuner 1.4 stores neither.
    """

    def compare(first, second):
        values = (oracle.trials[t].hyperparameters.values for t in (first, second))
        return oracle._compare(*values)

    for trial_id in sorted(oracle.trials, key=functools.cmp_to_key(compare)):
        oracle._ordered_ids.insert(trial_id)
    # Those whose next one was tried already are skipped.
    oracle._populate_next[:] = list(oracle.start_order)
