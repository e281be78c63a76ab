"""Runs of the examples whose results are kept, so that a table can be broken off."""

import json
import subprocess
import sys
from pathlib import Path


def start_example(name, arguments):
    """What an example prints, run in a process of its own."""
    script = Path(__file__).with_name(f"{name}.py")
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def groups_of_seeds(seeds, cells, run):
    """The results of each cell, those of all seeds together.

    Args:
        seeds: Iterable of integers.
        cells: Iterable of tuples, the other arguments of `run`.
        run: Function of a cell's values and a seed that returns a result.
    """
    groups = {cell: [] for cell in cells}
    # Seeds outermost: a table that is broken off has all cells.
    for seed in seeds:
        for cell, group in groups.items():
            group.append(run(*cell, seed))
    return groups


def label(result, results, kind, settings):
    """The name of a run, with the settings in which it differs from the first one.

    Args:
        result: Dictionary, the result of a run.
        results: List of the groups of seeds of its table.
        kind: String, the key of the name.
        settings: Iterable of strings, the keys of numbers; one that is not there is 0.
    """
    [first, *_], *_ = results
    parts = [result[kind]]
    for name in settings:
        value = result.get(name, 0)
        if value != first.get(name, 0):
            parts.append(f"{value:,} {name.replace('_', ' ')}")
    return ", ".join(parts)


def finished_run(record, settings, start):
    """The result of a run, from a file if it is there.

    Args:
        record: Path of the file, which has the settings beside the result.
        settings: List of strings. A run with other settings is another run.
        start: Function without arguments that runs and returns the result.
    """
    if record.exists():
        known = json.loads(record.read_text())
        if known["settings"] == settings:
            return known["result"]
    print(*settings, flush=True)
    result = start()
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"settings": settings, "result": result}, indent=1))
    return result
