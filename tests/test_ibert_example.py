"""The table of I-BERT is that of the kept results."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "examples"))

import ibert_table  # noqa: E402

TASKS = ("reverse", "copy", "addition")
# How the lines of the tables of the page begin.
NAMES = {
    "ibert": "I-BERT |",
    "learned": "learned positions |",
    "sinusoid": "sinusoids |",
    "rotary": "rotary |",
    "alibi": "ALiBi |",
    "no_positions": "no positions |",
    "xlnet": "XLNet-like |",
    "lstm_attention": "LSTM with attention |",
    "ibert_lsam": "I-BERT with an LSAM ",
    "ibert_nam": "I-BERT with a NAM ",
    "ibert2": "I-BERT2, feed-forward parts recurrent too |",
    "ibert_positions": "I-BERT with a table of positions as well |",
    "lstm": "LSTM without attention |",
}


def check_table(lines, kept):
    """Whether the lines of the page hold what was kept of all models."""
    _, _, *rows = ibert_table.rows(kept)
    found = {tuple(row.strip("| ").split(" | ")[:2]): row for row in rows}
    models = {run["model"] for run in kept}
    assert len(rows) == len(TASKS) * len(models)
    for model in models:
        # Texts are in tables below, of the same models.
        line = next(line for line in lines if line.startswith(f"| {NAMES[model]}"))
        shown = line.strip("| ").split(" | ")[1:]
        assert len(shown) == 2 * len(TASKS)
        for i, task in enumerate(TASKS):
            trained, longer = found[task, model].split(" | ")[3:5]
            assert shown[2 * i] == trained.split(" (")[0]
            # No range is shown where all seeds have none.
            assert shown[2 * i + 1] == longer.removesuffix(" (0.0 to 0.0)")


def test_the_tables_of_digits_have_the_kept_results():
    lines = (ROOT / "docs" / "ibert.md").read_text().replace("**", "").splitlines()
    kept = json.loads((ROOT / "docs" / "ibert-digits.json").read_text())
    assert len(kept) == 3 * len(TASKS) * len({run["model"] for run in kept})
    check_table(lines, kept)
    check_table(lines, json.loads((ROOT / "docs" / "ibert-variants.json").read_text()))


def test_the_attempts_at_24_digits_are_on_the_page():
    kept = json.loads((ROOT / "docs" / "ibert-longer.json").read_text())
    page = (ROOT / "docs" / "ibert.md").read_text()
    assert "\n".join(ibert_table.rows(kept)) in page
    for run in kept:
        assert run["by_length"]["24"] == 0


def test_results_of_several_calls_make_one_table(tmp_path):
    first = json.loads((ROOT / "docs" / "ibert-longer.json").read_text())[:1]
    other = [{**first[0], "seed": 1}, {**first[0], "steps": 3000}]
    files = [tmp_path / "first.json", tmp_path / "other.json"]
    files[0].write_text(json.dumps(first))
    files[1].write_text(json.dumps(first + other))
    results = ibert_table.read_results(files)
    assert results == first + other
    names, groups = zip(*ibert_table.groups(results), strict=True)
    assert names == ("ibert_nam", "ibert_nam, 3,000 steps")
    assert [len(group) for group in groups] == [2, 1]
