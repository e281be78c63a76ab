"""Keras layers with a memory that can be read and written."""

from keras_nam.layers.embedding import TokenEmbedding
from keras_nam.layers.lsam import LSAM
from keras_nam.layers.lsam import LSAMCell
from keras_nam.layers.nam import NAM
from keras_nam.layers.nam import NAMCell
from keras_nam.layers.namtm import NAMTM
from keras_nam.layers.namtm_cell import NAMTMCell

__all__ = ["LSAM", "LSAMCell", "NAM", "NAMCell", "NAMTM", "NAMTMCell", "TokenEmbedding"]
