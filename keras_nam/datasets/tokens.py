"""The token tables of the tasks, and text to tokens and back."""

import numpy as np

DELIMITER = 10
PAD = 11
START = 12
END = 13
MASK = 14
CUSTOM = 15


class Vocabulary:
    """A fixed table of tokens, each with a symbol to read and type it by.

    Args:
        symbols: Sequence of strings. The symbol at index `i` stands for token `i`.
        pad: String. The symbol of the token that fills unused cells.
        mask: String. The symbol of the token that stands where an answer is asked
            for, `None` for a task that has none.
        ignored: String of characters that may stand in a text and mean nothing.
    """

    def __init__(self, symbols, pad, mask=None, ignored=""):
        self.symbols = tuple(symbols)
        self.tokens = {symbol: token for token, symbol in enumerate(self.symbols)}
        self.pad = self.tokens[pad]
        self.mask = None if mask is None else self.tokens[mask]
        self.ignored = ignored
        self.one_character_each = all(len(symbol) == 1 for symbol in self.symbols)

    def encode(self, text):
        """Turns a text into an int32 array of shape `(time,)`."""
        if not isinstance(text, str):
            raise ValueError(
                f"Argument `text` must be a string. Received: text={text!r}"
            )
        pieces = text.split()
        if self.one_character_each:
            pieces = "".join(pieces)
        pieces = [piece for piece in pieces if piece not in self.ignored]
        unknown = sorted(set(pieces) - self.tokens.keys())
        if unknown:
            raise ValueError(
                f"Argument `text` must consist of the symbols {self.symbols}. "
                f"Received: {unknown} in text={text!r}"
            )
        return np.array([self.tokens[piece] for piece in pieces], np.int32)

    def decode(self, tokens):
        """Turns tokens of shape `(time,)` into a string of symbols and blanks."""
        tokens = np.asarray(tokens)
        size = len(self.symbols)
        # An empty list has no integer type of its own.
        if tokens.ndim != 1 or not (tokens.size == 0 or tokens.dtype.kind in "iu"):
            raise ValueError(
                "Argument `tokens` must hold integers, row by row. "
                f"Received: shape {tokens.shape} and dtype {tokens.dtype}"
            )
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < size:
            raise ValueError(
                f"Argument `tokens` must hold integers from 0 to {size - 1}. "
                f"Received: tokens from {tokens.min()} to {tokens.max()}"
            )
        return " ".join(self.symbols[token] for token in tokens)


DIGITS = Vocabulary("0123456789_.SEMC", pad=".", mask="M")
BRACKETS = Vocabulary("[](){}<>_M.", pad=".", mask="M")
EXPRESSIONS = Vocabulary(
    [".", *"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]"], pad=".", ignored="()"
)
PAIRS = Vocabulary(
    [".", *(f"{kind}{number}" for number in range(1, 4097) for kind in "kv")], pad="."
)
