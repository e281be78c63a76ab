"""Keras layers with a memory that can be read and written."""

from keras_nam.layers.attention import NAMAttention
from keras_nam.layers.cosine_classifier import CosineClassifier
from keras_nam.layers.embedding import TokenEmbedding
from keras_nam.layers.gated_delta_net import GatedDeltaNet
from keras_nam.layers.ibert import IBERTEncoder
from keras_nam.layers.linear_attention import LinearAttention
from keras_nam.layers.lsam import LSAM
from keras_nam.layers.lsam import LSAMCell
from keras_nam.layers.lstm import LSTMEncoder
from keras_nam.layers.nam import NAM
from keras_nam.layers.nam import NAMCell
from keras_nam.layers.nam_classifier import NAMClassifier
from keras_nam.layers.namtm import NAMTM
from keras_nam.layers.namtm_cell import NAMTMCell
from keras_nam.layers.pooling import ClassToken
from keras_nam.layers.pooling import MeanPooling
from keras_nam.layers.position_embedding import PositionEmbedding
from keras_nam.layers.transformer_block import TransformerBlock
from keras_nam.layers.transformer_encoder import NAMTransformerEncoder

__all__ = [
    "LSAM",
    "NAM",
    "NAMTM",
    "ClassToken",
    "GatedDeltaNet",
    "IBERTEncoder",
    "LSAMCell",
    "LSTMEncoder",
    "LinearAttention",
    "MeanPooling",
    "NAMAttention",
    "NAMCell",
    "NAMTMCell",
    "NAMTransformerEncoder",
    "PositionEmbedding",
    "CosineClassifier",
    "NAMClassifier",
    "TokenEmbedding",
    "TransformerBlock",
]
