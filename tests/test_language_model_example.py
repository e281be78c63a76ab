"""The example of language models runs, and all its models are of one size."""

import argparse
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "examples"))
import language_model as example

DOCS = Path(__file__).parents[1] / "docs"


def arguments(**kwargs):
    small = {"sentences": 60, "steps": 10, "batch": 2, "context": 16, "width": 16}
    small |= {"heads": 2, "layers": 1, "parameters": 9_000, "sample": 5}
    given = {**vars(example.parse_arguments([])), **small, **kwargs}
    return argparse.Namespace(**{**given, "no_jit": True, "verbose": 0})


def test_models_are_of_one_size():
    for name in example.NAMES:
        count = example.build_model(name, arguments()).count_params()
        assert abs(count - 9_000) < 40


@pytest.mark.slow
def test_a_few_steps(monkeypatch, tmp_path):
    monkeypatch.setattr(example, "AFTER", (3,))
    monkeypatch.setattr(example, "TIMED", 32)
    ours = example.run("decay", 0, arguments(out=tmp_path))
    assert (tmp_path / "decay-0.keras").exists()
    assert list(ours["bits_per_byte"]) == ["16", "64", "256"]
    assert all(0 < bits < 9 for bits in ours["bits_per_byte"].values())
    assert len(ours["generation"]["sample"]) == 45
    assert ours["generation"]["state_bytes"] == 2 * 8 * 8 * 4
    other = {**ours, "model": "rotary", "generation": None}
    other["bits_per_byte"] = {**ours["bits_per_byte"], "256": None}
    again = {**ours, "bits_per_byte": {**ours["bits_per_byte"], "16": 9.0}}
    *_, first, last = example.table([ours, again, other])
    bits = ours["bits_per_byte"]["16"]
    middle = (bits + 9) / 2
    assert first.split(" | ")[2] == f"{middle:.4g} ({bits:.4g} to 9)"
    row = last.strip("| ").split(" | ")
    assert row[0] == "rotary"
    assert row[2] == f"{bits:.4g}"
    assert row[-2:] == ["-", "-"]
    example.plot([ours, other], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1_000


def test_the_table_of_the_page_is_that_of_the_kept_results():
    page = (DOCS / "language.md").read_text()
    results = json.loads((DOCS / "language-brown.json").read_text())
    rows = list(example.table(results))
    assert len(rows) == 2 + len(example.NAMES)
    assert not [row for row in rows if row not in page]
