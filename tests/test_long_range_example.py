"""The long-range example runs, and its table adds up."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
sys.path.append(str(EXAMPLES))


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["nam_decay", "nam", "softmax", "linear"])
def test_a_few_steps_on_digits(attention):
    pytest.importorskip("sklearn")
    example = load("long_range")
    results, model = example.run("pixels", attention, steps=2, verbose=0)
    assert results["length"] == 64
    assert 0 <= results["accuracy"] <= 1
    assert results["parameters"] == model.count_params()
    assert results["steps"] == len(results["curve"]) == 2
    # The one that forgets sees the past alone, the others see all.
    block = next(x for x in model.layers if "encoder" in x.name)
    x = keras.random.normal((1, 6, 64))
    later = np.abs(np.array(block(x))[:, :3] - np.array(block(x[:, :3]))).max()
    assert (later < 1e-5) == (attention == "nam_decay")


def test_schedules_are_those_of_the_paper():
    schedule = load("long_range").Schedule
    rsqrt = schedule(0.05, "rsqrt", 1000, 80_000)
    np.testing.assert_allclose(rsqrt(499), 0.05 * 0.5 / 1000**0.5, rtol=1e-5)
    np.testing.assert_allclose(rsqrt(3999), 0.05 / 4000**0.5, rtol=1e-5)
    cosine = schedule(1e-3, "cosine", 10, 100)
    np.testing.assert_allclose(cosine(4), 0.5e-3, rtol=1e-5)
    np.testing.assert_allclose(cosine(59), 0.5e-3, rtol=1e-5)
    assert schedule.from_config(cosine.get_config()).get_config()["warmup"] == 10


def test_every_preset_builds():
    example = load("long_range")
    for tasks in example.PRESETS.values():
        assert set(tasks) == set(example.TASKS)
    preset = {**example.PRESETS["paper"]["matching"], "width": 8, "intermediate": 4}
    model = example.build_model("matching", "linear", preset, 50)
    assert isinstance(model, keras.Model)
    texts = np.ones((2, 20), "int32")
    assert model([texts, texts]).shape == (2, 2)


def test_the_table(tmp_path):
    pytest.importorskip("matplotlib")
    table = load("long_range_table")
    result = {"task": "pixels", "length": 64, "attention": "nam", "steps": 40}
    result |= {"seconds": 8.0, "processor_seconds_per_step": 0.2}
    result |= {"peak_megabytes": 700.4, "curve": [0.3, 0.5]}
    group = [{**result, "accuracy": a} for a in (0.5, 0.7)]
    row = list(table.rows(group))[-1]
    assert row == "| pixels | 64 | nam | 60.0 | 50.0 to 70.0 | 8 | 0.20 | 700 |"
    row = list(table.rows([{**r, "steps": 8} for r in group]))[-1]
    assert row == "| pixels | 64 | nam | not trained |  | 8 | 0.20 | 700 |"
    table.plot(group, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("long-range-*.json")))
def test_the_tables_of_the_page_are_those_of_the_kept_results(path):
    page = (ROOT / "docs" / "attention.md").read_text()
    rows = list(load("long_range_table").rows(json.loads(path.read_text())))
    assert len(rows) > 4
    assert not [row for row in rows if row not in page]


@pytest.mark.parametrize("name", ["long_range", "ibert"])
def test_runs_that_are_there_are_not_repeated(name, tmp_path, monkeypatch):
    table, started = load(f"{name}_table"), []
    task = "pixels" if name == "long_range" else "copy"

    def start(example, arguments):
        started.append(list(map(str, arguments)))
        folder = Path(started[-1][-1]) / f"{task}-nam-0"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text('{"accuracy": 0.5}')
        return 'log {"accuracy": 0.5}'

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(table, "start_example", start)
    out = argparse.Namespace(out=tmp_path, folder=None)
    # What was measured with other steps is there when it is asked for again.
    for steps in ("5", "5", "6", "5"):
        further = ["--steps", steps]
        if name == "long_range":
            result = table.run(task, "nam", None, 0, further, tmp_path)
        else:
            result = table.run(task, "nam", 0, out, further)
        assert result == {"accuracy": 0.5}
    assert [call[call.index("--steps") + 1] for call in started] == ["5", "6"]
