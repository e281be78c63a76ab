"""Processes that tests start, on free ports, and that never outlive a test."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def free_ports(count):
    """Ports of the loopback address that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def run_all(commands, environments, timeout):
    """Runs Python scripts side by side until all have ended.

    Args:
        commands: List of lists of strings, what follows `python` on the command line.
        environments: List of dictionaries, what each has in its environment.
        timeout: Number of seconds after which whatever still runs is killed.

    Returns:
        List of `(status, output)`, the status `None` for what had to be killed.
    """
    base = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    deadline = time.monotonic() + timeout
    processes, statuses = [], []
    with contextlib.ExitStack() as stack:
        # A pipe that nobody reads would fill up.
        outputs = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in commands]
        for command, environment, output in zip(
            commands, environments, outputs, strict=True
        ):
            process = subprocess.Popen(
                [sys.executable, *map(str, command)],
                env={**base, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            statuses.append(process.poll())
        for output in outputs:
            output.seek(0)
        return [
            (status, output.read())
            for status, output in zip(statuses, outputs, strict=True)
        ]
