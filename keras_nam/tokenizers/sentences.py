"""What the tokenizers of sentences share: their symbols, and marks at both ends."""

from collections import Counter
from types import MappingProxyType

import numpy as np

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_instance
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_strings
from keras_nam.optional import tf
from keras_nam.tokenizers.tokenizer import Tokenizer
from keras_nam.tokenizers.tokenizer import as_strings
from keras_nam.tokenizers.tokenizer import lookup_table

PAD = "<pad>"
START = "<bos>"
END = "<eos>"
UNKNOWN = "<unk>"
RARE = "<etc>"
MASK = "<mask>"
# The Penn Treebank's sign for a number, a word by itself.
NUMBER = "N"

# What stands around a sentence, and never in one.
_FRAME = (PAD, START, END)


class SentenceTokenizer(Tokenizer):
    """Base of those for sentences; a subclass says what the symbols of one are.

    A symbol is a word or a character. Rows begin with the token of `"<bos>"` and end
    with that of `"<eos>"`, which texts are without.
    """

    def __init__(self, vocabulary=None, max_tokens=None, lowercase=True, **kwargs):
        super().__init__(**kwargs)
        self.max_tokens = check_optional_integer("max_tokens", max_tokens)
        self.lowercase = check_boolean("lowercase", lowercase)
        self._symbols = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    def set_vocabulary(self, vocabulary):
        """Sets the symbols, without the special ones, by their tokens.

        Args:
            vocabulary: List of distinct strings.
        """
        vocabulary = check_strings("vocabulary", vocabulary)
        symbols = self.with_special_symbols(vocabulary)
        wrong = [s for s, count in Counter(symbols).items() if count > 1 or not s]
        if wrong:
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
        self._table = lookup_table(in_sentences, default=self.rare_token_id)

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
        texts = as_strings("sentences", sentences)
        if not len(texts):
            raise ValueError(
                "Argument `sentences` must hold at least one string. Received: none"
            )
        symbols, _, counts = tf.unique_with_counts(self.split(texts).flat_values)
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
        return self._tokens.get(
            check_instance("symbol", symbol, str, "a string"), self.rare_token_id
        )

    def id_to_token(self, token):
        """Returns the symbol of a token."""
        last = self.vocabulary_size() - 1
        return self._symbols[check_integer("token", token, 0, last)]

    @property
    def pad_token_id(self):
        """The token that fills rows up."""
        return self._id(PAD)

    @property
    def mask_token_id(self):
        """The token that stands for what a model has to find out."""
        return self._id(MASK)

    @property
    def start_token_id(self):
        """The token that stands before every text."""
        return self._id(START)

    @property
    def end_token_id(self):
        """The token that stands after every text."""
        return self._id(END)

    @property
    def rare_token_id(self):
        """The token of symbols that the vocabulary does not have."""
        return self._id(RARE)

    def is_answer(self):
        """Tells for every token whether a mask may be filled with it: a bool array."""
        self._check_vocabulary()
        return np.isin(self._symbols, self._vocabulary)

    def encode(self, texts):
        self._check_vocabulary()
        symbols = self.split(texts)
        tokens = symbols.with_flat_values(self._table.lookup(symbols.flat_values))
        edge = tf.ones((tokens.nrows(), 1), tf.int32)
        start, end = edge * self.start_token_id, edge * self.end_token_id
        return tf.concat([start, tokens, end], axis=1)

    def decode(self, tokens):
        pad, start, end = map(self._id, _FRAME)
        in_sentence = (tokens != pad) & (tokens != start) & (tokens != end)
        return self.join(tf.ragged.boolean_mask(self.symbols(tokens), in_sentence))

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
        symbols = self.split(as_strings("sentences", sentences))
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
        """Returns a ragged tensor of the symbols of sentences, a string tensor."""
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
        words = tf.strings.split(sentences)
        if self.lowercase:
            flat = words.flat_values
            lowered = tf.strings.lower(flat, encoding="utf-8")
            words = words.with_flat_values(tf.where(flat == NUMBER, flat, lowered))
        return words

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
