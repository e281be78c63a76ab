"""Training rows that grow longer as training goes on."""

import copy
import itertools
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from keras import tree

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_choice
from keras_nam.arguments import check_instance
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_number
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_verbose
from keras_nam.callbacks.padded_rows import PaddedRows
from keras_nam.callbacks.seen_batches import seen_batches
from keras_nam.optional import tf

UNITS = ("epoch", "step")


class LengthCurriculum(keras.callbacks.Callback):
    """Trains on short rows first, and on longer ones from given epochs or steps on.

    The callback says how long rows may be; the dataset that its method `batches` makes
    obeys. Rows that are longer are left out for the time being or, if `truncate`, cut.
    All batches of a stage have exactly the length of the stage, so a model that takes
    any length is traced once and, with `jit_compile=True`, compiled once a stage.

    An epoch always has as many steps as all rows make, so that the schedules of
    learning rates stay what they are: as long as few rows are short enough, they come
    more often. The length of an epoch is in the history as `"length"`.

    Training that goes on with `initial_epoch`, or from what
    `keras.callbacks.BackupAndRestore` restored, goes on with the length of its epoch or
    step. Validation data are left as they are.

    Args:
        lengths: Dictionary from the epoch or step at which a stage begins to the
            number of tokens or other time steps that rows of that stage may have. The
            first stage begins at 0, and every stage has longer rows than the one
            before it.
        unit: String. What the stages are counted in: `"epoch"`, or `"step"` for the
            batches that the optimizer has seen.
        truncate: Boolean. Whether longer rows are cut to the length of the stage,
            which suits language models. A cut row of an algorithmic task asks for
            something else, so that longer rows are left out by default.
        padding_value: Number that stands in the cells of a row behind its end, in
            inputs and targets; sample weights are 0 there.
        verbose: Integer, 1 to print a line when a stage begins, or 0.

    Attributes:
        length: Integer, the length of the stage.

    Example:

    ```python
    rows = keras_nam.datasets.load_task("reverse", "train", 2_000)
    curriculum = keras_nam.callbacks.LengthCurriculum({0: 11, 1: 23}, padding_value=11)
    model = keras_nam.models.namtm_tagger(width=16, num_tapes=2)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        curriculum.batches(rows, batch_size=500),
        epochs=2,
        shuffle=False,
        callbacks=[curriculum],
    )
    history.history["length"]  # [11, 23]
    ```

    Raises:
        ValueError: If the stages do not begin at 0 or do not grow, or another argument
            is out of range.
    """

    def __init__(
        self, lengths, unit="epoch", truncate=False, padding_value=0, verbose=0
    ):
        super().__init__()
        self.lengths = _check_lengths(lengths)
        self.unit = check_choice("unit", unit, UNITS)
        self.truncate = check_boolean("truncate", truncate)
        check_number("padding_value", padding_value)
        self.padding_value = padding_value
        self.verbose = check_verbose(verbose, choices=(0, 1))
        # Datasets read it whenever they make a batch. A strategy would mirror it; the
        # scope of a strategy ends at its thread.
        with ThreadPoolExecutor(1) as other_thread:
            self._variable = other_thread.submit(
                tf.Variable, self.lengths[0], trainable=False, dtype="int64"
            ).result()

    def __deepcopy__(self, memo):
        # Keras Tuner copies callbacks, and not the datasets that read the variable.
        return copy.copy(self)

    @property
    def length(self):
        return int(self._variable.numpy())

    def batches(self, rows, batch_size, shuffle=True, seed=None):
        """Makes the batches to fit on.

        Args:
            rows: A tuple `(inputs, targets)` or `(inputs, targets, sample_weight)` of
                arrays, or of dictionaries or lists of them, padded at their ends to
                one length; or a `tf.data.Dataset` of such tuples for single rows,
                padded or as long as they are. What is as long as the (first) inputs
                has a time axis and is cut and padded; the rest, like the class of a
                row, is left alone. A row ends behind the last step at which inputs or
                targets are not `padding_value` or the weight is not 0.
            batch_size: Positive integer.
            shuffle: Boolean. Whether arrays are shuffled, anew in every epoch. A
                dataset is taken as it comes: shuffle its rows before.
            seed: Integer, for shuffling.

        Returns:
            A `tf.data.Dataset` of batches of shape `(batch_size, length, ...)`, always
            full. It has the number of batches of an epoch or, if the number of rows of
            a dataset is unknown, no end: pass `steps_per_epoch` to `fit`. Batches that
            are prefetched have the length of the time at which they were made.

        Raises:
            ValueError: If `rows` are something else, the arrays differ in their
                number of rows, or no row is short enough for the first stage.
        """
        batch_size = check_integer("batch_size", batch_size)
        check_boolean("shuffle", shuffle)
        check_optional_integer("seed", seed, at_least=0)
        if isinstance(rows, tf.data.Dataset):
            dataset, steps = self._batches_of_dataset(rows, batch_size)
        else:
            dataset, steps = self._batches_of_arrays(rows, batch_size, shuffle, seed)
        if steps is not None:
            dataset = dataset.take(steps)
        # A batch made ahead would not have the length of the time when it is used.
        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False
        return dataset.with_options(options)

    def on_epoch_begin(self, epoch, logs=None):
        if self.unit == "epoch":
            self._begin(epoch)
            return
        self._first_batch = None
        self._first_step = seen_batches(self.model.optimizer)
        self._begin(self._first_step)

    def on_train_batch_begin(self, batch, logs=None):
        if self.unit == "step":
            # Training that was broken off within an epoch goes on with a later batch.
            if self._first_batch is None:
                self._first_batch = batch
            self._begin(self._first_step + batch - self._first_batch)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["length"] = self.length

    def _begin(self, position):
        stage = max(start for start in self.lengths if start <= position)
        length = self.lengths[stage]
        if length == self.length:
            return
        self._variable.assign(length)
        if self.verbose:
            print(f"\n{self.unit.title()} {position}: rows of up to {length} steps")

    def _batches_of_arrays(self, rows, batch_size, shuffle, seed):
        arrays = tree.map_structure(np.asarray, _without_none(rows))
        shapes = [x.shape for x in tree.flatten(arrays)]
        if len({shape[:1] for shape in shapes}) != 1 or not all(shapes[0][:2]):
            raise ValueError(
                "Argument `rows` must be a tuple (inputs, targets[, sample_weight]) of "
                "arrays with the same number of rows, of which inputs have shape (rows,"
                f" time, ...). Received: arrays of the shapes {shapes}"
            )
        tensors = tree.map_structure(tf.convert_to_tensor, arrays)
        padded = self._padded_rows(
            tree.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), tensors)
        )
        size = shapes[0][0]
        indices = tf.data.Dataset.range(size)
        if shuffle:
            indices = indices.shuffle(size, seed=seed)
        if not self.truncate:
            lengths = padded.lengths(tensors, time_axis=1)
            shortest = int(tf.reduce_min(lengths))
            if shortest > self.lengths[0]:
                raise ValueError(
                    "Some of `rows` must be short enough for the first stage. "
                    f"Received: lengths={self.lengths} and rows of at least "
                    f"{shortest} steps"
                )
            indices = indices.filter(lambda i: lengths[i] <= self._variable)
        batches = indices.repeat().batch(batch_size, drop_remainder=True)
        return batches.map(
            lambda chosen: padded.cut(
                tree.map_structure(lambda x: tf.gather(x, chosen), tensors),
                self._limit(padded),
            )
        ), -(-size // batch_size)

    def _batches_of_dataset(self, source, batch_size):
        padded = self._padded_rows(source.element_spec)
        size = int(source.cardinality())
        rows = source
        if not self.truncate:
            rows = source.filter(
                lambda *row: padded.lengths(row, time_axis=0) <= self._variable
            )
        # Repeating nothing ends at once, so that what follows is reached only then.
        message = f"No row is short enough for lengths={self.lengths}"
        rows = rows.repeat().concatenate(source.take(1).map(_fail_with(message)))
        batches = rows.padded_batch(
            batch_size, padding_values=padded.padding, drop_remainder=True
        )
        batches = batches.map(lambda *batch: padded.cut(batch, self._limit(padded)))
        return batches, -(-size // batch_size) if size > 0 else None

    def _padded_rows(self, specs):
        return PaddedRows(specs, self.padding_value)

    def _limit(self, padded):
        """The length of the next batch, at most that of all rows if it is known."""
        time = padded.time[0]
        return self._variable if time is None else tf.minimum(self._variable, time)


def _fail_with(message):
    def fail(*row):
        with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
            return tree.map_structure(tf.identity, row)

    return fail


def _without_none(rows):
    if not isinstance(rows, (tuple, list)):
        raise ValueError(
            "Argument `rows` must be a tuple (inputs, targets[, sample_weight]) or a "
            f"tf.data.Dataset. Received: rows={rows} (of type {type(rows)})"
        )
    return tuple(part for part in rows if part is not None)


def _check_lengths(lengths):
    stages = [
        (check_integer("lengths", start, at_least=0), check_integer("lengths", size))
        for start, size in check_instance("lengths", lengths, dict).items()
    ]
    stages.sort()
    sizes = [size for _, size in stages]
    if not stages or stages[0][0] != 0:
        raise ValueError(
            "Argument `lengths` must have a stage that begins at 0. "
            f"Received: lengths={lengths}"
        )
    if any(a >= b for a, b in itertools.pairwise(sizes)):
        raise ValueError(
            "Argument `lengths` must have a greater length in every stage than in the "
            f"one before it. Received: lengths={lengths}"
        )
    return dict(stages)
