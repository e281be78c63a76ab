"""Sentences to tokens and back, as layers whose vocabulary is saved with a model."""

from keras_nam.tokenizers.characters import CharacterTokenizer
from keras_nam.tokenizers.words import WordTokenizer

__all__ = ["CharacterTokenizer", "WordTokenizer"]
