"""The models that the papers compare with, and further positions one would ask about.

All of them map `(batch, time, features)` to `(batch, time, features)`.
"""

from keras_nam.baselines.alibi_attention import ALiBiAttention
from keras_nam.baselines.convolutional import ConvolutionalEncoder
from keras_nam.baselines.encoders import ENCODERS
from keras_nam.baselines.encoders import make_encoder
from keras_nam.baselines.lstm import LSTMAttentionEncoder
from keras_nam.baselines.lstm import LSTMStack
from keras_nam.baselines.rotary_attention import RotaryAttention
from keras_nam.baselines.transformer import TransformerEncoder
from keras_nam.baselines.transformer import XLNetEncoder
from keras_nam.baselines.xlnet_attention import XLNetAttention

__all__ = [
    "ENCODERS",
    "ALiBiAttention",
    "ConvolutionalEncoder",
    "LSTMAttentionEncoder",
    "LSTMStack",
    "RotaryAttention",
    "TransformerEncoder",
    "XLNetAttention",
    "XLNetEncoder",
    "make_encoder",
]
