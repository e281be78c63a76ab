"""The chief and the workers of a search, on one machine."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from keras_nam.arguments import check_integer
from keras_nam.tuning.searching import END_SIGNAL
from keras_nam.tuning.searching import LAUNCHER_VARIABLE

INTERVAL_S = 0.2
# How long workers may take to hear that there is nothing left, before they are ended.
GRACE_S = 10


class LaunchedSearch(NamedTuple):
    """What became of the processes of a search.

    Attributes:
        returncode: Integer, the exit status of the chief, negative for a signal.
        restarts: Dictionary from the name of a process to how often it was started
            again.
        lost: Tuple of the names of workers that died more often than they were
            started again.
    """

    returncode: int
    restarts: dict
    lost: tuple


def launch_search(
    command, num_workers=2, max_restarts=2, port=None, log_directory=None
):
    """Runs a script as chief and workers of one search, and watches over them.

    The script makes a tuner and calls `keras_nam.tuning.search`, like any other that
    is started by hand with Keras Tuner's variables. A process that dies is started
    again under its name, and gets the trial that it had; after `max_restarts` times it
    is left out. Once no worker is left, the chief is told to end the search with what
    is complete. When the launching process dies, its processes end, and the search can
    be resumed.

    Args:
        command: List of strings, the program and its arguments.
        num_workers: Positive integer.
        max_restarts: Non-negative integer, how often each process is started again.
        port: Positive integer, a port of the loopback address. `None` means one that
            is free.
        log_directory: String or path of a folder. What a worker prints goes to a file
            of its own in it, for example `worker0.log`. `None` means that it is printed
            like what the chief prints.

    Returns:
        A `LaunchedSearch`.

    Example:

    ```python
    import sys

    script = "import os; print(os.environ['KERASTUNER_TUNER_ID'])"
    launched = keras_nam.tuning.launch_search(
        [sys.executable, "-c", script], log_directory="logs"
    )
    launched.returncode, launched.lost  # (0, ())
    ```

    Raises:
        ValueError: If a number is out of range.
    """
    num_workers = check_integer("num_workers", num_workers)
    check_integer("max_restarts", max_restarts, at_least=0)
    processes = _Processes(command, port or _free_port(), log_directory)
    workers = [f"worker{i}" for i in range(num_workers)]
    restarts = dict.fromkeys(["chief", *workers], 0)
    lost, told = [], False
    with processes:
        for name in restarts:
            processes.start(name)
        while True:
            time.sleep(INTERVAL_S)
            dead = processes.take_dead()
            if "chief" in dead and _is_end(dead["chief"], restarts, max_restarts):
                break
            for name, returncode in dead.items():
                if name != "chief" and returncode == 0:
                    continue
                if restarts[name] == max_restarts:
                    lost.append(name)
                    print(f"{name} died ({returncode}), and is left out.", flush=True)
                    continue
                restarts[name] += 1
                print(
                    f"{name} died ({returncode}), and is started again "
                    f"({restarts[name]} of {max_restarts} times).",
                    flush=True,
                )
                processes.start(name)
            if lost and not told and not processes.running(workers):
                processes.end_search()
                told = True
        processes.wait(GRACE_S)
    return LaunchedSearch(dead["chief"], restarts, tuple(lost))


def _is_end(returncode, restarts, max_restarts):
    """Whether a chief ended by itself, well or not, or is not started again."""
    return returncode >= 0 or restarts["chief"] == max_restarts


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def _held_back(number):
    """Starts processes that get a signal only once they ask for it, see `search`."""
    if number is None:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Processes:
    """Processes of one search by their names; those that still run end on leaving."""

    def __init__(self, command, port, log_directory):
        self.command = list(command)
        self.port = port
        self.log_directory = log_directory
        self.alive = {}
        if log_directory is not None:
            Path(log_directory).mkdir(parents=True, exist_ok=True)

    def start(self, name):
        variables = {
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(self.port),
            LAUNCHER_VARIABLE: str(os.getpid()),
        }
        with contextlib.ExitStack() as files:
            log = None
            if self.log_directory is not None and name != "chief":
                path = Path(self.log_directory) / f"{name}.log"
                log = files.enter_context(path.open("ab"))
            files.enter_context(_held_back(END_SIGNAL))
            self.alive[name] = subprocess.Popen(
                self.command,
                env={**os.environ, **variables},
                stdout=log,
                stderr=subprocess.STDOUT if log is not None else None,
            )

    def take_dead(self):
        """Returns the exit statuses of those that ended since the last time."""
        dead = {n: p.poll() for n, p in self.alive.items() if p.poll() is not None}
        for name in dead:
            del self.alive[name]
        return dead

    def running(self, names):
        return [name for name in names if name in self.alive]

    def end_search(self):
        if "chief" in self.alive:
            number = signal.SIGTERM if END_SIGNAL is None else END_SIGNAL
            self.alive["chief"].send_signal(number)

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while self.alive and time.monotonic() < end:
            self.take_dead()
            time.sleep(INTERVAL_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.alive.values():
            process.kill()
        for process in self.alive.values():
            process.wait()
