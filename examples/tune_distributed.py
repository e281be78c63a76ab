"""Runs `examples/tune.py` as a chief and several workers on this machine.

    python examples/tune_distributed.py --workers 2 --model namtm --trials 20

It takes the arguments of `examples/tune.py`, and its exit status is that of the chief.
A worker that dies is started again and gets its trial again; one that dies more than
`--max-restarts` times is left out. The search ends early, with what is complete, if
nothing comes from the workers for `--patience` seconds. Whatever is killed, the same
command goes on with the search.

On several machines with a folder in common, start the processes by hand instead:

    export KERASTUNER_ORACLE_IP=10.0.0.1 KERASTUNER_ORACLE_PORT=8000
    KERASTUNER_TUNER_ID=chief python examples/tune.py --out FOLDER    # on 10.0.0.1
    KERASTUNER_TUNER_ID=worker0 python examples/tune.py --out FOLDER  # on any
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).with_name("tune.py")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--max-restarts", type=int, default=2, help="of each worker")
    parser.add_argument("--port", type=int, help="default: one that is free")
    parser.add_argument("--logs", type=Path, default=Path("results/tune-logs"))
    arguments, further = parser.parse_known_args()
    if arguments.workers < 1 or arguments.max_restarts < 0:
        parser.error("--workers must be at least 1, --max-restarts at least 0")
    return arguments, further


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(command, num_workers, max_restarts, port, logs):
    """Runs a command as chief and workers; returns the exit status of the chief."""
    logs.mkdir(parents=True, exist_ok=True)
    variables = {"KERASTUNER_ORACLE_IP": "127.0.0.1"}
    variables["KERASTUNER_ORACLE_PORT"] = str(port or free_port())

    def start(name, **output):
        environment = {**os.environ, **variables, "KERASTUNER_TUNER_ID": name}
        return subprocess.Popen(command, env=environment, **output)

    def start_worker(name):
        with (logs / f"{name}.log").open("ab") as log:
            return start(name, stdout=log, stderr=subprocess.STDOUT)

    chief = start("chief")
    workers = {f"worker{i}": start_worker(f"worker{i}") for i in range(num_workers)}
    restarts = dict.fromkeys(workers, 0)
    try:
        while chief.poll() is None:
            for name, process in list(workers.items()):
                status = process.poll()
                if not status:
                    continue
                if restarts[name] == max_restarts:
                    del workers[name]
                    print(f"{name} died ({status}), and is left out.", flush=True)
                    continue
                restarts[name] += 1
                print(f"{name} died ({status}), and is started again.", flush=True)
                workers[name] = start_worker(name)
            time.sleep(0.2)
    finally:
        for process in [chief, *workers.values()]:
            process.kill()
            process.wait()
    return chief.returncode


def main():
    arguments, further = parse_arguments()
    print(f"Workers print to {arguments.logs}.", flush=True)
    status = run(
        [sys.executable, str(SCRIPT), *further],
        arguments.workers,
        arguments.max_restarts,
        arguments.port,
        arguments.logs,
    )
    # A chief that was killed by a signal has a negative status, which no shell knows.
    return status if status >= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
