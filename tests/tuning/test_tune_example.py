"""The example that searches: what it prints, keeps and refuses."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_nam import tuning

pytest.importorskip("keras_tuner")
pytest.importorskip("matplotlib")

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = ["--model", "transformer", "--steps", "2", "--epochs", "1"]
TINY += ["--tuner", "grid", "--tune", "positions"]
TINY += ["--set", "width=8", "num_heads=2", "num_layers=1", "batch_size=32"]


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("tune", EXAMPLES / "tune.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(example, monkeypatch, tmp_path):
    def run(*arguments):
        command = ["tune.py", *arguments, "--out", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", command)
        return example.main()

    return run


@pytest.mark.slow
def test_search_report_and_repetition(run, tmp_path, capsys):
    assert run(*TINY, "--final-steps", "2") == 0
    assert "The search is complete: 2 trials completed" in capsys.readouterr().out
    trials = json.loads((tmp_path / "trials.json").read_text())
    positions = {trial["hyperparameters"]["positions"] for trial in trials}
    assert positions == {"sinusoidal", "none"}
    measures = json.loads((tmp_path / "measures.json").read_text())
    assert list(measures) == ["id", "ood", "far", "20 digits", "40 digits"]
    for name in ("search.png", "model.keras", "saved_model"):
        assert (tmp_path / name).exists()

    # Nothing is left to search, so this only reports.
    assert run(*TINY, "--final-steps", "0") == 0
    assert "Search: Running Trial" not in capsys.readouterr().out
    with pytest.raises(SystemExit, match="other settings"):
        run(*TINY, "--seed", "1")


def test_the_exit_status_says_how_a_search_ended(run, monkeypatch, capsys):
    def search(tuner, *args, **kwargs):
        return tuning.SearchOutcome(False, "it was told to", 0, 0, 1)

    monkeypatch.setattr(tuning, "search", search)
    assert run(*TINY) == 1
    assert "ended early, because it was told to" in capsys.readouterr().out
    monkeypatch.setattr(tuning, "search", lambda *args, **kwargs: None)
    assert run(*TINY) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "few_shot", "--task", "reverse"], "few_shot has no task reverse"),
        (["--model", "lsam", "--task", "listops"], "one class per row"),
        (["--trials", "0"], "--trials must be a positive integer"),
        (["--patience", "0"], "--patience must be above 0"),
        (["--set", "width"], "NAME=VALUE"),
    ],
)
def test_what_does_not_fit_is_refused(run, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run(*arguments)
    assert message in capsys.readouterr().err


def test_images_of_validation_and_test_are_apart(example):
    pytest.importorskip("sklearn")
    data, groups = example.load_images("digits", seed=0)
    *validation, novel = data["validation_data"]
    *test, test_novel = groups["test"]
    base = set(data["base_classes"])
    assert set(data["labels"]) == base
    assert not base & set(novel)
    assert not set(test_novel) & (base | set(novel))

    def pictures(images, labels):
        return {image.tobytes() for image in images[np.isin(labels, list(base))]}

    train = pictures(data["images"], data["labels"])
    assert not train & pictures(*validation)
    assert not (train | pictures(*validation)) & pictures(*test)


@pytest.mark.slow
def test_a_language_model_is_searched_for(run, tmp_path, capsys, example, monkeypatch):
    lengths = {"id": 16, "ood": 32, "far": 64}
    monkeypatch.setattr(example, "TEXT_LENGTHS", lengths)
    small = ["width=64", "num_heads=2", "num_layers=1", "batch_size=32"]
    grid = ["--steps", "2", "--epochs", "1", "--tuner", "grid", "--tune", "memory"]
    assert run("--model", "causal_lm", *grid, "--set", *small) == 0
    assert "| far | " in capsys.readouterr().out
    measures = json.loads((tmp_path / "measures.json").read_text())
    assert list(measures) == list(lengths)
    assert 1 < measures["far"]["masked_perplexity"] < 400
