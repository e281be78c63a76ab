"""Rows for training: where they end, and how they are cut and padded over time."""

from keras import tree

from keras_nam.optional import tf


class PaddedRows:
    """What is known of rows `(inputs, targets)` or `(inputs, targets, sample_weight)`.

    The parts of a row that are as long as the first inputs have a time axis. They hold
    `padding_value` behind the end of the row, sample weights 0.

    Args:
        specs: Nested structure of `tf.TensorSpec`, of a single row.
        padding_value: Number.
    """

    def __init__(self, specs, padding_value):
        self.structure = specs
        flat = tree.flatten(specs)
        self.time = flat[0].shape[:1]
        if flat[0].shape.rank in (None, 0):
            raise ValueError(
                "Argument `rows` must have inputs of shape (time, ...) in each row. "
                f"Received: {specs}"
            )
        self.timed = [bool(x.shape.rank) and x.shape[:1] == self.time for x in flat]
        values = [
            tree.map_structure(lambda _, i=i: padding_value if i < 2 else 0, part)
            for i, part in enumerate(specs)
        ]
        self.values = [
            tf.cast(value, x.dtype)
            for value, x in zip(tree.flatten(values), flat, strict=True)
        ]

    @property
    def padding(self):
        """The values that pad the parts, in their structure."""
        return tree.pack_sequence_as(self.structure, self.values)

    def lengths(self, rows, time_axis):
        """The number of steps before the padding, of a row or of several.

        Args:
            rows: Rows as tensors.
            time_axis: Integer, 0 for a single row, 1 for several in a batch.
        """
        longest = tf.constant(0, "int64")
        parts = zip(tree.flatten(rows), self.timed, self.values, strict=True)
        for x, timed, value in parts:
            if timed:
                used = x != value
                axes = list(range(time_axis + 1, len(used.shape)))
                used = tf.cast(tf.reduce_any(used, axes), "int64")
                steps = 1 + tf.range(tf.shape(x, "int64")[time_axis], dtype="int64")
                longest = tf.maximum(longest, tf.reduce_max(used * steps, time_axis))
        return longest

    def cut(self, batch, length):
        """Cuts or pads the parts that have a time axis to `length` steps."""
        parts = zip(tree.flatten(batch), self.timed, self.values, strict=True)
        cut = [_cut(x, length, value) if timed else x for x, timed, value in parts]
        return tree.pack_sequence_as(self.structure, cut)


def _cut(x, length, value):
    shape = x.shape
    x = x[:, :length]
    missing = length - tf.shape(x, "int64")[1]
    paddings = [[0, 0], [0, missing]] + [[0, 0]] * (len(shape) - 2)
    x = tf.pad(x, paddings, constant_values=value)
    x.set_shape([shape[0], None, *shape[2:]])
    return x
