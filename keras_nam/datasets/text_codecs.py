"""Text to tokens and back inside of a graph, for models that are exported with it."""

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integer
from keras_nam.datasets import byte_tokens
from keras_nam.datasets.tasks import TASKS
from keras_nam.datasets.tasks import find_task
from keras_nam.optional import tf

# The tasks of `load_long_range` whose tokens are bytes.
BYTE_TASKS = ("text", "matching")


class TextCodec:
    """Base class of what turns text into tokens and back as operations of a graph.

    `keras_nam.models.export_text_model` takes any subclass, which defines

    - `encode(texts)`: strings `(batch,)` to a tuple `(tokens, lengths)`, int32 of the
        shapes `(batch, time)`, filled up with padding, and `(batch,)`;
    - `decode(tokens, lengths)`: back to strings `(batch,)`;
    - `blank`: the token of the cells that a model is asked to fill in, `None` if all
        that it predicts is its answer;
    - `vocabulary_size`: how many tokens `decode` knows;
    - `resources`: the tables and variables that have to be saved with the graph.
    """

    blank = None
    vocabulary_size = None
    resources = ()

    def encode(self, texts):
        raise NotImplementedError

    def decode(self, tokens, lengths):
        raise NotImplementedError


class VocabularyCodec(TextCodec):
    """The symbols of a `Vocabulary`, as `keras_nam.datasets.encode` reads them.

    Args:
        vocabulary: A `Vocabulary`.
        blank: Integer, the token of the cells that are to be filled in. `None` means
            the mask of the vocabulary.
    """

    def __init__(self, vocabulary, blank=None):
        self.blank = vocabulary.mask if blank is None else blank
        self.vocabulary_size = len(vocabulary.symbols)
        self._pad = vocabulary.pad
        self._ignored = list(vocabulary.ignored)
        self._one_character_each = vocabulary.one_character_each
        self._symbols = vocabulary.symbols
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                list(vocabulary.symbols), list(range(len(vocabulary.symbols)))
            ),
            default_value=-1,
        )
        self.resources = (self._table,)

    def encode(self, texts):
        pieces = tf.strings.split(texts)
        if self._one_character_each:
            joined = tf.strings.reduce_join(pieces, axis=1)
            pieces = tf.strings.unicode_split(joined, "UTF-8")
        for ignored in self._ignored:
            pieces = tf.ragged.boolean_mask(pieces, pieces != ignored)
        tokens = self._table.lookup(pieces.flat_values)
        unknown = tf.boolean_mask(pieces.flat_values, tokens < 0)
        known = tf.debugging.Assert(
            tf.size(unknown) == 0, ["Symbols that are not in the vocabulary:", unknown]
        )
        with tf.control_dependencies([known]):
            tokens = pieces.with_flat_values(tf.identity(tokens))
        lengths = tf.cast(tokens.row_lengths(), tf.int32)
        return _fill_up(tokens, self._pad), lengths

    def decode(self, tokens, lengths):
        symbols = tf.gather(tf.constant(self._symbols), tokens)
        rows = tf.RaggedTensor.from_tensor(symbols, lengths=lengths)
        return tf.strings.reduce_join(rows, axis=1, separator=" ")


class ByteCodec(TextCodec):
    """Bytes as tokens, as in the texts of the Long Range Arena.

    Args:
        length: Positive integer. Longer texts are cut. `None` reads all of them.
    """

    vocabulary_size = byte_tokens.VOCABULARY_SIZE

    def __init__(self, length=None):
        self._length = length

    def encode(self, texts):
        if self._length is not None:
            texts = tf.strings.substr(texts, 0, self._length)
        lengths = tf.strings.length(texts)
        width = tf.reduce_max(tf.concat([lengths, [1]], axis=0))
        values = tf.io.decode_raw(texts, tf.uint8, fixed_length=width)
        inside = tf.sequence_mask(lengths, width)
        tokens = tf.cast(values, tf.int32) + 1
        return tf.where(inside, tokens, byte_tokens.PAD), lengths

    def decode(self, tokens, lengths):
        # Padding is no byte.
        symbols = tf.constant([b"", *(bytes([byte]) for byte in range(256))])
        rows = tf.RaggedTensor.from_tensor(tf.gather(symbols, tokens), lengths=lengths)
        return tf.strings.reduce_join(rows, axis=1)


def text_codec(task, length=None):
    """Returns what turns texts of a task into tokens and back inside of a graph.

    It goes into `keras_nam.models.export_text_model`.

    Args:
        task: String. One of `TASKS`, whose symbols are those of `encode`, or `"text"`
            or `"matching"` of `LONG_RANGE_TASKS`, whose tokens are bytes.
        length: Positive integer, for bytes. Longer texts are cut. `None` reads all of
            them.

    Returns:
        A `TextCodec`.

    Example:

    ```python
    codec = keras_nam.datasets.text_codec("reverse")
    tokens, lengths = codec.encode(["_12_MME", "_3_ME"])
    tokens  # [[10, 1, 2, 10, 14, 14, 13], [10, 3, 10, 14, 13, 11, 11]]
    codec.decode(tokens, lengths)  # [b"_ 1 2 _ M M E", b"_ 3 _ M E"]
    ```

    Raises:
        ValueError: If there is no such task, or its tokens are not text.
    """
    check_choice("task", task, (*TASKS, *BYTE_TASKS))
    if task in BYTE_TASKS:
        if length is not None:
            length = check_integer("length", length, at_least=1)
        return ByteCodec(length)
    if length is not None:
        raise ValueError(
            f"Argument `length` must be `None` for task '{task}', whose rows are not "
            f"cut. Received: length={length!r}"
        )
    vocabulary = find_task(task).vocabulary
    # The answer of a reduction stands where its row has padding.
    return VocabularyCodec(vocabulary, vocabulary.pad if task == "reduction" else None)


def _fill_up(rows, pad):
    """A ragged tensor as `(batch, time)` with at least one step."""
    dense = rows.to_tensor(pad)
    missing = tf.maximum(1 - tf.shape(dense)[1], 0)
    return tf.pad(dense, [[0, 0], [0, missing]], constant_values=pad)
