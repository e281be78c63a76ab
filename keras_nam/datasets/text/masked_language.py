"""Masked language modelling: a word of each sentence is hidden, and asked for."""

import numpy as np

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_cells
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_strings
from keras_nam.datasets.text.epochs import epochs
from keras_nam.datasets.text.epochs import shuffled
from keras_nam.optional import tf


def masked_language_dataset(
    sentences,
    tokenizer,
    batch_size=32,
    length=None,
    training=False,
    all_positions=False,
    seed=0,
):
    """Makes a `tf.data.Dataset` of sentences in which one word is masked.

    Each row is `<bos>`, the tokens of a sentence, `<eos>` and padding. With a
    `WordTokenizer` any word of the sentence is masked, with a `CharacterTokenizer` all
    characters of any word but the first. Sentences of a single word stay as they are.

    Masks are drawn while the dataset is read, from `seed`, the number of the epoch and
    the index of the sentence. For training the sentences come in another order and
    with other masks each time that the dataset is iterated over, the same ones
    whenever a dataset is made anew. Otherwise order and masks never change, whatever
    the batch size.

    Args:
        sentences: List of strings.
        tokenizer: A `WordTokenizer` or a `CharacterTokenizer` that has a vocabulary.
        batch_size: Positive integer. The last batch may be smaller.
        length: Positive integer, how long all rows are. `None` means as long as the
            longest one needs. Rows of all batches have the same length, because XLA
            would compile a model again for each new one.
        training: Boolean. Whether to shuffle, and to draw other masks in each epoch.
        all_positions: Boolean. Whether all positions count, padding and copied words
            included, as in the loss of the paper. Metrics would count them, too.
        seed: Non-negative integer.

    Returns:
        A `tf.data.Dataset` of batches `(inputs, targets, sample_weight)` of shape
        `(batch, time)`: int32 tokens, int32 tokens, and float32 weights that are 1 at
        the masks and 0 elsewhere.

    Example:

    ```python
    sentences = keras_nam.datasets.generated_sentences(100)
    tokenizer = keras_nam.tokenizers.WordTokenizer()
    tokenizer.adapt(sentences)
    dataset = keras_nam.datasets.masked_language_dataset(sentences, tokenizer)
    len(dataset)  # 4
    inputs, targets, sample_weight = next(iter(dataset))
    sample_weight.numpy().sum()  # 32.0
    ```

    Raises:
        ValueError: If there are no sentences, one is longer than `length` or has a mask
            already, or an argument is out of range.

    Reference:

    - [I-BERT](https://arxiv.org/abs/2006.10220)
    """
    batch_size = check_integer("batch_size", batch_size)
    length = check_optional_integer("length", length)
    training = check_boolean("training", training)
    all_positions = check_boolean("all_positions", all_positions)
    # A key of TensorFlow is 64 bits wide.
    seed = check_integer("seed", seed, at_least=0, at_most=2**63 - 1)
    sentences = check_strings("sentences", sentences, at_least=1)
    rows = _tokenize(sentences, tokenizer)
    length = _row_length(rows, length)
    shape = min(batch_size, len(sentences)), length
    check_cells(shape, batch_size=batch_size, length=length)
    tokens, starts = rows.flat_values, rows.row_splits

    def row(index, epoch_key):
        targets = tokens[starts[index] : starts[index + 1]]
        draw = tf.random.experimental.stateless_fold_in(epoch_key, index)
        is_masked = draw_mask(targets, tokenizer, draw)
        inputs = tf.where(is_masked, tokenizer.mask_token_id, targets)
        counts = tf.ones_like(is_masked) if all_positions else is_masked
        return inputs, targets, tf.cast(counts, tf.float32)

    def epoch(epoch_key):
        order = tf.range(rows.nrows())
        if training:
            # No sentence has this index.
            order = shuffled(rows.nrows(), epoch_key, rows.nrows())
        return (
            tf.data.Dataset.from_tensor_slices(order)
            .map(lambda index: row(index, epoch_key), tf.data.AUTOTUNE)
            .padded_batch(
                batch_size,
                padded_shapes=([length], [length], [length]),
                padding_values=(
                    tokenizer.pad_token_id,
                    tokenizer.pad_token_id,
                    float(all_positions),
                ),
            )
        )

    return epochs(epoch, training, seed, -(-int(rows.nrows()) // batch_size))


def draw_mask(tokens, tokenizer, seed):
    """Chooses the word of a row that is masked.

    Args:
        tokens: Integer tensor of shape `(time,)`, a row without padding.
        tokenizer: A tokenizer.
        seed: Integer tensor of shape `(2,)`.

    Returns:
        A boolean tensor of shape `(time,)`, all false if no word may be masked.
    """
    starts, lengths = tokenizer.maskable_words(tokens)
    count = tf.size(starts)
    chosen = tf.random.stateless_uniform([], seed, 0, tf.maximum(count, 1), tf.int32)
    # One word of length 0, where there is none.
    start = tf.concat([starts, [0]], axis=0)[chosen]
    length = tf.concat([lengths, [0]], axis=0)[chosen]
    positions = tf.range(tf.size(tokens))
    return (positions >= start) & (positions < start + length)


def _tokenize(sentences, tokenizer):
    if not hasattr(tokenizer, "maskable_words"):
        raise ValueError(
            "Argument `tokenizer` must be a `WordTokenizer` or a `CharacterTokenizer` "
            f"of `keras_nam.tokenizers`. Received: tokenizer={tokenizer!r}"
        )
    rows = tokenizer.tokenize(sentences, ragged=True)
    has_mask = tf.reduce_any(rows == tokenizer.mask_token_id, axis=1).numpy()
    if has_mask.any():
        raise ValueError(
            "Argument `sentences` must have no masks in them. Received: "
            f"{sentences[int(np.argmax(has_mask))]!r}"
        )
    return rows


def _row_length(rows, length):
    longest = int(tf.reduce_max(rows.row_lengths()))
    if length is None:
        return longest
    if longest > length:
        raise ValueError(
            "Argument `length` must be at least that of the longest row, "
            f"{longest} tokens with its marks of beginning and end. "
            f"Received: length={length}"
        )
    return length
