"""Bytes as tokens."""

import keras

from keras_nam.arguments import check_optional_integer
from keras_nam.optional import tf
from keras_nam.tokenizers.tokenizer import Tokenizer


@keras.saving.register_keras_serializable(package="keras_nam")
class ByteTokenizer(Tokenizer):
    """Reads texts byte by byte: byte `b` is token `b + 1`, and 0 is padding.

    These are the tokens of the texts of `keras_nam.datasets.load_long_range`.

    Args:
        length: Positive integer. Longer texts are cut. `None` reads all of them.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        tokens: Integer tensor.

    Returns:
        The same tensor.

    Example:

    ```python
    tokenizer = keras_nam.tokenizers.ByteTokenizer()
    tokens = tokenizer.tokenize(["ab", "c"])
    tokens.numpy().tolist()  # [[98, 99], [100, 0]]
    tokenizer.detokenize(tokens)  # ['ab', 'c']
    ```

    Raises:
        ValueError: If `length` is not a positive integer.
    """

    def __init__(self, length=None, **kwargs):
        super().__init__(**kwargs)
        self.length = check_optional_integer("length", length)

    def vocabulary_size(self):
        return 257

    def encode(self, texts):
        if self.length is not None:
            texts = tf.strings.substr(texts, 0, self.length)
        values = tf.io.decode_raw(tf.strings.reduce_join(texts), tf.uint8)
        return tf.RaggedTensor.from_row_lengths(
            tf.cast(values, tf.int32) + 1, tf.strings.length(texts), validate=False
        )

    def decode(self, tokens):
        # Padding is no byte.
        symbols = tf.constant([b"", *(bytes([byte]) for byte in range(256))])
        return tf.strings.reduce_join(tf.gather(symbols, tokens), axis=-1)

    def get_config(self):
        return {**super().get_config(), "length": self.length}
