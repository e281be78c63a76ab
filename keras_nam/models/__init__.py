"""Functional models from the layers of this package."""

from keras_nam.models.lsam import lsam_tagger
from keras_nam.models.namtm import namtm_tagger
from keras_nam.models.sizes import SIZES
from keras_nam.models.streaming import StreamingModel
from keras_nam.models.token_tagger import token_tagger

__all__ = ["SIZES", "StreamingModel", "lsam_tagger", "namtm_tagger", "token_tagger"]
