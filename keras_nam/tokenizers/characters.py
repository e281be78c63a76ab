"""Characters as tokens."""

import string

import keras

from keras_nam.optional import tf
from keras_nam.tokenizers.sentences import END
from keras_nam.tokenizers.sentences import MASK
from keras_nam.tokenizers.sentences import NUMBER
from keras_nam.tokenizers.sentences import PAD
from keras_nam.tokenizers.sentences import RARE
from keras_nam.tokenizers.sentences import START
from keras_nam.tokenizers.sentences import UNKNOWN
from keras_nam.tokenizers.sentences import SentenceTokenizer

BLANK = "_"
# Those of more than one character that may stand in a sentence.
LONG_SYMBOLS = (UNKNOWN, RARE, MASK)
PAPER_CHARACTERS = (*string.ascii_lowercase, NUMBER, *"-.$#\\/&")


@keras.saving.register_keras_serializable(package="keras_nam")
class CharacterTokenizer(SentenceTokenizer):
    r"""Splits sentences into characters; every character is a token.

    Tokens 0 to 5 are `<pad>`, `<bos>`, `<eos>`, `_` (the blank between words), `<unk>`
    (a word, as written in the files of the Penn Treebank) and `<mask>`, one for each
    character of a masked word. The characters follow, and last `<etc>`, any other
    character. All digits are one token, `N`.

    The layer saves its vocabulary in its config. Called on tokens it returns them as
    they are, so that it can stand in a model that is fed tokens:
    `keras_nam.models.masked_lm` puts it there.

    Args:
        vocabulary: List of distinct characters by their tokens, without those above.
            `None` means those of the paper: `a` to `z`, `N` and `- . $ # \ / &`. Call
            `adapt` to have those of your sentences instead.
        max_tokens: Positive integer, how many tokens `adapt` may make, the special
            ones included. `None` means any number.
        lowercase: Boolean. Whether to read words in lower case, but for the word `N`,
            which stands for a number in the Penn Treebank.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        tokens: Integer tensor.

    Returns:
        The same tensor.

    Example:

    ```python
    tokenizer = keras_nam.tokenizers.CharacterTokenizer()
    tokenizer.vocabulary_size()  # 41
    tokens = tokenizer.tokenize("A c<mask><mask>")
    tokens.numpy().tolist()  # [1, 6, 3, 8, 5, 5, 2]
    tokenizer.detokenize(tokens)  # 'a c<mask><mask>'
    ```

    Raises:
        ValueError: If a character comes twice in the vocabulary, or is a special one.

    Reference:

    - [I-BERT](https://arxiv.org/abs/2006.10220)
    """

    def __init__(self, vocabulary=None, max_tokens=None, lowercase=True, **kwargs):
        if vocabulary is None:
            vocabulary = PAPER_CHARACTERS
        super().__init__(vocabulary, max_tokens, lowercase, **kwargs)

    def with_special_symbols(self, vocabulary):
        return [PAD, START, END, BLANK, UNKNOWN, MASK, *vocabulary, RARE]

    def aliases(self):
        return dict.fromkeys(string.digits, NUMBER)

    def split(self, sentences):
        # A blank and its sign are the same.
        words = self.words(tf.strings.regex_replace(sentences, BLANK, " "))
        text = tf.strings.reduce_join(words, axis=-1, separator=BLANK)
        spaced = tf.strings.regex_replace(text, "|".join((*LONG_SYMBOLS, ".")), r"\0 ")
        return tf.strings.split(spaced)

    def join(self, symbols):
        text = tf.strings.reduce_join(symbols, axis=-1)
        return tf.strings.regex_replace(text, BLANK, " ")

    def maskable_words(self, tokens):
        """Finds the words that may be masked: all after the first."""
        blanks = tf.where(tokens == self.token_to_id(BLANK))[:, 0]
        starts = tf.cast(blanks, tf.int32) + 1
        ends = tf.concat([starts[1:] - 1, [tf.size(tokens) - 1]], axis=0)
        return starts, ends[: tf.size(starts)] - starts
