"""Processes that tests start, on free ports, and that never outlive a test."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Far more than needed: machines that run tests may have a lot to do.
TIMEOUT = 200


def free_ports(count):
    """Ports of the loopback address that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Script:
    """A Python script that runs, with all that it starts, while a context is open.

    Args:
        command: List, what follows `python` on the command line.
        environment: Dictionary, what it has in its environment besides.
    """

    def __init__(self, command, environment=None):
        self.command = [sys.executable, *map(str, command)]
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **(environment or {}),
        }

    def __enter__(self):
        # A pipe that nobody reads would fill up.
        self._output = tempfile.NamedTemporaryFile("w+")
        self._process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._deadline = time.monotonic() + TIMEOUT
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()

    @property
    def output(self):
        """What it has written so far."""
        return Path(self._output.name).read_text()

    @property
    def status(self):
        """The status that it ends with. It fails a test if it does not end."""
        self.wait_for(lambda: False)
        return self._process.returncode

    def wait_for(self, condition):
        """Waits until `condition()` is true or the script has ended."""
        while not condition() and self._process.poll() is None:
            assert time.monotonic() < self._deadline, self.output
            time.sleep(0.1)


def run(command):
    """Runs a script and returns its status and its output."""
    with Script(command) as script:
        return script.status, script.output
