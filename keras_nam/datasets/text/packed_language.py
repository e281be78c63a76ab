"""Language modelling: documents one after the other, in rows of one length."""

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_cells
from keras_nam.arguments import check_instance
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_strings
from keras_nam.datasets.text.epochs import epochs
from keras_nam.datasets.text.epochs import shuffled
from keras_nam.optional import OptionalModule
from keras_nam.optional import tf

# Layers of Keras, which drawing rows can do without.
tokenizers = OptionalModule("keras_nam.tokenizers")


def packed_language_dataset(
    documents, tokenizer, length, batch_size=32, training=False, seed=0
):
    """Makes a `tf.data.Dataset` of documents that are packed into rows of one length.

    The tokens of all documents stand one after the other, and are cut into rows. At
    every step the target is the next token of the same document, in the next row if
    need be; the last token of a document has none. A document that goes on in another
    row is one of its own there: nothing is carried over.

    For training the documents come in another order each time that the dataset is
    iterated over, and so do the rows, in the same ones whenever a dataset is made anew.

    Args:
        documents: List of strings.
        tokenizer: A `keras_nam.tokenizers.Tokenizer`.
        length: Positive integer, how long all rows are.
        batch_size: Positive integer. The last batch may be smaller.
        training: Boolean. Whether to shuffle, in another way in each epoch.
        seed: Non-negative integer.

    Returns:
        A `tf.data.Dataset` of batches `(inputs, targets, sample_weight)`. `inputs` is a
        dictionary of int32 `"tokens"` and `"segment_ids"`, which count the documents of
        a row from 1 and are 0 at padding. Targets are int32 tokens, and float32 weights
        are 1 where there is one and 0 elsewhere, all of shape `(batch, length)`. For a
        model that reads a row as one document, `dataset.map(lambda inputs, *others:
        (inputs["tokens"], *others))` leaves them out.

    Example:

    ```python
    tokenizer = keras_nam.tokenizers.ByteTokenizer()
    dataset = keras_nam.datasets.packed_language_dataset(
        ["abc", "de"], tokenizer, length=6
    )
    inputs, targets, sample_weight = next(iter(dataset))
    tokenizer.detokenize(inputs["tokens"])  # ['abcde']
    tokenizer.detokenize(targets)  # ['bce']
    inputs["segment_ids"].numpy().tolist()  # [[1, 1, 1, 2, 2, 0]]
    sample_weight.numpy().tolist()  # [[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]]
    ```

    Raises:
        ValueError: If the documents have no tokens, or an argument is out of range.
    """
    check_instance("tokenizer", tokenizer, tokenizers.Tokenizer)
    length = check_integer("length", length)
    batch_size = check_integer("batch_size", batch_size)
    training = check_boolean("training", training)
    # A key of TensorFlow is 64 bits wide.
    seed = check_integer("seed", seed, at_least=0, at_most=2**63 - 1)
    documents = check_strings("documents", documents, at_least=1)
    rows = tokenizer.tokenize(documents, ragged=True)
    num_tokens = int(tf.size(rows.flat_values))
    if not num_tokens:
        raise ValueError(
            "Argument `documents` must hold at least one token. Received: "
            f"{len(documents)} empty documents"
        )
    # The last token is a target alone.
    num_rows = max(1, -(-(num_tokens - 1) // length))
    check_cells((num_rows, length), length=length)
    check_cells((min(batch_size, num_rows), length), batch_size=batch_size)

    def cut(values, padding):
        """Rows of all values but the last, and of those that follow each of them."""
        missing = num_rows * length + 1 - num_tokens
        values = tf.pad(values, [[0, max(missing, 0)]], constant_values=padding)
        values = values[: num_rows * length + 1]
        return [tf.reshape(x, (num_rows, length)) for x in (values[:-1], values[1:])]

    def epoch(key):
        documents = rows
        if training:
            documents = tf.gather(rows, shuffled(rows.nrows(), key, 0))
        tokens, targets = cut(documents.flat_values, tokenizer.pad_token_id)
        ids = tf.cast(documents.value_rowids(), tf.int32)
        ids, next_ids = cut(ids, -1)
        weights = tf.cast((ids == next_ids) & (ids >= 0), tf.float32)
        targets = tf.where(weights > 0, targets, tokenizer.pad_token_id)
        starts = tf.pad(ids[:, 1:] != ids[:, :-1], [[0, 0], [1, 0]])
        segments = tf.cumsum(tf.cast(starts, tf.int32), axis=1) + 1
        segments = tf.where(ids >= 0, segments, 0)
        parts = {"tokens": tokens, "segment_ids": segments}, targets, weights
        dataset = tf.data.Dataset.from_tensor_slices(
            shuffled(num_rows, key, 1) if training else tf.range(num_rows)
        ).batch(batch_size)
        return dataset.map(
            lambda at: tf.nest.map_structure(lambda x: tf.gather(x, at), parts)
        )

    return epochs(epoch, training, seed, -(-num_rows // batch_size))
