"""Runs of the examples whose results are kept, so that a table can be broken off."""

import json
import signal
import subprocess
import sys
from pathlib import Path


def run_process(command, **arguments):
    """Runs a command, which ends with this process if that is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    return subprocess.run(command, check=True, **arguments)


def start_example(name, arguments):
    """What an example prints, run in a process of its own."""
    script = Path(__file__).with_name(f"{name}.py")
    command = [sys.executable, str(script), *map(str, arguments)]
    return run_process(command, stdout=subprocess.PIPE, text=True).stdout


def grouped(results, settings):
    """Lists of the results that agree in these settings: those of all seeds.

    Args:
        results: List of dictionaries, the results of runs.
        settings: Iterable of strings, keys of the results.
    """
    groups = {}
    for result in results:
        values = tuple(result.get(name) for name in settings)
        groups.setdefault(values, []).append(result)
    return list(groups.values())


def label(result, results, kind, settings):
    """The name of a run, with the settings in which it differs from its task's first.

    Args:
        result: Dictionary, the result of a run.
        results: List of the results of its table.
        kind: String, the key of the name.
        settings: Iterable of strings, the keys of numbers; one that is not there is 0.
    """
    first = next(x for x in results if x["task"] == result["task"])
    parts = [result[kind]]
    for name in settings:
        value = result.get(name, 0)
        if value != first.get(name, 0):
            parts.append(f"{value:,} {name.replace('_', ' ')}")
    return ", ".join(parts)


def read_results(files):
    """The results of all these files, each of them once."""
    results = []
    for file in files:
        results += [x for x in json.loads(file.read_text()) if x not in results]
    return results


def record_name(settings):
    """A name for the file or folder of a run that says its settings."""
    parts = (str(setting).strip("-") for setting in settings)
    return "-".join(parts).replace("/", "_")


def kept_run(record, settings):
    """The result that a file holds, or `None` if it is not there or of other settings.

    Args:
        record: Path of the file, which has the settings beside the result.
        settings: List of strings. A run with other settings is another run.
    """
    if record.exists():
        known = json.loads(record.read_text())
        if known["settings"] == settings:
            return known["result"]
    return None


def finished_run(record, settings, start):
    """The result of a run, from a file if it is there.

    Args:
        record, settings: As in `kept_run`.
        start: Function without arguments that runs and returns the result.
    """
    result = kept_run(record, settings)
    if result is None:
        print(*settings, flush=True)
        result = start()
        record.parent.mkdir(parents=True, exist_ok=True)
        # A run that is killed while it writes leaves no half of a record.
        unfinished = record.with_suffix(".unfinished")
        run = {"settings": settings, "result": result}
        unfinished.write_text(json.dumps(run, indent=1))
        unfinished.replace(record)
    return result
