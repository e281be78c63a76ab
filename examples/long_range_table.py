"""Compares attentions on long-range tasks: same data, same budget, several seeds.

    python examples/long_range_table.py
    python examples/long_range_table.py --tasks listops pixels --seeds 0 1 2 --steps 500

Every run is a process of its own, so that its peak memory is its own. Prints a table
of mean accuracy and its range over the seeds, and writes all results to `--out`.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).with_name("long_range.py")
ATTENTIONS = ["nam", "softmax", "linear"]


def run(task, attention, seed, further):
    command = [sys.executable, str(EXAMPLE), "--task", task, "--attention", attention]
    command += ["--seed", str(seed), *further]
    print(" ".join(command[2:]), flush=True)
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(f"Failed: {' '.join(command)}")
    return json.loads(result.stdout[result.stdout.rindex("{") :])


def rows(results):
    yield "| task | length | attention | accuracy % | range | steps / s | peak MB |"
    yield "|---|---|---|---|---|---|---|"
    for group in results:
        accuracy = 100 * np.array([r["accuracy"] for r in group])
        speed = np.median([r["steps_per_second"] for r in group])
        memory = max(r["peak_megabytes"] for r in group)
        first = group[0]
        yield (
            f"| {first['task']} | {first['length']} | {first['attention']} "
            f"| {accuracy.mean():.1f} | {accuracy.min():.1f} to {accuracy.max():.1f} "
            f"| {speed:.1f} | {memory:.0f} |"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", default=["listops", "pixels"])
    parser.add_argument("--attentions", nargs="+", default=ATTENTIONS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("results/long_range.json"))
    arguments, further = parser.parse_known_args()
    results = [
        [run(task, attention, seed, further) for seed in arguments.seeds]
        for task in arguments.tasks
        for attention in arguments.attentions
    ]
    print(*rows(results), sep="\n")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
