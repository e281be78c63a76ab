"""Metrics of whole sequences, of masked tokens, and of learning from few examples."""

from keras_nam.metrics.base_novel import base_novel_auc
from keras_nam.metrics.base_novel import base_novel_curve
from keras_nam.metrics.confidence import confidence_interval
from keras_nam.metrics.few_shot import FalsePositiveRate
from keras_nam.metrics.few_shot import GroupAccuracy
from keras_nam.metrics.length_bucket import LengthBucket
from keras_nam.metrics.masked_perplexity import MaskedPerplexity
from keras_nam.metrics.rejection import rejection_auroc
from keras_nam.metrics.rejection import rejection_false_positive_rate
from keras_nam.metrics.sequence_accuracy import SequenceAccuracy

__all__ = [
    "FalsePositiveRate",
    "GroupAccuracy",
    "LengthBucket",
    "MaskedPerplexity",
    "SequenceAccuracy",
    "base_novel_auc",
    "base_novel_curve",
    "confidence_interval",
    "rejection_auroc",
    "rejection_false_positive_rate",
]
