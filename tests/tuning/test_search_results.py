"""The table and the plot of a search."""

import pytest

from keras_nam import tuning


def result(trial, score, measures=None, **hyperparameters):
    status = "FAILED" if score is None else "COMPLETED"
    return {
        "trial": trial,
        "status": status,
        "score": score,
        "measures": measures or {},
        "hyperparameters": hyperparameters,
    }


RESULTS = [
    result("2", 0.75, {"val_accuracy": 0.5}, rate=1e-3, tape="fixed", tape_length=16),
    result("0", 0.25, {"val_accuracy": 0.25}, rate=1e-2, tape="sequence"),
    result("1", 0.5, {"val_accuracy": 1.0}, rate=2e-4, tape="fixed", tape_length=32),
    result("3", None, rate=1e-2, tape="sequence"),
]


def test_table():
    text = tuning.search_table(RESULTS, ["val_accuracy"], num_columns=3)
    tables = [
        [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
        for table in text.split("\n\n")
    ]
    assert [row for row in tables[0] if "--" not in row[0]] == [
        ["trial", "2", "0", "1"],
        ["status", "COMPLETED", "COMPLETED", "COMPLETED"],
        ["score", "0.75", "0.25", "0.5"],
        ["val_accuracy", "0.5", "0.25", "1"],
        ["rate", "0.001", "0.01", "0.0002"],
        ["tape", "fixed", "sequence", "fixed"],
        ["tape_length", "16", "", "32"],
    ]
    column = [row[1] for row in tables[1][2:]]
    assert column == ["FAILED", "", "", "0.01", "sequence", ""]
    for table in text.split("\n\n"):
        assert len({len(line) for line in table.splitlines()}) == 1
    with pytest.raises(ValueError, match="num_columns=0"):
        tuning.search_table(RESULTS, num_columns=0)


def test_plot():
    pytest.importorskip("matplotlib")
    figure = tuning.plot_search(RESULTS, "val_longer_accuracy", compare="val_accuracy")
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels[:5] == [
        "complete trials",
        "val_accuracy",
        "rate",
        "tape",
        "tape_length",
    ]
    by_trial, compared, rate, tape, length = figure.axes[:5]
    # In the order in which they began, those that failed left out.
    assert by_trial.collections[0].get_offsets().tolist() == [
        [1, 0.25],
        [2, 0.5],
        [3, 0.75],
    ]
    assert by_trial.lines[0].get_ydata().tolist() == [0.25, 0.5, 0.75]
    assert compared.collections[0].get_offsets()[:, 0].tolist() == [0.25, 1.0, 0.5]
    assert rate.get_xscale() == "log"
    assert [t.get_text() for t in tape.get_xticklabels()] == ["fixed", "sequence"]
    assert [t.get_text() for t in length.get_xticklabels()] == ["16", "32", "-"]
    lowest = tuning.plot_search(RESULTS, "val_loss", direction="min").axes[0].lines[0]
    assert lowest.get_ydata().tolist() == [0.25, 0.25, 0.25]


def test_trials_are_in_order_however_their_ids_are_padded():
    pytest.importorskip("matplotlib")
    # As Keras Tuner names them in a search that was extended from 3 to 12 trials.
    results = [result(trial, 0.5, rate=0.1) for trial in ("10", "2", "03", "0", "11")]
    for place, each in enumerate(results):
        each["score"] = float(place)
    points = tuning.plot_search(results, "score").axes[0].collections[0]
    assert points.get_offsets()[:, 1].tolist() == [3, 1, 2, 0, 4]


def test_what_cannot_be_plotted():
    with pytest.raises(ValueError, match="1 trials, none of them complete"):
        tuning.plot_search(RESULTS[3:], "val_accuracy")
    with pytest.raises(ValueError, match="direction='up'"):
        tuning.plot_search(RESULTS, "val_accuracy", direction="up")
