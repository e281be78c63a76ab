"""Runs the cases and prints a table of each.

    python -m benchmarks                              # all cases
    python -m benchmarks --only lsam namtm --rounds 9
    python -m benchmarks --only lsam --set length=512 batch=8
    python -m benchmarks --memory --publish           # and keeps the tables

Each case first checks that ours computes the plain form's numbers. Contenders then
take turns, so that a machine that slows down slows all of them down; what is compared
is the median of their ratios, round by round. Compilation is timed apart. Peers that
are not installed or refuse the sizes are left out and named.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import benchmarks.cases  # noqa: F401
from benchmarks import measure
from benchmarks import report
from benchmarks.case import CASES
from benchmarks.case import make_case
from benchmarks.case import sizes_of
from benchmarks.steps import full_precision


def run_case(name, sizes, rounds, memory):
    case = make_case(name, sizes)
    with full_precision():
        case.check()
    steps, first, missing = measure.build(case)
    seconds = measure.take_turns(steps, rounds)
    result = {
        "case": name,
        "sizes": sizes,
        "rounds": rounds,
        "seconds": seconds,
        "first": first,
        "missing": missing,
    }
    if memory:
        result["megabytes"] = {
            contender: measure.peak_megabytes(step, name, sizes, contender)
            for contender, step in steps.items()
        }
    return result


def parse_sizes(parser, pairs):
    sizes = {}
    for pair in pairs:
        name, _, size = pair.partition("=")
        if not size.isdigit() or int(size) < 1:
            parser.error(f"--set takes NAME=SIZE with a positive size, not {pair}")
        sizes[name] = int(size)
    return sizes


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=SIZE", help="sizes of the cases"
    )
    parser.add_argument(
        "--memory", action="store_true", help="measure the peak memory of a step too"
    )
    parser.add_argument("--json", type=Path, help="where to write all measurements")
    parser.add_argument(
        "--publish", action="store_true", help="update the tables of README.md"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be positive")
    changed = parse_sizes(parser, arguments.set)
    known = {size for name in arguments.only for size in sizes_of(name)}
    if unknown := changed.keys() - known:
        parser.error(f"no size {sorted(unknown)}; there are {sorted(known)}")

    results = {"machine": report.machine(), "results": []}
    print(json.dumps(results["machine"], indent=1), flush=True)
    for name in arguments.only:
        sizes = sizes_of(name, **changed)
        result = run_case(name, sizes, arguments.rounds, arguments.memory)
        results["results"].append(result)
        print("", report.heading(result), "", sep="\n")
        print(*report.table(result), sep="\n", flush=True)
    if arguments.json:
        report.save(results, arguments.json)
    if arguments.publish:
        report.publish(results)


if __name__ == "__main__":
    main()
