"""Text to tokens and back, as layers that are saved with a model."""

from keras_nam.tokenizers.bytes import ByteTokenizer
from keras_nam.tokenizers.characters import CharacterTokenizer
from keras_nam.tokenizers.symbols import SymbolTokenizer
from keras_nam.tokenizers.tokenizer import Tokenizer
from keras_nam.tokenizers.words import WordTokenizer

__all__ = [
    "ByteTokenizer",
    "CharacterTokenizer",
    "SymbolTokenizer",
    "Tokenizer",
    "WordTokenizer",
]
