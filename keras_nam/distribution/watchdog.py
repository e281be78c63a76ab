"""Ends a process that waits for others for too long."""

import atexit
import os
import sys
import threading
import time


class Watchdog:
    """Ends the process if it is not fed for `timeout` seconds.

    A process that waits for a worker which hangs waits inside of TensorFlow, where no
    exception can reach it.

    Args:
        timeout: Number of seconds.
        message: Function without arguments that returns what is printed.
    """

    def __init__(self, timeout, message):
        self.timeout = timeout
        self.message = message
        self._fed = time.monotonic()
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def feed(self):
        self._fed = time.monotonic()

    def stop(self):
        self._stopped.set()

    def _watch(self):
        while not self._stopped.wait(max(0.0, self._remaining())):
            if self._remaining() <= 0:
                end_process(self.message())

    def _remaining(self):
        return self._fed + self.timeout - time.monotonic()


def end_process(message=None):
    """Ends the process with status 1 and without waiting for other workers."""
    if message:
        print(message, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def end_process_at_exit():
    """Does so when the interpreter exits, which else would wait for lost workers."""
    atexit.register(end_process)
