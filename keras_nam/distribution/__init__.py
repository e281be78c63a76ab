"""Training on several machines with TensorFlow."""

from keras_nam.distribution.errors import WorkerLostError
from keras_nam.distribution.multi_worker import fit_multi_worker

__all__ = ["WorkerLostError", "fit_multi_worker"]
