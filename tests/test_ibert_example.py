"""The table of I-BERT is that of the kept results."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "examples"))

import ibert_table  # noqa: E402

TASKS = ("reverse", "copy", "addition")


def check_table(page, start, kept):
    """Whether the table below a line that begins so has the rows of all models."""
    _, _, *rows = ibert_table.rows(kept)
    page = page.replace("**", "").splitlines()
    found = {tuple(row.strip("| ").split(" | ")[:2]): row for row in rows}
    models = list(dict.fromkeys(run["model"] for run in kept))
    first = next(i for i, line in enumerate(page) if line.startswith(start))
    for model, line in zip(models, page[first + 2 :], strict=False):
        shown = line.strip("| ").split(" | ")[1:]
        assert len(shown) == 2 * len(TASKS)
        for i, task in enumerate(TASKS):
            trained, longer = found[task, model].split(" | ")[3:5]
            assert shown[2 * i] == trained.split(" (")[0]
            # No range is shown where all seeds have none.
            assert shown[2 * i + 1] == longer.removesuffix(" (0.0 to 0.0)")
    assert len(rows) == len(TASKS) * len(models)


def test_the_tables_of_digits_have_the_kept_results():
    page = (ROOT / "docs" / "ibert.md").read_text()
    kept = json.loads((ROOT / "docs" / "ibert-digits.json").read_text())
    assert len(kept) == 3 * len(TASKS) * len({run["model"] for run in kept})
    check_table(page, "| | reverse", kept)
    _, rest = page.split("Other recurrent layers", 1)
    kept = json.loads((ROOT / "docs" / "ibert-variants.json").read_text())
    check_table(rest, "| | reverse", kept)
