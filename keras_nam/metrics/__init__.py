"""Metrics of sequences that are right as a whole, and of masked tokens."""

from keras_nam.metrics.masked_perplexity import MaskedPerplexity
from keras_nam.metrics.sequence_accuracy import SequenceAccuracy

__all__ = [
    "MaskedPerplexity",
    "SequenceAccuracy",
]
