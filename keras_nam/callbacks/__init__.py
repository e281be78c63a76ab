"""Callbacks for `model.fit`: longer rows over time, looking inside, stopping on NaN."""

from keras_nam.callbacks.length_curriculum import LengthCurriculum
from keras_nam.callbacks.memory_summary import MemorySummary
from keras_nam.callbacks.sharpen_heads import SharpenHeads
from keras_nam.callbacks.stop_on_nan import StopOnNaN

__all__ = ["LengthCurriculum", "MemorySummary", "SharpenHeads", "StopOnNaN"]
