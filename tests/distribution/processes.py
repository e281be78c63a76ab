"""Processes that tests start, on free ports, and that never outlive a test."""

import contextlib
import os
import socket
import subprocess
import sys
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
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            env={**base, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command, environment in zip(commands, environments, strict=True)
    ]
    results = []
    try:
        for process in processes:
            try:
                output, _ = process.communicate(timeout=timeout)
                results.append((process.returncode, output))
            except subprocess.TimeoutExpired:
                process.kill()
                output, _ = process.communicate()
                results.append((None, output))
    finally:
        for process in processes:
            process.kill()
    return results
