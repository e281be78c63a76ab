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


def test_the_table_of_digits_has_the_kept_results():
    kept = json.loads((ROOT / "docs" / "ibert-digits.json").read_text())
    _, _, *rows = ibert_table.rows(kept)
    page = (ROOT / "docs" / "ibert.md").read_text().replace("**", "").splitlines()
    first = next(i for i, line in enumerate(page) if line.startswith("| | reverse"))
    tasks = ("reverse", "copy", "addition")
    models = list(dict.fromkeys(run["model"] for run in kept))
    assert len(kept) == 3 * len(rows) == 9 * len(models)
    found = {tuple(row.strip("| ").split(" | ")[:2]): row for row in rows}
    for model, line in zip(models, page[first + 2 :], strict=False):
        shown = line.strip("| ").split(" | ")[1:]
        assert len(shown) == 2 * len(tasks)
        for i, task in enumerate(tasks):
            trained, longer = found[task, model].split(" | ")[3:5]
            assert shown[2 * i] == trained.split(" (")[0]
            # No range is shown where all seeds have none.
            assert shown[2 * i + 1] == longer.removesuffix(" (0.0 to 0.0)")
