"""Runs `examples/tune.py` as a chief and several workers on this machine.

    python examples/tune_distributed.py --workers 2 --model namtm --trials 20

It takes the arguments of `examples/tune.py`, and its exit status is that of the chief.
A worker that dies is started again and gets its trial again; one that dies more than
`--max-restarts` times is left out. The search ends early, with what is complete, if no
worker is left or if nothing comes from them for `--patience` seconds. Whatever is
killed, the same command goes on with the search.

On several machines with a folder in common, start the processes by hand instead:

    export KERASTUNER_ORACLE_IP=10.0.0.1 KERASTUNER_ORACLE_PORT=8000
    KERASTUNER_TUNER_ID=chief python examples/tune.py --out FOLDER    # on 10.0.0.1
    KERASTUNER_TUNER_ID=worker0 python examples/tune.py --out FOLDER  # on any
"""

import argparse
import sys
from pathlib import Path

from keras_nam import tuning

SCRIPT = Path(__file__).with_name("tune.py")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--max-restarts", type=int, default=2, help="of each process")
    parser.add_argument("--port", type=int, help="default: one that is free")
    parser.add_argument("--logs", type=Path, default=Path("results/tune-logs"))
    arguments, further = parser.parse_known_args()
    if arguments.workers < 1 or arguments.max_restarts < 0:
        parser.error("--workers must be at least 1, --max-restarts at least 0")
    return arguments, further


def main():
    arguments, further = parse_arguments()
    print(f"Workers print to {arguments.logs}.", flush=True)
    launched = tuning.launch_search(
        [sys.executable, str(SCRIPT), *further],
        arguments.workers,
        arguments.max_restarts,
        arguments.port,
        arguments.logs,
    )
    again = {name: count for name, count in launched.restarts.items() if count}
    print(f"Started again: {again or 'none'}. Left out: {launched.lost or 'none'}.")
    # A chief that was killed by a signal has a negative status, which no shell knows.
    return launched.returncode if launched.returncode >= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
