"""Which layers and operations of Keras treat every time step by itself.

Time is the second axis of every tensor that has it. What is not listed here may mix
steps, and so may subclasses of what is listed.
"""

import re

import keras
import numpy as np
from keras import layers
from keras import tree

from keras_nam.layers.embedding import TokenEmbedding
from keras_nam.tokenizers.tokenizer import Tokenizer

_EMBEDDINGS = (layers.Embedding, TokenEmbedding)
_LAYERS = (
    *_EMBEDDINGS,
    layers.Activation,
    layers.ActivityRegularization,
    layers.Add,
    layers.AlphaDropout,
    layers.Average,
    layers.BatchNormalization,
    layers.Concatenate,
    layers.Dense,
    layers.Dropout,
    layers.ELU,
    layers.EinsumDense,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.LayerNormalization,
    layers.LeakyReLU,
    layers.Masking,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.PReLU,
    layers.RMSNormalization,
    layers.ReLU,
    layers.Rescaling,
    layers.Softmax,
    layers.SpatialDropout1D,
    layers.Subtract,
    layers.TimeDistributed,
    layers.UnitNormalization,
)
# The classes behind the functions of `keras.ops` are known by their names alone.
_ELEMENTWISE = """
    Abs Absolute Add Cast Celu Copy Cos Cosh Divide DivideNoNan Elu Equal Erf Exp Expm1
    FloorDivide Gelu Greater GreaterEqual HardSigmoid HardSilu HardTanh Isfinite Isinf
    Isnan LeakyRelu Less LessEqual Log Log1p LogSigmoid LogicalAnd LogicalNot LogicalOr
    LogicalXor Maximum Minimum Mod Multiply Negative NotEqual OnesLike Power Reciprocal
    Relu Relu6 Round Rsqrt Selu Sigmoid Sign Silu Sin Sinh SoftShrink Softplus Softsign
    Sqrt Square StopGradient Subtract Tan Tanh TrueDivide Where ZerosLike
""".split()  # noqa: SIM905
_ALONG_AN_AXIS = """
    All Any Concatenate ExpandDims LogSoftmax Max Mean Min Prod Softmax Split Squeeze
    Std Sum Var
""".split()  # noqa: SIM905


def keeps_time_steps(operation, args, kwargs):
    """Whether every step of the outputs depends on the same step of the inputs alone.

    Args:
        operation: A `keras.Operation`, for example a layer.
        args: Arguments of its call, of which all symbolic tensors have a time axis.
        kwargs: Keyword arguments of its call.
    """
    values = tree.flatten(args)
    ranks = {x.ndim for x in values if isinstance(x, keras.KerasTensor)}
    if len(ranks) != 1:
        # Tensors of different ranks are aligned at their last axes.
        return False
    (rank,) = ranks
    if isinstance(operation, Tokenizer):
        return type(operation).call is Tokenizer.call
    if isinstance(operation, layers.Layer):
        return type(operation) in _LAYERS and _layer_keeps(
            operation, rank, kwargs.get("training")
        )
    name = type(operation).__name__
    if kwargs or type(operation).__module__.partition(".")[0] != "keras":
        return False
    if name in _ALONG_AN_AXIS:
        return _are_features(operation.axis, rank + (name == "ExpandDims"))
    return name in _ELEMENTWISE and all(
        isinstance(x, keras.KerasTensor) or _is_constant_in_time(x, rank)
        for x in values
    )


def _layer_keeps(layer, rank, training):
    if type(layer) in _EMBEDDINGS:
        return True
    # Of two axes, one is the batch and the other time.
    if rank < 3 or training or not _are_features(getattr(layer, "axis", -1), rank):
        return False
    if isinstance(layer, layers.EinsumDense) and not _equation_keeps(layer, rank):
        return False
    if isinstance(layer, layers.PReLU):
        return 1 in (layer.shared_axes or ())
    if isinstance(layer, layers.Rescaling):
        return all(_is_constant_in_time(x, rank) for x in (layer.scale, layer.offset))
    if isinstance(layer, layers.TimeDistributed):
        return not getattr(layer.layer, "stateful", False)
    activation = getattr(layer, "activation", None)
    return activation is None or activation in vars(keras.activations).values()


def _equation_keeps(layer, rank):
    inputs, kernel, output = re.split(",|->", layer.equation.replace(" ", ""))
    if "..." in inputs:
        named = len(inputs.replace("...", ""))
        return inputs[0] == output[0] == "." and rank - named > 1
    time = inputs[1]
    return output[1:2] == time and time not in kernel + (layer.bias_axes or "")


def _are_features(axis, rank):
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    return all(a is not None and a % rank > 1 for a in axes)


def _is_constant_in_time(value, rank):
    """Whether a constant is the same for all steps of a tensor of `rank` axes."""
    shape = tuple(value.shape if hasattr(value, "shape") else np.shape(value))
    time = len(shape) - rank + 1
    return value is not None and (time < 0 or (time < 2 and shape[time] == 1))
