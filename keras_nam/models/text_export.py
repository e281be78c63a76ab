"""A SavedModel that takes strings and gives strings."""

import keras
from keras import ops
from keras import tree

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_destination
from keras_nam.arguments import check_instance
from keras_nam.arguments import check_list
from keras_nam.backend import require
from keras_nam.models.streaming import StreamingModel
from keras_nam.tokenizers.tokenizer import Tokenizer


def export_text_model(model, path, tokenizer, classes=None, verbose=False):
    """Exports a SavedModel from strings to strings, which runs without this package.

    Its endpoint and signature `serve` takes a string for each of a batch of rows, of
    any number and any lengths: the argument `texts`, or one by the name of each input
    if there are several. It returns a dictionary:

    - of a model that predicts a token per token, `"texts"`: the given texts with their
        masks filled in, or all that was predicted if `tokenizer` knows no mask;
    - of a model that predicts a class per row, `"labels"`, strings, and `"scores"`,
        the probabilities of all classes, `(batch, num_classes)`.

    A `StreamingModel` has two more endpoints: `step`, from a dictionary of `"texts"`,
    the next piece of every row, and states to one of the above and states, and
    `initial_state` from a scalar batch size to a dictionary of states.

    Rows of one batch are filled up with padding to the longest one. That changes what
    a model says of the shorter ones unless it was built with this padding as its
    `mask_token`, sees the past alone, or learned to read padding. Pieces of `step` must
    be of equal length. What `tokenizer` cannot read raises
    `tf.errors.InvalidArgumentError`.

    Args:
        model: A functional `keras.Model` from tokens `(batch, time)` to logits, or a
            `StreamingModel` of one.
        path: String, the folder to write to.
        tokenizer: A `keras_nam.tokenizers.Tokenizer`, for example of
            `keras_nam.datasets.task_tokenizer`.
        classes: List of strings, the names of the classes of a model that predicts a
            class per row. `None` means their numbers.
        verbose: Boolean. Whether to print the endpoints.

    Example:

    ```python
    core = keras_nam.layers.NAMTM(32, num_tapes=2, return_sequences=True)
    model = keras_nam.models.token_tagger(core, vocabulary_size=16, width=32)
    tokenizer = keras_nam.datasets.task_tokenizer("reverse")
    keras_nam.models.export_text_model(model, "reverse_text", tokenizer)

    import tensorflow as tf

    served = tf.saved_model.load("reverse_text")
    served.serve(tf.constant(["_123_MMME"]))["texts"]  # of a trained one: "... 3 2 1 E"
    ```

    Raises:
        ValueError: If the model does not map tokens to logits, or `tokenizer` or
            `classes` do not fit to it.
    """
    path = check_destination("path", path)
    verbose = check_boolean("verbose", verbose)
    check_instance("tokenizer", tokenizer, Tokenizer)
    stream = model if isinstance(model, StreamingModel) else None
    model = model if stream is None else stream.model
    inputs, output = _check_model(model)
    answer = _answer_in_words(output, tokenizer, classes)
    names = ["texts"] if len(inputs) == 1 else [x.name for x in inputs]
    if stream is not None and len(inputs) > 1:
        raise ValueError(
            "Only a stream of one text can be fed in strings. Received: a model with "
            f"the inputs {names}"
        )
    specs = [_strings(name) for name in names]

    def serve(*texts):
        rows = [tokenizer.encode(text) for text in texts]
        packed = tree.pack_sequence_as(model.input, list(map(tokenizer.fill_up, rows)))
        return answer(rows[0], model(packed, training=False))

    def step(inputs):
        inputs = dict(inputs)
        rows = tokenizer.encode(inputs.pop("texts"))
        tokens = tokenizer.fill_up(rows)
        # Padding would enter the states.
        tokens = require(
            ops.all(ops.cast(rows.row_lengths(), "int32") == ops.shape(tokens)[1]),
            "All pieces of a step must have the same, positive number of tokens.",
            tokens,
        )
        outputs, state = stream(tree.pack_sequence_as(model.input, [tokens]), inputs)
        return {**answer(rows, outputs), **state}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(tokenizer)
    archive.add_endpoint("serve", serve, input_signature=specs)
    if stream is not None:
        stream.add_endpoints(archive, step, {"texts": specs[0]})
    archive.write_out(path, verbose=verbose)


def _answer_in_words(output, tokenizer, classes):
    """A function `(rows, logits)` to what is returned, as strings."""
    if len(output.shape) == 2:
        names = _class_names(classes, output.shape[-1])

        def classify(rows, logits):
            labels = ops.take(ops.convert_to_tensor(names), ops.argmax(logits, -1), 0)
            return {"labels": labels, "scores": ops.softmax(logits)}

        return classify

    if classes is not None:
        raise ValueError(
            "Argument `classes` must be `None` for a model that predicts tokens. "
            f"Received: classes={classes}"
        )
    if output.shape[-1] != tokenizer.vocabulary_size():
        raise ValueError(
            f"The model predicts {output.shape[-1]} tokens, and `tokenizer` must know "
            f"as many. Received: {tokenizer.vocabulary_size()} tokens"
        )

    def write(rows, logits):
        predicted = ops.cast(ops.argmax(logits, axis=-1), "int32")
        mask, tokens = tokenizer.mask_token_id, tokenizer.fill_up(rows)
        if mask is not None:
            predicted = ops.where(tokens == mask, predicted, tokens)
        return {"texts": tokenizer.decode(tokenizer.cut_off(predicted, rows))}

    return write


def _class_names(classes, num_classes):
    if classes is None:
        return [str(i) for i in range(num_classes)]
    expected = f"a list of {num_classes} strings"
    names = check_list("classes", classes, str, expected, at_least=num_classes)
    if len(names) > num_classes:
        raise ValueError(
            f"Argument `classes` must be {expected}. Received: classes={classes}"
        )
    return names


def _check_model(model):
    """The inputs and the output of a functional model from tokens to logits."""
    inputs, outputs = [], []
    if isinstance(model, keras.Model) and isinstance(model, keras.Function):
        inputs, outputs = tree.flatten(model.input), tree.flatten(model.output)
    are_tokens = all(len(x.shape) == 2 and "int" in str(x.dtype) for x in inputs)
    if not inputs or not are_tokens or [len(x.shape) in (2, 3) for x in outputs] != [1]:
        raise ValueError(
            "Argument `model` must be a functional model from integer tokens of shape "
            "(batch, time) to logits of shape (batch, time, tokens) or (batch, "
            f"classes). Received: model={model} with the inputs {inputs} and the "
            f"outputs {outputs}"
        )
    return inputs, outputs[0]


def _strings(name):
    return keras.InputSpec(shape=(None,), dtype="string", name=name)
