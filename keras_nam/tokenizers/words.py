"""Words as tokens."""

import keras

from keras_nam.optional import tf
from keras_nam.tokenizers.sentences import END
from keras_nam.tokenizers.sentences import MASK
from keras_nam.tokenizers.sentences import PAD
from keras_nam.tokenizers.sentences import RARE
from keras_nam.tokenizers.sentences import START
from keras_nam.tokenizers.sentences import UNKNOWN
from keras_nam.tokenizers.sentences import SentenceTokenizer

_SPECIAL = (PAD, START, END, UNKNOWN, RARE, MASK)


@keras.saving.register_keras_serializable(package="keras_nam")
class WordTokenizer(SentenceTokenizer):
    """Splits sentences at blanks; every word is a token.

    Tokens 0 to 5 are `<pad>`, `<bos>`, `<eos>`, `<unk>` (as written in the files of the
    Penn Treebank), `<etc>` (any word that the vocabulary does not have) and `<mask>`.
    The words follow.

    The layer saves its vocabulary in its config. Called on tokens it returns them as
    they are, so that it can stand in a model that is fed tokens:
    `keras_nam.models.masked_lm` puts it there.

    Args:
        vocabulary: List of distinct words by their tokens, without the six above.
            `None` means that `adapt` is called.
        max_tokens: Positive integer, how many tokens `adapt` may make, the six
            included. `None` means any number.
        lowercase: Boolean. Whether to read words in lower case, but for the word `N`,
            which stands for a number in the Penn Treebank.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        tokens: Integer tensor.

    Returns:
        The same tensor.

    Example:

    ```python
    tokenizer = keras_nam.tokenizers.WordTokenizer(max_tokens=10_000)
    tokenizer.adapt(["the dog runs", "the dog sleeps"])
    tokenizer.get_vocabulary()[6:]  # ['dog', 'the', 'runs', 'sleeps']
    tokens = tokenizer.tokenize(["The cat <mask>", "the dog"])
    tokens.numpy().tolist()  # [[1, 7, 4, 5, 2], [1, 7, 6, 2, 0]]
    tokenizer.detokenize(tokens)  # ['the <etc> <mask>', 'the dog']
    ```

    Raises:
        ValueError: If a word comes twice in the vocabulary, or is one of the six.
    """

    def with_special_symbols(self, vocabulary):
        return [*_SPECIAL, *vocabulary]

    def split(self, sentences):
        sentences = tf.strings.regex_replace(sentences, MASK, f" {MASK} ")
        return self.words(sentences)

    def join(self, symbols):
        return tf.strings.reduce_join(symbols, axis=-1, separator=" ")

    def maskable_words(self, tokens):
        """Finds the words that may be masked: all, but none that is alone."""
        count = tf.size(tokens) - 2
        starts = tf.range(1, tf.where(count < 2, 1, count + 1))
        return starts, tf.ones_like(starts)
