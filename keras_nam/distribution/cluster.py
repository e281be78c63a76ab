"""The cluster that a process is a worker of."""

import faulthandler
import json
import os
import sys

import tensorflow as tf


class Cluster:
    """The workers that the environment variable `TF_CONFIG` describes.

    Without it, the process is a cluster of its own, on the devices of the present
    strategy.

    Raises:
        ValueError: If `TF_CONFIG` is not JSON, or does not say who is who.
    """

    def __init__(self):
        config = os.environ.get("TF_CONFIG", "")
        self.addresses = []
        self.name = "the only worker"
        self.is_chief = True
        if config:
            self._read(config)

    def _read(self, config):
        problem = (
            "The environment variable TF_CONFIG must be JSON like "
            '{"cluster": {"worker": ["host:port", "host:port"]}, '
            '"task": {"type": "worker", "index": 0}}. '
            f"Received: TF_CONFIG={config}"
        )
        try:
            parsed = json.loads(config)
            jobs = parsed["cluster"]
            job, index = parsed["task"]["type"], int(parsed["task"]["index"])
            jobs[job][index]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ValueError(problem) from error
        if not set(jobs) <= {"chief", "worker"}:
            raise ValueError(f"Only chiefs and workers can train together. {problem}")
        self.addresses = [*jobs.get("chief", []), *jobs.get("worker", [])]
        self.name = f"{job} {index}"
        self.is_chief = job == "chief" or ("chief" not in jobs and index == 0)

    def connect(self, timeout):
        """Returns the strategy, when all workers are there."""
        if not self.addresses:
            return tf.distribute.get_strategy()
        print(
            f"{self.name.capitalize()} waits for all of {self.addresses} to come, for "
            f"{timeout} seconds at most.",
            file=sys.stderr,
        )
        # TensorFlow waits without an end and lets no other thread of Python run.
        faulthandler.dump_traceback_later(timeout, exit=True)
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        finally:
            faulthandler.cancel_dump_traceback_later()
