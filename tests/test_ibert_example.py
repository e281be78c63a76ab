"""The table of I-BERT is that of the kept results."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "examples"))

import ibert_table  # noqa: E402


def test_the_table_of_the_page_has_the_kept_results():
    kept = json.loads((ROOT / "docs" / "ibert-memories.json").read_text())
    _, _, *rows = ibert_table.rows(kept)
    page = (ROOT / "docs" / "ibert.md").read_text().splitlines()
    for name, start in (
        ("lsam", "| I-BERT with an LSAM"),
        ("nam", "| I-BERT with a NAM"),
    ):
        (line,) = (line for line in page if line.startswith(start))
        longer = [row.split(" | ")[4] for row in rows if f" ibert_{name} " in row]
        assert len(longer) == 3
        assert line.replace("**", "").strip("| ").split(" | ")[2::2] == longer


def test_the_column_of_reverse_has_the_kept_results():
    kept = json.loads((ROOT / "docs" / "ibert-reverse.json").read_text())
    _, _, *rows = ibert_table.rows(kept)
    page = (ROOT / "docs" / "ibert.md").read_text().replace("**", "").splitlines()
    first = next(i for i, line in enumerate(page) if line.startswith("| | reverse"))
    shown = page[first + 2 : first + 2 + len(rows)]
    assert len({run["model"] for run in kept}) == len(rows) == len(kept) / 3
    for row, line in zip(rows, shown, strict=True):
        trained, longer = row.split(" | ")[3:5]
        cells = line.strip("| ").split(" | ")
        assert cells[1] == trained.split(" (")[0]
        # No range is shown where all seeds have none.
        assert cells[2] == longer.removesuffix(" (0.0 to 0.0)")


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
