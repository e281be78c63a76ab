"""The symbols of the tasks, by their tokens."""

from typing import NamedTuple


class Alphabet(NamedTuple):
    """The arguments of a `keras_nam.tokenizers.SymbolTokenizer`.

    The symbol at index `i` stands for token `i`. `mask` stands where an answer is
    asked for, `None` for a task that has none, and `pad` in unused cells.
    """

    symbols: tuple
    mask: str | None = None
    pad: str = "."
    ignored: tuple = ()

    def token(self, symbol):
        return self.symbols.index(symbol)


DIGITS = Alphabet(tuple("0123456789_.SEMC"), mask="M")
BRACKETS = Alphabet(tuple("[](){}<>_M."), mask="M")
EXPRESSIONS = Alphabet(
    (".", *"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]"), ignored=("(", ")")
)
PAIRS = Alphabet(
    (".", *(f"{kind}{number}" for number in range(1, 4097) for kind in "kv"))
)

DELIMITER = DIGITS.token("_")
PAD = DIGITS.token(".")
END = DIGITS.token("E")
MASK = DIGITS.token("M")
