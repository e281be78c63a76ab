"""What the trials of a search came to."""

import numpy as np

from keras_nam.arguments import check_instance
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_list
from keras_nam.optional import keras_tuner

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

    Raises:
        ValueError: If `tuner` is no tuner.
    """
    check_instance("tuner", tuner, keras_tuner.engine.base_tuner.BaseTuner)
    sign = -1 if tuner.oracle.objective.direction == "max" else 1

    def rank(result):
        score = result["score"]
        place = start_place(result["trial"])
        return (score is None, 0 if score is None else sign * score, place)

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


def search_table(results, measures=(), num_columns=5):
    """Lays out the results of a search as tables, with a column for each trial.

    Args:
        results: What `search_results` returned.
        measures: List of strings, the measures that get rows below the score.
        num_columns: Positive integer. Further trials go to further tables.

    Returns:
        A string, tables in Markdown. Below the measures, they have a row for each
        hyperparameter that is not the same in all trials.

    Example:

    ```python
    results = [
        {"trial": "1", "status": "COMPLETED", "score": 0.5,
         "measures": {"val_accuracy": 0.9}, "hyperparameters": {"width": 8, "n": 1}},
        {"trial": "0", "status": "FAILED", "score": None,
         "measures": {}, "hyperparameters": {"width": 4, "n": 1}},
    ]
    table = keras_nam.tuning.search_table(results, ["val_accuracy"])
    table.splitlines()[-1]  # '| width        | 8         | 4      |'
    ```

    Raises:
        ValueError: If an argument is something else.
    """
    results = check_results(results)
    measures = check_list("measures", measures, str, "a list of strings")
    num_columns = check_integer("num_columns", num_columns)
    varied = varied_hyperparameters(results)
    chunks = range(0, len(results), num_columns)
    return "\n\n".join(
        _lay_out(results[i : i + num_columns], measures, varied) for i in chunks
    )


def start_place(trial):
    """A key that sorts the ids of trials by when they began."""
    # Keras Tuner numbers them, with zeros in front that depend on `max_trials`.
    return (int(trial) if trial.isdigit() else 0, trial)


def check_results(results):
    """Returns `results`, if it can be what `search_results` returned."""
    return check_list(
        "results", results, dict, "a list of dictionaries, as of `search_results`"
    )


def _lay_out(results, measures, varied):
    columns = [["trial", "status", "score", *measures, *varied]]
    for result in results:
        values = [result["trial"], result["status"], result["score"]]
        values += [result["measures"].get(name) for name in measures]
        values += [result["hyperparameters"].get(name) for name in varied]
        columns.append([_write(value) for value in values])
    widths = [max(map(len, column)) for column in columns]
    rows = list(zip(*columns, strict=True))
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows
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
