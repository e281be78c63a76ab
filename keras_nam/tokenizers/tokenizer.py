"""What the tokenizers share: text to tokens and back, as operations of a graph."""

import keras

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_integers
from keras_nam.arguments import check_strings
from keras_nam.optional import tf


class Tokenizer(keras.layers.Layer):
    """Base of what turns text into tokens and back, in a graph as well.

    The tokenizers of this package are subclasses, and so may yours be, for
    `keras_nam.models.export_text_model`. A subclass defines

    - `encode(texts)`: from strings `(batch,)` to rows of int32 tokens, a
        `tf.RaggedTensor`;
    - `decode(tokens)`: from tokens `(batch, time)`, ragged or not, back to strings
        `(batch,)`;
    - `vocabulary_size()`: the number of tokens.

    `pad_token_id` is the token that fills rows up, and `mask_token_id` that of the
    cells which a model is asked to fill in, `None` if all that it predicts is its
    answer. `start_token_id` and `end_token_id` are those that `encode` sets before and
    after a text, `None` if there are none.

    The layer returns the tokens that it is called on, so that it can stand in a model
    that is fed tokens and is saved with it.

    Args:
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        tokens: Integer tensor.

    Returns:
        The same tensor.

    Example:

    ```python
    import tensorflow as tf

    class Characters(keras_nam.tokenizers.Tokenizer):
        # Unicode: character `c` is token `c + 1`, and 0 is padding.
        def encode(self, texts):
            return tf.strings.unicode_decode(texts, "UTF-8") + 1

        def decode(self, tokens):
            return tf.strings.unicode_encode(tokens - 1, "UTF-8")

        def vocabulary_size(self):
            return 0x110001

    tokens = Characters().tokenize(["ab", "c"])
    tokens.numpy().tolist()  # [[98, 99], [100, 0]]
    ```
    """

    pad_token_id = 0
    mask_token_id = None
    start_token_id = None
    end_token_id = None

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        # There is nothing to build; an exported model keeps its tables.
        self.built = True

    def vocabulary_size(self):
        """Returns the number of tokens."""
        raise NotImplementedError

    def encode(self, texts):
        """Returns the ragged tensor of the tokens of texts, a string tensor."""
        raise NotImplementedError

    def decode(self, tokens):
        """Returns the string tensor of texts that rows of tokens make up."""
        raise NotImplementedError

    def tokenize(self, texts, ragged=False):
        """Turns texts into tokens.

        Args:
            texts: String, or list or tensor of strings of shape `(batch,)`.
            ragged: Boolean. Whether to leave rows as long as they are.

        Returns:
            An int32 tensor of shape `(batch, time)`, filled up with padding to the
            longest row and to at least one step. With `ragged`, a `tf.RaggedTensor`.
            For a single string its row, a tensor of shape `(time,)`.
        """
        ragged = check_boolean("ragged", ragged)
        if isinstance(texts, str):
            return self.tokenize([texts], ragged)[0]
        rows = self.encode(as_strings("texts", texts))
        return rows if ragged else self.fill_up(rows)

    def fill_up(self, rows):
        """Returns ragged rows as a tensor `(batch, time)` of at least one step."""
        dense = rows.to_tensor(self.pad_token_id)
        missing = tf.maximum(1 - tf.shape(dense)[1], 0)
        return tf.pad(dense, [[0, 0], [0, missing]], constant_values=self.pad_token_id)

    def cut_off(self, tokens, rows):
        """Returns tokens `(batch, time)` as rows of the lengths of ragged `rows`."""
        return tf.RaggedTensor.from_tensor(tokens, rows.row_lengths())

    def detokenize(self, tokens):
        """Turns tokens into texts.

        Args:
            tokens: Integers of shape `(batch, time)` or `(time,)`, or ragged rows.

        Returns:
            A list of strings, or a single one for a row.
        """
        last = self.vocabulary_size() - 1
        if isinstance(tokens, tf.RaggedTensor):
            check_integers("tokens", tokens.flat_values, at_most=last)
        else:
            tokens = check_integers("tokens", tokens, (1, 2), at_most=last)
            if tokens.ndim == 1:
                return self.detokenize(tokens[None])[0]
        # What a model predicts as bytes need not be text.
        texts = self.decode(tf.cast(tokens, tf.int32)).numpy()
        return [text.decode(errors="replace") for text in texts]

    def call(self, tokens):
        return tokens


def as_strings(name, texts):
    """Returns the tensor of a list of strings, which may be one already."""
    if not tf.is_tensor(texts):
        texts = check_strings(name, texts, classes=(str, bytes))
        texts = tf.constant(texts, tf.string, (len(texts),))
    if texts.dtype != tf.string or texts.shape.rank not in (None, 1):
        raise ValueError(
            f"Argument `{name}` must be a list of strings. Received: a tensor of "
            f"shape {tuple(texts.shape)} and dtype {texts.dtype.name}"
        )
    return texts


def lookup_table(tokens, default):
    """Returns the table from the keys of a dictionary to its values, in a graph."""
    # Made outside of whatever graph is under construction, to be saved with it.
    with tf.init_scope():
        return tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(list(tokens)), tf.constant(list(tokens.values()), tf.int32)
            ),
            default_value=default,
        )
