"""What the trials of a search came to."""

import numpy as np

# What Hyperband notes beside the hyperparameters, all but the epochs.
NOTES = ("tuner/trial_id", "tuner/initial_epoch", "tuner/bracket", "tuner/round")


def search_results(tuner):
    """Returns what is known of every trial of a search, the best first.

    Args:
        tuner: `keras_tuner.Tuner`, after or during a search, not of a worker.

    Returns:
        A list of a dictionary for each trial: `"trial"`, its id; `"status"`, for
        example `"COMPLETED"` or `"FAILED"`; `"score"`, the value of the objective or
        `None`; `"measures"`, a dictionary of all measures of its best epoch; and
        `"hyperparameters"`, a dictionary of values.

    Example:

    ```python
    import keras_tuner

    def build(hp):
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(hp.Choice("rate", [0.01, 0.1])), "mse")
        return model

    tuner = keras_tuner.RandomSearch(build, "loss", max_trials=2, directory="search")
    tuner.search(np.ones((8, 1)), np.ones((8, 1)), verbose=0)
    results = keras_nam.tuning.search_results(tuner)
    [r["status"] for r in results]  # ['COMPLETED', 'COMPLETED']
    ```
    """
    sign = -1 if tuner.oracle.objective.direction == "max" else 1

    def rank(result):
        score = result["score"]
        return (score is None, 0 if score is None else sign * score, result["trial"])

    results = [
        {
            "trial": trial.trial_id,
            "status": trial.status,
            "score": trial.score if trial.status == "COMPLETED" else None,
            "measures": {
                name: history.get_last_value()
                for name, history in trial.metrics.metrics.items()
            },
            "hyperparameters": {
                name: value
                for name, value in trial.hyperparameters.values.items()
                if name not in NOTES
            },
        }
        for trial in tuner.oracle.trials.values()
    ]
    return sorted(results, key=rank)


def search_table(results, measures=()):
    """Lays out the results of a search as a table in Markdown.

    Args:
        results: What `search_results` returned.
        measures: List of strings, the measures that get columns beside the score.

    Returns:
        A string: a row for each trial, with a column for each hyperparameter that is
        not the same in all of them.

    Example:

    ```python
    results = [
        {"trial": "1", "status": "COMPLETED", "score": 0.5,
         "measures": {"val_accuracy": 0.9}, "hyperparameters": {"width": 8, "n": 1}},
        {"trial": "0", "status": "FAILED", "score": None,
         "measures": {}, "hyperparameters": {"width": 4, "n": 1}},
    ]
    table = keras_nam.tuning.search_table(results, ["val_accuracy"])
    table.splitlines()[2]  # '| 1     | COMPLETED | 0.5   | 0.9          | 8     |'
    ```
    """
    varied = varied_hyperparameters(results)
    rows = [["trial", "status", "score", *measures, *varied]]
    for result in results:
        values = [result["score"]]
        values += [result["measures"].get(name) for name in measures]
        values += [result["hyperparameters"].get(name) for name in varied]
        rows.append([result["trial"], result["status"], *map(_write, values)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        + " |"
        for row in rows
    )


def varied_hyperparameters(results):
    """Returns the names of the hyperparameters that are not the same in all trials."""
    names = dict.fromkeys(n for result in results for n in result["hyperparameters"])

    def values(name):
        return {repr(r["hyperparameters"].get(name)) for r in results}

    return [name for name in names if len(values(name)) > 1]


def _write(value):
    if value is None:
        return ""
    if isinstance(value, float) and np.isfinite(value):
        return f"{value:.3g}"
    return str(value)
