"""What can go wrong among several workers."""


class WorkerLostError(RuntimeError):
    """A worker of a cluster was killed, hangs or cannot be reached.

    The process that raises it cannot train any more and should end: all workers have
    to be started again, and go on from the last checkpoint.
    """
