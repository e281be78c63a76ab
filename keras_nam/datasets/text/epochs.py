"""Datasets that come in another order each time that they are read."""

from keras_nam.optional import tf


def epochs(epoch, training, seed, num_batches):
    """Makes a dataset of a function from the key of an epoch to its dataset.

    Args:
        epoch: Function from an int64 tensor of shape `(2,)` to a `tf.data.Dataset` of
            batches.
        training: Boolean. Whether each time that the dataset is iterated over is
            another epoch.
        seed: Non-negative integer of 63 bits.
        num_batches: Integer, the number of batches of each epoch.
    """

    def numbered(number):
        return epoch(tf.stack([tf.constant(seed, tf.int64), number]))

    if training:
        dataset = _count_epochs().flat_map(numbered)
    else:
        dataset = numbered(tf.constant(0, tf.int64))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches))
    return dataset.prefetch(tf.data.AUTOTUNE)


def shuffled(count, key, index):
    """The numbers below `count` in an order drawn from a key and an index."""
    key = tf.random.experimental.stateless_fold_in(key, index)
    return tf.random.experimental.stateless_shuffle(tf.range(count), key)


def _count_epochs():
    """A dataset of one number, which is one higher each time that it is read."""
    # Not on a GPU, where functions of tf.data could not reach it.
    with tf.device("CPU:0"):
        counter = tf.Variable(-1, dtype=tf.int64, trainable=False)
    return tf.data.Dataset.from_tensors(0).map(lambda _: counter.assign_add(1))
