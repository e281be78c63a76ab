"""What the tokenizers share: symbols and their tokens, both ways."""

from collections import Counter
from types import MappingProxyType

import keras
import numpy as np

from keras_nam.datasets.symbols import END
from keras_nam.datasets.symbols import MASK
from keras_nam.datasets.symbols import NUMBER
from keras_nam.datasets.symbols import PAD
from keras_nam.datasets.symbols import RARE
from keras_nam.datasets.symbols import START
from keras_nam.optional import tf

# What stands around a sentence, and never in one.
_FRAME = (PAD, START, END)


class Tokenizer(keras.layers.Layer):
    """Base of the tokenizers; a subclass says what the symbols of a sentence are.

    A symbol is a word or a character.
    """

    def __init__(self, vocabulary=None, max_tokens=None, lowercase=True, **kwargs):
        super().__init__(**kwargs)
        if max_tokens is not None and (
            not isinstance(max_tokens, int) or max_tokens < 1
        ):
            raise ValueError(
                "Argument `max_tokens` must be a positive integer or None. "
                f"Received: max_tokens={max_tokens}"
            )
        self.max_tokens = max_tokens
        self.lowercase = lowercase
        self.supports_masking = True
        self._symbols = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    def set_vocabulary(self, vocabulary):
        """Sets the symbols, without the special ones, by their tokens.

        Args:
            vocabulary: List of distinct strings.
        """
        vocabulary = [str(symbol) for symbol in vocabulary]
        symbols = self.with_special_symbols(vocabulary)
        if len(set(symbols)) < len(symbols) or "" in symbols:
            wrong = sorted({s for s in symbols if symbols.count(s) > 1 or not s})
            raise ValueError(
                "Argument `vocabulary` must hold distinct strings that are not empty, "
                "and no special symbols, which come along by themselves. Received: "
                f"a vocabulary of {len(vocabulary)} with {wrong[:10]}"
            )
        self._vocabulary = tuple(vocabulary)
        self._symbols = tuple(symbols)
        tokens = {symbol: token for token, symbol in enumerate(symbols)}
        for alias, symbol in self.aliases().items():
            tokens.setdefault(alias, tokens.get(symbol, tokens[RARE]))
        # Keras would track a dictionary that could be changed.
        self._tokens = MappingProxyType(tokens)
        in_sentences = {s: t for s, t in tokens.items() if s not in _FRAME}
        # Made outside of whatever graph is under construction, to be saved with it.
        with tf.init_scope():
            self._table = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    tf.constant(list(in_sentences)),
                    tf.constant(list(in_sentences.values()), tf.int32),
                ),
                default_value=self.rare_token_id,
            )

    def adapt(self, sentences):
        """Takes the vocabulary from sentences: their most frequent symbols.

        Symbols of equal frequency are in alphabetical order.

        Args:
            sentences: List of strings, those of the training data.
        """
        special = self.with_special_symbols([])
        if self.max_tokens is not None and self.max_tokens <= len(special):
            raise ValueError(
                f"Argument `max_tokens` must leave room for more than the "
                f"{len(special)} special symbols. "
                f"Received: max_tokens={self.max_tokens}"
            )
        symbols, _, counts = tf.unique_with_counts(self.split(sentences).flat_values)
        aliases, counted = self.aliases(), Counter()
        for symbol, count in zip(symbols.numpy(), counts.numpy(), strict=True):
            symbol = symbol.decode()
            counted[aliases.get(symbol, symbol)] += int(count)
        for symbol in special:
            counted.pop(symbol, None)
        vocabulary = sorted(counted, key=lambda symbol: (-counted[symbol], symbol))
        if self.max_tokens is not None:
            vocabulary = vocabulary[: self.max_tokens - len(special)]
        self.set_vocabulary(vocabulary)

    def get_vocabulary(self):
        """Returns the list of all symbols, the one of token `i` at index `i`."""
        self._check_vocabulary()
        return list(self._symbols)

    def vocabulary_size(self):
        """Returns the number of tokens."""
        self._check_vocabulary()
        return len(self._symbols)

    def token_to_id(self, symbol):
        """Returns the token of a symbol, that of `"<etc>"` if it is not known."""
        self._check_vocabulary()
        return self._tokens.get(symbol, self.rare_token_id)

    def id_to_token(self, token):
        """Returns the symbol of a token."""
        self._check_vocabulary()
        return self._symbols[token]

    @property
    def pad_token_id(self):
        """The token that fills rows up."""
        return self._id(PAD)

    @property
    def mask_token_id(self):
        """The token that stands for what a model has to find out."""
        return self._id(MASK)

    @property
    def rare_token_id(self):
        """The token of symbols that the vocabulary does not have."""
        return self._id(RARE)

    def is_answer(self):
        """Tells for every token whether a mask may be filled with it: a bool array."""
        self._check_vocabulary()
        return np.isin(self._symbols, self._vocabulary)

    def tokenize(self, sentences, ragged=False):
        """Turns sentences into tokens.

        Args:
            sentences: String, or list or tensor of strings of shape `(batch,)`.
            ragged: Boolean. Whether to leave rows as long as they are.

        Returns:
            An int32 tensor of shape `(batch, time)` whose rows begin with the token of
            `"<bos>"`, end with that of `"<eos>"`, and are padded. For a single string,
            a tensor of shape `(time,)`. With `ragged`, a `tf.RaggedTensor`.
        """
        self._check_vocabulary()
        if isinstance(sentences, str):
            return self.tokenize([sentences])[0]
        symbols = self.split(sentences)
        tokens = symbols.with_flat_values(self._table.lookup(symbols.flat_values))
        edge = tf.ones((tokens.nrows(), 1), tf.int32)
        rows = tf.concat([edge * self._id(START), tokens, edge * self._id(END)], axis=1)
        return rows if ragged else rows.to_tensor(self.pad_token_id)

    def detokenize(self, tokens):
        """Turns tokens into sentences.

        Args:
            tokens: Integers of shape `(batch, time)` or `(time,)`.

        Returns:
            A list of strings, or a single one, without padding and the marks of
            beginning and end.
        """
        tokens = tf.cast(tf.convert_to_tensor(tokens), tf.int32)
        if len(tokens.shape) == 1:
            return self.detokenize(tokens[None])[0]
        in_sentence = tf.reduce_all([tokens != self._id(s) for s in _FRAME], axis=0)
        symbols = tf.ragged.boolean_mask(self.symbols(tokens), in_sentence)
        return [sentence.decode() for sentence in self.join(symbols).numpy()]

    def symbols(self, tokens):
        """Returns the tensor of strings that belong to a tensor of tokens."""
        self._check_vocabulary()
        return tf.gather(tf.constant(self._symbols), tokens)

    def replace_masks(self, sentences, tokens):
        """Returns sentences with the symbols of tokens in the place of their masks.

        Args:
            sentences: String tensor of shape `(batch,)`.
            tokens: Integer tensor of shape `(batch, time)`, positions as from
                `tokenize`. Only those where a mask is are looked at.
        """
        symbols = self.split(sentences)
        dense = symbols.to_tensor("")
        filled = tf.where(dense == MASK, self.symbols(tokens)[:, 1:-1], dense)
        return self.join(tf.RaggedTensor.from_tensor(filled, symbols.row_lengths()))

    def with_special_symbols(self, vocabulary):
        """Returns the list of all symbols, in the order of their tokens."""
        raise NotImplementedError

    def aliases(self):
        """Returns a dictionary from symbols to others that they are read as."""
        return {}

    def split(self, sentences):
        """Returns a ragged tensor of the symbols of sentences."""
        raise NotImplementedError

    def join(self, symbols):
        """Returns the sentences that a ragged tensor of symbols makes up."""
        raise NotImplementedError

    def maskable_words(self, tokens):
        """Finds the words of a row that may be masked.

        Args:
            tokens: Integer tensor of shape `(time,)`, a row without padding.

        Returns:
            `(starts, lengths)`, two int32 tensors of shape `(words,)`.
        """
        raise NotImplementedError

    def words(self, sentences):
        """Splits at blanks, into a ragged tensor of words, in lower case if wanted."""
        sentences = tf.convert_to_tensor(sentences, tf.string)
        if len(sentences.shape) != 1:
            raise ValueError(
                "Argument `sentences` must be a list of strings. Received: strings of "
                f"shape {tuple(sentences.shape)}"
            )
        words = tf.strings.split(sentences)
        if self.lowercase:
            flat = words.flat_values
            lowered = tf.strings.lower(flat, encoding="utf-8")
            words = words.with_flat_values(tf.where(flat == NUMBER, flat, lowered))
        return words

    def call(self, tokens):
        return tokens

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary": None if self._symbols is None else list(self._vocabulary),
            "max_tokens": self.max_tokens,
            "lowercase": self.lowercase,
        }

    def _id(self, symbol):
        self._check_vocabulary()
        return self._tokens[symbol]

    def _check_vocabulary(self):
        if self._symbols is None:
            raise ValueError(
                f"Tokenizer '{self.name}' has no vocabulary yet. Pass `vocabulary`, or "
                "call `adapt` with the sentences of the training data"
            )
