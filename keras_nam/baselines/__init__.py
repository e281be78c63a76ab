"""The models that the papers compare with, and further positions one would ask about.

Encoders map `(batch, time, features)` to `(batch, time, features)`; `DNC`, `NTM` and
`StackRNN` are recurrent layers with cells of their own, as those of `keras_nam.layers`.
"""

from keras_nam.baselines.alibi_attention import ALiBiAttention
from keras_nam.baselines.convolutional import ConvolutionalEncoder
from keras_nam.baselines.dnc import DNC
from keras_nam.baselines.dnc_cell import DNCCell
from keras_nam.baselines.encoders import ENCODERS
from keras_nam.baselines.encoders import make_encoder
from keras_nam.baselines.lstm import LSTMAttentionEncoder
from keras_nam.baselines.lstm import LSTMStack
from keras_nam.baselines.ntm import NTM
from keras_nam.baselines.ntm_cell import NTMCell
from keras_nam.baselines.rotary_attention import RotaryAttention
from keras_nam.baselines.stack_rnn import StackRNN
from keras_nam.baselines.stack_rnn import StackRNNCell
from keras_nam.baselines.transformer import TransformerEncoder
from keras_nam.baselines.transformer import XLNetEncoder
from keras_nam.baselines.universal_transformer import UniversalTransformerEncoder
from keras_nam.baselines.xlnet_attention import XLNetAttention

__all__ = [
    "DNC",
    "ENCODERS",
    "NTM",
    "ALiBiAttention",
    "ConvolutionalEncoder",
    "DNCCell",
    "LSTMAttentionEncoder",
    "LSTMStack",
    "NTMCell",
    "RotaryAttention",
    "StackRNN",
    "StackRNNCell",
    "TransformerEncoder",
    "UniversalTransformerEncoder",
    "XLNetAttention",
    "XLNetEncoder",
    "make_encoder",
]
