"""The symbols of a fixed table as tokens."""

from collections import Counter

import keras

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_strings
from keras_nam.optional import tf
from keras_nam.tokenizers.tokenizer import Tokenizer
from keras_nam.tokenizers.tokenizer import lookup_table

_SHOWN = 20


@keras.saving.register_keras_serializable(package="keras_nam")
class SymbolTokenizer(Tokenizer):
    """Reads texts of the symbols of a table, and refuses all others.

    Blanks part the symbols; where all of them are single characters they may be left
    out. `keras_nam.datasets.task_tokenizer` makes those of the algorithmic tasks.

    Args:
        symbols: List of distinct strings without blanks. The one at index `i` is
            token `i`.
        pad: String. The symbol that fills rows up.
        mask: String. The symbol of the cells that a model is asked to fill in.
            `None` if all that it predicts is its answer.
        ignored: List of strings that may stand in a text and mean nothing.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        tokens: Integer tensor.

    Returns:
        The same tensor.

    Example:

    ```python
    tokenizer = keras_nam.tokenizers.SymbolTokenizer([*"01_.?"], pad=".", mask="?")
    tokens = tokenizer.tokenize(["01_??", "1 _ ?"])
    tokens.numpy().tolist()  # [[0, 1, 2, 4, 4], [1, 2, 4, 3, 3]]
    tokenizer.detokenize(tokens)  # ['0 1 _ ? ?', '1 _ ? . .']
    ```

    Raises:
        ValueError: If symbols are not distinct, or `pad` or `mask` is none of them.
            From `tokenize`, if a text has other symbols; in a graph that is
            `tf.errors.InvalidArgumentError`.
    """

    def __init__(self, symbols, pad, mask=None, ignored=(), **kwargs):
        super().__init__(**kwargs)
        symbols = check_strings("symbols", symbols, at_least=1)
        counts = Counter(symbols)
        wrong = [s for s, n in counts.items() if n > 1 or s.split() != [s]]
        if wrong:
            raise ValueError(
                "Argument `symbols` must hold distinct strings without blanks. "
                f"Received: {len(symbols)} symbols with {wrong[:_SHOWN]}"
            )
        self._symbols = tuple(symbols)
        self._ignored = tuple(check_strings("ignored", ignored))
        self._pad = check_choice("pad", pad, symbols)
        self._mask = mask if mask is None else check_choice("mask", mask, symbols)
        tokens = {symbol: token for token, symbol in enumerate(symbols)}
        self.pad_token_id = tokens[pad]
        self.mask_token_id = tokens.get(mask)
        self._table = lookup_table(tokens, default=-1)

    def vocabulary_size(self):
        return len(self._symbols)

    def encode(self, texts):
        pieces = tf.strings.split(texts)
        if all(len(symbol) == 1 for symbol in self._symbols):
            joined = tf.strings.reduce_join(pieces, axis=1)
            pieces = tf.strings.unicode_split(joined, "UTF-8")
        for ignored in self._ignored:
            pieces = tf.ragged.boolean_mask(pieces, pieces != ignored)
        tokens = self._table.lookup(pieces.flat_values)
        return pieces.with_flat_values(self._refuse_unknown(pieces, tokens))

    def decode(self, tokens):
        symbols = tf.gather(tf.constant(self._symbols), tokens)
        return tf.strings.reduce_join(symbols, axis=-1, separator=" ")

    def get_config(self):
        return {
            **super().get_config(),
            "symbols": list(self._symbols),
            "pad": self._pad,
            "mask": self._mask,
            "ignored": list(self._ignored),
        }

    def _refuse_unknown(self, pieces, tokens):
        unknown = tf.boolean_mask(pieces.flat_values, tokens < 0)
        expected = ", ".join(self._symbols[:_SHOWN])
        if len(self._symbols) > _SHOWN:
            expected += f" and so on up to {self._symbols[-1]}"
        message = f"Each text of `texts` must consist of {expected}. Received: "
        if tf.executing_eagerly():
            if len(unknown):
                found = [symbol.decode() for symbol in unknown.numpy()[:_SHOWN]]
                raise ValueError(f"{message}{found}")
            return tokens
        known = tf.debugging.Assert(tf.size(unknown) == 0, [message, unknown])
        with tf.control_dependencies([known]):
            return tf.identity(tokens)
