"""A SavedModel that goes on learning classes."""

import uuid

import keras
from keras import ops

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_destination
from keras_nam.arguments import check_instance
from keras_nam.models.few_shot import FewShotClassifier


def export_teachable(model, path, verbose=False):
    """Exports a SavedModel that can be taught where this package is not installed.

    It has four signatures, which take tensors by name:

    - `classify(images)` returns `"scores"` of shape `(batch, num_classes)` and
      `"labels"`, the index of the highest one;
    - `learn(images, labels)` teaches novel classes;
    - `forget(labels)` removes classes that were taught;
    - `reset()` removes them all.

    The last three return `"counts"`: how many examples each novel class has. What was
    taught stands in variables of a fixed size, at first what `model` was taught.
    Signatures may be called from several threads: teaching waits for other teaching,
    so that nothing is lost, and `classify` sees a lesson as a whole or not at all. What
    cannot be taught raises `tf.errors.InvalidArgumentError` and changes nothing. Call
    `tf.saved_model.save` on the loaded model to keep what it learned.

    Args:
        model: A `FewShotClassifier`.
        path: String, the folder to write to.
        verbose: Boolean. Whether to print the signatures.

    Example:

    ```python
    model = keras_nam.models.FewShotClassifier(
        keras_nam.models.conv_features((28, 28, 1)),
        keras_nam.layers.NAMClassifier(20, num_novel_classes=5),
    )
    keras_nam.models.export_teachable(model, "teachable")

    import tensorflow as tf

    served = tf.saved_model.load("teachable").signatures
    images = tf.random.uniform((5, 28, 28, 1))
    served["learn"](images=images, labels=tf.fill([5], 20))
    served["classify"](images=images)["labels"]
    ```

    Raises:
        ValueError: If `model` is something else.
        RuntimeError: If the backend of Keras is not TensorFlow.
    """
    check_instance("model", model, FewShotClassifier)
    path = check_destination("path", path)
    verbose = check_boolean("verbose", verbose)
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "A SavedModel that learns needs KERAS_BACKEND=tensorflow, where a model "
            "that was saved under another backend can be loaded. Received: "
            f"KERAS_BACKEND={keras.backend.backend()}"
        )
    from keras_nam.backend.tensorflow import after
    from keras_nam.backend.tensorflow import computed_alike
    from keras_nam.backend.tensorflow import exclusive
    from keras_nam.backend.tensorflow import variable

    head = model.head
    # One tensor holds all that classifying depends on, so that a reader never sees
    # one part from before a lesson and another from after it.
    base = variable(head.base_rows(head.kernel), "base_rows")
    table = variable(head.class_memory(base), "class_memory")
    lock = f"keras_nam_{uuid.uuid4().hex}"

    def classify(images):
        scores = head.scores(model.extract(images, training=False), table)
        return {"scores": scores, "labels": ops.cast(ops.argmax(scores, -1), "int32")}

    def make_table():
        table.assign(head.class_memory(base))
        return head.counts.value

    # After each change by itself, so that all changes lead to the same numbers.
    refresh = computed_alike(lambda: exclusive(make_table, lock))
    refresh()

    def teach(change):
        def locked():
            change()
            return head.counts.value

        with after(exclusive(locked, lock)):
            return {"counts": refresh()}

    def learn(images, labels):
        features = model.extract(images, training=False)
        return teach(lambda: head.learn(features, labels))

    def forget(labels):
        return teach(lambda: head.forget(labels))

    def reset():
        return teach(head.reset)

    # Signatures do not check the sizes that they name; `extract` checks unknown ones.
    images = keras.InputSpec(
        shape=(None,) * len(model.feature_extractor.input_shape),
        dtype=model.feature_extractor.input.dtype,
        name="images",
    )
    labels = keras.InputSpec(shape=(None,), dtype="int32", name="labels")
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(base)
    archive.track(table)
    archive.add_endpoint("classify", classify, input_signature=[images])
    archive.add_endpoint("learn", learn, input_signature=[images, labels])
    archive.add_endpoint("forget", forget, input_signature=[labels])
    archive.add_endpoint("reset", reset, input_signature=[])
    archive.write_out(path, verbose=verbose)
