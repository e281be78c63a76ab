"""Measuring: time by taking turns, memory in a process of its own."""

import ctypes
import gc
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.case import ours


def build(case, chosen=None):
    """The steps of the contenders, and seconds of their first calls.

    Returns:
        `(steps, first, missing)`, dictionaries by contender; the last has the reasons
        of those that are not installed or refuse the sizes. Errors of ours are errors.
    """
    steps, first, missing = {}, {}, {}
    for name, make in case.contenders.items():
        if chosen is not None and name not in chosen:
            continue
        try:
            start = time.perf_counter()
            step = make()
            step()
            taken = time.perf_counter() - start
        except Exception as error:
            if name in ours(case.contenders):
                raise
            missing[name] = f"{error}".partition("\n")[0] or type(error).__name__
        else:
            steps[name], first[name] = step, taken
    return steps, first, missing


def take_turns(steps, rounds):
    """Seconds per call by contender, after a first call.

    The contenders take turns, so that a machine that slows down slows all of them.
    """
    seconds = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(seconds_of(step))
    return seconds


def seconds_of(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def median_ratio(seconds, name, reference):
    """The median over the rounds of how much longer `name` takes."""
    return float(np.median(np.array(seconds[name]) / np.array(seconds[reference])))


def peak_megabytes(step, case_name, sizes, contender):
    """What a process holds at most during a warm step, beyond before any step.

    A step that knows what it takes is asked. Else a process of its own builds the one
    contender, so that no other's memory counts. `None` if it fails there.
    """
    if hasattr(step, "megabytes"):
        return step.megabytes
    command = [sys.executable, "-m", "benchmarks.measure"]
    result = subprocess.run(
        [*command, case_name, json.dumps(sizes), contender],
        capture_output=True,
        text=True,
    )
    if result.returncode:
        return None
    return float(result.stdout.split()[-1])


def main():
    import benchmarks.cases  # noqa: F401
    from benchmarks.case import make_case

    case_name, sizes, contender = sys.argv[1:]
    step = make_case(case_name, json.loads(sizes)).contenders[contender]()
    before = status_megabytes("VmRSS")
    step()
    step()
    # What compiling took goes back, and writing 5 sets the peak to what is held now.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    step()
    # What building took and gave back may be more than what a small step takes.
    print(max(0.0, status_megabytes("VmHWM") - before))


def status_megabytes(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"No {name} in /proc/self/status")


if __name__ == "__main__":
    main()
