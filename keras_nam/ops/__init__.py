"""The mathematics: pure functions on tensors."""

from keras_nam.ops.attention import memory_attention
from keras_nam.ops.memory import memory_read
from keras_nam.ops.memory import memory_write
from keras_nam.ops.normalization import unit_normalize
from keras_nam.ops.scan import memory_scan
from keras_nam.ops.sets import memory_read_set
from keras_nam.ops.sets import memory_write_set
from keras_nam.portable_scope import PortableScope

__all__ = [
    "PortableScope",
    "memory_attention",
    "memory_read",
    "memory_read_set",
    "memory_scan",
    "memory_write",
    "memory_write_set",
    "unit_normalize",
]
