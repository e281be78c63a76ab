"""Embedding of tokens that knows which of them is padding."""

import keras
import numpy as np
from keras import ops

from keras_nam.arguments import check_absent
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.backend import numbers_of


@keras.saving.register_keras_serializable(package="keras_nam")
class TokenEmbedding(keras.layers.Embedding):
    """An embedding whose mask comes from any token, not from token 0 alone.

    Args:
        input_dim: Positive integer, the number of tokens.
        output_dim: Positive integer, the width of the embedding.
        mask_token: Integer, the token that is padding; later layers skip it. `None`
            means no mask.
        **kwargs: Further arguments of `keras.layers.Embedding`, but for `mask_zero`.

    Call arguments:
        inputs: Integer tensor of shape `(batch, time)`, or with `reverse` a tensor of
            shape `(batch, time, output_dim)`.
        reverse: Boolean. Whether to return a logit of each token, in float32: the inner
            products of the inputs and the embeddings.

    Returns:
        Tensor of shape `(batch, time, output_dim)`, or with `reverse` of shape
        `(batch, time, input_dim)`.

    Example:

    ```python
    layer = keras_nam.layers.TokenEmbedding(16, 8, mask_token=11)
    layer(np.array([[1, 2, 11]])).shape  # (1, 3, 8)
    ```

    Raises:
        ValueError: If a token is out of range, as far as the tokens are known when
            the layer is called: not in a compiled function.
    """

    def __init__(self, input_dim, output_dim, mask_token=None, **kwargs):
        input_dim = check_integer("input_dim", input_dim)
        output_dim = check_integer("output_dim", output_dim)
        mask_token = check_optional_integer("mask_token", mask_token, at_least=0)
        if mask_token is not None and mask_token >= input_dim:
            raise ValueError(
                f"Argument `mask_token` must be a token below {input_dim} or None. "
                f"Received: mask_token={mask_token}"
            )
        check_absent(kwargs, ("mask_zero",), "The mask comes from `mask_token`")
        super().__init__(input_dim, output_dim, **kwargs)
        self.mask_token = mask_token
        self.supports_masking = mask_token is not None

    def call(self, inputs, reverse=False):
        if reverse:
            return _inner_products(inputs, self.embeddings)
        tokens = numbers_of(inputs)
        if tokens is not None and tokens.size:
            lowest, highest = tokens.min(), tokens.max()
            in_range = lowest >= 0 and highest < self.input_dim
            if not in_range or (tokens != np.floor(tokens)).any():
                raise ValueError(
                    f"Tokens must be integers between 0 and {self.input_dim - 1}. "
                    f"Received: {tokens.dtype} tokens between {lowest} and {highest}"
                )
        return super().call(inputs)

    def quantized_call(self, inputs, reverse=False):
        if not reverse:
            return super().quantized_call(inputs)
        table = super().quantized_call(ops.arange(self.input_dim))
        return _inner_products(inputs, table)

    def compute_output_spec(self, inputs, reverse=False):
        if not reverse:
            return super().compute_output_spec(inputs)
        return keras.KerasTensor((*inputs.shape[:-1], self.input_dim), "float32")

    def compute_mask(self, inputs, mask=None):
        # Of what goes in reverse, the mask is that of the inputs.
        if self.mask_token is None or len(inputs.shape) > 2:
            return mask
        return ops.not_equal(inputs, self.mask_token)

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras quantizes its own class alone. What differs here is the mask.
        super().quantize(mode, type_check=False, config=config)

    def get_config(self):
        config = {**super().get_config(), "mask_token": self.mask_token}
        del config["mask_zero"]
        return config


def _inner_products(inputs, table):
    inputs, table = (ops.cast(x, "float32") for x in (inputs, table))
    return ops.matmul(inputs, ops.transpose(table))
