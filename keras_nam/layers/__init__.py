"""Keras layers with a memory that can be read and written."""

from keras_nam.layers.lsam import LSAM
from keras_nam.layers.lsam import LSAMCell
from keras_nam.layers.nam import NAM
from keras_nam.layers.nam import NAMCell

__all__ = ["LSAM", "LSAMCell", "NAM", "NAMCell"]
