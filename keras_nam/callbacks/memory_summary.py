"""What the memories of a model do, in TensorBoard."""

import os

import keras
import numpy as np

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_destination
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_list
from keras_nam.optional import require_package
from keras_nam.optional import tf
from keras_nam.visualization.arguments import as_numbers
from keras_nam.visualization.gates import GATES
from keras_nam.visualization.gates import plot_gates
from keras_nam.visualization.memories import plot_memory
from keras_nam.visualization.recording import trajectory
from keras_nam.visualization.search import find_layer
from keras_nam.visualization.search import find_layers
from keras_nam.visualization.tape_heads import plot_tape_heads

MEMORIES = ("memory", "tape")
HEADS = ("read_position", "write_position")


class MemorySummary(keras.callbacks.Callback):
    """Shows memories, gates and heads in TensorBoard as training goes on.

    At the end of epochs the model is run on a few sequences that are always the same.
    For every recurrent layer of this package in it, histograms show all values of its
    gates and of its memory or tape, without masked steps, and images, those of
    `keras_nam.visualization`, show what the gates, the memory and the heads of a tape
    do on one of the sequences.

    Event files are written to the folder `memory` in `log_dir`, beside the folders of
    `keras.callbacks.TensorBoard`: `tensorboard --logdir logs` shows both.

    Args:
        log_dir: String or path, the folder.
        inputs: What the model takes, as arrays or tensors: a few sequences.
        layers: List of the layers to show, as layers, names or paths of names joined by
            slashes. `None` means all.
        update_freq: Positive integer, every how many epochs something is written.
        write_images: Boolean. Whether to draw images too, which takes matplotlib and
            about a second for each layer.
        example: Non-negative integer, which of the sequences is drawn.
        tokens: List of strings, the tokens of that sequence, for the images.

    Example:

    ```python
    model = keras_nam.models.namtm_tagger(width=16, num_tapes=2)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs, targets, _ = keras_nam.datasets.load_task("reverse", "train", 100)
    summary = keras_nam.callbacks.MemorySummary("logs", inputs[-2:])
    model.fit(inputs, targets, callbacks=[summary], verbose=0)
    ```

    Raises:
        ValueError: If an argument is out of range or, when training begins, the model
            has no such layer.
        ImportError: If TensorBoard or matplotlib is not installed.
    """

    def __init__(
        self,
        log_dir,
        inputs,
        layers=None,
        update_freq=1,
        write_images=True,
        example=0,
        tokens=None,
    ):
        super().__init__()
        update_freq = check_integer("update_freq", update_freq)
        write_images = check_boolean("write_images", write_images)
        log_dir = check_destination("log_dir", log_dir)
        shapes = [np.shape(x) for x in keras.tree.flatten(inputs)]
        if not shapes or any(len(shape) < 2 for shape in shapes):
            raise ValueError(
                "Argument `inputs` must be arrays of shape (batch, time, ...). "
                f"Received: inputs={inputs!r}"
            )
        if layers is not None:
            kinds = (str, keras.layers.Layer)
            layers = check_list("layers", layers, kinds, "a list of layers or names")
        if tokens is not None:
            tokens = check_list("tokens", tokens, object, "a list of strings")
        for package in ["tensorboard", *(["matplotlib"] if write_images else [])]:
            require_package(package)
        self.log_dir = log_dir
        self.inputs = inputs
        self.layers = layers
        self.update_freq = update_freq
        self.write_images = write_images
        self.example = check_integer("example", example, at_least=0)
        self.tokens = tokens
        self._writer = None

    def on_train_begin(self, logs=None):
        if self.layers is None:
            self._found = find_layers(self.model)
            if not self._found:
                # With the message of a search for one.
                find_layer(self.model)
        else:
            self._found = [find_layer(self.model, layer) for layer in self.layers]
        rows = len(keras.tree.flatten(self.inputs)[0])
        check_integer("example", self.example, 0, rows - 1)
        self._writer = tf.summary.create_file_writer(
            os.path.join(self.log_dir, "memory")
        )

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.update_freq:
            return
        with self._writer.as_default(step=epoch):
            for found in self._found:
                self._write(found)
        self._writer.flush()

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, found):
        recorded = trajectory(self.model, self.inputs, found.layer)
        valid = recorded.get("mask", ...)
        for name in (*GATES, *MEMORIES):
            if name in recorded:
                values = as_numbers(recorded[name][valid])
                tf.summary.histogram(
                    f"{found.path}/{name}", values[np.isfinite(values)]
                )
        if not self.write_images:
            return
        for name, figure in self._figures(recorded):
            tf.summary.image(f"{found.path}/{name}", _draw(figure)[None])

    def _figures(self, recorded):
        arguments = {"example": self.example, "tokens": self.tokens}
        if any(name in recorded for name in GATES):
            yield "gates", plot_gates(recorded, **arguments)
        if any(name in recorded for name in MEMORIES):
            yield "memory", plot_memory(recorded, **arguments)
        if all(name in recorded for name in HEADS):
            yield "heads", plot_tape_heads(recorded, **arguments)


def _draw(figure):
    """The pixels of a figure, uint8 of shape `(height, width, 4)`."""
    agg = require_package("matplotlib.backends.backend_agg")
    canvas = agg.FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
